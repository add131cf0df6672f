//! `/api/v1/projects`: whose members see each other's tasks.

use super::dto::{List, Project};
use super::extract::{Caller, Document, ProjectPath};
use super::fields::{Fields, MAX_FIELDS, missing};
use super::problem::Problem;
use super::query::Parameters;
use super::view::time;
use crate::auth::Project as Stored;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloudai_core::ids::{IdError, ProjectName, UserId};

fn shown(name: &ProjectName, project: &Stored) -> Project {
    Project {
        name: name.to_string(),
        members: project.members.iter().map(ToString::to_string).collect(),
        created_at: time(project.created_at),
        updated_at: time(project.updated_at),
    }
}

/// The caller's projects; all of them for administrators.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<Project>>, Problem> {
    query.close()?;
    let projects = handle.identity()?.projects(&who);
    let items = projects.iter().map(|(name, project)| shown(name, project)).collect();
    Ok(Json(List { items, next_cursor: None }))
}

/// Says who is of a project.
pub(super) async fn put(
    Caller(who): Caller,
    ProjectPath(name): ProjectPath,
    State(handle): State<Handle>,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<(StatusCode, Json<Project>), Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let members = fields.list("members", |text| text.parse::<UserId>().map_err(|error: IdError| error.to_string()));
    let members = fields.needed("members", members);
    fields.close()?;
    let members = members.ok_or_else(missing)?.into_iter().collect();
    let (project, is_new) = handle.identity()?.put_project(&who, &name, members).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(shown(&name, &project))))
}

/// Removes a project; what its members own stays theirs.
pub(super) async fn remove(
    Caller(who): Caller,
    ProjectPath(name): ProjectPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<StatusCode, Problem> {
    query.close()?;
    handle.identity()?.remove_project(&who, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
