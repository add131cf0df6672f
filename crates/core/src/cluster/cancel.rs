//! Ends that users ask for.

use super::{Cluster, Out};
use crate::effect::{Command, StopOrder};
use crate::event::{Answer, Cancel, Rejected};
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::state::{Reason, Status};
use crate::task::{CancelRequest, Finished, State};
use std::sync::Arc;

impl Cluster {
    /// Ends a waiting task at once; asks the worker of an active one to stop it, and again as
    /// often as it is asked for.
    pub(super) fn cancel(&mut self, out: &mut Out, cancel: Cancel) -> Result<Answer, Rejected> {
        let Cancel { task: id, by } = cancel;
        if self.tasks.contains_key(&id) {
            self.cancel_task(out, id, CancelRequest { by, at: out.now, why: None });
            Ok(Answer::Done)
        } else if self.cancel_unborn(out, id, &by) {
            Ok(Answer::Done)
        } else {
            Err(Rejected::NoSuchTask(id))
        }
    }

    /// The same of a live task.
    pub(super) fn cancel_task(&mut self, out: &mut Out, id: TaskId, request: CancelRequest) {
        let Some(task) = self.tasks.get(&id) else { return };
        match &task.state {
            State::Queued(_) => {
                let never = task.attempts.is_empty();
                let what = if never { "cancelled before it started" } else { "cancelled while it waited to run again" };
                let end = end_by(&request, what);
                if let Some(task) = self.tasks.get_mut(&id) {
                    Arc::make_mut(task).cancel = Some(request);
                }
                self.finish(out, id, end);
            }
            State::Active(active) => {
                let (attempt, worker) = (task.attempt(), active.worker.clone());
                if task.cancel.is_none() {
                    self.change(out, id, |task| task.cancel = Some(request));
                }
                self.stop(out, &worker, attempt);
            }
            State::Finished(_) => {}
        }
    }

    /// Tells a worker to end an attempt.
    pub(super) fn stop(&mut self, out: &mut Out, worker: &WorkerId, attempt: Attempt) {
        let limits = self.tasks.get(&attempt.task).map(|task| task.spec.limits).unwrap_or_default();
        self.send(out, worker, Command::Stop(StopOrder { attempt, kill_after: limits.kill_after }));
        self.judge_soon(worker, out.now);
    }
}

/// The end of a waiting task whose cancellation this is.
fn end_by(request: &CancelRequest, what: &str) -> Finished {
    match &request.why {
        None => cancelled(Reason::User, what),
        Some(why) => cancelled(Reason::Dependency, &format!("{what}: {why}")),
    }
}

/// The end of a task that somebody or something cancelled.
pub(super) fn cancelled(reason: Reason, message: &str) -> Finished {
    Finished {
        status: Status::Cancelled,
        reason: Some(reason),
        exit_code: None,
        oom_killed: false,
        message: message.to_owned(),
        dead: false,
        warnings: Vec::new(),
    }
}
