//! Submits what schedules are of when their times come, beside the engine.
//!
//! A time is taken in and stored, then submitted under a key that says of which schedule and time it is, then noted: a
//! master that ends in between does the rest in its next life, and what was submitted already is found by its key.

use super::definition::Overlap;
use super::state::{Failed, Last};
use super::{Key, Stored};
use crate::handle::Handle;
use crate::handle::made::{Made, Run};
use crate::handle::templates::NotMade;
use crate::mailbox::AskError;
use cloudai_core::event::Rejected;
use cloudai_core::rfc3339;
use cloudai_core::time::Timestamp;
use cloudai_store::StoreError;
use cloudai_store::bulk::BulkError;
use futures::{StreamExt, stream};
use tracing::{info, warn};

/// Submissions at the same time: they share commits, and leave most of the mailbox to users.
const AT_ONCE: usize = 16;

/// Looks after all schedules for as long as it is polled.
pub(crate) async fn run(handle: Handle) {
    let (schedules, clock) = (&handle.shared.schedules, &handle.shared.clock);
    loop {
        look(&handle, clock.wall()).await;
        match schedules.rest(clock.wall()) {
            Some(rest) => {
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = schedules.changed() => {}
                }
            }
            None => schedules.changed().await,
        }
    }
}

/// Does what is due at this time.
pub(crate) async fn look(handle: &Handle, now: Timestamp) {
    let due = handle.shared.schedules.due(now);
    let tended = stream::iter(due).for_each_concurrent(AT_ONCE, |key| Box::pin(tend(handle, key, now)));
    tended.await;
}

async fn tend(handle: &Handle, key: Key, now: Timestamp) {
    let (schedules, term) = (&handle.shared.schedules, handle.facts().term);
    let Some(entry) = schedules.get(&key) else { return };
    let last = entry.state.last.map(|last| last.made);
    let busy = match goes_on(handle, last).await {
        Ok(busy) => busy,
        Err(error) => {
            warn!(user = %key.0, schedule = %key.1, %error, "the last run of a schedule was not looked up");
            return schedules.postpone(&key, now);
        }
    };
    let Some((kept, time)) = schedules.take_in(term, &key, now, busy).await else { return };
    let replaced = last.filter(|_| busy && kept.definition.overlap == Overlap::Replace);
    let (user, schedule) = (&key.0, &key.1);
    let ran = match submit(handle, &key, &kept, time, replaced).await {
        Ok(made) => {
            info!(%user, %schedule, time = %rfc3339::format(time), %made, "a schedule was run");
            Ok(Last { time: Some(time), at: now, made })
        }
        Err(error) => {
            let again = is_passing(&error);
            warn!(%user, %schedule, time = %rfc3339::format(time), again, %error, "a schedule was not run");
            Err(Failed { time, at: now, message: error.to_string(), again })
        }
    };
    schedules.note(term, &key, &kept, ran, now).await;
}

/// Whether a run has not ended.
async fn goes_on(handle: &Handle, last: Option<Made>) -> Result<bool, StoreError> {
    let Some(last) = last else { return Ok(false) };
    Ok(handle.standing(last).await?.is_some_and(|standing| !standing.ended))
}

/// Submits what a time is of, for the schedule's owner, after the run is cancelled whose place it takes.
async fn submit(
    handle: &Handle,
    key: &Key,
    kept: &Stored,
    time: Timestamp,
    replaced: Option<Made>,
) -> Result<Made, NotMade> {
    let who = handle.orderer(&key.0)?;
    if let Some(last) = replaced {
        handle.cancel_made(&who, last).await?;
    }
    match handle.submit_scheduled(&who, &key.1, &kept.definition.what, time, Some(&key_at(key, kept, time))).await {
        Ok(Run { made, .. }) => Ok(made),
        // It was submitted before a master ended, and what is submitted was changed since: it was run.
        Err(NotMade::Failed(AskError::Rejected(Rejected::KeyReused(task)))) => Ok(Made::Task(task)),
        Err(NotMade::Failed(AskError::Rejected(Rejected::JobKeyReused(job)))) => Ok(Made::Job(job)),
        Err(error) => Err(error),
    }
}

/// The idempotency key of a time: the same in every life of a master, another for a schedule that was made anew.
fn key_at((owner, name): &Key, kept: &Stored, time: Timestamp) -> String {
    format!("schedule:{owner}:{name}:{}:{}", kept.created_at.as_millis(), time.as_millis() / 1000)
}

/// Whether the same may go through later.
fn is_passing(error: &NotMade) -> bool {
    match error {
        NotMade::NoTemplate(_) | NotMade::NoVersion { .. } => false,
        NotMade::Failed(error) => match error {
            AskError::Unavailable(_) | AskError::Stopped => true,
            AskError::Store(store) => !matches!(**store, StoreError::Unsupported(_)),
            AskError::Bulk(bulk) => {
                matches!(**bulk, BulkError::Full | BulkError::Unavailable(_) | BulkError::Bucket(_))
            }
            AskError::Rejected(_)
            | AskError::Keys(_)
            | AskError::Specs(_)
            | AskError::Forbidden(_)
            | AskError::Denied(_)
            | AskError::Internal(_) => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::NotNow;
    use std::sync::Arc;

    #[test]
    fn what_passes_is_tried_again_and_what_is_wrong_is_not() {
        let task = cloudai_core::ids::TaskId::new(1);
        let rows = [
            (AskError::Unavailable(NotNow::STORE_AWAY), true),
            (AskError::Stopped, true),
            (AskError::Store(Arc::new(StoreError::Corrupt("row".into()))), true),
            (AskError::Store(Arc::new(StoreError::Unsupported("pair".into()))), false),
            (Rejected::Unsatisfiable { index: 0, message: "cpu".into() }.into(), false),
            (Rejected::NoSuchTask(task).into(), false),
            (AskError::Denied(Arc::default()), false),
            (AskError::Internal("x".into()), false),
        ];
        for (error, again) in rows {
            let shown = error.to_string();
            assert_eq!(is_passing(&NotMade::Failed(error)), again, "{shown}");
        }
        assert!(!is_passing(&NotMade::NoTemplate("t".parse().unwrap())));
    }
}
