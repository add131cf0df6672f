//! Compares what must agree: ledgers, tasks, and what workers told last. Each heartbeat mends the
//! most of it; this finds what no heartbeat looks at, and tells.
//!
//! It looks at every task once, which nothing else does: it is for an operator who asks.

use super::{Cluster, MAX_ROWS, Out, Worker};
use crate::debug::{Difference, Reconciled, Wrong};
use crate::event::{Answer, Heartbeat, HeldStage};
use crate::ids::{Attempt, CommandSeq, TaskId, WorkerId};
use crate::ledger::Ledger;
use crate::resources::{Allocation, Free};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A worker's last heartbeat, less what the master let go since: of that it may have told the past.
#[derive(Clone, Debug)]
pub(super) struct Told {
    at: Timestamp,
    seen: CommandSeq,
    held: BTreeMap<Attempt, HeldStage>,
    leaves: bool,
}

impl Told {
    pub(super) fn of(heartbeat: &Heartbeat, at: Timestamp) -> Self {
        let held = heartbeat.held.iter().map(|held| (held.attempt, held.stage)).collect();
        Self { at, seen: heartbeat.seen, held, leaves: heartbeat.draining }
    }

    pub(super) const fn at(&self) -> Timestamp {
        self.at
    }

    pub(super) const fn seen(&self) -> CommandSeq {
        self.seen
    }

    pub(super) const fn held(&self) -> &BTreeMap<Attempt, HeldStage> {
        &self.held
    }

    /// A task is no longer the worker's: the next heartbeat says whether it still holds it.
    pub(super) fn forget(&mut self, task: TaskId) {
        let of_task = Attempt { task, number: 0 }..=Attempt { task, number: u32::MAX };
        let gone: Vec<_> = self.held.range(of_task).map(|(attempt, _)| *attempt).collect();
        for attempt in gone {
            self.held.remove(&attempt);
        }
    }
}

impl Cluster {
    pub(super) fn reconcile(&mut self, out: &mut Out, dry_run: bool) -> Answer {
        let mut found = self.compare(out.now);
        if !dry_run {
            for difference in &found.differences {
                if out.full() {
                    found.more = true;
                    break;
                }
                self.mend(out, difference);
            }
        }
        Answer::Reconciled(found)
    }

    /// Everything that differs, as much of it as one event may mend.
    fn compare(&self, now: Timestamp) -> Reconciled {
        let mut differences = Vec::new();
        for (id, worker) in &self.workers {
            self.compare_ledger(id, worker, &mut differences);
            self.compare_told(id, worker, now, &mut differences);
        }
        let unbooked = self.tasks.values().filter_map(|task| {
            let worker = &task.active()?.worker;
            let booked = self.workers.get(worker).is_some_and(|worker| worker.ledger.held().contains_key(&task.id));
            (!booked).then(|| difference(worker, Some(task.attempt()), Wrong::Unbooked))
        });
        differences.extend(unbooked);
        let more = differences.len() > MAX_ROWS;
        differences.truncate(MAX_ROWS);
        let told = |worker: &Worker| worker.link.as_ref().is_some_and(|link| link.told.is_some());
        let unheard = self.workers.iter().filter(|(_, worker)| !told(worker)).map(|(id, _)| id.clone());
        Reconciled { workers: self.workers.len(), unheard: unheard.collect(), differences, more }
    }

    fn compare_ledger(&self, id: &WorkerId, worker: &Worker, into: &mut Vec<Difference>) {
        let mut sum = Allocation::default();
        for (task, allocation) in worker.ledger.held() {
            sum.add(allocation);
            let record = self.tasks.get(task);
            let active = record.and_then(|task| task.active()).filter(|active| active.worker == *id);
            let number = record.map_or(0, |task| task.number());
            let attempt = Some(Attempt { task: *task, number });
            match active {
                None => into.push(difference(id, attempt, Wrong::Leaked)),
                Some(active) if active.allocation != *allocation => {
                    into.push(difference(id, attempt, Wrong::Misbooked));
                }
                Some(_) => {}
            }
        }
        if Free::left(&worker.record.capacity, &sum) != *worker.ledger.free() {
            into.push(difference(id, None, Wrong::Miscounted));
        }
    }

