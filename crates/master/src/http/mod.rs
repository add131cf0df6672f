//! HTTP: the REST API and the reference's routes. Only here is JSON made.
//!
//! The table of all routes is [`routes`]. A request passes `edge.rs` (request id, limits,
//! panics), then `identify.rs` (who asks), then its handler. Nothing here decides anything about
//! the cluster: handlers read parameters, ask the [`Handle`], and show what it answers.

mod advice;
mod archive;
mod auth;
mod blobs;
mod ca;
mod certificate;
mod cluster;
mod debug;
pub(crate) mod door;
pub(crate) mod door_tls;
pub mod dto;
mod duty;
mod edge;
mod exec;
mod explain;
mod extract;
mod fields;
mod files;
mod follow;
mod identify;
mod job_forecast;
mod job_view;
mod jobs;
mod join_tokens;
mod kept;
mod keys;
mod labels;
mod live;
mod log_pattern;
mod log_reader;
mod logs;
mod made;
mod probes;
mod problem;
mod projects;
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
mod users;
mod view;
mod workers;

pub use certificate::{CertificateError, CertificateFiles};
pub use door_tls::Https;
pub(crate) use live::Live;

use crate::handle::Handle;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use identify::Listener;
use table::{ADMIN, OPEN, OPERATOR, Route, USER, VIEWER, delete, get, patch, post, put};
use tower_http::catch_panic::CatchPanicLayer;

/// Every route.
fn routes() -> Vec<Route> {
    [of_the_reference(), of_tasks(), of_jobs(), of_what_is_kept(), of_workers(), of_the_cluster(), of_people()]
        .into_iter()
        .flatten()
        .collect()
}

/// Probes, and the reference's own.
fn of_the_reference() -> Vec<Route> {
    vec![
        get(OPEN, "/livez", probes::livez),
        get(OPEN, "/readyz", probes::readyz),
        get(OPEN, "/health", reference::health),
        get(OPEN, "/ca.pem", ca::get),
        get(VIEWER, "/telemetry", reference::telemetry),
        get(VIEWER, "/telemetry/{id}", reference::telemetry_of),
        get(VIEWER, "/workers", reference::workers),
        get(VIEWER, "/ws/telemetry", live::all),
        get(VIEWER, "/ws/telemetry/{id}", live::one),
    ]
}

/// Tasks, their logs and files.
fn of_tasks() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/tasks", tasks::list),
        post(USER, "/api/v1/tasks", tasks::submit),
        post(USER, "/api/v1/tasks/batch", tasks::submit_batch),
        get(VIEWER, "/api/v1/tasks/resolve", tasks::resolve),
        get(VIEWER, "/api/v1/tasks/{id}", tasks::get),
        get(VIEWER, "/api/v1/tasks/{id}/explain", explain::get),
        get(USER, "/api/v1/tasks/{id}/exec", exec::open),
        post(USER, "/api/v1/tasks/{id}/cancel", tasks::cancel),
        post(USER, "/api/v1/tasks/{id}/hold", tasks::hold),
        post(USER, "/api/v1/tasks/{id}/retry", tasks::retry),
        post(USER, "/api/v1/tasks/{id}/release", tasks::release),
        get(VIEWER, "/api/v1/tasks/{id}/logs", logs::read),
        get(VIEWER, "/api/v1/tasks/{id}/archive", archive::get),
        get(VIEWER, "/api/v1/tasks/{id}/files", files::list),
        get(VIEWER, "/api/v1/tasks/{id}/files/{*path}", files::download),
    ]
}

/// Jobs.
fn of_jobs() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/jobs", jobs::list),
        post(USER, "/api/v1/jobs", jobs::submit),
        get(VIEWER, "/api/v1/jobs/resolve", jobs::resolve),
        get(VIEWER, "/api/v1/jobs/{id}", jobs::get),
        get(VIEWER, "/api/v1/jobs/{id}/tasks", jobs::tasks),
        get(VIEWER, "/api/v1/jobs/{id}/graph", jobs::graph),
        post(USER, "/api/v1/jobs/{id}/cancel", jobs::cancel),
        post(USER, "/api/v1/jobs/{id}/hold", jobs::hold),
        post(USER, "/api/v1/jobs/{id}/release", jobs::release),
        post(USER, "/api/v1/jobs/{id}/retry", jobs::retry),
    ]
}

