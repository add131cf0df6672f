//! The task or the job that something stored made: told, and waited for.

use super::wait::{self, Waited};
use super::{Context, job};
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render;
use cloudai_master::http::dto::{Job, Task};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What the ids of jobs begin with.
const OF_JOBS: &str = "job-";

/// Tells what was made, and with `wait` how it ended, which is the exit then.
pub(super) async fn tell(answer: Value, wait: bool, cx: &Context) -> Result<Exit, Failure> {
    let is_job = answer.get("id").and_then(Value::as_str).is_some_and(|id| id.starts_with(OF_JOBS));
    if is_job { of_job(read(answer)?, wait, cx).await } else { of_task(read(answer)?, wait, cx).await }
}

async fn of_job(job: Job, wait: bool, cx: &Context) -> Result<Exit, Failure> {
    if wait {
        cx.screen.note(&render::job::accepted(&job));
        return Box::pin(job::until_end(&job.id, None, cx)).await;
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
