//! Whose place more important tasks take: that of the least important, and of no more of them than it takes.
//!
//! A proposal as placements are; what it promises to the task in whose favour it is, `view/claims.rs` keeps.

use super::view::started;
use super::{Seen, View};
use crate::feasible;
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::kin::Kin;
use crate::need::Need;
use crate::preemption::{self, Preemption, SPARED, VICTIMS};
use crate::queue::Place;
use crate::resources::{Allocation, Demand, Free};
use crate::state::Phase;
use crate::task::{State, TaskRecord};
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// For how many tasks room is looked for in one round: each may look at hundreds of workers.
const LOOKED_FOR: usize = 8;
/// How far down the line they are sought; most of a long line ask for the same.
const LINE: usize = 256;
/// Workers that are looked at for one task: those of the least important runs.
const WORKERS: usize = 256;
/// Runs that are gone through to find these workers.
const RUNS: usize = 4096;

/// What waits and what runs, by how important it is: kept only while tasks may be stopped for others.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranks {
    waiting: BTreeSet<(Place, TaskId)>,
    /// By priority: those that make room, if somebody comes who is important enough.
    running: BTreeSet<(i32, TaskId)>,
    /// Their room is on its way.
    stopping: BTreeSet<TaskId>,
}

impl Ranks {
    /// Takes in that a task is another than before.
    pub(super) fn replace(&mut self, before: Option<&TaskRecord>, now: &TaskRecord) {
        if let Some(before) = before {
            self.waiting.remove(&(Place::of(before), before.id));
            self.running.remove(&(before.spec.priority, before.id));
            self.stopping.remove(&before.id);
        }
        match &now.state {
            State::Queued(queued) if queued.phase == Phase::WaitingCapacity => {
                self.waiting.insert((Place::of(now), now.id));
            }
            State::Active(_) if preemption::is_being_stopped(now) => {
                self.stopping.insert(now.id);
            }
            State::Active(_) if preemption::times(now) < SPARED => {
                self.running.insert((now.spec.priority, now.id));
            }
            State::Queued(_) | State::Active(_) | State::Finished(_) => {}
        }
    }

    /// Whether nothing that runs has at most this priority.
    fn is_above(&self, most: i32) -> bool {
        self.running.first().is_none_or(|(least, _)| *least > most)
    }
}

/// What runs and may make room.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run<'a> {
    attempt: Attempt,
    priority: i32,
    started: u64,
    allocation: &'a Allocation,
}

/// What is done for a task that has no place.
enum Room {
    /// These are to be stopped.
    Made(Preemption),
    /// Nothing: it has room, or will have some.
    Comes,
    /// Nothing: nobody who may be stopped would help.
    Nowhere,
}

/// Those of the runs on one worker without which something `fits` beside what is held: the least important first, of
/// equals what began last. None where it would not fit without all of them; nothing where it fits as it is.
fn victims<'a>(fits: impl Fn(&Allocation) -> bool, held: &Allocation, mut runs: Vec<Run<'a>>) -> Option<Vec<Run<'a>>> {
    runs.sort_unstable_by_key(|run| (run.priority, Reverse(run.started), run.attempt));
    let (mut held, mut taken, mut runs) = (held.clone(), Vec::new(), runs.into_iter());
    while !fits(&held) {
        let run = runs.next()?;
        held.subtract(run.allocation);
        taken.push(run);
    }
    // What one gives may be more than all before it gave: whom it does not take goes on, the most important first.
    for at in (0..taken.len()).rev() {
        held.add(taken[at].allocation);
        if fits(&held) {
            taken.remove(at);
        } else {
            held.subtract(taken[at].allocation);
        }
    }
    Some(taken)
}

/// The most important of those that are stopped, how many, and the time that they have run.
type Price = (i32, usize, u64);

