//! `/api/v1/keys`: API keys of programs, each shown once.

use super::dto::{ApiKey, List, Once};
use super::extract::{Caller, Document, WordPath};
use super::fields::{Fields, MAX_FIELDS, missing};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::view::time;
use crate::auth::entering::By;
use crate::auth::key::{Key, LONGEST_NAME, Wish};
use crate::handle::Handle;
use crate::principal::{Principal, Role};
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use cloudai_core::ids::{IdError, UserId};
use std::time::Duration;

/// The longest life of a key that has an end: ten years.
pub(super) const LONGEST: u64 = 10 * 365 * 24 * 60 * 60;

fn shown(key: &Key) -> ApiKey {
    ApiKey {
        id: key.id.clone(),
        name: key.name.clone(),
        user: key.owner.to_string(),
        role: key.role.map(|role| role.word().into()),
        created_at: time(key.created_at),
        expires_at: key.expires_at.map(time),
        last_used_at: key.last_used.map(time),
        key: None,
    }
}

/// Whose keys are meant: the caller's, or for administrators somebody's.
fn whose(query: &mut Parameters) -> Option<UserId> {
    query.parsed("user", |text| text.parse::<UserId>().map_err(|error: IdError| error.to_string()))
}

fn allowed(who: &Principal, user: Option<UserId>) -> Result<UserId, Problem> {
    match user {
        Some(user) if user != who.user && !who.has(Role::Admin) => Err(Problem::new(
            Code::Forbidden,
            format!("keys of others are for administrators, and {} is none", who.user),
        )),
        Some(user) => Ok(user),
        None => Ok(who.user.clone()),
    }
}

/// One's own keys, the earliest first, without what they are.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<ApiKey>>, Problem> {
    let user = whose(&mut query);
    query.close()?;
    let owner = allowed(&who, user)?;
    let items = handle.identity()?.keys(&owner).iter().map(shown).collect();
    Ok(Json(List { items, next_cursor: None }))
}

/// Makes a key, which is told once.
pub(super) async fn create(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    by: Option<Extension<By>>,
    body: Document<MAX_FIELDS>,
) -> Result<(StatusCode, Json<ApiKey>), Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let name = fields.parsed("name", |text| {
        let is_good = (1..=LONGEST_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_good { Ok(text.to_owned()) } else { Err(format!("must be 1 to {LONGEST_NAME} plain characters")) }
    });
    let role = fields.parsed("role", str::parse::<Role>);
    let valid = fields.count("expires_in_s", LONGEST).map(Duration::from_secs);
    let name = fields.needed("name", name);
    fields.close()?;
    let name = name.ok_or_else(missing)?;
    // A key's own end is that of the keys which it makes; a session's is not: people make keys to stay.
    let at_most_until = by.and_then(|Extension(by)| by.key.and(by.expires_at));
    let wish = Wish { name, role, valid, at_most_until };
    let (secret, key) = handle.identity()?.make_key(&who, &who.user, wish).await?;
    Ok((StatusCode::CREATED, Json(ApiKey { key: Some(Once(secret.to_string())), ..shown(&key) })))
}

/// Removes a key: whoever shows it is nobody from then on.
pub(super) async fn remove(
    Caller(who): Caller,
    WordPath(id): WordPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<StatusCode, Problem> {
    let user = whose(&mut query);
    query.close()?;
    let owner = allowed(&who, user)?;
    handle.identity()?.remove_key(&who, &owner, &id).await.map_err(|error| {
        let is_gone = matches!(error, crate::auth::AuthError::NoSuch(_));
        let problem = Problem::from(error);
        if is_gone { problem.next("GET /api/v1/keys lists yours") } else { problem }
    })?;
    Ok(StatusCode::NO_CONTENT)
}
