//! Ends that users ask for.

use super::{Cluster, Out};
use crate::effect::{Command, StopOrder};
use crate::event::{Answer, Cancel, Rejected};
use crate::ids::{Attempt, WorkerId};
use crate::state::{Reason, Status};
use crate::task::{CancelRequest, Finished, State};
use std::sync::Arc;

impl Cluster {
    /// Ends a waiting task at once; asks the worker of an active one to stop it, and again as
    /// often as it is asked for.
    pub(super) fn cancel(&mut self, out: &mut Out, cancel: Cancel) -> Result<Answer, Rejected> {
        let task = self.tasks.get(&cancel.task).ok_or(Rejected::NoSuchTask(cancel.task))?;
        let request = CancelRequest { by: cancel.by, at: out.now };
        match &task.state {
            State::Queued(_) => {
                let never = task.attempts.is_empty();
                if let Some(task) = self.tasks.get_mut(&cancel.task) {
                    Arc::make_mut(task).cancel = Some(request);
                }
                let what = if never { "cancelled before it started" } else { "cancelled while it waited to run again" };
                self.finish(out, cancel.task, cancelled(Reason::User, what));
            }
            State::Active(active) => {
                let (attempt, worker) = (task.attempt(), active.worker.clone());
                if task.cancel.is_none() {
                    self.change(out, cancel.task, |task| task.cancel = Some(request));
                }
                self.stop(out, &worker, attempt);
            }
            State::Finished(_) => {}
        }
        Ok(Answer::Done)
    }

    /// Tells a worker to end an attempt.
    pub(super) fn stop(&mut self, out: &mut Out, worker: &WorkerId, attempt: Attempt) {
        let limits = self.tasks.get(&attempt.task).map(|task| task.spec.limits).unwrap_or_default();
        self.send(out, worker, Command::Stop(StopOrder { attempt, kill_after: limits.kill_after }));
        self.judge_soon(worker, out.now);
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
