//! What handlers get of a request: the caller, the ids of the path, the JSON of the body.

use super::identify;
use super::problem::{Code, Problem};
use crate::principal::Principal;
use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use cloudai_core::ids::{
    IdError, JobId, ProjectName, ScheduleName, SecretName, TaskId, TemplateName, UserId, WorkerId,
};
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::{RegistryName, Value};
use futures::StreamExt;
use std::time::Duration;

/// A body must have come in this time: a client that stops sending holds no place for ever.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Of a body that is too large so much is read and thrown away: most clients look for the answer
/// only when they have sent everything.
const DISCARDED: usize = 32 << 20;

/// Who asks: put into the request by `identify.rs`, the one place that knows.
#[derive(Debug)]
pub(super) struct Caller(pub(super) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let who = parts.extensions.get::<Principal>().cloned();
        who.map(Self).ok_or_else(|| Problem::new(Code::Unauthenticated, identify::NOBODY))
    }
}

/// The task of a path with `{id}`.
#[derive(Debug)]
pub(super) struct TaskPath(pub(super) TaskId);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(path_part(parts, state, "id").await?.parse()?))
    }
}

/// The job of a path with `{id}`.
#[derive(Debug)]
pub(super) struct JobPath(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(path_part(parts, state, "id").await?.parse()?))
    }
}

/// The worker of a path with `{id}`.
#[derive(Debug)]
pub(super) struct WorkerPath(pub(super) WorkerId);

impl<S: Send + Sync> FromRequestParts<S> for WorkerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(path_part(parts, state, "id").await?.parse()?))
    }
}

/// The join token of a path with `{id}`: any word can be the id of one that is not there.
#[derive(Debug)]
pub(super) struct TokenPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for TokenPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_part(parts, state, "id").await.map(Self)
    }
}

/// The file of a path with `{*path}`.
#[derive(Debug)]
pub(super) struct FilePath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for FilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_part(parts, state, "path").await.map(Self)
    }
}

/// The content of a path with `{sha256}`.
#[derive(Debug)]
pub(super) struct BlobPath(pub(super) Sha256);

impl<S: Send + Sync> FromRequestParts<S> for BlobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "sha256").await?;
        part.parse().map(Self).map_err(|why| Problem::field("sha256", format!("{part:?} {why}")))
    }
}

/// The secret of a path with `{name}`.
#[derive(Debug)]
pub(super) struct SecretPath(pub(super) SecretName);

impl<S: Send + Sync> FromRequestParts<S> for SecretPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "name").await?;
        part.parse().map(Self).map_err(|why: IdError| Problem::field("name", why.to_string()))
    }
}

/// The template of a path with `{name}`.
#[derive(Debug)]
pub(super) struct TemplatePath(pub(super) TemplateName);

impl<S: Send + Sync> FromRequestParts<S> for TemplatePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "name").await?;
        part.parse().map(Self).map_err(|why: IdError| Problem::field("name", why.to_string()))
    }
}

/// The schedule of a path with `{name}`.
#[derive(Debug)]
pub(super) struct SchedulePath(pub(super) ScheduleName);

impl<S: Send + Sync> FromRequestParts<S> for SchedulePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "name").await?;
        part.parse().map(Self).map_err(|why: IdError| Problem::field("name", why.to_string()))
    }
}

/// The user of a path with `{name}`.
#[derive(Debug)]
pub(super) struct UserPath(pub(super) UserId);

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "name").await?;
        part.parse().map(Self).map_err(|why: IdError| Problem::field("name", why.to_string()))
    }
}

/// The project of a path with `{name}`.
#[derive(Debug)]
pub(super) struct ProjectPath(pub(super) ProjectName);

impl<S: Send + Sync> FromRequestParts<S> for ProjectPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "name").await?;
        part.parse().map(Self).map_err(|why: IdError| Problem::field("name", why.to_string()))
    }
}

