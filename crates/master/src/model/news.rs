//! What a committed row tells the operator: workers that fall silent, come back or are taken out,
//! attempts that are given up.
//!
//! A row without news costs a comparison; the log is written when the lock is free again.

use super::Committed;
use cloudai_core::duty::Duty;
use cloudai_core::effect::Row;
use cloudai_core::ids::{TaskId, WorkerId};
use cloudai_core::state::Reason;
use cloudai_core::task::TaskRecord;
use cloudai_core::worker::{Unfit, WorkerRecord, WorkerStatus};
use tracing::{info, warn};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It was not heard for too long.
    Silent { worker: WorkerId, attempts: usize },
    /// It was heard again, without a registration.
    Back(WorkerId),
    /// It is about to leave.
    Draining(WorkerId),
    /// Its container engine does not answer.
    EngineAway { worker: WorkerId, why: String },
    /// Its disk is too full.
    DiskPressure { worker: WorkerId, why: String },
    /// It is heard and takes no command in.
    Deaf { worker: WorkerId, attempts: usize },
    /// It is kept from work, or was tried in vain.
    Kept { worker: WorkerId, duty: &'static str, reason: String },
    /// It takes work again.
    Opened(WorkerId),
    /// It was taken out.
    Removed(WorkerId),
    /// Nobody waits for this attempt any more.
    GivenUp { task: TaskId, attempt: u32, worker: WorkerId, why: String },
}

impl News {
    pub(super) fn log(self) {
        match self {
            Self::Silent { worker, attempts } => warn!(%worker, attempts, "worker became inactive"),
            Self::Back(worker) => info!(%worker, "worker is active again"),
            Self::Draining(worker) => info!(%worker, "worker began to leave"),
            Self::EngineAway { worker, why } => warn!(%worker, why, "worker takes no work, its engine does not answer"),
            Self::DiskPressure { worker, why } => warn!(%worker, why, "worker takes no work, its disk is full"),
            Self::Deaf { worker, attempts } => {
                warn!(%worker, attempts, "worker was heard but took no command in, it gets no work")
            }
            Self::Kept { worker, duty, reason } => warn!(%worker, duty, reason, "worker gets no work as it comes"),
            Self::Opened(worker) => info!(%worker, "worker gets work as it comes again"),
            Self::Removed(worker) => info!(%worker, "worker removed"),
            Self::GivenUp { task, attempt, worker, why } => warn!(%task, attempt, %worker, why, "attempt given up"),
        }
    }
}

