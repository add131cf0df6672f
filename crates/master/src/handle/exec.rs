//! A program in the container of a task that runs: who may, where it runs, whether its worker began it.

use super::Handle;
use crate::exec::{FromWorker, Full, IN_ALL, IN_TASK, ON_WORKER, Opened, Order, Place, Refusal, Wish};
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_core::ids::{Attempt, TaskId, WorkerId};
use cloudai_core::state::Phase;
use cloudai_core::task::Step;
use cloudai_proto::EXEC;
use futures::StreamExt;
use std::time::Duration;
use tracing::info;

/// A worker begins it in this time: an engine under load takes a second or two.
const BEGIN: Duration = Duration::from_secs(20);
/// Of a command, in the log.
const SHOWN: usize = 200;

/// A program that was begun.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) attempt: Attempt,
    pub(crate) worker: WorkerId,
    pub(crate) opened: Opened,
    place: Place,
}

impl Exec {
    /// The worker's end, and the place that it takes.
    pub(crate) fn apart(self) -> (Opened, Place) {
        (self.opened, self.place)
    }
}

/// Why no program was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecError {
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What it does instead of running, and the command that helps.
    #[error("{0}")]
    NotRunning(String, String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotPossible(String),
    #[error("{0}")]
    TooMany(String),
    /// The worker or its engine does not answer.
    #[error("{0}")]
    Unavailable(String),
}

impl Handle {
    /// Begins a program in the container of a task.
    /// # Errors
    /// [`ExecError`].
    pub(crate) async fn exec(&self, who: &Principal, id: TaskId, wish: Wish) -> Result<Exec, ExecError> {
        let execs = &self.shared.execs;
        let (attempt, worker) = self.running(who, id).await?;
        if !execs.is_enabled() {
            let why = "programs beside tasks are forbidden on this cluster: exec.enabled is false on its master";
            return Err(ExecError::Forbidden(why.into()));
        }
        if !wish.user.is_empty() {
            self.policy().policy.check_exec(&wish.user).map_err(|denied| ExecError::Forbidden(denied.to_string()))?;
        }
        let record = self.shared.model.worker_record(&worker);
        let Some(record) = record else { return Err(silent(&worker)) };
        if !record.about.capabilities.iter().any(|word| word == EXEC) {
            let why = format!("worker {worker} is of version {}, which can not do this", record.about.version);
            return Err(ExecError::NotPossible(why));
        }
        let place = execs.place(id, &worker).map_err(|full| too_many(full, id, &worker))?;
        let shown = shown(&wish.command);
        let order_id = hex::encode(rand::random::<[u8; 16]>());
        let incarnation = self.facts().incarnation;
        let order = Order { id: order_id, attempt, incarnation, wish };
        let waiting = execs.order(&worker, record.session, order).ok_or_else(|| silent(&worker))?;
        let begun = async {
            let mut opened = waiting.opened().await?;
            let first = opened.from.next().await?;
            Some((opened, first))
        };
        let begun = tokio::time::timeout(BEGIN, begun).await.ok().flatten();
        let (opened, first) = begun.ok_or_else(|| {
            let why = format!("worker {worker} did not begin it within {} s", BEGIN.as_secs());
            ExecError::Unavailable(why)
        })?;
        match first {
            Ok(FromWorker::Started) => {}
            Ok(FromWorker::Refused(why, message)) => return Err(refused(why, message, id)),
            Ok(FromWorker::Stdout(_) | FromWorker::Stderr(_) | FromWorker::Ended(_)) => {
                return Err(ExecError::Unavailable(format!("worker {worker} says what makes no sense")));
            }
            Err(lost) => return Err(ExecError::Unavailable(format!("worker {worker} was lost: {lost}"))),
        }
        info!(user = %who.user, task = %id, attempt = attempt.number, %worker, command = shown, "exec began");
        Ok(Exec { attempt, worker, opened, place })
    }

    /// The attempt that runs, and where.
    async fn running(&self, who: &Principal, id: TaskId) -> Result<(Attempt, WorkerId), ExecError> {
        let task = self.task_to_change(who, id).await?;
        let record = &task.record;
        let not = |what: String, next: String| Err(ExecError::NotRunning(format!("{id} {what}"), next));
        if record.finished().is_some() {
            let what = format!("has ended ({}): nothing can be run in it any more", record.status());
            return not(what, format!("cloudai task logs {id}, or run it again: cloudai task retry {id}"));
        }
        let Some(active) = record.active() else {
            return not("waits (queued): it has no container yet".into(), format!("cloudai task info {id}"));
        };
        if task.phase == Some(Phase::WorkerUnreachable) {
            let what = format!("can not be reached: its worker {} is silent", active.worker);
            return not(what, format!("cloudai worker info {}", active.worker));
        }
        if active.step != Step::Running {
            let what = format!("does not run yet ({})", active.step.phase());
            return not(what, format!("cloudai task info {id}, and again when it runs"));
        }
        Ok((record.attempt(), active.worker.clone()))
    }
}

fn silent(worker: &WorkerId) -> ExecError {
    ExecError::Unavailable(format!("worker {worker} is not connected now"))
}

fn too_many(full: Full, id: TaskId, worker: &WorkerId) -> ExecError {
    ExecError::TooMany(match full {
        Full::Task => format!("{IN_TASK} programs are open in {id} already: end one of them"),
        Full::Worker => format!("{ON_WORKER} programs are open on worker {worker} already: end one of them"),
        Full::Master => format!("{IN_ALL} programs are open already: end one of them"),
    })
}

fn refused(why: Refusal, message: String, id: TaskId) -> ExecError {
    match why {
        Refusal::NotRunning => ExecError::NotRunning(message, format!("cloudai task info {id}")),
        Refusal::Forbidden => ExecError::Forbidden(message),
        Refusal::NotPossible => ExecError::NotPossible(message),
        Refusal::TooMany => ExecError::TooMany(message),
        Refusal::Engine => ExecError::Unavailable(message),
    }
}

/// A command for the log: its beginning.
fn shown(command: &[String]) -> String {
    if command.is_empty() {
        return "(shell)".into();
    }
    command.join(" ").chars().take(SHOWN).collect()
}