    /// What a worker told against what it was given. What is on its way is no difference.
    fn compare_told(&self, id: &WorkerId, worker: &Worker, now: Timestamp, into: &mut Vec<Difference>) {
        let Some(link) = &worker.link else { return };
        let Some(told) = &link.told else { return };
        for (attempt, stage) in &told.held {
            let current = self.tasks.get(&attempt.task).and_then(|task| task.active());
            let here = current.is_some_and(|active| active.worker == *id && active.number == attempt.number);
            if !here && matches!(stage, HeldStage::At(_)) {
                into.push(difference(id, Some(*attempt), Wrong::Stray));
            }
        }
        if told.leaves {
            return;
        }
        for attempt in self.held_tasks(id).into_iter().filter(|attempt| !told.held.contains_key(attempt)) {
            let sent = link.starts.get(&attempt.task).filter(|sent| sent.number == attempt.number);
            let on_its_way = sent.is_some_and(|sent| {
                // Sent, or sent again, since: the next heartbeat tells what became of it.
                sent.at >= told.at || sent.seq > told.seen && now.since(sent.at) < self.timing.heartbeat
            });
            if !on_its_way {
                into.push(difference(id, Some(attempt), Wrong::Missing));
            }
        }
    }

    fn mend(&mut self, out: &mut Out, difference: &Difference) {
        let Difference { worker: id, attempt, wrong } = difference;
        match (wrong, attempt) {
            (Wrong::Leaked, Some(attempt)) => {
                if let Some(worker) = self.workers.get_mut(id) {
                    worker.release(attempt.task);
                }
            }
            (Wrong::Unbooked | Wrong::Misbooked, Some(attempt)) => self.book(out, id, attempt.task),
            (Wrong::Stray, Some(attempt)) => self.stop(out, id, *attempt),
            (Wrong::Missing, Some(attempt)) => {
                let told = self.workers.get(id).and_then(|worker| worker.link.as_ref()?.told.as_ref());
                if let Some(seen) = told.map(Told::seen) {
                    self.reconcile_lacking(out, id, *attempt, seen);
                }
            }
            (Wrong::Miscounted, _) => self.count_again(id),
            (Wrong::Leaked | Wrong::Unbooked | Wrong::Misbooked | Wrong::Stray | Wrong::Missing, None) => {}
        }
    }

    /// Gives an active task its place in the ledger of its worker; one whose worker is not there is over.
    fn book(&mut self, out: &mut Out, id: &WorkerId, task: TaskId) {
        let allocation = self.tasks.get(&task).and_then(|task| task.active()).map(|active| active.allocation.clone());
        let Some(allocation) = allocation else { return };
        match self.workers.get_mut(id) {
            Some(worker) => {
                worker.hold(task, allocation);
                if let Some(link) = worker.link.as_mut() {
                    // It may have told of this task and was not listened to: its next word counts.
                    link.told = None;
                }
                self.judge_soon(id, out.now);
            }
            None => self.vanished(out, task),
        }
    }

    fn count_again(&mut self, id: &WorkerId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let mut ledger = Ledger::new(&worker.record.capacity);
        for (task, allocation) in worker.ledger.held() {
            ledger.hold(&worker.record.capacity, *task, allocation.clone());
        }
        worker.ledger = ledger;
    }
}

