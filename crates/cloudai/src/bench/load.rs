//! Tasks that do nothing, and the way they are submitted.

use super::bed::Bed;
use crate::exit::Failure;
use bytes::Bytes;
use cloudai_master::http::dto::{List, Submitted};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

/// The most tasks that one call takes.
pub(crate) const BATCH: u64 = 1000;
/// One core, 64 MiB, hardly any disk: what [`super::bed::Make::fake`] counts slots in.
const TASK: &str = r#"{"image":"fake:bench","cpu_cores":1,"memory_gb":0.0625,"storage_gb":0.001}"#;

/// The body of a call with so many tasks.
#[must_use]
pub(crate) fn body(tasks: u64) -> Bytes {
    let count = usize::try_from(tasks).unwrap_or(usize::MAX);
    format!(r#"{{"tasks":[{}]}}"#, vec![TASK; count].join(",")).into()
}

/// The body of a call with one task.
#[must_use]
pub(crate) const fn one() -> Bytes {
    Bytes::from_static(TASK.as_bytes())
}

/// Submits so many tasks over some connections, in calls of [`BATCH`].
/// # Errors
/// A call that was not taken.
pub(crate) async fn submit(bed: &Bed, tasks: u64, connections: u32) -> Result<(), Failure> {
    let whole = body(BATCH);
    let left = Arc::new(AtomicU64::new(tasks));
    let mut calls: JoinSet<Result<(), Failure>> = JoinSet::new();
    for _ in 0..connections.max(1) {
        let (client, whole, left) = (bed.client().clone(), whole.clone(), Arc::clone(&left));
        calls.spawn(async move {
            loop {
                let take = |left: u64| Some(left.saturating_sub(BATCH));
                let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
                let body = match before {
                    0 => return Ok(()),
                    BATCH.. => whole.clone(),
                    rest => body(rest),
                };
                let _: List<Submitted> = client.post_bytes(&["api", "v1", "tasks", "batch"], body).await?;
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.map_err(|error| Failure::error(error.to_string()))??;
    }
    Ok(())
}
