//! Lets ended tasks go that are kept no longer: by age, by count, with their logs and files. Jobs go by age, once none
//! of their tasks is kept.
//!
//! A little at a time beside everything else, resting longer than it works; nothing waits for it.
//! It keeps no state: what is left when a master stops is found by the next look of the next one.

use crate::handle::Handle;
use crate::mailbox::AskError;
use crate::pace::rest;
use cloudai_core::event::Event;
use cloudai_core::ids::TaskId;
use cloudai_core::state::Status;
use cloudai_core::time::Timestamp;
use cloudai_store::query::{Collectable, Cursor, RetentionQuery};
use std::time::{Duration, Instant};
use tracing::{debug, error, info, warn};

/// Tasks looked at, and let go in one commit, at a time: some milliseconds of the engine's.
const SLICE: usize = 100;
/// Between two looks at how many tasks there are, which costs nothing.
const COUNT: Duration = Duration::from_secs(1);
/// Between two looks for tasks that have become too old.
const AGE: Duration = Duration::from_secs(60);

/// How long ended tasks are kept; what is not said is kept for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Since their end.
    pub age: Option<Duration>,
    /// So many of them, the latest submitted.
    pub count: Option<u64>,
}

/// How far one look came.
#[derive(Debug, Default)]
struct Look {
    tasks: u64,
    slices: u64,
    /// Tasks whose logs or files could not be removed: they stay until the next look.
    stay: u64,
}

/// The engine does not take what this tells: it would be so at every further try.
struct GiveUp;

/// Collects for as long as it is polled.
pub(crate) async fn run(handle: Handle, retention: Retention) {
    if retention == Retention::default() {
        return;
    }
    let mut aged: Option<Instant> = None;
    loop {
        let old = retention.age.is_some() && aged.is_none_or(|at| at.elapsed() >= AGE);
        if old {
            aged = Some(Instant::now());
        }
        if (old || beyond(&handle, retention) > 0) && look(&handle, retention, old).await.is_err() {
            return;
        }
        tokio::time::sleep(COUNT).await;
    }
}

/// How many more ended tasks there are than are kept.
fn beyond(handle: &Handle, retention: Retention) -> u64 {
    let Some(keep) = retention.count else { return 0 };
    let counts = handle.shared.model.counts();
    let ended: u64 = counts.iter().filter(|(status, _)| status.is_final()).map(|(_, count)| count).sum();
    // Those of jobs that go on are kept, however many there are, and push out nobody else's.
    ended.saturating_sub(handle.shared.model.ended_in_jobs()).saturating_sub(keep)
}

/// Collects all that may go now; what is too old only where that was asked for.
async fn look(handle: &Handle, retention: Retention, old: bool) -> Result<(), GiveUp> {
    let began = Instant::now();
    let age = retention.age.filter(|_| old);
    let now = handle.now().as_millis();
    let before = age.map_or(0, |age| now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
    let before = Timestamp::from_millis(before);
    let (mut look, mut cursor) = (Look::default(), None);
    loop {
        let since = Instant::now();
        let query = RetentionQuery { before, beyond: beyond(handle, retention), cursor, limit: SLICE };
        cursor = slice(handle, &query, &mut look).await?;
        if cursor.is_none() {
            break;
        }
        rest(since).await;
    }
    let Look { tasks, slices, stay } = look;
    if tasks > 0 {
        info!(tasks, slices, took = ?began.elapsed(), "ended tasks were collected");
    }
    if stay > 0 {
        warn!(tasks = stay, "logs or files were not removed, their tasks stay");
    }
    // Behind their tasks.
    if age.is_some() { collect_jobs(handle, before).await } else { Ok(()) }
}

/// Lets jobs go that ended before, and of which no task is kept.
async fn collect_jobs(handle: &Handle, before: Timestamp) -> Result<(), GiveUp> {
    let (mut jobs, mut first) = (0, None);
    loop {
        let since = Instant::now();
        let gone = match handle.shared.store.collectable_jobs(before, SLICE).await {
            Ok(gone) => gone,
            Err(error) => {
                warn!(%error, "jobs to collect were not listed");
                break;
            }
        };
        // What stays although it was found has come to be needed meanwhile.
        if gone.is_empty() || gone.first() == first.as_ref() {
            break;
        }
        let (count, last) = (gone.len(), gone.len() < SLICE);
        first = gone.first().copied();
        if !tell(handle, Event::CollectJobs(gone)).await? {
            break;
        }
        jobs += count;
        if last {
            break;
        }
        rest(since).await;
    }
    if jobs > 0 {
        info!(jobs, "ended jobs were collected");
    }
    Ok(())
}

/// Tells the engine what goes; answers whether there is an engine.
async fn tell(handle: &Handle, event: Event) -> Result<bool, GiveUp> {
    match handle.shared.mailboxes.report(event).await {
        Ok(_) => Ok(true),
        // The master ends; the next one finds them.
        Err(AskError::Stopped) => Ok(false),
        Err(error) => {
            error!(%error, "what has ended could not be collected, trying no more");
            Err(GiveUp)
        }
    }
}

/// Lets the tasks of one slice go; answers where the next begins.
async fn slice(handle: &Handle, query: &RetentionQuery, look: &mut Look) -> Result<Option<Cursor>, GiveUp> {
    let page = match handle.shared.store.collectable(query).await {
        Ok(page) => page,
        Err(error) => {
            warn!(%error, "tasks to collect were not listed");
            return Ok(None);
        }
    };
    look.slices += 1;
    let gone = remove_bulk(handle, page.items, look).await;
    if gone.is_empty() {
        return Ok(page.next);
    }
    let tasks = gone.len() as u64;
    if !tell(handle, Event::Collect(gone)).await? {
        return Ok(None);
    }
    look.tasks += tasks;
    Ok(page.next)
}

/// Removes logs and files; answers the tasks that have none any more.
async fn remove_bulk(handle: &Handle, tasks: Vec<Collectable>, look: &mut Look) -> Vec<(TaskId, Status)> {
    let mut gone = Vec::with_capacity(tasks.len());
    for task in tasks {
        match handle.shared.logs.bulk().remove(task.id).await {
            Ok(()) => gone.push((task.id, task.status)),
            Err(error) => {
                debug!(task = %task.id, %error, "logs or files were not removed");
                look.stay += 1;
            }
        }
    }
    gone
}
