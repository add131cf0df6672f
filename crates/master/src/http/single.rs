//! What is asked of one task and is more than that: a document that is a job of one task, or that names a template; the
//! id of an array.

use super::dto::Task;
use super::problem::Problem;
use super::{job_view, made, tasks};
use crate::handle::Handle;
use crate::handle::jobs::JobAccepted;
use crate::handle::templates::TemplateUse;
use crate::mailbox::AskError;
use crate::model::SeenJob;
use crate::principal::Principal;
use axum::Json;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use cloudai_core::event::{Part, Rejected};
use cloudai_core::ids::TaskId;
use cloudai_core::job::TaskFile;
use cloudai_core::spec::Value;
use cloudai_core::template::Named;
use std::time::Duration;

/// Reads a document; one with many elements apart from those who serve others.
pub(super) async fn read(document: Value) -> Result<TaskFile, Problem> {
    if !TaskFile::is_job(&document) {
        return Ok(TaskFile::from_value(&document)?);
    }
    let read = tokio::task::spawn_blocking(move || TaskFile::from_value(&document)).await;
    Ok(read.map_err(|error| Problem::internal(&error))??)
}

/// Fills the template that a document names, and submits what comes of it.
pub(super) async fn run_template(handle: &Handle, who: &Principal, named: Named) -> Result<Response, Problem> {
    let Named { name, params, idempotency_key } = named;
    let used = TemplateUse { name, version: None, params };
    let run = handle.run_template(who, &used, idempotency_key.as_deref()).await.map_err(made::refused)?;
    made::answer(handle, who, run).await
}

/// The only task of a job that a submission led to, or its array.
pub(super) async fn answer(handle: &Handle, who: &Principal, accepted: JobAccepted) -> Result<Response, Problem> {
    let job = handle.job(who, accepted.id).await?;
    let id = accepted.id.group(0);
    let task = match job_view::array(&job, 0) {
        Some(array) => array,
        None => tasks::whole(handle, &handle.task(who, id).await?).await?,
    };
    let location = [(LOCATION, format!("/api/v1/tasks/{id}"))];
    let status = if accepted.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, location, Json(task)).into_response())
}

/// An array as a whole, where no task has this id; with patience once its job has ended.
pub(super) async fn array(
    handle: &Handle,
    who: &Principal,
    id: TaskId,
    patience: Option<Duration>,
) -> Result<Task, AskError> {
    let (mut job, number) = handle.array(who, id).await?;
    let has_ended = job.groups.get(number).is_some_and(|state| Some(state.ended()) == count(&job, number));
    if let Some(patience) = patience.filter(|_| !has_ended) {
        job = handle.wait_for_job(who, job.record.id, patience).await?;
    }
    shown(&job, number, id)
}

/// Asks for the end of what is left of an array.
pub(super) async fn cancel_array(handle: &Handle, who: &Principal, id: TaskId) -> Result<Response, Problem> {
    let (job, number) = handle.array(who, id).await?;
    handle.may_change(who, &job.record.owner, &id)?;
    let had_ended = job.groups.get(number).is_some_and(|state| Some(state.ended()) == count(&job, number));
    let all = Part { group: number, from: 0, to: u32::MAX };
    let job = if had_ended { job } else { handle.cancel_job(who, job.record.id, vec![all]).await? };
    let status = if had_ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(shown(&job, number, id)?)).into_response())
}

fn count(job: &SeenJob, number: u32) -> Option<u32> {
    job.plan.group(number).map(cloudai_core::job::Group::count)
}

fn shown(job: &SeenJob, number: u32, id: TaskId) -> Result<Task, AskError> {
    job_view::array(job, number).ok_or_else(|| Rejected::NoSuchTask(id).into())
}

/// What is asked of a task that is not there may be asked of an array.
pub(super) fn is_no_task(error: &AskError, id: TaskId) -> bool {
    matches!(error, AskError::Rejected(Rejected::NoSuchTask(gone)) if *gone == id)
}
