//! `/api/v1/workers/{id}/cordon`, `drain`, `undrain`: what work a worker is given.

use super::dto::Worker;
use super::extract::{Caller, WorkerPath};
use super::problem::Problem;
use super::query::Parameters;
use super::workers::show;
use crate::handle::Handle;
use crate::principal::Principal;
use axum::Json;
use axum::extract::State;
use cloudai_core::event::DutyWish;
use cloudai_core::ids::WorkerId;
use cloudai_core::spec::MAX_DURATION;
use std::time::Duration;

/// How long what runs has when an operator names no deadline.
const DEADLINE: Duration = Duration::from_secs(600);
/// The longest reason, in characters.
const MAX_REASON: usize = 200;

/// Keeps new work from a worker; what runs goes on.
pub(super) async fn cordon(
    Caller(who): Caller,
    WorkerPath(id): WorkerPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Worker>, Problem> {
    let reason = reason(&mut query);
    query.close()?;
    set(&handle, &who, id, DutyWish::Cordon { reason }).await
}

/// Keeps new work from a worker and empties it.
pub(super) async fn drain(
    Caller(who): Caller,
    WorkerPath(id): WorkerPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Worker>, Problem> {
    let reason = reason(&mut query);
    let waits = query.flag("wait");
    let deadline = query.whole("deadline_s", 0..=MAX_DURATION.as_secs()).map(Duration::from_secs);
    if waits && deadline.is_some() {
        query.wrong("deadline_s", None, "can not be given with wait: what runs is waited for, or stopped");
    }
    query.close()?;
    let deadline = (!waits).then(|| deadline.unwrap_or(DEADLINE));
    set(&handle, &who, id, DutyWish::Drain { reason, deadline }).await
}

/// Gives a worker work again, whatever kept it from work: a cordon, a drain or a quarantine.
pub(super) async fn undrain(
    Caller(who): Caller,
    WorkerPath(id): WorkerPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Worker>, Problem> {
    query.close()?;
    set(&handle, &who, id, DutyWish::Open).await
}

async fn set(handle: &Handle, who: &Principal, id: WorkerId, wish: DutyWish) -> Result<Json<Worker>, Problem> {
    handle.set_duty(who, id.clone(), wish).await?;
    show(handle, who, &id).map(Json)
}

/// Why, for others who look.
fn reason(query: &mut Parameters) -> String {
    let short = |text: &str| match text.chars().count() {
        0..=MAX_REASON => Ok(text.to_owned()),
        long => Err(format!("has {long} characters: at most {MAX_REASON} are kept")),
    };
    query.parsed("reason", short).unwrap_or_default()
}
