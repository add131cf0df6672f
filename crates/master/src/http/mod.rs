//! HTTP: the REST API and the reference's routes. Only here is JSON made.
//!
//! The table of all routes is [`routes`]. A request passes `edge.rs` (request id, limits,
//! panics), then [`identify`] (who asks), then its handler. Nothing here decides anything about
//! the cluster: handlers read parameters, ask the [`Handle`], and show what it answers.

mod advice;
mod archive;
mod blobs;
mod cluster;
mod debug;
pub(crate) mod door;
pub mod dto;
mod duty;
mod edge;
mod exec;
mod explain;
mod extract;
mod files;
mod follow;
mod job_forecast;
mod job_view;
mod jobs;
mod kept;
mod labels;
mod live;
mod log_pattern;
mod log_reader;
mod logs;
mod made;
mod probes;
mod problem;
mod query;
mod queue;
mod reference;
mod registries;
mod restore;
mod schedules;
mod secrets;
mod single;
mod strategies;
mod table;
mod tasks;
mod templates;
#[cfg(test)]
mod tests;
mod view;
mod workers;

pub(crate) use live::Live;

use crate::handle::Handle;
use crate::principal::Principal;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use table::{Route, delete, get, patch, post, put};
use tower_http::catch_panic::CatchPanicLayer;

/// Every route.
fn routes() -> Vec<Route> {
    vec![
        get("/livez", probes::livez),
        get("/readyz", probes::readyz),
        get("/health", reference::health),
        get("/telemetry", reference::telemetry),
        get("/telemetry/{id}", reference::telemetry_of),
        get("/workers", reference::workers),
        get("/ws/telemetry", live::all),
        get("/ws/telemetry/{id}", live::one),
        get("/api/v1/tasks", tasks::list),
        post("/api/v1/tasks", tasks::submit),
        post("/api/v1/tasks/batch", tasks::submit_batch),
        get("/api/v1/tasks/resolve", tasks::resolve),
        get("/api/v1/tasks/{id}", tasks::get),
        get("/api/v1/tasks/{id}/explain", explain::get),
        get("/api/v1/tasks/{id}/exec", exec::open),
        post("/api/v1/tasks/{id}/cancel", tasks::cancel),
        post("/api/v1/tasks/{id}/hold", tasks::hold),
        post("/api/v1/tasks/{id}/retry", tasks::retry),
        post("/api/v1/tasks/{id}/release", tasks::release),
        get("/api/v1/tasks/{id}/logs", logs::read),
        get("/api/v1/tasks/{id}/archive", archive::get),
        get("/api/v1/tasks/{id}/files", files::list),
        get("/api/v1/tasks/{id}/files/{*path}", files::download),
        get("/api/v1/jobs", jobs::list),
        post("/api/v1/jobs", jobs::submit),
        get("/api/v1/jobs/resolve", jobs::resolve),
        get("/api/v1/jobs/{id}", jobs::get),
        get("/api/v1/jobs/{id}/tasks", jobs::tasks),
        get("/api/v1/jobs/{id}/graph", jobs::graph),
        post("/api/v1/jobs/{id}/cancel", jobs::cancel),
        post("/api/v1/jobs/{id}/hold", jobs::hold),
        post("/api/v1/jobs/{id}/release", jobs::release),
        post("/api/v1/jobs/{id}/retry", jobs::retry),
        get("/api/v1/files", kept::list),
        post("/api/v1/blobs", blobs::several),
        post("/api/v1/blobs/kept", blobs::kept),
        put("/api/v1/blobs/{sha256}", blobs::put),
        get("/api/v1/secrets", secrets::list),
        post("/api/v1/secrets/rotate", secrets::rotate),
        put("/api/v1/secrets/{name}", secrets::put),
        delete("/api/v1/secrets/{name}", secrets::remove),
        get("/api/v1/registries", registries::list),
        put("/api/v1/registries/{host}", registries::put),
        delete("/api/v1/registries/{host}", registries::remove),
        get("/api/v1/templates", templates::list),
        get("/api/v1/templates/{name}", templates::get),
        put("/api/v1/templates/{name}", templates::put),
        delete("/api/v1/templates/{name}", templates::remove),
        post("/api/v1/templates/{name}/run", templates::run),
        get("/api/v1/schedules", schedules::list),
        get("/api/v1/schedules/{name}", schedules::get),
        put("/api/v1/schedules/{name}", schedules::put),
        delete("/api/v1/schedules/{name}", schedules::remove),
        post("/api/v1/schedules/{name}/pause", schedules::pause),
        post("/api/v1/schedules/{name}/resume", schedules::resume),
        post("/api/v1/schedules/{name}/run", schedules::run),
        get("/api/v1/workers", workers::list),
        post("/api/v1/workers", workers::create),
        get("/api/v1/cluster/join-token", workers::token),
        get("/api/v1/workers/{id}", workers::get),
        delete("/api/v1/workers/{id}", workers::remove),
        patch("/api/v1/workers/{id}/labels", labels::change),
        post("/api/v1/workers/{id}/cordon", duty::cordon),
        post("/api/v1/workers/{id}/drain", duty::drain),
        post("/api/v1/workers/{id}/undrain", duty::undrain),
        get("/api/v1/advice", advice::get),
        get("/api/v1/queue", queue::list),
        get("/api/v1/strategies", strategies::list),
        put("/api/v1/strategies/current", strategies::set),
        get("/api/v1/strategies/predictions", strategies::predictions),
        get("/api/v1/cluster", cluster::get),
        post("/api/v1/cluster/backup", cluster::backup),
        post(restore::PATH, restore::restore),
        get("/api/v1/debug/state", debug::state),
        get("/api/v1/debug/events", debug::events),
        post("/api/v1/debug/reconcile", debug::reconcile),
    ]
}

/// The whole API over a master; `local` when it listens for this machine alone.
pub fn router(handle: Handle, local: bool) -> Router {
    at_the_edge(local, for_strangers(handle).layer(from_fn(identify)))
}

/// All routes for callers of whom nothing is known: each but `/livez` and `/readyz` refuses them.
fn for_strangers(handle: Handle) -> Router {
    table::router(routes()).with_state(handle)
}

/// What every answer passes, unknown routes and panics included.
fn at_the_edge(local: bool, router: Router) -> Router {
    within(edge::Limits { patience: edge::PATIENCE, local }, router)
}

fn within(limits: edge::Limits, router: Router) -> Router {
    let edge = move |request: Request, next: Next| edge::edge(limits, request, next);
    router.layer(CatchPanicLayer::custom(edge::panicked)).layer(from_fn(edge))
}

/// Says who asks. Until there are identities everybody who reaches this listener is the one local
/// user: it is loopback, or was opened by a flag that says what that means.
async fn identify(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Principal::local());
    next.run(request).await
}