/// A word of a path that is looked for as it is: the id of a key, the code of a link.
#[derive(Debug)]
pub(super) struct WordPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for WordPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let all = RawPathParams::from_request_parts(parts, state).await;
        let all = all.map_err(|error| Problem::new(Code::Invalid, error.body_text()))?;
        let only = all.iter().next().map(|(_, value)| value.to_owned());
        only.map(Self).ok_or_else(|| Problem::new(Code::Invalid, "the path has no such part"))
    }
}

/// The registry of a path with `{host}`.
#[derive(Debug)]
pub(super) struct RegistryPath(pub(super) RegistryName);

impl<S: Send + Sync> FromRequestParts<S> for RegistryPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let part = path_part(parts, state, "host").await?;
        part.parse().map(Self).map_err(|why: IdError| Problem::field("host", why.to_string()))
    }
}

/// A body of at most `limit` bytes that is nothing but them.
pub(super) async fn raw(request: Request, limit: usize) -> Result<Bytes, Problem> {
    check_bytes(request.headers())?;
    read(request.into_body(), limit).await
}

/// One decoded part of the path.
async fn path_part<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, Problem> {
    let all = RawPathParams::from_request_parts(parts, state).await;
    let all = all.map_err(|error| Problem::new(Code::Invalid, error.body_text()))?;
    let part = all.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    part.ok_or_else(|| Problem::new(Code::Invalid, format!("the path has no {name}")))
}

/// A JSON body of at most `LIMIT` bytes.
#[derive(Debug)]
pub(super) struct Document<const LIMIT: usize>(Bytes);

impl<S: Sync, const LIMIT: usize> FromRequest<S> for Document<LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_type(&parts.headers)?;
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > (LIMIT + DISCARDED) as u64) {
            return Err(too_large(LIMIT));
        }
        read(body, LIMIT).await.map(Self)
    }
}

impl<const LIMIT: usize> Document<LIMIT> {
    /// The document. Repeated keys of a map are both in it.
    pub(super) fn parse(&self) -> Result<Value, Problem> {
        if self.0.is_empty() {
            return Err(Problem::new(Code::Invalid, "the body is empty: a JSON document was expected"));
        }
        serde_json::from_slice(&self.0).map_err(|error| not_json(&error))
    }
}

/// The same where the body may be left out.
#[derive(Debug)]
pub(super) struct Perhaps<const LIMIT: usize>(Option<Document<LIMIT>>);

impl<S: Sync, const LIMIT: usize> FromRequest<S> for Perhaps<LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(None));
        }
        Document::from_request(request, state).await.map(|document| Self(Some(document)))
    }
}

impl<const LIMIT: usize> Perhaps<LIMIT> {
    /// The document, if there is one.
    pub(super) fn parse(&self) -> Result<Option<Value>, Problem> {
        self.0.as_ref().map(Document::parse).transpose()
    }
}

/// A body of bytes that comes piece by piece, however long it is, and must go on coming. A web page of another site can not
/// send its type unasked.
#[derive(Debug)]
pub(super) struct Pieces(BodyDataStream);

/// The type of such a body.
const BYTES: &str = "application/octet-stream";

impl Pieces {
    /// The body of a request, where it has the type.
    pub(super) fn of(request: Request) -> Result<Self, Problem> {
        check_bytes(request.headers())?;
        Ok(Self(request.into_body().into_data_stream()))
    }

    /// The next piece; none when the body has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match tokio::time::timeout(BODY_PATIENCE, self.0.next()).await {
            Ok(piece) => piece.transpose().map_err(|_| Problem::new(Code::Invalid, "the body broke off")),
            Err(_) => {
                let patience = BODY_PATIENCE.as_secs();
                Err(Problem::new(Code::Timeout, format!("nothing more of the body came within {patience} s")))
            }
        }
    }
}

fn check_bytes(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    if given.trim().eq_ignore_ascii_case(BYTES) {
        return Ok(());
    }
    Err(Problem::new(Code::Unsupported, format!("the body has another type: {BYTES} was expected"))
        .next(format!("add the header Content-Type: {BYTES}")))
}

/// Says what is no JSON, and where.
fn not_json(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let place = format!("line {}, column {}", error.line(), error.column());
    Problem::new(Code::Invalid, format!("the body is no valid JSON at {place}: {what}"))
}

