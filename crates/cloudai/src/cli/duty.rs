//! `cloudai worker cordon`, `drain`, `undrain`: what work workers are given.

use super::cancel::confirm;
use super::plan::{self, NOTHING, Would};
use super::worker::{near, one, worker_id};
use super::{Context, empty};
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
    /// Their names
    #[arg(value_name = "ID", required = true, value_parser = worker_id)]
    ids: Vec<String>,
    /// Why, for others who look
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// Their names
    #[arg(value_name = "ID", required = true, value_parser = worker_id)]
    ids: Vec<String>,
    /// After this long what still runs is stopped and queued again, uncounted [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "wait")]
    deadline: Option<Duration>,
    /// Stop nothing: what runs is waited for, here too, until the worker is empty
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
    /// Their names
    #[arg(value_name = "ID", required = true, value_parser = worker_id)]
    ids: Vec<String>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn cordon(args: &Cordon, cx: &Context) -> Result<Exit, Failure> {
    let workers = workers(&args.ids, cx).await?;
    if args.dry_run {
        let means = |worker: &Worker| format!("cordon {}: nothing new, {} on it", worker.id, goes_on(worker.tasks));
        return told(workers.into_iter().map(|worker| (means(&worker), worker)), "cordon", cx);
    }
    let query: Vec<_> = args.reason.iter().map(|reason| ("reason", reason.clone())).collect();
    show(set(&workers, "cordon", &query, cx).await?, cx)
}

pub(super) async fn drain(args: &Drain, cx: &Context) -> Result<Exit, Failure> {
    let workers = workers(&args.ids, cx).await?;
    let deadline = args.deadline.unwrap_or(DEADLINE);
    let (mut plans, mut shorts) = (Vec::new(), Vec::new());
    for worker in &workers {
        let tasks = tasks_on(worker, cx).await?;
        shorts.extend(tasks.iter().map(|id| short(id)));
        plans.push(Would::of(worker, "drain", means_drain(worker, deadline, args.wait)).touching(tasks));
    }
    if args.dry_run {
        return plan::tell(plans, |worker| worker.id.clone(), &shorts, cx);
    }
    if !shorts.is_empty() && !args.wait && !args.yes {
        let names: Vec<_> = workers.iter().map(|worker| worker.id.as_str()).collect();
        let what = match workers.as_slice() {
            [worker] => means_drain(worker, deadline, false),
            _ => format!("drain {}: {}", names.join(", "), stopped(shorts.len(), deadline)),
        };
        confirm(&what, &shorts, &cx.screen)?;
    }
    let mut query: Vec<_> = args.reason.iter().map(|reason| ("reason", reason.clone())).collect();
    query.push(if args.wait { ("wait", "true".into()) } else { ("deadline_s", deadline.as_secs().to_string()) });
    let ordered = set(&workers, "drain", &query, cx).await?;
    if !args.wait {
        return show(ordered, cx);
    }
    for worker in ordered.iter().filter(|worker| worker.tasks > 0) {
        cx.screen.note(&render::worker::duty_line(worker, cx.client.now()));
    }
    match empty::until_empty(&ordered, cx).await? {
        Some(empty) => show(empty, cx),
        None => Ok(Exit::Interrupted),
    }
}

pub(super) async fn undrain(args: &Undrain, cx: &Context) -> Result<Exit, Failure> {
    let workers = workers(&args.ids, cx).await?;
    if !args.dry_run {
        return show(set(&workers, "undrain", &[], cx).await?, cx);
    }
    let plan = |worker: Worker| match &worker.duty {
        Some(duty) => {
            let means = format!("give {} work again, which is {}", worker.id, duty.state);
            Would::of(worker, "undrain", means)
        }
        None => {
            let means = format!("change nothing: {} takes work as it comes", worker.id);
            Would::of(worker, NOTHING, means)
        }
    };
    plan::tell(workers.into_iter().map(plan).collect(), |worker| worker.id.clone(), &[], cx)
}

fn told(plans: impl Iterator<Item = (String, Worker)>, would: &'static str, cx: &Context) -> Result<Exit, Failure> {
    let plans = plans.map(|(means, worker)| Would::of(worker, would, means)).collect();
    plan::tell(plans, |worker: &Worker| worker.id.clone(), &[], cx)
}

fn means_drain(worker: &Worker, deadline: Duration, wait: bool) -> String {
    let id = &worker.id;
    if wait || worker.tasks == 0 {
        format!("drain {id}: nothing new, {} on it", goes_on(worker.tasks))
    } else {
        format!("drain {id}: {}", stopped(worker.tasks, deadline))
    }
}

fn stopped(tasks: usize, deadline: Duration) -> String {
    let (time, plural) = (render::quantity::duration(deadline), if tasks == 1 { "" } else { "s" });
    format!("after {time} what is left of {tasks} task{plural} is stopped and queued again")
}

fn goes_on(tasks: usize) -> String {
    match tasks {
        0 => "nothing runs".into(),
        1 => "1 task goes on".into(),
        more => format!("{more} tasks go on"),
    }
}

/// The workers of these names, each once, before anything is done to one of them.
pub(super) async fn workers(ids: &[String], cx: &Context) -> Result<Vec<Worker>, Failure> {
    let mut workers: Vec<Worker> = Vec::new();
    for id in ids {
        if workers.iter().any(|known| known.id == *id) {
            continue;
        }
        workers.push(one(id, cx).await?);
    }
    Ok(workers)
}

/// The ids of the tasks that a worker holds.
async fn tasks_on(worker: &Worker, cx: &Context) -> Result<Vec<String>, Failure> {
    if worker.tasks == 0 {
        return Ok(Vec::new());
    }
    let live = "pending,running".to_owned();
    let query = [("worker", worker.id.clone()), ("status", live), ("limit", MAX_TASKS.to_owned())];
    let list: List<Task> = cx.client.get(&["api", "v1", "tasks"], &query).await?;
    Ok(list.items.into_iter().map(|task| task.id).collect())
}

/// Orders the same for several workers, one after the other; the first that is refused ends it.
async fn set(workers: &[Worker], verb: &str, query: &[(&str, String)], cx: &Context) -> Result<Vec<Worker>, Failure> {
    let mut done: Vec<Worker> = Vec::new();
    for worker in workers {
        let failure = match cx.client.post_query(&["api", "v1", "workers", &worker.id, verb], query).await {
            Ok(ordered) => {
                done.push(ordered);
                continue;
            }
            Err(failure) if failure.exit == Exit::NotFound => near(failure, &worker.id, cx).await,
            Err(failure) => failure,
        };
        let ordered: Vec<_> = done.iter().map(|worker| worker.id.as_str()).collect();
        return Err(match ordered.as_slice() {
            [] => failure,
            ordered => failure.why(format!("{verb} was ordered before of {}", ordered.join(", "))),
        });
    }
    Ok(done)
}

/// What work the workers get now, a line each.
fn show(workers: Vec<Worker>, cx: &Context) -> Result<Exit, Failure> {
    let line = |worker: &Worker| render::worker::duty_line(worker, cx.client.now());
    if let [worker] = workers.as_slice() {
        cx.screen.one(worker, &worker.id, || line(worker))?;
    } else {
        let list = List { items: workers, next_cursor: None };
        let lines = || list.items.iter().map(line).collect::<Vec<_>>().join("\n");
        cx.screen.list(&list, |worker| worker.id.clone(), lines)?;
    }
    Ok(Exit::Ok)
}
