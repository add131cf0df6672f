//! `/api/v1/auth`: sign in, go on, sign out, who one is. The paths of the reference for two of them are the same calls.

use super::audited::Noted;
use super::dto::{Me, Once, Tokens, User, Who};
use super::extract::{Caller, Document, Perhaps, WordPath};
use super::fields::{Fields, MAX_FIELDS, missing};
use super::identify::{Address, COOKIE_NAME, Local};
use super::problem::Problem;
use super::query::Parameters;
use super::users::shown;
use super::view::time;
use crate::auth::entering::{self, By};
use crate::handle::Handle;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use cloudai_core::ids::{IdError, UserId};
use cloudai_core::spec::Value;
use zeroize::Zeroizing;

/// What a browser shows that follows a link which signs in nobody.
const NO_LINK: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>CloudAI</title>\
    <h1>This link signs in nobody</h1>\
    <p>It was followed before, or is older than ten minutes; each start of <code>cloudai up</code> prints a new one. \
    On another machine sign in with <code>cloudai login</code>.</p></html>";

/// Signs in by name and password.
pub(super) async fn login(
    State(handle): State<Handle>,
    Address(peer): Address,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<(Extension<Noted>, Json<Tokens>), Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let (name, password) = (fields.text("user"), fields.secret("password"));
    let (name, password) = (fields.needed("user", name), fields.needed("password", password));
    fields.close()?;
    let (name, password) = name.zip(password).ok_or_else(missing)?;
    Ok(tokens(handle.identity()?.login(&name, password, peer).await?))
}

/// New tokens for a refresh token, which is good once.
pub(super) async fn refresh(
    State(handle): State<Handle>,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<(Extension<Noted>, Json<Tokens>), Problem> {
    query.close()?;
    let token = refresh_token(Fields::of(body.parse()?)?)?.ok_or_else(missing)?;
    Ok(tokens(handle.identity()?.refresh(&token).await?))
}

fn refresh_token(mut fields: Fields) -> Result<Option<Zeroizing<String>>, Problem> {
    let token = fields.secret("refresh_token");
    let token = fields.needed("refresh_token", token);
    fields.close()?;
    Ok(token)
}

/// Ends a session: that of a refresh token, else the one by which the call is made.
pub(super) async fn logout(
    State(handle): State<Handle>,
    query: Parameters,
    by: Option<Extension<By>>,
    body: Perhaps<MAX_FIELDS>,
) -> Result<Response, Problem> {
    query.close()?;
    let identity = handle.identity()?;
    let own = by.and_then(|Extension(by)| by.session);
    match (body.parse()?, own) {
        (None | Some(Value::Null), Some(session)) => identity.end_session(&session).await?,
        (document, _) => {
            let token = refresh_token(Fields::of_any(document)?)?.ok_or_else(missing)?;
            identity.logout(&token).await?;
        }
    }
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let gone = format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    if let Ok(cookie) = HeaderValue::from_str(&gone) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// Makes a viewer of whoever asks, where the cluster lets people register.
pub(super) async fn register(
    State(handle): State<Handle>,
    Address(peer): Address,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<(StatusCode, Extension<Noted>, Json<User>), Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let name = fields.parsed("user", |text| text.parse::<UserId>().map_err(|error: IdError| error.to_string()));
    let password = fields.secret("password");
    let (name, password) = (fields.needed("user", name), fields.needed("password", password));
    fields.close()?;
    let (name, password) = name.zip(password).ok_or_else(missing)?;
    let user = handle.identity()?.register(&name, password, peer).await?;
    let noted = Noted::default().on(name.to_string());
    Ok((StatusCode::CREATED, Extension(noted), Json(shown(&name, &user))))
}

/// Who asks, and by what.
pub(super) async fn whoami(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    by: Option<Extension<By>>,
) -> Result<Json<Me>, Problem> {
    query.close()?;
    let projects = handle.identity().map(|identity| identity.projects_of(&who.user)).unwrap_or_default();
    let By { key, session: _, expires_at } = by.map(|Extension(by)| by).unwrap_or_default();
    Ok(Json(Me {
        name: who.user.to_string(),
        role: who.role().into(),
        projects: projects.iter().map(ToString::to_string).collect(),
        key,
        expires_at: expires_at.map(time),
    }))
}

/// Changes one's own password; all sessions end.
pub(super) async fn password(
    Caller(who): Caller,
    State(handle): State<Handle>,
    Address(peer): Address,
    query: Parameters,
    body: Document<MAX_FIELDS>,
) -> Result<StatusCode, Problem> {
    query.close()?;
    let mut fields = Fields::of(body.parse()?)?;
    let (old, new) = (fields.secret("old"), fields.secret("new"));
    let (old, new) = (fields.needed("old", old), fields.needed("new", new));
    fields.close()?;
    let both = old.zip(new).ok_or_else(missing)?;
    handle.identity()?.change_password(&who, both, peer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs a browser in by a link, which is for this machine alone.
pub(super) async fn follow(
    WordPath(code): WordPath,
    State(handle): State<Handle>,
    local: Option<Extension<Local>>,
) -> Result<Response, Problem> {
    let is_local = local.is_some_and(|Extension(Local(local))| local);
    let identity = handle.identity().ok().filter(|_| is_local);
    let followed = match identity {
        Some(identity) => identity.follow(&code).await.ok(),
        None => None,
    };
    let Some((access, valid)) = followed else {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
        return Ok((StatusCode::GONE, headers, Html(NO_LINK)).into_response());
    };
    let valid = valid.as_secs();
    let cookie = format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={valid}", *access);
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, HeaderValue::from_str(&cookie).map_err(|error| Problem::internal(&error))?);
    headers.insert(LOCATION, HeaderValue::from_static("/"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// The answer, and whose it is.
fn tokens(given: entering::Tokens) -> (Extension<Noted>, Json<Tokens>) {
    let entering::Tokens { access, expires_in, refresh, user, role } = given;
    let noted = Noted::default().on(user.to_string());
    let tokens = Tokens {
        access_token: Once(access.to_string()),
        token_type: "Bearer".into(),
        expires_in: expires_in.as_secs(),
        refresh_token: Once(refresh.to_string()),
        user: Who { name: user.to_string(), role: role.word().into() },
    };
    (Extension(noted), Json(tokens))
}
