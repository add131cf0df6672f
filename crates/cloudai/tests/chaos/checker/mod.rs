//! The claims, held against a history; knows nothing of processes.

mod history;
#[cfg(test)]
mod tests;

pub(crate) use history::{Asked, Demand, End, Harm, History, Run, Span, Task, runs};

use crate::witness::Attempt;
use history::Tried;
use std::collections::{BTreeMap, BTreeSet};

/// Attempts of a task that may be lost: the first, and its retries.
const LOSSES: usize = 4;
/// How long after its end a fault may still cost an attempt that was given meanwhile, in seconds:
/// a lease, its margin, and a connection that is made again.
const AFTERMATH: f64 = 15.0;

/// Everything that contradicts a claim.
pub(crate) fn violations(history: &History) -> Vec<String> {
    let (runs, mut found) = runs(&history.marks);
    found.extend(unlisted(history));
    found.extend(misnamed(history));
    let tasks: BTreeMap<_, _> = history.listed.iter().map(|task| (task.id.as_str(), task)).collect();
    for task in &history.listed {
        let judge = Judge { history, runs: &runs, task };
        let rules = [Judge::result, Judge::state, Judge::attempts, Judge::codes, Judge::losses, Judge::overlaps];
        found.extend(rules.iter().filter_map(|rule| rule(&judge).err()).map(|why| format!("{}: {why}", task.id)));
    }
    found.extend(runs.iter().filter_map(|(attempt, run)| unknown(&tasks, attempt, run)));
    found.extend(overcommitted(history, &runs));
    found
}

/// Acknowledged tasks are there for good.
fn unlisted(history: &History) -> impl Iterator<Item = String> {
    let listed: BTreeSet<_> = history.listed.iter().map(|task| task.id.as_str()).collect();
    let lost = history.acknowledged.iter().filter(move |(id, _)| !listed.contains(id.as_str()));
    lost.map(|(id, name)| format!("{id} ({name}) was acknowledged and is lost"))
}

/// What is listed was asked for, once, and bears the id that was answered.
fn misnamed(history: &History) -> Vec<String> {
    let (mut found, mut ids) = (Vec::new(), BTreeMap::<_, &str>::new());
    for task in &history.listed {
        if !history.asked.contains_key(&task.name) {
            found.push(format!("{} ({}) was never asked for", task.id, task.name));
        }
        if let Some(other) = ids.insert(task.name.as_str(), &task.id) {
            found.push(format!("{} and {other} are one submission ({})", task.id, task.name));
        }
    }
    let other = |(id, name): &(String, String)| {
        let listed = ids.get(name.as_str()).filter(|listed| *listed != id)?;
        Some(format!("{name} was acknowledged as {id} and is {listed}"))
    };
    found.extend(history.acknowledged.iter().filter_map(other));
    found
}

/// What ran is an attempt that the master gave to that worker.
fn unknown(tasks: &BTreeMap<&str, &Task>, (id, number): &Attempt, run: &Run) -> Option<String> {
    let Some(task) = tasks.get(id.as_str()) else { return Some(format!("{id} ran and is not listed")) };
    match task.attempts.iter().find(|tried| tried.number == *number) {
        None => Some(format!("{id}: attempt {number} ran, and the master does not know of it")),
        Some(tried) if tried.worker != run.worker => {
            Some(format!("{id}: attempt {number} is said to be on {} and ran on {}", tried.worker, run.worker))
        }
        Some(_) if run.end.is_none() => Some(format!("{id}: attempt {number} still runs on {}", run.worker)),
        Some(_) => None,
    }
}

/// At no moment do the demands of what runs on a worker exceed what it has.
fn overcommitted(history: &History, runs: &BTreeMap<Attempt, Run>) -> Vec<String> {
    let names: BTreeMap<_, _> = history.listed.iter().map(|task| (&task.id, &task.name)).collect();
    let mut changes: BTreeMap<&str, Vec<(f64, bool, Demand)>> = BTreeMap::new();
    let lasted = |run: &&Run| run.end.is_none_or(|(at, _)| at > run.started);
    for ((id, _), run) in runs.iter().filter(|(_, run)| lasted(run)) {
        let Some(asked) = names.get(id).and_then(|name| history.asked.get(*name)) else { continue };
        let of_worker = changes.entry(&run.worker).or_default();
        of_worker.push((run.started, true, asked.demand));
        of_worker.extend(run.end.map(|(at, _)| (at, false, asked.demand)));
    }
    let worst = |(worker, mut changes): (&str, Vec<(f64, bool, Demand)>)| {
        changes.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let capacity = history.capacities.get(worker).copied().unwrap_or_default();
        let mut sum = Demand::default();
        changes.iter().find_map(|(at, starts, demand)| {
            sum = if *starts { plus(sum, *demand) } else { minus(sum, *demand) };
            let over = sum.cpu_milli > capacity.cpu_milli || sum.memory_mib > capacity.memory_mib;
            over.then(|| format!("{worker} was over-committed at {at:.3}: {sum:?} of {capacity:?}"))
        })
    };
    changes.into_iter().filter_map(worst).collect()
}

const fn plus(one: Demand, other: Demand) -> Demand {
    Demand { cpu_milli: one.cpu_milli + other.cpu_milli, memory_mib: one.memory_mib + other.memory_mib }
}

const fn minus(one: Demand, other: Demand) -> Demand {
    Demand { cpu_milli: one.cpu_milli - other.cpu_milli, memory_mib: one.memory_mib - other.memory_mib }
}

/// One task before its judge.
struct Judge<'a> {
    history: &'a History,
    runs: &'a BTreeMap<Attempt, Run>,
    task: &'a Task,
}

