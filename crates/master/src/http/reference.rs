//! The routes of the system that this one succeeds, with exactly its JSON.

use super::extract::{Caller, WorkerPath};
use super::problem::Problem;
use super::view::{last_heard, part};
use crate::handle::Handle;
use crate::heartbeats::Heard;
use crate::model::SeenWorker;
use crate::principal::Principal;
use axum::Json;
use axum::extract::State;
use cloudai_core::ids::TaskId;
use cloudai_core::resources::{Allocation, Kind, MIB, WHOLE};
use cloudai_core::state::Status;
use cloudai_core::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `GET /health`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `healthy`, or `degraded` while the store is away.
    status: &'static str,
    /// Seconds since the epoch.
    time: u64,
    /// Clients of live telemetry.
    active_clients: usize,
    workers: usize,
    active_workers: usize,
    /// What is wrong with the store; absent while nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
}

/// A worker of `GET /telemetry`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Telemetry {
    worker_id: String,
    /// Percent, as are the next two.
    cpu_usage: f64,
    memory_usage: f64,
    gpu_usage: f64,
    running_tasks: Vec<RunningTask>,
    /// Seconds since the epoch; 0 before the first heartbeat.
    last_update: u64,
    is_active: bool,
}

/// A task that a worker holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunningTask {
    task_id: String,
    cpu_allocated: f64,
    /// MiB.
    memory_allocated: f64,
    gpu_allocated: f64,
    status: &'static str,
}

/// A worker of `GET /workers`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Basic {
    worker_id: String,
    is_active: bool,
    running_tasks_count: usize,
    last_update: u64,
}

/// Whether all is well, and how many there are.
pub(super) async fn health(State(handle): State<Handle>) -> Json<Health> {
    let workers = handle.shared.model.workers();
    let store = Some(handle.store_state()).filter(|state| state != "ok");
    Json(Health {
        status: if store.is_none() { "healthy" } else { "degraded" },
        time: seconds(handle.now()),
        active_clients: handle.shared.live.clients(),
        workers: workers.len(),
        active_workers: workers.iter().filter(|worker| is_active(worker)).count(),
        store,
    })
}

/// Every worker's telemetry by its id.
pub(super) async fn telemetry(Caller(who): Caller, State(handle): State<Handle>) -> Json<BTreeMap<String, Telemetry>> {
    Json(telemetry_of_all(&handle, &who))
}

/// Every worker's telemetry by its id, for those who ask and those who listen.
pub(super) fn telemetry_of_all(handle: &Handle, who: &Principal) -> BTreeMap<String, Telemetry> {
    let workers = handle.workers(who);
    workers.iter().map(|worker| (worker.record.id.to_string(), telemetry_at(handle, who, worker))).collect()
}

/// One worker's telemetry.
pub(super) async fn telemetry_of(
    Caller(who): Caller,
    WorkerPath(id): WorkerPath,
    State(handle): State<Handle>,
) -> Result<Json<Telemetry>, Problem> {
    let worker = handle.worker(&who, &id).ok_or_else(|| Problem::no_worker(&id))?;
    Ok(Json(telemetry_at(&handle, &who, &worker)))
}

/// Every worker in short by its id.
pub(super) async fn workers(Caller(who): Caller, State(handle): State<Handle>) -> Json<BTreeMap<String, Basic>> {
    let basic = |worker: &SeenWorker| Basic {
        worker_id: worker.record.id.to_string(),
        is_active: is_active(worker),
        running_tasks_count: worker.held.len(),
        last_update: last_update(worker, handle.heard(&who, &worker.record.id).as_ref()),
    };
    let workers = handle.workers(&who);
    Json(workers.iter().map(|worker| (worker.record.id.to_string(), basic(worker))).collect())
}

pub(super) fn telemetry_at(handle: &Handle, who: &Principal, worker: &SeenWorker) -> Telemetry {
    let heard = handle.heard(who, &worker.record.id);
    let usage = heard.as_ref().map(|heard| heard.usage).unwrap_or_default();
    Telemetry {
        worker_id: worker.record.id.to_string(),
        cpu_usage: usage.cpu,
        memory_usage: usage.memory,
        gpu_usage: usage.gpu,
        running_tasks: worker.held.iter().map(|(task, allocation)| running(handle, *task, allocation)).collect(),
        last_update: last_update(worker, heard.as_ref()),
        is_active: is_active(worker),
    }
}

fn running(handle: &Handle, task: TaskId, allocation: &Allocation) -> RunningTask {
    let status = handle.shared.model.task(task).map_or(Status::Running, |task| task.status());
    RunningTask {
        task_id: task.to_string(),
        cpu_allocated: part(allocation.amount(Kind::Cpu), WHOLE),
        memory_allocated: part(allocation.amount(Kind::Memory), MIB),
        gpu_allocated: part(allocation.amount(Kind::Gpu), WHOLE),
        status: status.word(),
    }
}

fn is_active(worker: &SeenWorker) -> bool {
    worker.record.status.is_connected()
}

fn last_update(worker: &SeenWorker, heard: Option<&Heard>) -> u64 {
    last_heard(worker, heard).map_or(0, seconds)
}

fn seconds(at: Timestamp) -> u64 {
    at.as_millis() / 1000
}
