//! `cloudai task wait`, and waiting for a task or a job as other commands need it.

use super::task::has_ended;
use super::{Context, follow, hold};
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::{id, render};
use cloudai_core::state::Status;
use cloudai_master::http::dto::{List, Task};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which: ids, the last 4 characters of them or more, or `last`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Wait no longer than this, for all of them together: exit 4, and they go on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// With one task: exit with its container's code when it ended with one
    #[arg(long)]
    propagate_exit: bool,
}

/// The longest wait of one request: the master's limit, in seconds.
const LONGEST: u64 = 60;
/// The least time between two questions, however early the master answers.
const PACE: Duration = Duration::from_millis(100);
/// What an answer may take beyond the wait that was asked for.
const LATE: Duration = Duration::from_secs(5);

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    if args.propagate_exit && args.ids.len() > 1 {
        return Err(Failure::usage("--propagate-exit can not be given with several tasks")
            .why("a command ends with one code")
            .next("cloudai task wait ID --propagate-exit"));
    }
    let mut ids = Vec::new();
    for typed in &args.ids {
        ids.push(id::resolve(&cx.client, typed).await?);
    }
    let deadline = args.timeout.map(|limit| Instant::now() + limit);
    let (mut ended, mut going) = (Vec::new(), Vec::new());
    for id in &ids {
        match until_final(cx, id, deadline).await? {
            Waited::Left => return Ok(Exit::Interrupted),
            Waited::Ended(task) => {
                if cx.screen.for_people() {
                    cx.screen.line(&render::task::outcome(&task, &cx.screen))?;
                }
                ended.push(*task);
            }
            Waited::TooLong => going.push(id.clone()),
        }
    }
    let all_completed = ended.iter().all(|task| task.status == Status::Completed.word());
    let single = ids.len() == 1;
    let exit = match ended.as_slice() {
        [task] if single => exit_of(task, args.propagate_exit),
        _ if all_completed => Exit::Ok,
        _ => Exit::NotCompleted,
    };
    if !cx.screen.for_people() {
        // As they are now: what goes on is an answer as well.
        let mut tasks = ended;
        // The time is over all the same when these can not be looked at.
        tasks.extend(hold::whole(&going, cx).await.unwrap_or_default());
        if tasks.is_empty() {
            return Err(still_going(&going));
        }
        match tasks.as_slice() {
            [task] if single => cx.screen.one(task, &task.id, String::new)?,
            _ => cx.screen.list(&List { items: tasks, next_cursor: None }, |task| task.id.clone(), String::new)?,
        }
    }
    if going.is_empty() { Ok(exit) } else { Err(still_going(&going)) }
}

/// The failure of a wait that was too short.
pub(super) fn still_going(ids: &[String]) -> Failure {
    let shorts: Vec<_> = ids.iter().map(|id| id::short(id)).collect();
    let names = shorts.join(" ");
    Failure::new(Exit::TimedOut, "timed_out", format!("{names} did not end in time"))
        .why("only the wait is over; the cluster goes on with it")
        .next(format!("cloudai task wait {names}"))
}

/// How a command ends that waited for a task.
pub(super) fn exit_of(task: &Task, propagate: bool) -> Exit {
    match task.exit_code.filter(|_| propagate) {
        Some(code) => Exit::Container(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        None if task.status == Status::Completed.word() => Exit::Ok,
        None => Exit::NotCompleted,
    }
}

/// How a wait ended.
pub(super) enum Waited<T> {
    /// With what was waited for.
    Ended(Box<T>),
    /// By its time limit.
    TooLong,
    /// By Ctrl-C; the user is told how to come back.
    Left,
}

/// What is waited for.
#[derive(Debug)]
pub(super) struct Awaited<'a> {
    /// `task` or `job`.
    pub(super) noun: &'static str,
    pub(super) id: &'a str,
    /// The longest wait of one request, in seconds; at most the master's limit.
    pub(super) longest: u64,
    pub(super) deadline: Option<Instant>,
}

/// Waits until a task ended, over lost connections too.
pub(super) async fn until_final(cx: &Context, id: &str, deadline: Option<Instant>) -> Result<Waited<Task>, Failure> {
    until_ended(cx, &Awaited { noun: "task", id, longest: LONGEST, deadline }, has_ended).await
}

/// Waits until something ended; `look` sees each answer and says whether that is so.
pub(super) async fn until_ended<T: DeserializeOwned>(
    cx: &Context,
    what: &Awaited<'_>,
    look: impl FnMut(&T) -> bool,
) -> Result<Waited<T>, Failure> {
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            follow::detached(what.noun, what.id, "wait {}", cx);
            Ok(Waited::Left)
        }
        ended = ask_until_ended(cx, what, look) => Ok(ended?.map_or(Waited::TooLong, |ended| Waited::Ended(Box::new(ended)))),
    }
}

/// Asks until something ended; none when the deadline came first.
async fn ask_until_ended<T: DeserializeOwned>(
    cx: &Context,
    what: &Awaited<'_>,
    mut look: impl FnMut(&T) -> bool,
) -> Result<Option<T>, Failure> {
    let (longest, deadline) = (what.longest, what.deadline);
    let nouns = format!("{}s", what.noun);
    let path = ["api", "v1", nouns.as_str(), what.id];
    let mut lost = 0;
    loop {
        let asked = Instant::now();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(asked));
        let wait = left.map_or(longest, |left| left.as_secs().min(longest));
        let query = [("wait_s", wait.to_string())];
        let answer = cx.client.get::<T>(&path, &query);
        let limit = left.unwrap_or_else(|| Duration::from_secs(longest)) + LATE;
        let pause = match tokio::time::timeout(limit, answer).await {
            Ok(Ok(now)) if look(&now) => return Ok(Some(now)),
            Ok(Ok(_)) => {
                lost = 0;
                PACE.saturating_sub(asked.elapsed())
            }
            Ok(Err(failure)) if failure.is_passing() && lost < follow::LOST => {
                lost += 1;
                if lost == 2 {
                    cx.screen.note("-- connection lost, trying again --");
                }
                follow::pause(lost)
            }
            Ok(Err(failure)) => return Err(failure),
            Err(_) => Duration::ZERO,
        };
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
        let left = deadline.map_or(pause, |deadline| deadline.saturating_duration_since(Instant::now()));
        tokio::time::sleep(pause.min(left)).await;
    }
}
