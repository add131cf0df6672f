//! Why a task waits for a place, in one sentence for people. The rule is the one that places.

mod gang;

use crate::event::PlacementRefusal;
use crate::feasible;
use crate::ids::WorkerId;
use crate::kin::Beside;
use crate::resources::{Free, Lack};
use crate::spec::TaskSpec;
use crate::unmet::Unmet;
use crate::worker::{Idle, Unfit, WorkerRecord};
pub use gang::{room, why_gang};
use std::collections::BTreeMap;

/// A worker that a task might run on.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// What it is.
    pub record: &'a WorkerRecord,
    /// What is left of it.
    pub free: &'a Free,
    /// Whether it holds any attempt.
    pub holds: bool,
    /// What of the task's kin keeps it from there.
    pub beside: Option<Beside>,
}

/// What stands against a place now; none when there is one.
/// # Errors
/// A sentence, too: no worker can ever run the task.
pub fn why<'a>(
    spec: &TaskSpec,
    workers: impl Iterator<Item = Candidate<'a>> + Clone,
) -> Result<Option<String>, String> {
    feasible::satisfiable(spec, workers.clone().map(|worker| worker.record))
        .map_err(|why| format!("no worker can run this: {why}"))?;
    let against = Against::of(spec, workers);
    if against.fits {
        return Ok(None);
    }
    if let Some(beside) = against.beside() {
        return Ok(Some(beside));
    }
    Ok(Some(against.unfit().unwrap_or_else(|| match &spec.worker_id {
        Some(pinned) => against.of_pinned(pinned),
        None => against.of_all(spec),
    })))
}

