//! `/api/v1/users`: who may come in, for administrators.

use super::dto::{List, Once, User};
use super::extract::{Caller, Document, UserPath};
use super::fields::{Fields, MAX_FIELDS, missing};
use super::problem::Problem;
use super::query::Parameters;
use super::view::time;
use crate::auth::people::Change;
use crate::auth::user;
use crate::handle::Handle;
use crate::principal::Role;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use cloudai_core::ids::{IdError, UserId};

/// What is told of a user.
pub(super) fn shown(name: &UserId, user: &user::User) -> User {
    User {
        name: name.to_string(),
        role: user.role.word().into(),
        disabled: user.disabled,
        created_at: time(user.created_at),
        updated_at: time(user.updated_at),
        password: None,
    }
}

/// Everybody, in the order of their names.
pub(super) async fn list(
    Caller(_): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<User>>, Problem> {
    query.close()?;
    let users = handle.identity()?.users();
    Ok(Json(List { items: users.iter().map(|(name, user)| shown(name, user)).collect(), next_cursor: None }))
}

/// Makes a user; without a password one is made and told once.
pub(super) async fn create(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<Response, Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let name = fields.parsed("name", |text| text.parse::<UserId>().map_err(|error: IdError| error.to_string()));
    let role = fields.parsed("role", str::parse::<Role>);
    let password = fields.secret("password");
    let (name, role) = (fields.needed("name", name), fields.needed("role", role));
    fields.close()?;
    let (name, role) = name.zip(role).ok_or_else(missing)?;
    let (user, made) = handle.identity()?.add_user(&who, &name, role, password).await?;
    let location = [(LOCATION, format!("/api/v1/users/{name}"))];
    let made = made.map(|password| Once(password.to_string()));
    Ok((StatusCode::CREATED, location, Json(User { password: made, ..shown(&name, &user) })).into_response())
}

/// One user.
pub(super) async fn get(
    Caller(_): Caller,
    UserPath(name): UserPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<User>, Problem> {
    query.close()?;
    let user = handle.identity()?.user(&name).map_err(listed)?;
    Ok(Json(shown(&name, &user)))
}

/// Changes role, password, or whether one may come in.
pub(super) async fn change(
    Caller(who): Caller,
    UserPath(name): UserPath,
    State(handle): State<Handle>,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<Json<User>, Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let change = Change {
        role: fields.parsed("role", str::parse::<Role>),
        disabled: fields.truth("disabled"),
        password: fields.secret("password"),
    };
    fields.close()?;
    let user = handle.identity()?.change_user(&who, &name, change).await.map_err(listed)?;
    Ok(Json(shown(&name, &user)))
}

/// Removes a user; what that one owned stays under the name.
pub(super) async fn remove(
    Caller(who): Caller,
    UserPath(name): UserPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<StatusCode, Problem> {
    query.close()?;
    handle.identity()?.remove_user(&who, &name).await.map_err(listed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same with where to look.
fn listed(error: crate::auth::AuthError) -> Problem {
    let is_gone = matches!(error, crate::auth::AuthError::NoSuch(_));
    let problem = Problem::from(error);
    if is_gone { problem.next("cloudai user list") } else { problem }
}