impl Judge<'_> {
    fn run(&self, tried: &Tried) -> Option<&Run> {
        self.runs.get(&(self.task.id.clone(), tried.number))
    }

    fn accepted(&self) -> Option<&Tried> {
        self.task.attempts.iter().find(|tried| tried.accepted)
    }

    /// Exactly one result: that of the last attempt, unless it was cancelled while it waited.
    fn result(&self) -> Result<(), String> {
        let Task { attempts, status, reason, .. } = self.task;
        let accepted: Vec<_> = attempts.iter().filter(|tried| tried.accepted).map(|tried| tried.number).collect();
        let waited = (status.as_str(), reason.as_str()) == ("cancelled", "user");
        match accepted.as_slice() {
            [one] if attempts.last().is_some_and(|last| last.number == *one) => Ok(()),
            [] if waited && attempts.iter().all(|tried| tried.ended.is_some()) => Ok(()),
            _ => Err(format!("{status}, accepted attempts {accepted:?} of {}", attempts.len())),
        }
    }

    /// It ended as it was asked to, or for a reason that a fault may give it.
    fn state(&self) -> Result<(), String> {
        let Some(asked) = self.history.asked.get(&self.task.name) else { return Ok(()) };
        let Task { status, reason, exit_code, .. } = self.task;
        let lost = self.task.attempts.iter().filter(|tried| tried.lost()).count();
        let right = match (status.as_str(), reason.as_str()) {
            ("completed", "") => (*exit_code, asked.exit) == (Some(0), 0),
            ("failed", "exit_code") => asked.exit != 0 && *exit_code == Some(asked.exit),
            ("failed", "worker_lost") => lost == LOSSES,
            ("cancelled", "user" | "unconfirmed") => self.history.cancelled.contains(&self.task.id),
            _ => false,
        };
        let what =
            || format!("{status} {reason} {exit_code:?}, {lost} attempts lost; it was asked to exit {}", asked.exit);
        right.then_some(()).ok_or_else(what)
    }

    /// They are counted from 1; what was given up was lost, or goes back because a worker that heard nothing never began it.
    fn attempts(&self) -> Result<(), String> {
        let attempts = &self.task.attempts;
        if !attempts.iter().map(|tried| tried.number).eq((1..).take(attempts.len())) {
            return Err(format!("its attempts are not counted from 1: {attempts:?}"));
        }
        let never_began = |tried: &Tried| tried.given_back() && self.run(tried).is_none();
        let odd = attempts.iter().find(|tried| !tried.accepted && !tried.lost() && !never_began(tried));
        odd.map_or(Ok(()), |tried| Err(format!("attempt {} was given up for {:?}", tried.number, tried.reason)))
    }

    /// The exit codes that are told are those that were seen; a result of a program needs its end.
    fn codes(&self) -> Result<(), String> {
        for tried in &self.task.attempts {
            let seen = self.run(tried).and_then(|run| run.end).map(|(_, end)| end);
            if let Some(told) = tried.exit_code
                && seen != Some(End::Exit(told))
            {
                return Err(format!("attempt {} is said to have exited with {told}, seen is {seen:?}", tried.number));
            }
        }
        let ran = self.accepted().filter(|_| ["", "exit_code"].contains(&self.task.reason.as_str()));
        match ran {
            Some(tried) if tried.exit_code.is_none() => Err(format!("{} without an exit code", self.task.status)),
            Some(tried) if tried.exit_code != self.task.exit_code => {
                Err(format!("exit code {:?} of attempt {:?}", self.task.exit_code, tried.exit_code))
            }
            _ => Ok(()),
        }
    }

    /// An attempt is lost, or goes back, only when something was done to its worker, its link or the master.
    fn losses(&self) -> Result<(), String> {
        let harmed = |tried: &Tried| {
            let until = tried.ended.unwrap_or(f64::INFINITY);
            let concerns = |span: &Span| span.worker.as_ref().is_none_or(|worker| *worker == tried.worker);
            let in_time = |span: &Span| span.from <= until && span.to + AFTERMATH >= tried.assigned;
            self.history.harm.iter().any(|span| concerns(span) && in_time(span))
        };
        let odd = self.task.attempts.iter().find(|tried| (tried.lost() || tried.given_back()) && !harmed(tried));
        let what = |tried: &Tried| if tried.lost() { "was lost" } else { "went back" };
        odd.map_or(Ok(()), |odd| Err(format!("attempt {} {} and nothing had been done", odd.number, what(odd))))
    }

    /// Of two attempts the earlier has stopped before the later starts, unless its worker could not
    /// stop it: it was paused, or dead while its containers lived on.
    fn overlaps(&self) -> Result<(), String> {
        for (at, tried) in self.task.attempts.iter().enumerate() {
            let Some(run) = self.run(tried) else { continue };
            let end = run.end.map_or(f64::INFINITY, |(at, _)| at);
            let later = self.task.attempts[at + 1..].iter().filter_map(|later| self.run(later));
            if let Some(later) = later.into_iter().find(|later| later.started < end)
                && !self.unattended(run, later.started.max(run.started))
            {
                let (from, on) = (later.started, &later.worker);
                return Err(format!(
                    "attempt {} ran on {} to {end:.3}, a later one on {on} from {from:.3}",
                    tried.number, run.worker
                ));
            }
        }
        Ok(())
    }

    fn unattended(&self, run: &Run, until: f64) -> bool {
        let mine = self.history.harm.iter().filter(|span| span.worker.as_ref() == Some(&run.worker));
        mine.filter(|span| span.from <= until && span.to >= run.started.min(until)).any(|span| match span.what {
            Harm::Paused => true,
            Harm::Killed => self.history.outlive,
            Harm::Cut => false,
        })
    }
}
