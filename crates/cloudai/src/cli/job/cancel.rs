//! `cloudai job cancel`.

use super::selection::Selection;
use super::{has_ended, show, whole};
use crate::cli::Context;
use crate::cli::list::pages;
use crate::cli::plan::{self, NOTHING, Would};
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render;
use cloudai_master::http::dto::{Job, List, Task};

/// So many names are told of what would be cancelled.
const NAMED: usize = 5;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "JOB")]
    id: String,
    #[command(flatten)]
    which: Selection,
    /// Only tell what would be cancelled
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.id).await?;
    if args.dry_run {
        let job = whole(&id, cx).await?;
        let would = if has_ended(&job) || args.which.is_all() { of_all(job) } else { of_some(job, args, cx).await? };
        let lines: Vec<_> = would.touched().map(|job| short(&job.id)).into_iter().collect();
        return plan::tell(vec![would], |job| job.id.clone(), &lines, cx);
    }
    let job: Job = cx.client.post_query(&["api", "v1", "jobs", &id, "cancel"], &args.which.query()).await?;
    show(&job, cx).map(|()| Exit::Ok)
}

fn of_all(job: Job) -> Would<Job> {
    let id = short(&job.id);
    if has_ended(&job) {
        let means = format!("leave {id} as it is: it is {}", job.status);
        return Would::of(job, NOTHING, means);
    }
    let counts = &job.counts;
    let (left, all) = (counts.queued + counts.pending + counts.running, job.tasks);
    Would::of(job, "cancel", format!("cancel {id}: {left} of its {all} tasks have not ended"))
}

async fn of_some(job: Job, args: &Args, cx: &Context) -> Result<Would<Job>, Failure> {
    let mut query = args.which.query();
    query.push(("status", "queued,pending,running".to_owned()));
    let left: List<Task> = pages(cx, &["api", "v1", "jobs", &job.id, "tasks"], &query, u32::MAX).await?;
    let id = short(&job.id);
    if left.items.is_empty() {
        let means = format!("leave {id} as it is: none of these tasks waits or runs");
        return Ok(Would::of(job, NOTHING, means));
    }
    let names = left.items.iter().take(NAMED).map(render::job::called).collect::<Vec<_>>().join(", ");
    let rest = if left.items.len() > NAMED { ", ..." } else { "" };
    let tasks = if left.items.len() == 1 { "1 task".to_owned() } else { format!("{} tasks", left.items.len()) };
    let means = format!("cancel {tasks} of {id}: {names}{rest}");
    Ok(Would::of(job, "cancel", means).touching(left.items.into_iter().map(|task| task.id).collect()))
}
