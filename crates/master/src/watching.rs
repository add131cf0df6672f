//! Those who follow the committed cluster: everything once, then what changes. Knows nothing of the
//! wire.

use cloudai_core::effect::Row;
use cloudai_core::ids::{TaskId, WorkerId};
use cloudai_core::resources::Free;
use cloudai_core::state::Phase;
use cloudai_core::strategy::{Seen, View};
use cloudai_core::task::{State, TaskRecord};
use cloudai_core::worker::WorkerRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::warn;

/// Updates that wait for one watcher, each of what a batch or a round changed: seconds of a busy
/// cluster. Who is farther behind is better told everything anew.
const UPDATES: usize = 1024;
/// Watchers at a time: one agent, its successor, and people who look.
const WATCHERS: usize = 16;

/// What is different since the update before; in the first everything is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    /// The state that is reached with it.
    pub(crate) version: u64,
    /// Whether it has everything.
    pub(crate) snapshot: bool,
    pub(crate) workers: Vec<(Arc<WorkerRecord>, Free)>,
    pub(crate) removed: Vec<WorkerId>,
    /// Those that wait for a place or have one.
    pub(crate) tasks: Vec<Arc<TaskRecord>>,
    /// Those that do neither.
    pub(crate) gone: Vec<TaskId>,
}

/// A watcher's end: closed when it is too far behind.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Everything, as it was at the beginning.
    pub(crate) first: Update,
    pub(crate) updates: mpsc::Receiver<Arc<Update>>,
}

/// Everyone who follows.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<mpsc::Sender<Arc<Update>>>);

impl Watchers {
    /// One more; none when there are too many.
    pub(crate) fn watch(&mut self, view: &View) -> Option<Watch> {
        self.0.retain(|watcher| !watcher.is_closed());
        if self.0.len() >= WATCHERS {
            return None;
        }
        let (watcher, updates) = mpsc::channel(UPDATES);
        self.0.push(watcher);
        Some(Watch { first: everything(view), updates })
    }

    /// Tells rows that the view has taken in.
    pub(crate) fn tell(&mut self, rows: &[Row], view: &View) {
        if self.0.is_empty() || rows.is_empty() {
            return;
        }
        let update = Arc::new(changes(rows, view));
        self.0.retain(|watcher| match watcher.try_send(Arc::clone(&update)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                warn!(updates = UPDATES, "watcher of the cluster fell behind, ended its stream");
                false
            }
        });
    }
}

fn worker(seen: &Seen) -> (Arc<WorkerRecord>, Free) {
    (Arc::clone(seen.record()), seen.free().clone())
}

fn everything(view: &View) -> Update {
    let mut tasks: Vec<_> = view.records().cloned().collect();
    tasks.sort_unstable_by_key(|task| task.order);
    Update {
        version: view.version(),
        snapshot: true,
        workers: view.fleet().each().map(worker).collect(),
        tasks,
        ..Update::default()
    }
}