fn difference(worker: &WorkerId, attempt: Option<Attempt>, wrong: Wrong) -> Difference {
    Difference { worker: worker.clone(), attempt, wrong }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Command;
    use crate::event::Event;
    use crate::ids::Session;
    use crate::task::Step;
    use crate::testing::{TestCluster, cores, task_id, worker_id};
    use std::time::Duration;

    fn found(c: &mut TestCluster, dry_run: bool) -> Vec<(Wrong, Option<u32>)> {
        // Not through `apply`: what is planted breaks the rules that it checks.
        let applied = c.cluster.apply(c.now, Event::Reconcile { dry_run }).unwrap();
        for effect in applied.effects {
            match effect {
                crate::effect::Effect::Save(row) => c.rows.push(row),
                crate::effect::Effect::Send(dispatch) => c.sent.push(dispatch),
            }
        }
        let Answer::Reconciled(found) = applied.answer else { panic!("{:?}", applied.answer) };
        found.differences.iter().map(|one| (one.wrong, one.attempt.map(|attempt| attempt.number))).collect()
    }

    fn beat(c: &mut TestCluster, session: Session, seen: u64, held: &[(Attempt, HeldStage)]) {
        let held = held.iter().map(|(attempt, stage)| crate::testing::held(*attempt, *stage)).collect();
        let (worker, seen) = (worker_id("w1"), CommandSeq(seen));
        c.ok(Event::Heartbeat(Heartbeat { worker, session, seen, held, draining: false, unfit: None, images: None }));
    }

    fn running() -> (TestCluster, Session, Attempt) {
        let mut c = TestCluster::default();
        let session = c.worker("w1", cores(4));
        let task = c.task(1);
        let attempt = c.place(task, "w1");
        beat(&mut c, session, 1, &[(attempt, HeldStage::At(Step::Running))]);
        (c, session, attempt)
    }

    #[test]
    fn what_agrees_is_left_alone_and_what_is_on_its_way_agrees() {
        let (mut c, session, first) = running();
        let placed = c.task(2);
        c.place(placed, "w1");
        assert_eq!(found(&mut c, false), []);
        // Told as running before its end was told.
        c.end(first, crate::task::Outcome::exit(0)).unwrap();
        assert_eq!(found(&mut c, false), []);
        // The start of the second was lost; the heartbeat sends it again.
        c.now = c.now + Duration::from_secs(6);
        beat(&mut c, session, 1, &[]);
        let sent = c.sent.len();
        assert_eq!(found(&mut c, false), []);
        assert_eq!(c.sent.len(), sent);
    }

    #[test]
    fn a_ledger_that_disagrees_with_the_tasks_is_shown_by_a_dry_run_and_mended_by_another() {
        let (mut c, _, attempt) = running();
        let worker = c.cluster.workers.get_mut(&worker_id("w1")).unwrap();
        let allocation = worker.ledger.held()[&attempt.task].clone();
        worker.hold(task_id(9), allocation.clone());
        worker.hold(attempt.task, Allocation { cpu_milli: 7, ..allocation });
        let wrong = [(Wrong::Misbooked, Some(1)), (Wrong::Leaked, Some(0))];
        assert_eq!(found(&mut c, true), wrong);
        assert_eq!(found(&mut c, false), wrong, "the dry run mended nothing");
        assert_eq!(found(&mut c, false), []);
        let rows = c.rows.len();
        c.cluster.workers.get_mut(&worker_id("w1")).unwrap().release(attempt.task);
        assert_eq!(found(&mut c, false), [(Wrong::Unbooked, Some(1))]);
        assert_eq!(found(&mut c, false), []);
        assert_eq!(c.rows.len(), rows, "what is mended in memory alone is not stored");
        c.ok(Event::Tick); // every rule holds again
    }

    #[test]
    fn a_task_whose_worker_is_nowhere_goes_back_to_the_queue() {
        let (mut c, _, attempt) = running();
        c.cluster.workers.remove(&worker_id("w1"));
        c.cluster.judgements.clear();
        assert_eq!(found(&mut c, false), [(Wrong::Unbooked, Some(1))]);
        assert!(c.record(attempt.task).active().is_none());
        assert_eq!(found(&mut c, false), []);
    }

    #[test]
    fn what_a_worker_should_not_run_is_stopped_and_what_it_lacks_is_sent_again() {
        let (mut c, _, first) = running();
        let placed = c.task(2);
        let second = c.place(placed, "w1");
        let now = c.now;
        let link = c.cluster.workers.get_mut(&worker_id("w1")).unwrap().link.as_mut().unwrap();
        let told = link.told.as_mut().unwrap();
        told.held.insert(Attempt { task: task_id(9), number: 3 }, HeldStage::At(Step::Running));
        told.held.insert(Attempt { task: task_id(8), number: 1 }, HeldStage::Ended);
        told.at = now + Duration::from_secs(1);
        c.now = now + Duration::from_secs(60);
        assert_eq!(found(&mut c, false), [(Wrong::Stray, Some(3)), (Wrong::Missing, Some(1))]);
        let commands: Vec<_> = c.sent.iter().rev().take(2).map(|sent| &sent.command).collect();
        assert!(matches!(commands[0], Command::Start(order) if order.attempt == second), "{commands:?}");
        assert!(matches!(commands[1], Command::Stop(stop) if stop.attempt.number == 3), "{commands:?}");
        assert!(c.record(first.task).active().is_some());
    }
}
