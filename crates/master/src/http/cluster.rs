//! `/api/v1/cluster`: the whole in numbers, and as a file.

use super::dto::{Cluster, WorkerCounts};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view;
use crate::handle::Handle;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use cloudai_core::duty::Duty;
use cloudai_core::resources::{Allocation, Kind};
use cloudai_core::worker::{WorkerRecord, WorkerStatus};
use std::io::Cursor;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Bytes read from a backup at a time.
const PIECE: usize = 256 * 1024;

/// The cluster's facts, counts and amounts.
pub(super) async fn get(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Cluster>, Problem> {
    query.close()?;
    let facts = handle.facts();
    let workers = handle.loads(&who);
    let active = || workers.iter().filter(|(worker, _)| worker.status == WorkerStatus::Active);
    let tasks = handle.counts(&who);
    Ok(Json(Cluster {
        cluster: facts.cluster.clone(),
        incarnation: facts.incarnation.0,
        term: facts.term.0,
        version: env!("CARGO_PKG_VERSION").into(),
        strategy: handle.shown_strategy(handle.strategy().name()),
        store: handle.store_state(),
        uptime_s: handle.uptime().as_secs(),
        workers: counts(&workers),
        tasks: tasks.into_iter().map(|(status, count)| (status.word().into(), count)).collect(),
        without_turn: handle.shared.model.without_turn().0,
        capacity: view::offered(active().map(|(worker, _)| &worker.capacity)),
        allocated: view::held(workers.iter().map(|(_, load)| load)),
    }))
}

/// Workers by what they are shown as: one that is kept from work is not active.
fn counts(workers: &[(Arc<WorkerRecord>, Allocation)]) -> WorkerCounts {
    let mut counts = WorkerCounts { total: workers.len(), ..WorkerCounts::default() };
    for (worker, load) in workers {
        let open = worker.status != WorkerStatus::Active || worker.duty == Duty::Open;
        // Every attempt holds some of a core.
        let holds = load.amount(Kind::Cpu) > 0;
        let state = if open { worker.status.word() } else { worker.duty.word(holds) };
        counts.active += usize::from(open && worker.status == WorkerStatus::Active);
        *counts.states.entry(state.into()).or_default() += 1;
    }
    counts
}

/// The cluster's records as they are now; see `cloudai_store::backup`.
pub(super) async fn backup(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Response, Problem> {
    query.close()?;
    let snapshot = handle.backup(&who).await?;
    let head = snapshot.head().map_err(|error| Problem::internal(&error))?;
    let size = head.len() as u64 + snapshot.manifest.size;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}.backup\"", snapshot.manifest.cluster)),
    ];
    let file = Cursor::new(head).chain(tokio::fs::File::from_std(snapshot.database));
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(file, PIECE))).into_response())
}
