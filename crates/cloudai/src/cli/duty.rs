//! `cloudai worker cordon`, `drain`, `undrain`: what work a worker is given.

use super::Context;
use super::cancel::confirm;
use super::worker::near;
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render;
use cloudai_master::http::dto::{List, Task, Worker};
use std::time::Duration;

/// How long what runs has when no deadline is named; the master's own.
const DEADLINE: Duration = Duration::from_secs(600);
/// The most tasks that are counted before a question.
const MAX_TASKS: &str = "1000";

#[derive(Debug, clap::Args)]
pub(super) struct Cordon {
    /// Its name
    id: String,
    /// Why, for others who look
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// Its name
    id: String,
    /// After this long what still runs is stopped and queued again, uncounted [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "wait")]
    deadline: Option<Duration>,
    /// Stop nothing: what runs is waited for
    #[arg(long)]
    wait: bool,
    /// Why, for others who look
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask before tasks may be stopped
    #[arg(long)]
    yes: bool,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Undrain {
    /// Its name
    id: String,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn cordon(args: &Cordon, cx: &Context) -> Result<Exit, Failure> {
    if args.dry_run {
        let worker = worker(&args.id, cx).await?;
        return would(cx, &format!("cordon {}: nothing new, {} on it", worker.id, goes_on(worker.tasks)));
    }
    let query = args.reason.iter().map(|reason| ("reason", reason.clone())).collect();
    set(&args.id, "cordon", query, cx).await
}

pub(super) async fn drain(args: &Drain, cx: &Context) -> Result<Exit, Failure> {
    let deadline = args.deadline.unwrap_or(DEADLINE);
    let worker = worker(&args.id, cx).await?;
    let tasks = tasks_on(&worker, cx).await?;
    let what = if args.wait {
        format!("drain {}: nothing new, {} on it", worker.id, goes_on(worker.tasks))
    } else {
        let time = render::quantity::duration(deadline);
        let (count, plural) = (worker.tasks, if worker.tasks == 1 { "" } else { "s" });
        format!("drain {}: after {time} what is left of {count} task{plural} is stopped and queued again", worker.id)
    };
    if args.dry_run {
        would(cx, &what)?;
        tasks.iter().try_for_each(|task| cx.screen.line(task))?;
        return Ok(Exit::Ok);
    }
    if worker.tasks > 0 && !args.wait && !args.yes {
        confirm(&what, &tasks, &cx.screen)?;
    }
    let mut query: Vec<_> = args.reason.iter().map(|reason| ("reason", reason.clone())).collect();
    query.push(if args.wait { ("wait", "true".into()) } else { ("deadline_s", deadline.as_secs().to_string()) });
    set(&args.id, "drain", query, cx).await
}

pub(super) async fn undrain(args: &Undrain, cx: &Context) -> Result<Exit, Failure> {
    if args.dry_run {
        let worker = worker(&args.id, cx).await?;
        return match &worker.duty {
            Some(duty) => would(cx, &format!("give {} work again, which is {}", worker.id, duty.state)),
            None => would(cx, &format!("change nothing: {} takes work as it comes", worker.id)),
        };
    }
    set(&args.id, "undrain", Vec::new(), cx).await
}

fn goes_on(tasks: usize) -> String {
    match tasks {
        0 => "nothing runs".into(),
        1 => "1 task goes on".into(),
        more => format!("{more} tasks go on"),
    }
}

fn would(cx: &Context, what: &str) -> Result<Exit, Failure> {
    cx.screen.note(&format!("would {what}"));
    Ok(Exit::Ok)
}

async fn worker(id: &str, cx: &Context) -> Result<Worker, Failure> {
    match cx.client.get(&["api", "v1", "workers", id], &[]).await {
        Err(failure) if failure.exit == Exit::NotFound => Err(near(failure, id, cx).await),
        answer => answer,
    }
}

/// The tasks that a worker holds, as people type them.
async fn tasks_on(worker: &Worker, cx: &Context) -> Result<Vec<String>, Failure> {
    if worker.tasks == 0 {
        return Ok(Vec::new());
    }
    let live = "pending,running".to_owned();
    let query = [("worker", worker.id.clone()), ("status", live), ("limit", MAX_TASKS.to_owned())];
    let list: List<Task> = cx.client.get(&["api", "v1", "tasks"], &query).await?;
    Ok(list.items.iter().map(|task| short(&task.id)).collect())
}

async fn set(id: &str, verb: &str, query: Vec<(&str, String)>, cx: &Context) -> Result<Exit, Failure> {
    let answer: Result<Worker, _> = cx.client.post_query(&["api", "v1", "workers", id, verb], &query).await;
    let worker = match answer {
        Err(failure) if failure.exit == Exit::NotFound => return Err(near(failure, id, cx).await),
        answer => answer?,
    };
    cx.screen.one(&worker, &worker.id, || render::worker::duty_line(&worker, cx.client.now()))?;
    Ok(Exit::Ok)
}
