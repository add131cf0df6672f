//! `/api/v1/secrets`: values that go in and never come out; what is told of them is that they are there.

use super::dto::{List, Rotated, Secret};
use super::extract::{Caller, SecretPath, raw};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::view::time;
use crate::handle::Handle;
use crate::handle::secrets::NotKept;
use crate::secrets::{About, MAX_SECRET, MAX_SECRETS};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;

fn shown(about: About) -> Secret {
    Secret {
        name: about.name.to_string(),
        bytes: about.bytes,
        created_at: time(about.created_at),
        updated_at: time(about.updated_at),
    }
}

/// The caller's secrets in the order of their names, without their values.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<Secret>>, Problem> {
    query.close()?;
    let items = handle.secrets(&who).await?.into_iter().map(shown).collect();
    Ok(Json(List { items, next_cursor: None }))
}

/// Keeps the body, whatever it is, under the name.
pub(super) async fn put(
    Caller(who): Caller,
    SecretPath(name): SecretPath,
    State(handle): State<Handle>,
    query: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<Secret>), Problem> {
    query.close()?;
    let value = raw(request, MAX_SECRET).await?;
    if value.is_empty() {
        return Err(Problem::new(Code::Invalid, "the body is empty: a secret has 1 byte to 64 KiB"));
    }
    let (about, fresh) = handle.put_secret(&who, &name, &value).await.map_err(|why| match why {
        NotKept::TooMany => {
            Problem::new(Code::Conflict, format!("you have {MAX_SECRETS} secrets, the most there may be"))
                .next("cloudai secret remove NAME")
        }
        NotKept::Failed(error) => error.into(),
    })?;
    Ok((if fresh { StatusCode::CREATED } else { StatusCode::OK }, Json(shown(about))))
}

/// Removes it: tasks that name it and begin later fail.
pub(super) async fn remove(
    Caller(who): Caller,
    SecretPath(name): SecretPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<StatusCode, Problem> {
    query.close()?;
    if handle.remove_secret(&who, &name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(Code::NotFound, format!("no secret {name} is stored")).next("cloudai secret list"))
}

/// Seals all with a new key.
pub(super) async fn rotate(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Rotated>, Problem> {
    query.close()?;
    Ok(Json(Rotated { secrets: handle.rotate_secrets(&who).await? }))
}
