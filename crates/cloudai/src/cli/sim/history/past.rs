//! Tasks that ended, as a master tells them, made a workload and the schedule that really was.
//!
//! Knows nothing of how they are asked for and of what is said to people.

use cloudai_master::http::dto::{Attempt, Resources, Task, Worker};
use cloudai_sim::replay::run::{could_ever, micro};
use cloudai_sim::replay::{self, Actual, Assignment, Machine, Workload};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a history is called in reports.
const NAME: &str = "history";

/// How many tasks were seen, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Of those that are replayed.
    pub(super) completed: usize,
    /// Likewise, time limits included.
    pub(super) failed: usize,
    /// Likewise, while they ran.
    pub(super) cancelled: usize,
    /// They ended, and no attempt of theirs ran.
    pub(super) never_ran: usize,
    /// They have not ended.
    pub(super) live: usize,
    /// No worker of now could ever run them.
    pub(super) too_large: usize,
}

impl Counts {
    /// How many are replayed.
    pub(super) const fn replayed(&self) -> usize {
        self.completed + self.failed + self.cancelled
    }
}

/// A task that ran. Its times are set when the first arrival is known.
#[derive(Debug)]
struct Ran {
    task: replay::Task,
    arrival: Timestamp,
    due: Option<Timestamp>,
    worker: usize,
    start: Timestamp,
    end: Timestamp,
}

/// What was gathered so far.
#[derive(Debug)]
pub(super) struct Past {
    machines: Vec<Machine>,
    /// Names of workers that are no more, in the order in which they were met.
    others: Vec<String>,
    /// The places of all names, those of `others` after those of `machines`.
    places: BTreeMap<String, usize>,
    ran: Vec<Ran>,
    counts: Counts,
}

/// A moment of the API.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Whether a worker ever told what it offers.
pub(super) fn offers(worker: &Worker) -> bool {
    amounts(&worker.capacity).iter().any(|amount| *amount > 0.0)
}

fn amounts(of: &Resources) -> [f64; 4] {
    [of.cpu_cores, of.memory_gb, of.storage_gb, of.gpu_cores]
}

/// An amount to a millionth.
fn millionths(amount: f64, round: fn(f64) -> f64) -> f64 {
    micro(amount, round) as f64 / 1e6
}

/// The attempt whose run counts: the accepted one, else the last that ran at all. With its start and end.
fn deciding(task: &Task) -> Option<(&Attempt, Timestamp, Timestamp)> {
    let ran = |attempt: &'_ Attempt| {
        let (start, end) = (moment(attempt.started_at.as_deref()?)?, moment(attempt.ended_at.as_deref()?)?);
        Some((start, end.max(start)))
    };
    let accepted = task.attempts.iter().rev().filter(|attempt| attempt.accepted);
    let mut all = accepted.chain(task.attempts.iter().rev());
    all.find_map(|attempt| ran(attempt).map(|(start, end)| (attempt, start, end)))
}

impl Past {
    /// Nothing yet, on these workers as far as they ever told what they offer.
    pub(super) fn on(workers: &[Worker]) -> Self {
        let machine = |worker: &Worker| {
            // A little more rather than a little less: what it ran really fits.
            let capacity = amounts(&worker.capacity).map(|amount| millionths(amount, f64::ceil));
            Machine { id: worker.id.clone(), capacity }
        };
        let machines: Vec<Machine> = workers.iter().filter(|worker| offers(worker)).map(machine).collect();
        let places = machines.iter().enumerate().map(|(at, machine)| (machine.id.clone(), at)).collect();
        Self { machines, others: Vec::new(), places, ran: Vec::new(), counts: Counts::default() }
    }

    /// What it is replayed on.
    pub(super) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// What became of all that were seen.
    pub(super) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Looks at a task, an older one than all before; answers no when it would be one more than `limit`.
    pub(super) fn take(&mut self, task: &Task, limit: usize) -> bool {
        if task.finished_at.is_none() {
            self.counts.live += 1;
            return true;
        }
        let (Some((attempt, start, end)), Some(created)) = (deciding(task), moment(&task.created_at)) else {
            self.counts.never_ran += 1;
            return true;
        };
        let replayed = replay::Task {
            id: task.id.clone(),
            demand: amounts(&task.resources).map(|amount| millionths(amount, f64::floor)),
            estimate_s: task.estimate_s,
            priority: task.priority,
            user: task.user_id.clone(),
            image: task.image.clone(),
            ..replay::Task::default()
        };
        if !self.machines.iter().any(|machine| could_ever(&replayed, machine)) {
            self.counts.too_large += 1;
            return true;
        }
        if self.counts.replayed() == limit {
            return false;
        }
        match task.status.as_str() {
            "completed" => self.counts.completed += 1,
            "cancelled" => self.counts.cancelled += 1,
            _ => self.counts.failed += 1,
        }
        let arrival = task.not_before.as_deref().and_then(moment).map_or(created, |at| at.max(created));
        let due = task.due_at.as_deref().and_then(moment);
        let worker = self.place(&attempt.worker_id);
        // By one clock nothing starts before it comes; were it set meanwhile, the run is as long all the same.
        let late = start.max(arrival);
        let end = late.saturating_add(end.duration_since(start)).unwrap_or(end);
        self.ran.push(Ran { task: replayed, arrival, due, worker, start: late, end });
        true
    }

    fn place(&mut self, worker: &str) -> usize {
        if let Some(place) = self.places.get(worker) {
            return *place;
        }
        let place = self.places.len();
        self.others.push(worker.to_owned());
        self.places.insert(worker.to_owned(), place);
        place
    }

    /// The workload in the order of submission, what really happened, and when the first task came; nothing when no
    /// task was taken in.
    pub(super) fn finish(self) -> Option<(Workload, Actual, Timestamp)> {
        let begin = self.ran.iter().map(|one| one.arrival).min()?;
        let after = |at: Timestamp| at.duration_since(begin).as_secs_f64().max(0.0);
        let (mut tasks, mut assignments) = (Vec::with_capacity(self.ran.len()), Vec::with_capacity(self.ran.len()));
        for (at, one) in self.ran.into_iter().rev().enumerate() {
            let (start_s, runtime_s) = (after(one.start), one.end.duration_since(one.start).as_secs_f64());
            assignments.push(Assignment { task: at, worker: one.worker, start_s, end_s: start_s + runtime_s });
            let (arrival_s, deadline_s) = (after(one.arrival), one.due.map(after));
            tasks.push(replay::Task { arrival_s, runtime_s, deadline_s, ..one.task });
        }
        let workload = Workload { name: NAME.into(), tasks, workers: self.machines };
        let actual = Actual::of(&workload, self.others, assignments);
        Some((workload, actual, begin))
    }
}

#[cfg(test)]
mod tests;