/// A task's last row counts; a worker is as it is after all rows.
fn changes(rows: &[Row], view: &View) -> Update {
    let mut tasks: BTreeMap<TaskId, &Arc<TaskRecord>> = BTreeMap::new();
    let mut workers = BTreeSet::new();
    for row in rows {
        match row {
            Row::Task(task) => {
                // The one that it has now, or had last.
                workers.extend(task.attempts.last().map(|attempt| &attempt.worker));
                tasks.insert(task.id, task);
            }
            Row::Worker(worker) => drop(workers.insert(&worker.id)),
            Row::WorkerRemoved(id) => drop(workers.insert(id)),
            Row::Outputs(..) | Row::TaskRemoved(..) | Row::Job(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => {}
        }
    }
    let mut update = Update { version: view.version(), ..Update::default() };
    for id in workers {
        match view.fleet().get(id) {
            Some(seen) => update.workers.push(worker(seen)),
            None => update.removed.push(id.clone()),
        }
    }
    for (id, task) in tasks {
        if waits_or_is_placed(task) { update.tasks.push(Arc::clone(task)) } else { update.gone.push(id) }
    }
    update
}

fn waits_or_is_placed(task: &TaskRecord) -> bool {
    match &task.state {
        State::Queued(queued) => queued.phase == Phase::WaitingCapacity,
        State::Active(_) => true,
        State::Finished(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::testing::{TestCluster, cores, worker_id};

    /// A cluster, a view of it, and who watches that.
    #[derive(Default)]
    struct Bed {
        cluster: TestCluster,
        seen: usize,
        view: View,
        watchers: Watchers,
    }

    impl Bed {
        fn publish(&mut self) {
            let rows = &self.cluster.rows[self.seen..];
            rows.iter().for_each(|row| self.view.apply(row));
            self.watchers.tell(rows, &self.view);
            self.seen = self.cluster.rows.len();
        }
    }

    fn ids(update: &Update) -> (Vec<TaskId>, Vec<&str>) {
        let workers = update.workers.iter().map(|(worker, _)| worker.id.as_str());
        (update.tasks.iter().map(|task| task.id).collect(), workers.collect())
    }

    #[test]
    fn a_watcher_is_told_everything_and_then_what_is_different() {
        let mut bed = Bed::default();
        bed.cluster.worker("w1", cores(4));
        let (first, held) = (bed.cluster.task(1), bed.cluster.task(2));
        bed.cluster.hold(held).unwrap();
        bed.publish();
        let mut watch = bed.watchers.watch(&bed.view).unwrap();
        assert_eq!((ids(&watch.first), watch.first.snapshot), ((vec![first], vec!["w1"]), true));

        let attempt = bed.cluster.place(first, "w1");
        bed.publish();
        let update = watch.updates.try_recv().unwrap();
        assert_eq!((ids(&update), update.snapshot), ((vec![first], vec!["w1"]), false));
        assert!(update.version > watch.first.version);
        let free = |update: &Update| update.workers[0].1.amount(cloudai_core::resources::Kind::Cpu);
        assert_eq!((free(&watch.first), free(&update)), (4000, 3000), "what it has left is told with the task");

        bed.cluster.end(attempt, cloudai_core::task::Outcome::exit(0)).unwrap();
        bed.cluster.release(held).unwrap();
        bed.publish();
        let update = watch.updates.try_recv().unwrap();
        assert_eq!((ids(&update), update.gone.clone(), free(&update)), ((vec![held], vec!["w1"]), vec![first], 4000));
        let force = cloudai_core::event::Removal { worker: worker_id("w1"), force: true };
        bed.cluster.ok(cloudai_core::event::Event::Remove(force));
        bed.publish();
        assert_eq!(watch.updates.try_recv().unwrap().removed, [worker_id("w1")]);
        assert!(watch.updates.try_recv().is_err(), "that was all");
    }

    #[test]
    fn a_watcher_that_falls_behind_is_ended_and_the_others_are_not() {
        let mut bed = Bed::default();
        bed.cluster.worker("w1", cores(4));
        bed.publish();
        let (mut slow, mut quick) = (bed.watchers.watch(&bed.view).unwrap(), bed.watchers.watch(&bed.view).unwrap());
        for number in 0..=UPDATES as u128 {
            bed.cluster.task(number + 1);
            bed.publish();
            assert!(quick.updates.try_recv().is_ok());
        }
        let mut told = 0;
        while slow.updates.try_recv().is_ok() {
            told += 1;
        }
        assert_eq!((told, slow.updates.is_closed()), (UPDATES, true));
        assert!(!quick.updates.is_closed());
    }

    #[test]
    fn watchers_are_so_many_at_most_and_who_went_leaves_room() {
        let mut bed = Bed::default();
        let mut watches: Vec<_> = (0..WATCHERS).map(|_| bed.watchers.watch(&bed.view).unwrap()).collect();
        assert!(bed.watchers.watch(&bed.view).is_none());
        watches.pop();
        assert!(bed.watchers.watch(&bed.view).is_some());
    }
}
