//! HTTP: the REST API and the reference's routes. Only here is JSON made.
//!
//! The table of all routes is [`routes`]. A request passes `edge.rs` (request id, limits,
//! panics), `audited.rs` (what is done is written down), then `identify.rs` (who asks), then its handler.
//! Nothing here decides anything about the cluster: handlers read parameters, ask the [`Handle`], and
//! show what it answers.

mod advice;
mod archive;
mod audit;
mod audited;
mod auth;
mod blobs;
mod ca;
mod certificate;
mod cluster;
mod columns;
mod debug;
mod docs;
pub(crate) mod door;
pub(crate) mod door_tls;
pub mod dto;
mod duty;
mod edge;
mod events;
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
mod only;
mod openapi;
mod policy;
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
mod usage;
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
    let parts = [
        of_the_reference(),
        of_the_api(),
        of_tasks(),
        of_jobs(),
        of_what_is_kept(),
        of_workers(),
        of_the_cluster(),
        of_people(),
    ];
    parts.into_iter().flatten().collect()
}

/// Probes, and the reference's own.
fn of_the_reference() -> Vec<Route> {
    vec![
        get(OPEN, "/livez", probes::livez, &docs::telemetry::LIVEZ),
        get(OPEN, "/readyz", probes::readyz, &docs::telemetry::READYZ),
        get(OPEN, "/health", reference::health, &docs::telemetry::HEALTH),
        get(OPEN, "/ca.pem", ca::get, &docs::telemetry::CA),
        get(VIEWER, "/telemetry", reference::telemetry, &docs::telemetry::ALL),
        get(VIEWER, "/telemetry/{id}", reference::telemetry_of, &docs::telemetry::ONE),
        get(VIEWER, "/workers", reference::workers, &docs::telemetry::WORKERS),
        get(VIEWER, "/ws/telemetry", live::all, &docs::telemetry::LIVE_ALL),
        get(VIEWER, "/ws/telemetry/{id}", live::one, &docs::telemetry::LIVE_ONE),
        get(VIEWER, "/api/tasks", tasks::list, &docs::tasks::OLD_LIST),
        post(USER, "/api/tasks", tasks::submit, &docs::tasks::OLD_SUBMIT),
        get(VIEWER, "/api/tasks/{id}", tasks::get, &docs::tasks::OLD_GET),
        delete(USER, "/api/tasks/{id}", tasks::cancel, &docs::tasks::OLD_CANCEL),
        get(VIEWER, "/api/tasks/{id}/logs", logs::read, &docs::logs::OLD_READ),
        get(VIEWER, "/api/tasks/{id}/files", files::list, &docs::logs::OLD_LIST),
        get(VIEWER, "/api/tasks/{id}/files/{*path}", files::download, &docs::logs::OLD_DOWNLOAD),
        get(VIEWER, "/api/workers", workers::list, &docs::workers::OLD_LIST),
        post(OPERATOR, "/api/workers", workers::create, &docs::workers::OLD_CREATE),
        get(VIEWER, "/api/workers/{id}", workers::get, &docs::workers::OLD_GET),
        delete(OPERATOR, "/api/workers/{id}", workers::remove, &docs::workers::OLD_REMOVE),
        get(VIEWER, "/api/files", kept::list, &docs::logs::OLD_KEPT),
        post(OPEN, "/api/auth/login", auth::login, &docs::people::OLD_LOGIN),
        post(OPEN, "/api/auth/register", auth::register, &docs::people::OLD_REGISTER),
    ]
}

/// What tells of the API itself, and of all that changes.
fn of_the_api() -> Vec<Route> {
    vec![
        get(OPEN, "/api/openapi.json", openapi::serve, &docs::telemetry::OPENAPI),
        get(OPEN, "/api/docs", openapi::page, &docs::telemetry::PAGE),
        get(VIEWER, "/api/v1/events", events::stream, &docs::events::STREAM),
        get(VIEWER, "/ws/events", events::socket, &docs::events::SOCKET),
    ]
}

/// Tasks, their logs and files.
fn of_tasks() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/tasks", tasks::list, &docs::tasks::LIST),
        post(USER, "/api/v1/tasks", tasks::submit, &docs::tasks::SUBMIT),
        post(USER, "/api/v1/tasks/batch", tasks::submit_batch, &docs::tasks::BATCH),
        get(VIEWER, "/api/v1/tasks/resolve", tasks::resolve, &docs::tasks::RESOLVE),
        get(VIEWER, "/api/v1/tasks/{id}", tasks::get, &docs::tasks::GET),
        get(VIEWER, "/api/v1/tasks/{id}/explain", explain::get, &docs::tasks::EXPLAIN),
        get(USER, "/api/v1/tasks/{id}/exec", exec::open, &docs::tasks::EXEC),
        post(USER, "/api/v1/tasks/{id}/cancel", tasks::cancel, &docs::tasks::CANCEL),
        post(USER, "/api/v1/tasks/{id}/hold", tasks::hold, &docs::tasks::HOLD),
        post(USER, "/api/v1/tasks/{id}/retry", tasks::retry, &docs::tasks::RETRY),
        post(USER, "/api/v1/tasks/{id}/release", tasks::release, &docs::tasks::RELEASE),
        get(VIEWER, "/api/v1/tasks/{id}/logs", logs::read, &docs::logs::READ),
        get(VIEWER, "/api/v1/tasks/{id}/archive", archive::get, &docs::logs::ARCHIVE),
        get(VIEWER, "/api/v1/tasks/{id}/files", files::list, &docs::logs::LIST),
        get(VIEWER, "/api/v1/tasks/{id}/files/{*path}", files::download, &docs::logs::DOWNLOAD),
    ]
}