/// How dear it is to stop these.
fn price(victims: &[Run<'_>], now: u64) -> Price {
    let highest = victims.iter().map(|run| run.priority).max().unwrap_or(i32::MIN);
    (highest, victims.len(), victims.iter().map(|run| now.saturating_sub(run.started)).sum())
}

/// What a task asks for: where nobody makes room for one, nobody does for a less important one that asks for the same.
#[derive(PartialEq, Eq)]
struct Asked {
    demand: Demand,
    alternatives: Vec<Demand>,
    apart: Option<Kin>,
    pinned: Option<WorkerId>,
    needs: Vec<Need>,
}

impl Asked {
    fn of(task: &TaskRecord) -> Self {
        let spec = &task.spec;
        Self {
            demand: spec.demand.clone(),
            alternatives: spec.alternatives.clone(),
            apart: Kin::of(task),
            pinned: spec.worker_id.clone(),
            needs: spec.needs(),
        }
    }
}

impl View {
    /// Which tasks are to make room for more important ones, after a round in which the strategy found nothing more
    /// to start: at most [`LOOKED_FOR`] of these, each on one worker, and none that has a claim already.
    #[must_use]
    pub fn preempt(&self, now: Timestamp) -> Vec<Preemption> {
        let mut found: Vec<Preemption> = Vec::new();
        let Some(margin) = self.margin() else { return found };
        let (mut looked_for, mut in_vain) = (0, Vec::new());
        for (place, id) in self.ranks().waiting.iter().take(LINE) {
            // Those behind it are no more important.
            if looked_for == LOOKED_FOR || self.ranks().is_above(place.parts().0.saturating_sub(margin)) {
                break;
            }
            let Some(task) = self.task(id).filter(|task| self.claim(id).is_none() && self.gang(task).is_none()) else {
                continue;
            };
            let asked = Asked::of(task);
            if in_vain.contains(&asked) {
                continue;
            }
            looked_for += 1;
            match self.room_for(task, margin, &found, now) {
                Room::Made(preemption) => found.push(preemption),
                Room::Comes => {}
                Room::Nowhere => in_vain.push(asked),
            }
        }
        found
    }

    /// The worker on which room for a task is cheapest.
    fn room_for(&self, task: &TaskRecord, margin: i32, taken: &[Preemption], now: Timestamp) -> Room {
        if self.has_room(task) {
            return Room::Comes;
        }
        let spec = &task.spec;
        let mut best: Option<(Price, &WorkerId, Vec<Run<'_>>)> = None;
        for id in self.yielding(task, spec.priority.saturating_sub(margin)) {
            if taken.iter().any(|other| other.worker == *id) || self.is_claimed(id) {
                continue;
            }
            let Some(seen) = self.fleet().get(id) else { continue };
            let record = seen.record();
            // What is tried by one task at a time gets no other for the sake of this one.
            if !record.takes_work() || !record.duty.is_open() || feasible::could_ever(spec, record).is_err() {
                continue;
            }
            // These end when they do: who may not stand beside them is helped by nobody else.
            if self.fleet().beside(task, record).is_some() {
                continue;
            }
            let (runs, remaining) = self.runs(seen, spec.priority, margin);
            let fits =
                |held: &Allocation| feasible::pick(spec, &record.capacity, &Free::left(&record.capacity, held)).is_ok();
            if fits(&remaining) {
                return Room::Comes;
            }
            let victims = victims(fits, seen.allocated(), runs);
            let Some(victims) = victims.filter(|victims| victims.len() <= VICTIMS) else { continue };
            let price = price(&victims, now.as_millis());
            if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                best = Some((price, id, victims));
            }
        }
        let Some((_, worker, victims)) = best else { return Room::Nowhere };
        Room::Made(Preemption {
            for_: Attempt { task: task.id, number: task.number() + 1 },
            worker: worker.clone(),
            victims: victims.iter().map(|run| run.attempt).collect(),
            margin,
        })
    }

    /// Whether a worker has room: when it begins is the strategy's business.
    fn has_room(&self, task: &TaskRecord) -> bool {
        match (&task.spec.worker_id, self.number(&task.id)) {
            (Some(pin), _) => self.fleet().get(pin).is_some_and(|seen| {
                !self.is_claimed(pin) && feasible::fits(&task.spec, seen.record(), seen.free()).is_ok()
            }),
            (None, Some(number)) => {
                let mut chain = self.board().chain(self.board().job(number).class);
                chain.any(|class| self.board().next_fit(class, 0).is_some())
            }
            (None, None) => false,
        }
    }

    /// Workers on which something runs that has at most this priority, or is being stopped.
    fn yielding(&self, task: &TaskRecord, most: i32) -> BTreeSet<&WorkerId> {
        if let Some(pin) = &task.spec.worker_id {
            return self.fleet().get(pin).map(|seen| &seen.record().id).into_iter().collect();
        }
        let ranks = self.ranks();
        let low = ranks.running.iter().take_while(|(priority, _)| *priority <= most).map(|(_, id)| id);
        let mut workers: BTreeSet<&WorkerId> = BTreeSet::new();
        for id in low.take(RUNS).chain(ranks.stopping.iter().take(RUNS)) {
            workers.extend(self.task(id).and_then(TaskRecord::active).map(|active| &active.worker));
            if workers.len() == WORKERS {
                break;
            }
        }
        workers
    }

    /// What makes room on a worker, and what all hold there once those have ended that are being stopped.
    fn runs<'a>(&self, seen: &'a Seen, to: i32, margin: i32) -> (Vec<Run<'a>>, Allocation) {
        let (mut runs, mut remaining) = (Vec::new(), seen.allocated().clone());
        for (id, allocation) in seen.held() {
            let Some(task) = self.task(id) else { continue };
            if preemption::is_being_stopped(task) {
                remaining.subtract(allocation);
            } else if preemption::yields(task, to, margin).is_ok() && self.gang(task).is_none() {
                let (attempt, priority) = (task.attempt(), task.spec.priority);
                runs.push(Run { attempt, priority, started: started(task), allocation });
            }
        }
        (runs, remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::GIB;
    use crate::testing::{cores, task_id};
    use proptest::prelude::*;

    fn cpus(count: u64) -> Allocation {
        Allocation { cpu_milli: count * 1000, memory: GIB, ..Allocation::default() }
    }

    /// Runs of (priority, since when, cores), numbered from 1.
    fn runs<'a>(of: &[(i32, u64)], allocations: &'a [Allocation]) -> Vec<Run<'a>> {
        let run = |((number, (priority, started)), allocation): ((u128, &(i32, u64)), &'a Allocation)| Run {
            attempt: Attempt { task: task_id(number), number: 1 },
            priority: *priority,
            started: *started,
            allocation,
        };
        (1..).zip(of).zip(allocations).map(run).collect()
    }

    /// Which of the runs make room for so many cores on a worker of eight; none where that would not help.
    fn chosen(need: u64, of: &[(i32, u64, u64)]) -> Option<Vec<u128>> {
        let allocations: Vec<Allocation> = of.iter().map(|(.., count)| cpus(*count)).collect();
        let runs = runs(&of.iter().map(|(priority, since, _)| (*priority, *since)).collect::<Vec<_>>(), &allocations);
        let (demand, mut held) = (Demand { cpu_milli: need * 1000, ..Demand::default() }, Allocation::default());
        allocations.iter().for_each(|allocation| held.add(allocation));
        let number = |run: &Run<'_>| (1..).find(|number| task_id(*number) == run.attempt.task).unwrap_or(0);
        let fits = |held: &Allocation| Free::left(&cores(8), held).pick(&demand).is_ok();
        victims(fits, &held, runs).map(|victims| victims.iter().map(number).collect())
    }

    #[test]
    fn the_least_important_make_room_of_equals_what_began_last_and_no_more_than_it_takes() {
        assert_eq!(chosen(2, &[(5, 0, 2), (-3, 0, 2), (0, 0, 2), (5, 0, 2)]), Some(vec![2]));
        assert_eq!(chosen(2, &[(0, 10, 4), (0, 20, 2), (0, 15, 2)]), Some(vec![2]), "the latest");
        assert_eq!(chosen(4, &[(1, 0, 2), (2, 0, 2), (3, 0, 4)]), Some(vec![1, 2]));
        assert_eq!(chosen(4, &[(1, 0, 1), (2, 0, 4), (3, 0, 3)]), Some(vec![2]), "what 1 gives is not needed then");
        assert_eq!(chosen(1, &[(0, 0, 4), (0, 0, 3)]), Some(vec![]), "it fits as it is");
        assert_eq!(chosen(9, &[(0, 0, 4), (0, 0, 4)]), None);
    }

    #[test]
    fn the_price_is_the_most_important_then_the_number_then_the_time_that_is_lost() {
        let allocations = [cpus(1), cpus(1)];
        let of = |of: &[(i32, u64)]| price(&runs(of, &allocations), 100);
        let dear = [&[(1, 0)][..], &[(0, 10), (0, 90)], &[(0, 10)], &[(0, 90)], &[(-1, 0), (-1, 0)]];
        assert!(dear.windows(2).all(|pair| of(pair[0]) > of(pair[1])));
    }

    proptest! {
        #[test]
        fn whoever_is_chosen_is_needed(
            need in 1u64..9,
            of in prop::collection::vec((-3i32..3, 0u64..9, 1u64..4), 0..5),
        ) {
            let free = |without: &[u128]| {
                let held = (1..).zip(&of).filter(|(number, _)| !without.contains(number));
                8u64.saturating_sub(held.map(|(_, (.., count))| count).sum())
            };
            match chosen(need, &of) {
                None => prop_assert!(free(&(1..=of.len() as u128).collect::<Vec<_>>()) < need),
                Some(chosen) => {
                    prop_assert!(free(&chosen) >= need);
                    for one in &chosen {
                        let others: Vec<u128> = chosen.iter().filter(|other| *other != one).copied().collect();
                        prop_assert!(free(&others) < need, "{one} is not needed");
                    }
                }
            }
        }
    }
}
