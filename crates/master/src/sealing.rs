//! Gives the logs of ended attempts their final form: one at a time, resting longer than it works.
//!
//! Nothing waits for it. What is not done when a master stops, or did not find room in the list of
//! what has ended, is found by looking through the bulk store: at every start, and when the list
//! was full.

use crate::handle::Handle;
use crate::logs::ToSeal;
use crate::pace::rest;
use cloudai_core::ids::Attempt;
use cloudai_core::task::TaskRecord;
use cloudai_store::StoreError;
use std::sync::Arc;
use std::time::Instant;
use tracing::{debug, warn};

/// Seals logs for as long as it is polled.
pub(crate) async fn run(handle: Handle) {
    // What an earlier master did not get to.
    let mut part = Some(0);
    let logs = Arc::clone(&handle.shared.logs);
    loop {
        let next = match part {
            Some(_) => logs.try_to_seal(),
            None => Some(logs.to_seal().await),
        };
        match (next, part) {
            (Some(ToSeal::One(attempt)), _) => seal(&handle, attempt).await,
            (Some(ToSeal::Look), _) => part = Some(0),
            (None, Some(at)) => part = look(&handle, at).await,
            (None, None) => {}
        }
    }
}

/// Seals what is left in one part of the bulk store; answers the next.
pub(crate) async fn look(handle: &Handle, part: u32) -> Option<u32> {
    let began = Instant::now();
    let found = handle.shared.logs.bulk().unsealed_logs(part).await;
    rest(began).await;
    match found {
        Ok(Some(attempts)) => {
            for attempt in attempts {
                seal(handle, attempt).await;
            }
            Some(part + 1)
        }
        Ok(None) => None,
        Err(error) => {
            warn!(part, %error, "logs without their final form were not listed");
            Some(part + 1)
        }
    }
}

async fn seal(handle: &Handle, attempt: Attempt) {
    let began = Instant::now();
    match is_complete(handle, attempt).await {
        Ok(true) => match handle.shared.logs.bulk().seal_log(attempt).await {
            Ok(done) => debug!(%attempt, done, took = ?began.elapsed(), "log got its final form"),
            // It stays as it grew and is found by the next master.
            Err(error) => warn!(%attempt, %error, "log did not get its final form"),
        },
        Ok(false) => {}
        Err(error) => warn!(%attempt, %error, "log did not get its final form"),
    }
    rest(began).await;
}

/// Whether an attempt has ended with all of its log, or all that is kept of it: of others more may come.
async fn is_complete(handle: &Handle, attempt: Attempt) -> Result<bool, StoreError> {
    Ok(handle.record(attempt.task).await?.is_some_and(|task| has_all(&task, attempt.number)))
}

fn has_all(task: &TaskRecord, number: u32) -> bool {
    let mut ended = task.attempts.iter().filter(|attempt| attempt.number == number);
    ended.any(|attempt| attempt.end.as_ref().is_some_and(|end| end.log.is_settled()))
}
