//! Removes contents that no task needs any more: once an hour, a little at a time, resting longer than it works.
//!
//! It keeps no state: what is left when a master stops is found by the next look of the next one.

use crate::handle::Handle;
use crate::pace::rest;
use cloudai_core::ids::TaskId;
use cloudai_store::bulk::{Swept, UNHELD};
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Before the first look: also a master that starts often sweeps.
const FIRST: Duration = Duration::from_secs(60);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(3600);

/// Sweeps for as long as it is polled.
pub(crate) async fn run(handle: Handle) {
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(std::mem::replace(&mut wait, EVERY)).await;
        let Some(before) = SystemTime::now().checked_sub(UNHELD) else { continue };
        let swept = look(&handle, before).await;
        if swept.count > 0 {
            info!(contents = swept.count, bytes = swept.bytes, "contents that nobody needs were removed");
        }
    }
}

/// Removes what was needed last before a time.
pub(crate) async fn look(handle: &Handle, before: SystemTime) -> Swept {
    let bulk = handle.shared.logs.bulk();
    // First the holders that are no tasks: a crash came between their inputs and their acceptance.
    let mut part = 0;
    loop {
        let began = Instant::now();
        match bulk.holders(part, before).await {
            Ok(Some(tasks)) => {
                for task in tasks {
                    release_stranger(handle, task).await;
                }
            }
            Ok(None) => break,
            Err(error) => warn!(part, %error, "who holds contents was not listed"),
        }
        part += 1;
        rest(began).await;
    }
    let (mut part, mut sum) = (0, Swept::default());
    loop {
        let began = Instant::now();
        match bulk.sweep(part, before).await {
            Ok(Some(swept)) => {
                sum.count += swept.count;
                sum.bytes += swept.bytes;
            }
            Ok(None) => return sum,
            Err(error) => warn!(part, %error, "contents that nobody needs were not removed"),
        }
        part += 1;
        rest(began).await;
    }
}

/// Whether a job is kept that holds something under this id; so it is taken where nobody can tell.
async fn is_of_job(handle: &Handle, holder: TaskId) -> bool {
    !matches!(handle.job_with(TaskId::new(holder.ulid())).await, Ok(None))
}

async fn release_stranger(handle: &Handle, task: TaskId) {
    let released = match handle.record(task).await {
        Ok(Some(_)) => return,
        // A job holds what its tasks find, also for who runs it again.
        Ok(None) if is_of_job(handle, task).await => return,
        Ok(None) => handle.shared.logs.bulk().release_inputs(task).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = released {
        warn!(%task, error, "contents of a task that is not there are still held");
    }
}
