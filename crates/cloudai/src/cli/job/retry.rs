//! `cloudai job retry`.

use super::{has_ended, whole};
use crate::cli::Context;
use crate::cli::plan::{self, NOTHING, Would};
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render;
use cloudai_master::http::dto::Job;
use reqwest::StatusCode;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "JOB")]
    id: String,
    /// Only tell what would be run again
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.id).await?;
    if args.dry_run {
        let would = would_retry(whole(&id, cx).await?);
        let lines: Vec<_> = would.touched().map(|job| short(&job.id)).into_iter().collect();
        return plan::tell(vec![would], |job| job.id.clone(), &lines, cx);
    }
    let (status, job): (_, Job) = cx.client.post(&["api", "v1", "jobs", &id, "retry"], None, None).await?;
    let (old, new) = (short(&id), short(&job.id));
    if status != StatusCode::CREATED {
        cx.screen.note(&format!("{old} was submitted again before, as {new}; that one again: cloudai job retry {new}"));
    } else if cx.screen.for_people() {
        cx.screen.note(&render::job::accepted(&job));
    }
    cx.screen.one(&job, &job.id, || job.id.clone()).map(|()| Exit::Ok)
}

fn would_retry(job: Job) -> Would<Job> {
    let (id, status) = (short(&job.id), job.status.clone());
    if !has_ended(&job) {
        return Would::of(job, NOTHING, format!("be refused: {id} is {status}, and only what has ended is run again"));
    }
    let left = job.tasks.saturating_sub(job.counts.completed);
    if status == "completed" || left == 0 {
        return Would::of(job, NOTHING, format!("be refused: all that was needed of {id} completed"));
    }
    let all = job.tasks;
    Would::of(job, "retry", format!("run {left} of the {all} tasks of {id} again, as a new job: they did not complete"))
}
