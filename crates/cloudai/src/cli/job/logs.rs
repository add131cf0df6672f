//! `cloudai job logs`: what the tasks of a job printed, one after the other; live it is `live.rs`'s.

use super::lines::Lines;
use super::selection::Selection;
use super::{live, whole};
use crate::cli::Context;
use crate::cli::follow::{self, Follow};
use crate::cli::list::pages;
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render;
use cloudai_master::http::dto::{List, Task};
use futures::stream::{self, StreamExt};
use reqwest::Response;

/// Logs that are asked for at a time, so that the next is there when one is printed.
const AT_ONCE: usize = 8;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "JOB")]
    id: String,
    #[command(flatten)]
    pub(super) which: Selection,
    /// Go on until it ended: what runs is read live, and what begins meanwhile
    #[arg(long, short = 'F')]
    follow: bool,
    /// Of each task begin this many records before the end
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Only lines in which this regular expression is found; the master looks
    #[arg(long, value_name = "PATTERN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    grep: Option<String>,
    /// Of the pattern, letters of either case
    #[arg(long, short = 'i', requires = "grep")]
    ignore_case: bool,
    /// Only what they wrote to stdout or to stderr
    #[arg(long, value_name = "NAME", value_parser = ["stdout", "stderr"])]
    stream: Option<String>,
}

impl Args {
    /// How the log of one of its tasks is read.
    fn reading(&self, task: &str) -> Follow {
        let mut reading = Follow::whole(task);
        reading.follow = self.follow;
        reading.tail = self.tail;
        let case = if self.ignore_case { "(?i)" } else { "" };
        reading.grep = self.grep.as_ref().map(|grep| format!("{case}{grep}"));
        reading.stream = self.stream.as_deref().map(|name| if name == "stdout" { "stdout" } else { "stderr" });
        reading
    }
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.id).await?;
    if !args.follow {
        return print(&id, args, cx).await.map(|()| Exit::Ok);
    }
    let job = whole(&id, cx).await?;
    if matches!(job.status.as_str(), "held" | "queued") {
        cx.screen.note(&render::job::outcome(&job, &cx.screen));
    }
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            follow::detached("job", &id, "logs {} --follow", cx);
            return Ok(Exit::Ok);
        }
        read = live::follow(&id, args, cx) => read?,
    }
    // Whatever it came to: its logs were printed.
    let job = whole(&id, cx).await?;
    cx.screen.note(&render::job::outcome(&job, &cx.screen));
    cx.screen.hint(&format!("Next: cloudai job info {}", short(&id)));
    Ok(Exit::Ok)
}

/// Prints what there is, task by task in their order.
async fn print(id: &str, args: &Args, cx: &Context) -> Result<(), Failure> {
    let path = ["api", "v1", "jobs", id, "tasks"];
    let all: List<Task> = pages(cx, &path, &args.which.query(), u32::MAX).await?;
    let begun: Vec<Task> = all.items.into_iter().filter(|task| task.attempt > 0).collect();
    if begun.is_empty() {
        cx.screen.note(&format!("None of these tasks has begun. All of it: cloudai job info {}", short(id)));
    }
    let opened = begun.iter().map(|task| async move { (task, open(&args.reading(&task.id), cx).await) });
    let mut opened = stream::iter(opened).buffered(AT_ONCE).enumerate();
    while let Some((place, (task, opened))) = opened.next().await {
        read((task, place), opened, args, cx).await?;
    }
    Ok(())
}

/// Asks for a log; none where the master did not answer: then the reading tries again.
async fn open(reading: &Follow, cx: &Context) -> Result<Option<Response>, Failure> {
    match reading.open(None, cx).await {
        Ok(response) => Ok(Some(response)),
        Err(failure) if failure.is_passing() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Reads the log of a task to its end, from what was opened of it where that is something.
pub(super) async fn read(
    (task, place): (&Task, usize),
    opened: Result<Option<Response>, Failure>,
    args: &Args,
    cx: &Context,
) -> Result<(), Failure> {
    let mut out = Lines::new(task, place, &cx.screen);
    let read = match opened {
        Ok(opened) => args.reading(&task.id).pour(opened, &mut out, cx).await,
        Err(failure) => Err(failure),
    };
    out.end()?;
    match read {
        Ok(state) => {
            let known = task.attempts.last().and_then(|attempt| attempt.log_cut);
            if let Some(cut) = state.and_then(|state| state.log_cut).or(known) {
                out.note(&render::job::log_cut(&cut));
            }
            Ok(())
        }
        // One that is gone keeps nothing of the others away.
        Err(failure) if failure.exit == Exit::NotFound => {
            out.note(&failure.what);
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}
