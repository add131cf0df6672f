//! `cloudai job wait`, and waiting for a job as `run` needs it.

use super::progress::Progress;
use super::{has_ended, show, whole};
use crate::cli::Context;
use crate::cli::wait::{Awaited, Waited, until_ended};
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use cloudai_core::state::Status;
use cloudai_master::http::dto::Job;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "JOB")]
    id: String,
    /// Wait no longer than this: exit 4, and it goes on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.id).await?;
    until_end(&id, args.timeout.map(|limit| Instant::now() + limit), cx).await
}

/// Waits until a job has ended and tells how; the exit is that of the job.
/// # Errors
/// It goes on when the time is over, or the master can not be asked any more.
pub(in crate::cli) async fn until_end(id: &str, deadline: Option<Instant>, cx: &Context) -> Result<Exit, Failure> {
    let mut progress = Progress::new(&cx.screen);
    let what = Awaited { noun: "job", id, longest: progress.pace(), deadline };
    let look = |job: &Job| {
        let ended = has_ended(job);
        if !ended {
            progress.show(job);
        }
        ended
    };
    let waited = until_ended(cx, &what, look).await;
    progress.clear();
    match waited? {
        Waited::Left => Ok(Exit::Interrupted),
        Waited::Ended(job) => {
            show(&job, cx)?;
            if job.status == Status::Completed.word() {
                return Ok(Exit::Ok);
            }
            cx.screen.hint(&format!("Next: cloudai job info {}", short(id)));
            Ok(Exit::NotCompleted)
        }
        Waited::TooLong => {
            // As it is now: what goes on is an answer as well. The time is over all the same when it can not be asked.
            if !cx.screen.for_people()
                && let Ok(job) = whole(id, cx).await
            {
                show(&job, cx)?;
            }
            Err(still_going(id))
        }
    }
}

/// The failure of a wait that was too short.
fn still_going(id: &str) -> Failure {
    let id = short(id);
    Failure::new(Exit::TimedOut, "timed_out", format!("{id} did not end in time"))
        .why("only the wait is over; the job goes on")
        .next(format!("cloudai job wait {id}"))
}
