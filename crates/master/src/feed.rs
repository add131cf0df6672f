//! What changed last, in order and numbered, for whoever follows the cluster. Knows nothing of the wire.
//!
//! Nothing is kept for anybody who follows: each reads on behind the last number that it knows, and who is
//! so slow that this has fallen out is told so. What is kept is therefore all that is ever held, however
//! many follow and however slow they are.

use cloudai_core::ids::{JobId, TaskId, UserId, WorkerId};
use cloudai_core::job::JobStatus;
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerStatus;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How many changes are kept: some minutes of a busy cluster, about 16 MiB. Who reads on later than that is better off
/// with lists.
pub(crate) const KEPT: usize = 65_536;

/// The last changes.
#[derive(Debug)]
pub(crate) struct Feed {
    most: usize,
    kept: Mutex<VecDeque<Arc<Happened>>>,
    /// The number of the last one; whoever waits for the next waits here.
    last: watch::Sender<u64>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Happened {
    /// From 1, without a gap, within the life of a master.
    pub(crate) seq: u64,
    /// When it was committed.
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Task(TaskChange),
    Job(JobChange),
    Worker(WorkerChange),
    /// Another strategy places.
    Strategy(Arc<str>),
}

/// Where a task stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskChange {
    pub(crate) id: TaskId,
    pub(crate) owner: UserId,
    pub(crate) job: Option<JobId>,
    pub(crate) status: Status,
    pub(crate) phase: Option<Phase>,
    pub(crate) reason: Option<Reason>,
    pub(crate) attempt: u32,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) exit_code: Option<i32>,
}

/// Where a job stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobChange {
    pub(crate) id: JobId,
    pub(crate) owner: UserId,
    pub(crate) status: JobStatus,
}

/// Where a worker stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerChange {
    pub(crate) id: WorkerId,
    /// None of one that was taken out.
    pub(crate) status: Option<WorkerStatus>,
    /// What keeps it from work apart from that.
    pub(crate) duty: &'static str,
}

/// What is wanted is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The first that is kept, or would be the next.
    pub(crate) first: u64,
    /// The last that there is; 0 before there is one.
    pub(crate) last: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Feed {
    /// One that keeps so many.
    pub(crate) fn keeping(most: usize) -> Self {
        Self { most, kept: Mutex::default(), last: watch::Sender::new(0) }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Happened>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a commit changed, and wakes who waits.
    pub(crate) fn add(&self, at: Timestamp, changes: Vec<What>) {
        if changes.is_empty() {
            return;
        }
        let mut kept = self.kept();
        let mut seq = *self.last.borrow();
        for what in changes {
            seq += 1;
            if kept.len() == self.most {
                kept.pop_front();
            }
            kept.push_back(Arc::new(Happened { seq, at, what }));
        }
        // Under the lock: no number is told before what it stands for is there, and none comes back.
        self.last.send_replace(seq);
    }

    /// The number of the last change; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// The number of the last change, to wait for the next on.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The changes behind a number, in their order, so many at most.
    /// # Errors
    /// [`Lost`] when some of them are not kept any more, or the number is of no change that there was.
    pub(crate) fn behind(&self, seq: u64, most: usize) -> Result<Vec<Arc<Happened>>, Lost> {
        let kept = self.kept();
        let last = self.last();
        let first = last + 1 - kept.len() as u64;
        if seq > last || seq + 1 < first {
            return Err(Lost { first, last });
        }
        let skip = usize::try_from(seq + 1 - first).unwrap_or(usize::MAX);
        Ok(kept.iter().skip(skip).take(most).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strategy(name: &str) -> What {
        What::Strategy(name.into())
    }

    fn numbers(found: &[Arc<Happened>]) -> Vec<u64> {
        found.iter().map(|happened| happened.seq).collect()
    }

    #[test]
    fn who_reads_on_behind_the_last_number_misses_nothing_and_gets_nothing_twice() {
        let feed = Feed::default();
        assert_eq!((feed.last(), feed.behind(0, 10)), (0, Ok(Vec::new())));
        feed.add(Timestamp::ZERO, vec![strategy("a"), strategy("b"), strategy("c")]);
        let first = feed.behind(0, 2).unwrap();
        assert_eq!(numbers(&first), [1, 2]);
        feed.add(Timestamp::ZERO, vec![strategy("d")]);
        assert_eq!(numbers(&feed.behind(2, 10).unwrap()), [3, 4]);
        assert_eq!(feed.behind(4, 10), Ok(Vec::new()));
        assert_eq!(feed.behind(5, 10), Err(Lost { first: 1, last: 4 }), "that is of another life");
    }

    #[test]
    fn what_has_fallen_out_is_lost_and_said_to_be() {
        let feed = Feed::keeping(2);
        feed.add(Timestamp::ZERO, vec![strategy("a"), strategy("b"), strategy("c")]);
        assert_eq!(feed.behind(0, 10), Err(Lost { first: 2, last: 3 }));
        assert_eq!(numbers(&feed.behind(1, 10).unwrap()), [2, 3]);
    }

    #[test]
    fn a_commit_without_changes_wakes_nobody() {
        let feed = Feed::default();
        let mut news = feed.news();
        news.mark_unchanged();
        feed.add(Timestamp::ZERO, Vec::new());
        assert!(!news.has_changed().unwrap());
        feed.add(Timestamp::ZERO, vec![strategy("a")]);
        assert!(news.has_changed().unwrap());
    }

    proptest! {
        #[test]
        fn whatever_the_pace_what_is_read_is_without_a_gap(
            most in 1usize..8,
            steps in proptest::collection::vec((0usize..5, 0usize..6), 1..40),
        ) {
            let feed = Feed::keeping(most);
            let mut told = 0;
            for (come, read) in steps {
                feed.add(Timestamp::ZERO, (0..come).map(|_| strategy("a")).collect());
                match feed.behind(told, read) {
                    Ok(found) => {
                        let expected: Vec<u64> = (told + 1..).take(found.len()).collect();
                        prop_assert_eq!(numbers(&found), expected);
                        prop_assert_eq!(found.len() as u64, (read as u64).min(feed.last() - told));
                        told += found.len() as u64;
                    }
                    Err(lost) => {
                        prop_assert!(lost.first > told + 1 && feed.last() - told > most as u64);
                        told = lost.last;
                    }
                }
            }
        }
    }
}
