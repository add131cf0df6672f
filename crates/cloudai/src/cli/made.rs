//! The task or the job that something stored made: told, and waited for.

use super::wait::{self, Waited};
use super::{Context, job};
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render;
use cloudai_master::http::dto::{Job, Task};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

/// What the ids of jobs begin with.
const OF_JOBS: &str = "job-";

/// What was made.
#[derive(Debug)]
pub(super) enum Made {
    Task(Box<Task>),
    /// An array, as the row of a list has it.
    Array(Box<Task>),
    Job(Box<Job>),
}

impl Made {
    /// What the answer to a submission tells of.
    /// # Errors
    /// It is of a version that this one does not know.
    pub(super) fn read(answer: Value) -> Result<Self, Failure> {
        if answer.get("id").and_then(Value::as_str).is_some_and(|id| id.starts_with(OF_JOBS)) {
            return read(answer).map(|job| Self::Job(Box::new(job)));
        }
        let task: Box<Task> = Box::new(read(answer)?);
        Ok(if task.array.is_some() { Self::Array(task) } else { Self::Task(task) })
    }
}

/// Tells what was made, and with `wait` how it ended, which is the exit then.
pub(super) async fn tell(answer: Value, wait: bool, cx: &Context) -> Result<Exit, Failure> {
    match Made::read(answer)? {
        Made::Job(job) => of_job(*job, wait, None, cx).await,
        Made::Array(array) => of_array(*array, wait, None, cx).await,
        Made::Task(task) => of_task(*task, wait, cx).await,
    }
}

/// Tells which array was made, and that its job has its end.
pub(super) async fn of_array(
    array: Task,
    wait: bool,
    deadline: Option<Instant>,
    cx: &Context,
) -> Result<Exit, Failure> {
    let job = array.job_id.clone().unwrap_or_default();
    if wait || cx.screen.for_people() {
        let total = array.array.map_or(0, |array| array.total);
        cx.screen.note(&format!("an array of {total} tasks, the job {job}"));
    }
    if wait {
        return Box::pin(job::until_end(&job, deadline, cx)).await;
    }
    cx.screen.one(&array, &job, || job.clone())?;
    let id = short(&job);
    cx.screen.hint(&format!("Its tasks: cloudai job tasks {id}; what they print: cloudai job logs {id} --follow"));
    Ok(Exit::Ok)
}

/// Tells which job was made.
pub(super) async fn of_job(job: Job, wait: bool, deadline: Option<Instant>, cx: &Context) -> Result<Exit, Failure> {
    if wait {
        cx.screen.note(&render::job::accepted(&job));
        return Box::pin(job::until_end(&job.id, deadline, cx)).await;
    }
    cx.screen.one(&job, &job.id, || render::job::outcome(&job, &cx.screen))?;
    cx.screen.hint(&format!("Follow it: cloudai job logs {} --follow", short(&job.id)));
    Ok(Exit::Ok)
}

async fn of_task(task: Task, wait: bool, cx: &Context) -> Result<Exit, Failure> {
    if wait {
        cx.screen.note(&render::task::outcome(&task, &cx.screen));
        return match wait::until_final(cx, &task.id, None).await? {
            Waited::Ended(task) => {
                cx.screen.one(&*task, &task.id, || render::task::outcome(&task, &cx.screen))?;
                Ok(wait::exit_of(&task, false))
            }
            // Without a limit only Ctrl-C ends a wait early.
            Waited::Left | Waited::TooLong => Ok(Exit::Interrupted),
        };
    }
    cx.screen.one(&task, &task.id, || render::task::outcome(&task, &cx.screen))?;
    cx.screen.hint(&format!("Follow it: cloudai task logs {} --follow", short(&task.id)));
    Ok(Exit::Ok)
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::error("what was made is not understood").why(error.to_string()).next("cloudai version")
    })
}