impl Committed {
    /// What a row changes that an operator wants to know, before it is applied.
    pub(super) fn news(&self, row: &Row) -> Option<News> {
        match row {
            Row::Worker(worker) => self.news_of_worker(worker),
            Row::WorkerRemoved(id) => self.fleet.get(id).map(|_| News::Removed(id.clone())),
            Row::Task(task) => self.news_of_task(task),
            Row::Outputs(..) | Row::TaskRemoved(..) | Row::Job(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => None,
        }
    }

    fn news_of_worker(&self, worker: &WorkerRecord) -> Option<News> {
        let seen = self.fleet.get(&worker.id)?;
        let (before, id) = (seen.record(), &worker.id);
        if before.status == worker.status {
            return news_of_duty(before, worker);
        }
        match worker.status {
            // A session that ended was told by whoever ended it.
            WorkerStatus::Inactive => (before.session == worker.session)
                .then(|| News::Silent { worker: id.clone(), attempts: seen.held().len() }),
            // A new session was told by whoever took the registration.
            WorkerStatus::Active => (before.session == worker.session).then(|| News::Back(id.clone())),
            WorkerStatus::Draining => Some(News::Draining(id.clone())),
            WorkerStatus::EngineAway => {
                let why = worker.unfit().map(Unfit::why).unwrap_or_default().to_owned();
                Some(News::EngineAway { worker: id.clone(), why })
            }
            WorkerStatus::DiskPressure => {
                let why = worker.unfit().map(Unfit::why).unwrap_or_default().to_owned();
                Some(News::DiskPressure { worker: id.clone(), why })
            }
            WorkerStatus::Deaf => Some(News::Deaf { worker: id.clone(), attempts: seen.held().len() }),
            WorkerStatus::Registered => None,
        }
    }

    /// Whether the attempt that ran until now ended without a word of its worker.
    fn news_of_task(&self, task: &TaskRecord) -> Option<News> {
        let attempt = task.attempts.iter().rev().find(|attempt| attempt.end.is_some())?;
        let end = attempt.end.as_ref()?;
        if !matches!(end.reason, Some(Reason::WorkerLost | Reason::Unconfirmed)) {
            return None;
        }
        let before = self.live.get(task.id)?.active()?;
        (before.number == attempt.number).then(|| News::GivenUp {
            task: task.id,
            attempt: attempt.number,
            worker: attempt.worker.clone(),
            why: end.message.clone(),
        })
    }
}

/// What changed of the duty of a worker, its probes on their way left out.
fn news_of_duty(before: &WorkerRecord, worker: &WorkerRecord) -> Option<News> {
    let kept = |reason: &str| {
        let duty = worker.duty.word(true);
        Some(News::Kept { worker: worker.id.clone(), duty, reason: reason.to_owned() })
    };
    match (&before.duty, &worker.duty) {
        (before, after) if before == after => None,
        (_, Duty::Open) => Some(News::Opened(worker.id.clone())),
        (_, Duty::Cordoned(cordon)) => kept(&cordon.reason),
        (Duty::Draining(before), Duty::Draining(after)) if before.stopping != after.stopping => {
            kept("its deadline has come")
        }
        (_, Duty::Draining(drain)) => kept(&drain.cordon.reason),
        (Duty::Quarantined(before), Duty::Quarantined(after)) if before.tries == after.tries => None,
        (_, Duty::Quarantined(quarantine)) => kept(&quarantine.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::event::{Event, Removal};
    use cloudai_core::testing::{TestCluster, cores, worker_id};
    use std::time::Duration;

    /// The news of all that happened since the cluster began.
    fn news_of(cluster: &TestCluster) -> Vec<News> {
        let mut state = Committed::default();
        let mut told = Vec::new();
        for row in &cluster.rows {
            told.extend(state.news(row));
            state.apply(row);
        }
        told
    }

    #[test]
    fn a_silent_worker_and_what_is_given_up_are_news_once() {
        let (mut cluster, w1) = (TestCluster::default(), worker_id("w1"));
        cluster.worker("w1", cores(4));
        let (task, other) = (cluster.task(1), cluster.task(2));
        cluster.place(task, "w1");
        assert_eq!(news_of(&cluster), [], "who registers is told by whoever took the registration");
        cluster.wait(Duration::from_secs(60));
        let silent = News::Silent { worker: w1.clone(), attempts: 1 };
        assert_eq!(news_of(&cluster), std::slice::from_ref(&silent));
        cluster.wait(Duration::from_secs(600));
        let told = news_of(&cluster);
        let [first, News::GivenUp { task: lost, attempt: 1, worker, why }] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert!(*first == silent && *lost == task && *worker == w1 && why.contains("silent"), "{told:?}");
        cluster.worker("w1", cores(4));
        cluster.place(other, "w1");
        cluster.ok(Event::Remove(Removal { worker: w1.clone(), force: true }));
        let told = news_of(&cluster);
        assert!(
            matches!(&told[2..], [News::GivenUp { task, .. }, News::Removed(id)] if *task == other && *id == w1),
            "{told:?}"
        );
    }

    #[test]
    fn a_worker_that_takes_no_command_in_is_news() {
        let mut cluster = TestCluster::default();
        let session = cluster.worker("w1", cores(4));
        let task = cluster.task(1);
        cluster.place(task, "w1");
        for _ in 0..6 {
            cluster.wait(Duration::from_secs(5));
            cluster.heartbeat("w1", session, 0, Vec::new()).unwrap();
        }
        assert_eq!(news_of(&cluster), [News::Deaf { worker: worker_id("w1"), attempts: 1 }]);
    }

    #[test]
    fn a_worker_that_leaves_in_good_order_is_not_told_as_silent() {
        let mut cluster = TestCluster::default();
        let session = cluster.worker("w1", cores(4));
        cluster.ok(Event::Leave(worker_id("w1"), session));
        cluster.wait(Duration::from_secs(600));
        assert_eq!(news_of(&cluster), []);
    }

    #[test]
    fn a_worker_that_is_heard_again_in_its_session_is_news() {
        let mut cluster = TestCluster::default();
        let session = cluster.worker("w1", cores(4));
        cluster.wait(Duration::from_secs(60));
        cluster.heartbeat("w1", session, 0, Vec::new()).unwrap();
        assert_eq!(news_of(&cluster).last(), Some(&News::Back(worker_id("w1"))));
    }
}
