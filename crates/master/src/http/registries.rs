//! `/api/v1/registries`: credentials that go in; what comes out is for which registry they are, and under which name.

use super::dto::{FieldProblem, List, Registry};
use super::extract::{Caller, Document, RegistryPath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::view::time;
use crate::handle::Handle;
use crate::handle::secrets::NotKept;
use crate::principal::Principal;
use crate::secrets::registries::{AboutRegistry, Credentials, MAX_REGISTRIES, Whose};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cloudai_core::spec::Value;
use zeroize::Zeroizing;

/// A name and the longest password, each character of it as an escape.
pub(super) const MAX_BODY: usize = 128 * 1024;
/// The longest name, in bytes.
const MAX_USERNAME: usize = 255;
/// The longest password, in bytes: the tokens and key files of clouds are far below it.
const MAX_PASSWORD: usize = 16 * 1024;
/// The words of `scope`.
const OWN: &str = "own";
const CLUSTER: &str = "cluster";

/// The caller's, then the cluster's, each in the order of their hosts.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<Registry>>, Problem> {
    query.close()?;
    let items = handle.registries(&who).await?.into_iter().map(shown).collect();
    Ok(Json(List { items, next_cursor: None }))
}

/// Keeps credentials, in the place of earlier ones.
pub(super) async fn put(
    Caller(who): Caller,
    RegistryPath(host): RegistryPath,
    State(handle): State<Handle>,
    query: Parameters,
    body: Document<MAX_BODY>,
) -> Result<(StatusCode, Json<Registry>), Problem> {
    query.close()?;
    let (scope, credentials) = read(body.parse()?).map_err(Problem::fields)?;
    let whose = scope.whose(&who);
    let (about, fresh) = handle.put_registry(&who, (&whose, &host), &credentials).await.map_err(|why| match why {
        NotKept::TooMany => {
            let whom = if whose == Whose::Cluster { "the cluster has" } else { "you have" };
            let why = format!("{whom} credentials of {MAX_REGISTRIES} registries, the most there may be");
            Problem::new(Code::Conflict, why).next("cloudai registry logout HOST")
        }
        NotKept::Failed(error) => error.into(),
    })?;
    Ok((if fresh { StatusCode::CREATED } else { StatusCode::OK }, Json(shown(about))))
}

/// Removes them: images are pulled without them from then on.
pub(super) async fn remove(
    Caller(who): Caller,
    RegistryPath(host): RegistryPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<StatusCode, Problem> {
    let scope = query.parsed("scope", |text| Scope::of(text).ok_or_else(Scope::wrong));
    query.close()?;
    let whose = scope.unwrap_or(Scope::Own).whose(&who);
    if handle.remove_registry(&who, &whose, &host).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let whom = if whose == Whose::Cluster { "the cluster" } else { "you" };
    Err(Problem::new(Code::NotFound, format!("no credentials of {host} are stored for {whom}"))
        .next("cloudai registry list"))
}

/// For whom.
#[derive(Clone, Copy)]
enum Scope {
    Own,
    Cluster,
}

impl Scope {
    fn of(text: &str) -> Option<Self> {
        match text {
            OWN => Some(Self::Own),
            CLUSTER => Some(Self::Cluster),
            _ => None,
        }
    }

    fn wrong() -> String {
        format!("is neither {OWN} nor {CLUSTER}")
    }

    fn whose(self, who: &Principal) -> Whose {
        match self {
            Self::Own => Whose::User(who.user.clone()),
            Self::Cluster => Whose::Cluster,
        }
    }
}

/// The credentials of a document; every wrong field is named. No value is: it may be a password under a wrong name.
fn read(document: Value) -> Result<(Scope, Credentials), Vec<FieldProblem>> {
    let wrong =
        |path: &str, problem: String| FieldProblem { path: path.chars().take(80).collect(), value: None, problem };
    let Value::Map(fields) = document else {
        let problem = "must be a map, as {\"username\": \"ann\", \"password\": \"...\"}";
        return Err(vec![wrong("registry", problem.into())]);
    };
    let (mut scope, mut errors) = (Scope::Own, Vec::new());
    let (mut username, mut password): (Option<String>, Option<Zeroizing<String>>) = (None, None);
    let mut seen: Vec<String> = Vec::new();
    for (field, value) in fields {
        if seen.contains(&field) {
            errors.push(wrong(&field, "is given twice".into()));
            continue;
        }
        match (field.as_str(), value) {
            ("username", Value::Text(text)) => username = Some(text),
            ("password", Value::Text(text)) => password = Some(Zeroizing::new(text)),
            ("scope", Value::Text(text)) => match Scope::of(&text) {
                Some(given) => scope = given,
                None => errors.push(wrong("scope", Scope::wrong())),
            },
            ("scope", Value::Null) => {}
            ("username" | "password" | "scope", _) => errors.push(wrong(&field, "must be a text".into())),
            (other, _) => errors.push(wrong(other, "is unknown: there are username, password, scope".into())),
        }
        seen.push(field);
    }
    for (name, problem) in [
        ("username", username.as_deref().map(wrong_username)),
        ("password", password.as_ref().map(|text| wrong_password(text))),
    ] {
        match problem {
            Some(Some(problem)) => errors.push(wrong(name, problem)),
            None if !seen.iter().any(|seen| seen == name) => errors.push(wrong(name, "is missing".into())),
            Some(None) | None => {}
        }
    }
    match (username, password) {
        (Some(username), Some(password)) if errors.is_empty() => Ok((scope, Credentials { username, password })),
        _ => Err(errors),
    }
}

/// What is wrong with a name.
fn wrong_username(text: &str) -> Option<String> {
    let plain = !text.contains(|c: char| c == ':' || c.is_control());
    let good = plain && (1..=MAX_USERNAME).contains(&text.len());
    (!good).then(|| format!("must be 1 to {MAX_USERNAME} bytes without colons and control characters"))
}

/// What is wrong with a password.
fn wrong_password(text: &str) -> Option<String> {
    let good = !text.contains('\0') && (1..=MAX_PASSWORD).contains(&text.len());
    (!good).then(|| format!("must be 1 byte to {} KiB, none of them 0", MAX_PASSWORD / 1024))
}

fn shown(about: AboutRegistry) -> Registry {
    let scope = if about.whose == Whose::Cluster { CLUSTER } else { OWN };
    Registry {
        host: about.host.to_string(),
        username: about.username,
        scope: scope.into(),
        created_at: time(about.created_at),
        updated_at: time(about.updated_at),
    }
}