/// Jobs.
fn of_jobs() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/jobs", jobs::list, &docs::jobs::LIST),
        post(USER, "/api/v1/jobs", jobs::submit, &docs::jobs::SUBMIT),
        get(VIEWER, "/api/v1/jobs/resolve", jobs::resolve, &docs::jobs::RESOLVE),
        get(VIEWER, "/api/v1/jobs/{id}", jobs::get, &docs::jobs::GET),
        get(VIEWER, "/api/v1/jobs/{id}/tasks", jobs::tasks, &docs::jobs::TASKS),
        get(VIEWER, "/api/v1/jobs/{id}/graph", jobs::graph, &docs::jobs::GRAPH),
        post(USER, "/api/v1/jobs/{id}/cancel", jobs::cancel, &docs::jobs::CANCEL),
        post(USER, "/api/v1/jobs/{id}/hold", jobs::hold, &docs::jobs::HOLD),
        post(USER, "/api/v1/jobs/{id}/release", jobs::release, &docs::jobs::RELEASE),
        post(USER, "/api/v1/jobs/{id}/retry", jobs::retry, &docs::jobs::RETRY),
    ]
}

/// What tasks use and leave, and what makes tasks.
fn of_what_is_kept() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/files", kept::list, &docs::logs::KEPT),
        post(USER, "/api/v1/blobs", blobs::several, &docs::stored::BLOBS),
        post(USER, "/api/v1/blobs/kept", blobs::kept, &docs::stored::BLOBS_KEPT),
        put(USER, "/api/v1/blobs/{sha256}", blobs::put, &docs::stored::BLOB),
        get(VIEWER, "/api/v1/secrets", secrets::list, &docs::stored::SECRETS),
        post(ADMIN, "/api/v1/secrets/rotate", secrets::rotate, &docs::stored::SECRETS_ROTATE),
        put(USER, "/api/v1/secrets/{name}", secrets::put, &docs::stored::SECRET_PUT),
        delete(USER, "/api/v1/secrets/{name}", secrets::remove, &docs::stored::SECRET_REMOVE),
        get(VIEWER, "/api/v1/registries", registries::list, &docs::stored::REGISTRIES),
        put(USER, "/api/v1/registries/{host}", registries::put, &docs::stored::REGISTRY_PUT),
        delete(USER, "/api/v1/registries/{host}", registries::remove, &docs::stored::REGISTRY_REMOVE),
        get(VIEWER, "/api/v1/policy", policy::get, &docs::stored::POLICY),
        get(VIEWER, "/api/v1/templates", templates::list, &docs::stored::TEMPLATES),
        get(VIEWER, "/api/v1/templates/{name}", templates::get, &docs::stored::TEMPLATE),
        put(USER, "/api/v1/templates/{name}", templates::put, &docs::stored::TEMPLATE_PUT),
        delete(USER, "/api/v1/templates/{name}", templates::remove, &docs::stored::TEMPLATE_REMOVE),
        post(USER, "/api/v1/templates/{name}/run", templates::run, &docs::stored::TEMPLATE_RUN),
        get(VIEWER, "/api/v1/schedules", schedules::list, &docs::stored::SCHEDULES),
        get(VIEWER, "/api/v1/schedules/{name}", schedules::get, &docs::stored::SCHEDULE),
        put(USER, "/api/v1/schedules/{name}", schedules::put, &docs::stored::SCHEDULE_PUT),
        delete(USER, "/api/v1/schedules/{name}", schedules::remove, &docs::stored::SCHEDULE_REMOVE),
        post(USER, "/api/v1/schedules/{name}/pause", schedules::pause, &docs::stored::SCHEDULE_PAUSE),
        post(USER, "/api/v1/schedules/{name}/resume", schedules::resume, &docs::stored::SCHEDULE_RESUME),
        post(USER, "/api/v1/schedules/{name}/run", schedules::run, &docs::stored::SCHEDULE_RUN),
    ]
}

