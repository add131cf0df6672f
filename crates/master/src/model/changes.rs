//! What a committed row changes for those who follow: a task, a job or a worker that stands elsewhere now.
//!
//! Most rows change numbers that nobody branches on; those are no news.

use super::Committed;
use crate::feed::{JobChange, TaskChange, What, WorkerChange};
use cloudai_core::effect::Row;
use cloudai_core::ids::WorkerId;
use cloudai_core::job::JobRecord;
use cloudai_core::task::TaskRecord;
use cloudai_core::worker::WorkerRecord;

impl Committed {
    /// What a row changes, before it is applied.
    pub(super) fn change(&self, row: &Row) -> Option<What> {
        match row {
            Row::Task(task) => self.change_of_task(task),
            Row::Job(job, _) => self.change_of_job(job),
            Row::Worker(worker) => self.change_of_worker(worker),
            Row::WorkerRemoved(id) => self.removed(id),
            Row::Outputs(..) | Row::TaskRemoved(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => None,
        }
    }

    fn change_of_task(&self, task: &TaskRecord) -> Option<What> {
        let before = self.live.get(task.id).or_else(|| self.ended.get(&task.id));
        let now = told(task);
        (before.map(|before| told(before)).as_ref() != Some(&now)).then_some(What::Task(now))
    }

    fn change_of_job(&self, job: &JobRecord) -> Option<What> {
        let now = job.status();
        let is_news = match self.jobs.status(job.id) {
            Some(before) => before != now,
            // One that ended was told of then; only its first row can be news.
            None => job.end.is_none() || job.version == 1,
        };
        is_news.then(|| What::Job(JobChange { id: job.id, owner: job.owner.clone(), status: now }))
    }

    fn change_of_worker(&self, worker: &WorkerRecord) -> Option<What> {
        let seen = self.fleet.get(&worker.id);
        let holds = seen.is_some_and(|seen| !seen.held().is_empty());
        let told = |worker: &WorkerRecord| WorkerChange {
            id: worker.id.clone(),
            status: Some(worker.status),
            duty: worker.duty.word(holds),
        };
        let now = told(worker);
        (seen.map(|seen| told(seen.record())).as_ref() != Some(&now)).then_some(What::Worker(now))
    }

    fn removed(&self, id: &WorkerId) -> Option<What> {
        let seen = self.fleet.get(id)?;
        let duty = seen.record().duty.word(false);
        Some(What::Worker(WorkerChange { id: id.clone(), status: None, duty }))
    }
}

fn told(task: &TaskRecord) -> TaskChange {
    TaskChange {
        id: task.id,
        owner: task.owner.clone(),
        job: task.job,
        status: task.status(),
        // Whether its worker is silent is the worker's news.
        phase: task.phase(false),
        reason: task.reason(),
        attempt: task.number(),
        worker: task.worker().cloned(),
        exit_code: task.finished().and_then(|end| end.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::event::{Event, Removal};
    use cloudai_core::state::{Phase, Status};
    use cloudai_core::task::{Outcome, Step};
    use cloudai_core::testing::{TestCluster, cores, worker_id};
    use cloudai_core::worker::WorkerStatus;

    /// All that changed since the cluster began.
    fn changes_of(cluster: &TestCluster) -> Vec<What> {
        let mut state = Committed::default();
        let mut told = Vec::new();
        for row in &cluster.rows {
            told.extend(state.change(row));
            state.apply(row);
        }
        told
    }

    #[test]
    fn each_step_of_a_task_is_told_once_and_in_order() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        let task = cluster.task(1);
        let attempt = cluster.place(task, "w1");
        cluster.step(attempt, Step::Running).unwrap();
        cluster.end(attempt, Outcome::exit(3)).unwrap();
        let tasks = changes_of(&cluster).into_iter().filter_map(|what| match what {
            What::Task(change) => Some((change.status, change.phase, change.attempt, change.exit_code)),
            What::Job(_) | What::Worker(_) | What::Strategy(_) => None,
        });
        let expected = [
            (Status::Queued, Some(Phase::WaitingCapacity), 0, None),
            (Status::Pending, Some(Phase::Assigned), 1, None),
            (Status::Running, Some(Phase::Running), 1, None),
            (Status::Failed, None, 1, Some(3)),
        ];
        assert_eq!(tasks.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_worker_is_told_as_it_comes_falls_silent_and_goes_and_not_with_every_row() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        cluster.label("w1", &[("zone", "eu")]);
        cluster.wait(std::time::Duration::from_secs(60));
        cluster.ok(Event::Remove(Removal { worker: worker_id("w1"), force: true }));
        let workers = changes_of(&cluster).into_iter().filter_map(|what| match what {
            What::Worker(change) => Some(change.status),
            What::Task(_) | What::Job(_) | What::Strategy(_) => None,
        });
        assert_eq!(workers.collect::<Vec<_>>(), [Some(WorkerStatus::Active), Some(WorkerStatus::Inactive), None]);
    }
}
