//! The logs of a job while it goes on: of what runs, and of what begins meanwhile.

use super::logs::{Args, read};
use crate::cli::list::pages;
use crate::cli::{Context, follow};
use crate::exit::Failure;
use cloudai_master::http::dto::{List, Task};
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Logs that are followed at a time: each holds a connection, and a master has some thousands of them for everybody.
const AT_ONCE: usize = 64;
/// Between two looks at the tasks.
const PACE: Duration = Duration::from_secs(1);
/// Looks at very many tasks take long: the pause after one is so many times as long as itself at least.
const SPARE: u32 = 10;

/// What a look at the tasks of a job found.
struct Look {
    /// Those that have a log.
    begun: Vec<Task>,
    /// Whether any of them waits or runs.
    goes_on: bool,
    /// How long to pause before the next look.
    pause: Duration,
}

/// Follows all logs until every task has ended and all is read.
/// # Errors
/// The master's problem, or that it could not be reached any more.
pub(super) async fn follow(id: &str, args: &Args, cx: &Context) -> Result<(), Failure> {
    let (mut known, mut waiting): (BTreeSet<String>, VecDeque<Task>) = (BTreeSet::new(), VecDeque::new());
    let mut reading = FuturesUnordered::new();
    let (mut started, mut goes_on, mut told) = (0, true, false);
    let mut look = Box::pin(look_after(Duration::ZERO, id, args, cx));
    loop {
        while reading.len() < AT_ONCE
            && let Some(task) = waiting.pop_front()
        {
            reading.push(one(task, started, args, cx));
            started += 1;
        }
        if !waiting.is_empty() && !told {
            told = true;
            let more = waiting.len();
            cx.screen.note(&format!(
                "{AT_ONCE} logs are followed at a time, {more} more once some of them have ended: --task and --index narrow it"
            ));
        }
        if !goes_on && reading.is_empty() {
            return Ok(());
        }
        tokio::select! {
            looked = &mut look, if goes_on => {
                let looked = looked?;
                goes_on = looked.goes_on;
                waiting.extend(looked.begun.into_iter().filter(|task| known.insert(task.id.clone())));
                look = Box::pin(look_after(looked.pause, id, args, cx));
            }
            Some(read) = reading.next(), if !reading.is_empty() => read?,
        }
    }
}

async fn one(task: Task, place: usize, args: &Args, cx: &Context) -> Result<(), Failure> {
    read((&task, place), Ok(None), args, cx).await
}

/// Looks at the tasks after a pause, over lost connections too.
async fn look_after(pause: Duration, id: &str, args: &Args, cx: &Context) -> Result<Look, Failure> {
    tokio::time::sleep(pause).await;
    let mut lost = 0;
    loop {
        let began = Instant::now();
        match look(id, args, cx).await {
            Ok((begun, goes_on)) => {
                return Ok(Look { begun, goes_on, pause: PACE.max(began.elapsed() * SPARE) });
            }
            Err(failure) if failure.is_passing() && lost < follow::LOST => {
                lost += 1;
                if lost == 2 {
                    cx.screen.note("-- connection lost, trying again --");
                }
                tokio::time::sleep(follow::pause(lost)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The tasks that have a log, and whether any waits or runs.
async fn look(id: &str, args: &Args, cx: &Context) -> Result<(Vec<Task>, bool), Failure> {
    let path = ["api", "v1", "jobs", id, "tasks"];
    let with = |status: &str| {
        let mut query = args.which.query();
        query.push(("status", status.to_owned()));
        query
    };
    // First what goes on: when that is nothing, the list that comes after it has all there will be.
    let going: List<Task> = pages(cx, &path, &with("queued,pending,running"), 1).await?;
    let begun: List<Task> = pages(cx, &path, &with("running,completed,failed,cancelled"), u32::MAX).await?;
    let begun = begun.items.into_iter().filter(|task| task.attempt > 0).collect();
    Ok((begun, !going.items.is_empty()))
}
