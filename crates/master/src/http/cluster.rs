//! `/api/v1/cluster`: the whole in numbers.

use super::dto::{Cluster, WorkerCounts};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;
use cloudai_core::worker::WorkerStatus;

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
        strategy: facts.strategy.clone(),
        store: handle.store_state(),
        uptime_s: handle.uptime().as_secs(),
        workers: WorkerCounts { total: workers.len(), active: active().count() },
        tasks: tasks.into_iter().map(|(status, count)| (status.word().into(), count)).collect(),
        capacity: view::offered(active().map(|(worker, _)| &worker.capacity)),
        allocated: view::held(workers.iter().map(|(_, load)| load)),
    }))
}