/// Only `application/json` and its kin: a web page of another site can not send those unasked.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).map(|given| given.to_str().unwrap_or_default());
    let kind = given.and_then(|given| given.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let found = if kind.is_empty() { "no content type".to_owned() } else { kind };
    Err(Problem::new(Code::Unsupported, format!("the body has {found}: application/json was expected"))
        .next("add the header Content-Type: application/json"))
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    tokio::time::timeout(BODY_PATIENCE, collect(body, limit)).await.unwrap_or_else(|_| {
        let patience = BODY_PATIENCE.as_secs();
        Err(Problem::new(Code::Timeout, format!("the body did not come within {patience} s")))
    })
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let (mut pieces, mut whole, mut length) = (body.into_data_stream(), BytesMut::new(), 0usize);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::new(Code::Invalid, "the body broke off"))?;
        length = length.saturating_add(piece.len());
        if length > limit + DISCARDED {
            break;
        }
        if length <= limit {
            whole.extend_from_slice(&piece);
        }
    }
    if length > limit { Err(too_large(limit)) } else { Ok(whole.freeze()) }
}

fn too_large(limit: usize) -> Problem {
    let shown = cloudai_core::resources::Bytes(limit as u64);
    Problem::new(Code::TooLarge, format!("the body is larger than {shown}, the most that this call takes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::response::IntoResponse;

    const LIMIT: usize = 64;

    async fn sent(kind: Option<&str>, body: impl Into<Body>) -> Result<Value, (u16, String)> {
        let mut request = Request::post("/");
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request.body(body.into()).unwrap();
        let document = Document::<LIMIT>::from_request(request, &()).await;
        match document.and_then(|document| document.parse()) {
            Ok(value) => Ok(value),
            Err(problem) => Err(told(problem).await),
        }
    }

    async fn told(problem: Problem) -> (u16, String) {
        let response = problem.into_response();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body: super::super::dto::Problem = serde_json::from_slice(&body).unwrap();
        (status, body.detail)
    }

    #[tokio::test]
    async fn a_body_is_json_of_a_json_type_or_refused_with_the_place() {
        let json = Some("application/json");
        let rows = [
            (None, "{}", 415, "no content type"),
            (Some("application/x-www-form-urlencoded"), "{}", 415, "x-www-form-urlencoded"),
            (Some("text/plain"), "{}", 415, "text/plain"),
            (json, "", 400, "empty"),
            (json, "{\n \"image\": busybox}", 400, "line 2, column 11"),
            (json, "{} {}", 400, "trailing characters"),
            (json, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 413, "64 B"),
        ];
        for (kind, body, status, part) in rows {
            let (found, detail) = sent(kind, body).await.unwrap_err();
            assert!(found == status && detail.contains(part), "{kind:?} {body:?}: {found} {detail}");
        }
        for kind in ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"] {
            assert_eq!(sent(Some(kind), "null").await, Ok(Value::Null), "{kind}");
        }
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_limited_as_well() {
        let pieces = futures::stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"          "))));
        let (status, _) = sent(Some("application/json"), Body::from_stream(pieces)).await.unwrap_err();
        assert_eq!(status, 413);
        let cut = futures::stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))]);
        let (status, detail) = sent(Some("application/json"), Body::from_stream(cut)).await.unwrap_err();
        assert_eq!((status, detail.as_str()), (400, "the body broke off"));
    }

    #[tokio::test]
    async fn deep_nesting_is_refused_and_repeated_keys_are_kept() {
        let deep = Document::<LIMIT>(Bytes::from("[".repeat(10_000)));
        assert!(told(deep.parse().unwrap_err()).await.1.contains("recursion limit"));
        let twice = Document::<LIMIT>(Bytes::from_static(b"{\"a\":1,\"a\":2}"));
        let expected = Value::Map(vec![("a".into(), Value::Int(1)), ("a".into(), Value::Int(2))]);
        assert_eq!(twice.parse().unwrap(), expected);
    }
}