/// Workers, and how they join.
fn of_workers() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/workers", workers::list, &docs::workers::LIST),
        post(OPERATOR, "/api/v1/workers", workers::create, &docs::workers::CREATE),
        get(OPERATOR, "/api/v1/cluster/join-token", workers::token, &docs::workers::TOKEN),
        get(OPERATOR, "/api/v1/join-tokens", join_tokens::list, &docs::workers::JOIN_TOKENS),
        post(OPERATOR, "/api/v1/join-tokens", join_tokens::create, &docs::workers::JOIN_TOKEN_MAKE),
        delete(OPERATOR, "/api/v1/join-tokens/{id}", join_tokens::revoke, &docs::workers::JOIN_TOKEN_REVOKE),
        get(VIEWER, "/api/v1/workers/{id}", workers::get, &docs::workers::GET),
        delete(OPERATOR, "/api/v1/workers/{id}", workers::remove, &docs::workers::REMOVE),
        patch(OPERATOR, "/api/v1/workers/{id}/labels", labels::change, &docs::workers::LABELS),
        post(OPERATOR, "/api/v1/workers/{id}/cordon", duty::cordon, &docs::workers::CORDON),
        post(OPERATOR, "/api/v1/workers/{id}/drain", duty::drain, &docs::workers::DRAIN),
        post(OPERATOR, "/api/v1/workers/{id}/undrain", duty::undrain, &docs::workers::UNDRAIN),
    ]
}

/// The cluster as a whole.
fn of_the_cluster() -> Vec<Route> {
    vec![
        get(VIEWER, "/api/v1/advice", advice::get, &docs::cluster::ADVICE),
        get(VIEWER, "/api/v1/queue", queue::list, &docs::tasks::QUEUE),
        get(VIEWER, "/api/v1/strategies", strategies::list, &docs::cluster::STRATEGIES),
        put(OPERATOR, "/api/v1/strategies/current", strategies::set, &docs::cluster::SET),
        get(VIEWER, "/api/v1/strategies/predictions", strategies::predictions, &docs::cluster::PREDICTIONS),
        get(VIEWER, "/api/v1/cluster", cluster::get, &docs::cluster::GET),
        get(VIEWER, "/api/v1/usage", usage::get, &docs::cluster::USAGE),
        get(ADMIN, "/api/v1/audit", audit::list, &docs::cluster::AUDIT),
        get(ADMIN, "/api/v1/audit/verify", audit::verify, &docs::cluster::AUDIT_VERIFY),
        post(ADMIN, "/api/v1/cluster/backup", cluster::backup, &docs::cluster::BACKUP),
        post(ADMIN, restore::PATH, restore::restore, &docs::cluster::RESTORE),
        get(ADMIN, "/api/v1/debug/state", debug::state, &docs::cluster::STATE),
        get(ADMIN, "/api/v1/debug/events", debug::events, &docs::cluster::EVENTS),
        post(ADMIN, "/api/v1/debug/reconcile", debug::reconcile, &docs::cluster::RECONCILE),
    ]
}

/// What is about who comes in.
fn of_people() -> Vec<Route> {
    vec![
        post(OPEN, "/api/v1/auth/login", auth::login, &docs::people::LOGIN),
        post(OPEN, "/api/v1/auth/refresh", auth::refresh, &docs::people::REFRESH),
        post(OPEN, "/api/v1/auth/logout", auth::logout, &docs::people::LOGOUT),
        post(OPEN, "/api/v1/auth/register", auth::register, &docs::people::REGISTER),
        get(VIEWER, "/api/v1/auth/whoami", auth::whoami, &docs::people::WHOAMI),
        post(VIEWER, "/api/v1/auth/password", auth::password, &docs::people::PASSWORD),
        get(OPEN, "/login/{code}", auth::follow, &docs::people::LINK),
        get(ADMIN, "/api/v1/users", users::list, &docs::people::USERS),
        post(ADMIN, "/api/v1/users", users::create, &docs::people::USER_MAKE),
        get(ADMIN, "/api/v1/users/{name}", users::get, &docs::people::USER_GET),
        patch(ADMIN, "/api/v1/users/{name}", users::change, &docs::people::USER_CHANGE),
        delete(ADMIN, "/api/v1/users/{name}", users::remove, &docs::people::USER_REMOVE),
        get(VIEWER, "/api/v1/projects", projects::list, &docs::people::PROJECTS),
        put(ADMIN, "/api/v1/projects/{name}", projects::put, &docs::people::PROJECT_PUT),
        delete(ADMIN, "/api/v1/projects/{name}", projects::remove, &docs::people::PROJECT_REMOVE),
        get(VIEWER, "/api/v1/keys", keys::list, &docs::people::KEYS),
        post(VIEWER, "/api/v1/keys", keys::create, &docs::people::KEY_MAKE),
        delete(VIEWER, "/api/v1/keys/{id}", keys::remove, &docs::people::KEY_REMOVE),
    ]
}

/// The whole API over a master; `local` when it listens for this machine alone.
pub fn router(handle: Handle, local: bool) -> Router {
    let known = from_fn_with_state(Listener { handle: handle.clone(), local }, identify::identify);
    let known = for_strangers(handle.clone()).layer(from_fn(audited::caller)).layer(known);
    at_the_edge(local, known.layer(from_fn_with_state(handle, audited::audited)))
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