/// What tasks use and leave, and what makes tasks.
fn of_what_is_kept() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/files", kept::list),
        post(USER, "/api/v1/blobs", blobs::several),
        post(USER, "/api/v1/blobs/kept", blobs::kept),
        put(USER, "/api/v1/blobs/{sha256}", blobs::put),
        get(VIEWER, "/api/v1/secrets", secrets::list),
        post(ADMIN, "/api/v1/secrets/rotate", secrets::rotate),
        put(USER, "/api/v1/secrets/{name}", secrets::put),
        delete(USER, "/api/v1/secrets/{name}", secrets::remove),
        get(VIEWER, "/api/v1/registries", registries::list),
        put(USER, "/api/v1/registries/{host}", registries::put),
        delete(USER, "/api/v1/registries/{host}", registries::remove),
        get(VIEWER, "/api/v1/templates", templates::list),
        get(VIEWER, "/api/v1/templates/{name}", templates::get),
        put(USER, "/api/v1/templates/{name}", templates::put),
        delete(USER, "/api/v1/templates/{name}", templates::remove),
        post(USER, "/api/v1/templates/{name}/run", templates::run),
        get(VIEWER, "/api/v1/schedules", schedules::list),
        get(VIEWER, "/api/v1/schedules/{name}", schedules::get),
        put(USER, "/api/v1/schedules/{name}", schedules::put),
        delete(USER, "/api/v1/schedules/{name}", schedules::remove),
        post(USER, "/api/v1/schedules/{name}/pause", schedules::pause),
        post(USER, "/api/v1/schedules/{name}/resume", schedules::resume),
        post(USER, "/api/v1/schedules/{name}/run", schedules::run),
    ]
}

/// Workers, and how they join.
fn of_workers() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/workers", workers::list),
        post(OPERATOR, "/api/v1/workers", workers::create),
        get(OPERATOR, "/api/v1/cluster/join-token", workers::token),
        get(OPERATOR, "/api/v1/join-tokens", join_tokens::list),
        post(OPERATOR, "/api/v1/join-tokens", join_tokens::create),
        delete(OPERATOR, "/api/v1/join-tokens/{id}", join_tokens::revoke),
        get(VIEWER, "/api/v1/workers/{id}", workers::get),
        delete(OPERATOR, "/api/v1/workers/{id}", workers::remove),
        patch(OPERATOR, "/api/v1/workers/{id}/labels", labels::change),
        post(OPERATOR, "/api/v1/workers/{id}/cordon", duty::cordon),
        post(OPERATOR, "/api/v1/workers/{id}/drain", duty::drain),
        post(OPERATOR, "/api/v1/workers/{id}/undrain", duty::undrain),
    ]
}

/// The cluster as a whole.
fn of_the_cluster() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/advice", advice::get),
        get(VIEWER, "/api/v1/queue", queue::list),
        get(VIEWER, "/api/v1/strategies", strategies::list),
        put(OPERATOR, "/api/v1/strategies/current", strategies::set),
        get(VIEWER, "/api/v1/strategies/predictions", strategies::predictions),
        get(VIEWER, "/api/v1/cluster", cluster::get),
        post(ADMIN, "/api/v1/cluster/backup", cluster::backup),
        post(ADMIN, restore::PATH, restore::restore),
        get(ADMIN, "/api/v1/debug/state", debug::state),
        get(ADMIN, "/api/v1/debug/events", debug::events),
        post(ADMIN, "/api/v1/debug/reconcile", debug::reconcile),
    ]
}

/// What is about who comes in.
fn of_people() -> Vec<Route> {
    vec![
        post(OPEN, "/api/v1/auth/login", auth::login),
        post(OPEN, "/api/v1/auth/refresh", auth::refresh),
        post(OPEN, "/api/v1/auth/logout", auth::logout),
        post(OPEN, "/api/v1/auth/register", auth::register),
        get(VIEWER, "/api/v1/auth/whoami", auth::whoami),
        post(VIEWER, "/api/v1/auth/password", auth::password),
        post(OPEN, "/api/auth/login", auth::login),
        post(OPEN, "/api/auth/register", auth::register),
        get(OPEN, "/login/{code}", auth::follow),
        get(ADMIN, "/api/v1/users", users::list),
        post(ADMIN, "/api/v1/users", users::create),
        get(ADMIN, "/api/v1/users/{name}", users::get),
        patch(ADMIN, "/api/v1/users/{name}", users::change),
        delete(ADMIN, "/api/v1/users/{name}", users::remove),
        get(VIEWER, "/api/v1/projects", projects::list),
        put(ADMIN, "/api/v1/projects/{name}", projects::put),
        delete(ADMIN, "/api/v1/projects/{name}", projects::remove),
        get(VIEWER, "/api/v1/keys", keys::list),
        post(VIEWER, "/api/v1/keys", keys::create),
        delete(VIEWER, "/api/v1/keys/{id}", keys::remove),
    ]
}

/// The whole API over a master; `local` when it listens for this machine alone.
pub fn router(handle: Handle, local: bool) -> Router {
    let known = from_fn_with_state(Listener { handle: handle.clone(), local }, identify::identify);
    at_the_edge(local, for_strangers(handle).layer(known))
}

/// All routes for callers of whom nothing is known: each that is not open refuses them.
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