/// What stands against each worker.
#[derive(Debug, Default)]
struct Against<'a> {
    fits: bool,
    lacks: Vec<(Lack, &'a WorkerRecord)>,
    /// Those that can take no work, and whether they are full besides.
    unfit: Vec<(bool, &'a WorkerId, &'a Unfit)>,
    idle: BTreeMap<Idle, usize>,
    /// Those that do not meet what it needs.
    unmet: Vec<&'a WorkerRecord>,
    /// Those that have room, where one of its kin is too near.
    beside: Vec<(&'a WorkerId, Beside)>,
}

impl<'a> Against<'a> {
    fn of(spec: &TaskSpec, workers: impl Iterator<Item = Candidate<'a>>) -> Self {
        let mut against = Self::default();
        for Candidate { record, free, holds, beside } in workers {
            match feasible::fits(spec, record, free) {
                Ok(_) => match beside {
                    Some(beside) => against.beside.push((&record.id, beside)),
                    None => against.fits = true,
                },
                Err(PlacementRefusal::Lack(lack)) => against.lacks.push((lack, record)),
                Err(PlacementRefusal::WorkerUnavailable) => {
                    if let Some(why) = record.idle_while(holds).filter(|why| *why != Idle::Absent) {
                        *against.idle.entry(why).or_insert(0) += 1;
                    }
                    let full = || spec.demands().all(|demand| free.pick(demand).is_err());
                    against.unfit.extend(record.unfit().map(|why| (full(), &record.id, why)));
                }
                Err(PlacementRefusal::Unmet(_)) => against.unmet.push(record),
                Err(
                    PlacementRefusal::Stale
                    | PlacementRefusal::Pinned
                    | PlacementRefusal::Beside(_)
                    | PlacementRefusal::Gang,
                ) => {}
            }
        }
        against
    }

    /// The first that has room, and is too near to one of its kin.
    fn beside(&self) -> Option<String> {
        let (worker, beside) = self.beside.first()?;
        let others = match self.beside.len() - 1 {
            0 => String::new(),
            1 => "; one other is as near".to_owned(),
            count => format!("; {count} others are as near"),
        };
        Some(format!("{worker} has room, but {beside} (anti_affinity){others}"))
    }

    /// One that can take no work and has room, or else any when nobody else takes work.
    fn unfit(&self) -> Option<String> {
        let nearest = self.unfit.iter().min_by_key(|(full, worker, _)| (*full, *worker));
        let (_, worker, why) = nearest.filter(|(full, ..)| !full || self.lacks.is_empty())?;
        Some(match why {
            Unfit::EngineAway(why) => {
                format!("the container engine of {worker} does not answer, so it gets no work: {why}")
            }
            Unfit::DiskPressure(why) => format!("{worker} is short of disk, so it gets no work: {why}"),
        })
    }

    fn of_pinned(&self, pinned: &WorkerId) -> String {
        if let Some((lack, _)) = self.lacks.first() {
            return format!("pinned to {pinned}, which has no room for it now ({lack} free)");
        }
        match self.idle.keys().next() {
            Some(why) => format!("pinned to {pinned}, which is {}{}", why.word(), self.next_step(pinned.as_str())),
            None => format!("pinned to {pinned}, which is not connected; see: cloudai worker info {pinned}"),
        }
    }

    /// The worker that lacks the smallest part of what is needed, of those that could hold it all if nothing ran there.
    fn nearest(&self, spec: &TaskSpec) -> Option<&(Lack, &'a WorkerRecord)> {
        let part =
            |lack: &Lack| u128::from(lack.need.saturating_sub(lack.have)) * 1_000_000 / u128::from(lack.need.max(1));
        let never = |record: &WorkerRecord| feasible::could_ever(spec, record).is_err();
        self.lacks.iter().min_by_key(|(lack, record)| (never(record), part(lack)))
    }

    fn of_all(&self, spec: &TaskSpec) -> String {
        match self.nearest(spec) {
            Some((lack, WorkerRecord { id: worker, .. })) => {
                let besides =
                    if self.idle.is_empty() { String::new() } else { format!("; {} besides", counted(&self.idle)) };
                let of_it = match spec.requests() {
                    1 => String::new(),
                    count => format!(" for any of its {count} requests"),
                };
                format!("no worker has room{of_it}; {worker} comes nearest ({lack} free){besides}")
            }
            None if !self.unmet.is_empty() => self.of_meeting(spec),
            None if self.idle.is_empty() => "no worker is connected; start one with: cloudai worker start".into(),
            None => format!("no worker takes work: {}{}", counted(&self.idle), self.next_step("ID")),
        }
    }

    /// No worker that takes work meets what it needs; one that does takes none now.
    fn of_meeting(&self, spec: &TaskSpec) -> String {
        let Some(nearest) = Unmet::nearest(spec, self.unmet.iter().copied()) else { return String::new() };
        let besides = if self.idle.is_empty() {
            "those that do are not connected".into()
        } else {
            format!("of those that may, {}", counted(&self.idle))
        };
        match nearest.access() {
            Some(access) => {
                let advice = access.advice("another one with it: cloudai worker start");
                format!("no worker that takes work offers {}: {besides}; {advice}", access.origin)
            }
            None => {
                format!("no worker that takes work meets {}: {besides}; {}", nearest.asked(), nearest.is_nearest())
            }
        }
    }

    /// What an operator can do about it, where there is something.
    fn next_step(&self, worker: &str) -> String {
        let any = |of: &[Idle]| of.iter().any(|why| self.idle.contains_key(why));
        if any(&[Idle::Deaf]) {
            format!("; see why with: cloudai worker info {worker}")
        } else if any(&[Idle::Quarantined]) {
            format!(", tried again now and then; see why with: cloudai worker info {worker}")
        } else if any(&[Idle::Cordoned, Idle::Draining, Idle::Drained]) {
            format!("; give it work again with: cloudai worker undrain {worker}")
        } else {
            String::new()
        }
    }
}

/// How many workers are kept from work by what, as `2 are draining, 1 is quarantined`.
fn counted(idle: &BTreeMap<Idle, usize>) -> String {
    let part =
        |(why, count): (&Idle, &usize)| format!("{count} {} {}", if *count == 1 { "is" } else { "are" }, why.word());
    idle.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::event::{DutyOrder, DutyWish, Event};
    use crate::ids::{TaskId, UserId};
    use crate::spec::Value;
    use crate::testing::{TestCluster, cores, spec, worker_id};

    fn waits(c: &TestCluster, task: TaskId) -> String {
        c.cluster.why_waiting(&c.record(task))
    }

    fn drain(c: &mut TestCluster) {
        let wish = DutyWish::Drain { reason: String::new(), deadline: None };
        c.ok(Event::Duty(DutyOrder { worker: worker_id("w1"), by: UserId::local(), wish }));
    }

    #[test]
    fn a_pinned_task_names_its_worker_and_what_that_lacks() {
        let mut c = TestCluster::default();
        c.worker("w1", cores(1));
        c.worker("w2", cores(8));
        let first = c.task(1);
        c.place(first, "w1");
        let pinned = c.submit(2, spec(&[("worker_id", Value::Text("w1".into()))])).unwrap();
        assert_eq!(waits(&c, pinned), "pinned to w1, which has no room for it now (cpu: needs 1, has 0 free)");
        c.wait(std::time::Duration::from_secs(60));
        assert_eq!(waits(&c, pinned), "pinned to w1, which is not connected; see: cloudai worker info w1");
    }

    #[test]
    fn a_worker_that_could_never_hold_a_task_does_not_come_nearest() {
        let mut c = TestCluster::default();
        c.worker("w1", cores(4));
        c.worker("w2", cores(8));
        let first = c.task(1);
        c.place(first, "w2");
        let large = c.submit(2, spec(&[("cpu_cores", Value::Int(8))])).unwrap();
        assert_eq!(waits(&c, large), "no worker has room; w2 comes nearest (cpu: needs 8, has 7 free)");
    }

    #[test]
    fn a_task_whose_constraint_only_a_worker_without_work_meets_is_told_which_comes_nearest() {
        let mut c = TestCluster::default();
        for name in ["w1", "w2"] {
            c.worker(name, cores(1));
        }
        c.label("w1", &[("zone", "eu")]);
        let list = Value::List(vec![Value::Text("zone = eu".into())]);
        let task = c.submit(1, spec(&[("constraints", list)])).unwrap();
        drain(&mut c);
        assert_eq!(
            waits(&c, task),
            "no worker that takes work meets zone = eu: of those that may, 1 is drained; the nearest is w2, which has no \
             zone; set it with: cloudai worker label w2 zone=eu"
        );
    }

    #[test]
    fn a_worker_that_is_empty_already_is_drained_and_no_longer_draining() {
        let mut c = TestCluster::default();
        c.worker("w1", cores(1));
        let (runs, waiting) = (c.task(1), c.task(2));
        let attempt = c.place(runs, "w1");
        drain(&mut c);
        let next = "give it work again with: cloudai worker undrain ID";
        assert_eq!(waits(&c, waiting), format!("no worker takes work: 1 is draining; {next}"));
        c.end(attempt, crate::task::Outcome::exit(0)).unwrap();
        assert_eq!(waits(&c, waiting), format!("no worker takes work: 1 is drained; {next}"));
    }
}
