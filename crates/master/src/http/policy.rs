//! `/api/v1/policy`: what the operator lets tasks ask for.

use super::dto::Policy;
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;

/// The policy that is in force.
pub(super) async fn get(
    Caller(_who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Policy>, Problem> {
    query.close()?;
    let now = handle.policy();
    let rules = now.document.as_ref().map(serde_json::to_value).transpose();
    let rules = rules.map_err(|error| Problem::internal(&error))?;
    Ok(Json(Policy { file: now.file.clone(), rules, problem: now.problem.clone() }))
}
