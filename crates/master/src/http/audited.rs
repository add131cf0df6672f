//! Who did what: every call but those that only look becomes a row of the audit log, also one that was refused.
//!
//! That a call only looks follows from its method, so that a new route can not be forgotten; the few exceptions are
//! named here.
//! A change is begun when there is room for its row, and answered when the row is on disk.

use super::door::Peer;
use super::edge::REQUEST_ID;
use super::problem::{Code, Problem, Word};
use crate::audit::{Entry, Open, Outcome};
use crate::handle::Handle;
use crate::principal::Principal;
use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams, Request, State};
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Calls by GET that do more than look, or show what opens doors.
pub(super) const DOING: [&str; 3] = [EXEC, LINK, "/api/v1/cluster/join-token"];
/// Calls by other methods that only look.
pub(super) const LOOKING: [&str; 1] = ["/api/v1/blobs/kept"];
/// A program in a container: what it was is written down.
const EXEC: &str = "/api/v1/tasks/{id}/exec";
/// A link that signs somebody in: what is in its path is a secret.
const LINK: &str = "/login/{code}";

/// By what somebody showed who they are: the id of a key, or the kind of a session. Who knows puts it into the request
/// beside the [`Principal`].
#[derive(Clone, Debug)]
pub(super) struct Via(pub(super) String);

/// What a handler says of its call, as an extension of its answer: to what it was done, and what else is worth knowing.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    object: Option<String>,
    details: Vec<(&'static str, Value)>,
}

impl Noted {
    /// To what it was done, where no path says it.
    pub(super) fn on(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// What else is worth knowing.
    pub(super) fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

/// Who asks, said by the layer behind the one that finds out.
#[derive(Clone, Debug, Default)]
struct Said(Arc<OnceLock<(Principal, Option<Via>)>>);

/// Tells [`audited`] who asks; stands behind what finds out.
pub(super) async fn caller(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    if let (Some(said), Some(who)) = (extensions.get::<Said>(), extensions.get::<Principal>()) {
        // Nobody else says it.
        let _ = said.0.set((who.clone(), extensions.get::<Via>().cloned()));
    }
    next.run(request).await
}

/// A call whose row is still to be written. Dropped before its end, by a client that went away or a fault, it says so.
struct Going {
    room: Option<Open>,
    entry: Entry,
    said: Said,
}

impl Going {
    /// The row, with who asked.
    fn told(&self) -> Entry {
        let entry = self.entry.clone();
        let Some((who, via)) = self.said.0.get() else { return entry };
        let mut entry = entry.by(who);
        entry.body.via = via.as_ref().map(|via| via.0.clone());
        entry
    }

    /// The row of an answer.
    fn ended(&self, response: &Response) -> Entry {
        let status = response.status();
        let mut entry = self.told().ended(outcome(response));
        let made = made(response.headers()).filter(|_| status.is_success());
        let named = entry.object.is_some();
        match made {
            Some(made) if named => entry = entry.detail("made", made),
            Some(made) => entry.object = Some(made),
            None => {}
        }
        let Some(Noted { object, details }) = response.extensions().get::<Noted>().cloned() else { return entry };
        entry.object = object.or(entry.object);
        details.into_iter().fold(entry, |entry, (name, value)| entry.detail(name, value))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            room.left(self.told().ended(Outcome::unknown()));
        }
    }
}

/// Writes down what is done, and what is refused.
pub(super) async fn audited(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (entry, said) = (entry_of(&mut parts, path.as_deref()).await, Said::default());
    parts.extensions.insert(said.clone());
    let looks = looks(&parts.method, path.as_deref());
    let request = Request::from_parts(parts, body);
    let mut going = Going { room: None, entry, said };
    if looks {
        let response = next.run(request).await;
        if is_refusal(response.status()) {
            handle.shared.audit.note(going.ended(&response));
        }
        return response;
    }
    match handle.shared.audit.begin() {
        Ok(room) => going.room = Some(room),
        Err(error) => return Problem::from(error).into_response(),
    }
    let response = next.run(request).await;
    let entry = going.ended(&response);
    let Some(room) = going.room.take() else { return response };
    if response.status().is_client_error() || response.status().is_server_error() {
        room.left(entry);
        return response;
    }
    match room.done(entry).await {
        Ok(()) => response,
        Err(_) => Problem::new(Code::Unavailable, "it was done, but not written into the audit log: the master stops")
            .next("look whether it was done before you ask again")
            .retry_after(5)
            .into_response(),
    }
}

/// What is known before the call is answered.
async fn entry_of(parts: &mut Parts, path: Option<&str>) -> Entry {
    let action = format!("{} {}", parts.method, path.unwrap_or("(no such call)"));
    // Without parameters, or with some that are no text, there is no object.
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let object = params.as_ref().and_then(|params| params.iter().next()).map(|(_, value)| value.to_owned());
    let object = object.filter(|_| path != Some(LINK));
    let peer = parts.extensions.get::<Peer>().map(|Peer(address)| *address);
    let mut entry = Entry::new(action).on(object).peer(peer);
    let request = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    entry.body.request = request.map(ToOwned::to_owned);
    if path == Some(EXEC)
        && let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
    {
        // As it was given. Variables are left out: they may be secrets.
        let words: Vec<_> = given.into_iter().filter(|(name, _)| name == "command").map(|(_, word)| word).collect();
        entry = entry.detail("command", words);
    }
    entry
}

/// Whether a call only looks.
fn looks(method: &Method, path: Option<&str>) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path {
        Some(path) if reads => !DOING.contains(&path),
        Some(path) => LOOKING.contains(&path),
        None => reads,
    }
}

/// Whether a call that only looks is worth a row: somebody wanted to see what they may not.
fn is_refusal(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS]
        .contains(&status)
}

fn outcome(response: &Response) -> Outcome {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Outcome::ok(Some(status.as_u16()));
    }
    let word = response.extensions().get::<Word>().map_or("failed", |word| word.0.as_str());
    Outcome::refused(word, Some(status.as_u16()))
}

/// The id of what was made, which is the end of the address that the answer names.
fn made(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    location.strip_prefix("/api/v1/")?.rsplit('/').next().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_here_is_judged_by_another_rule_than_its_method() {
        let routes = super::super::routes();
        for path in DOING {
            assert!(routes.iter().any(|route| route.path == path && route.method == Method::GET), "{path}");
        }
        for path in LOOKING {
            assert!(routes.iter().any(|route| route.path == path && route.method != Method::GET), "{path}");
        }
        for route in routes {
            let named = DOING.contains(&route.path) || LOOKING.contains(&route.path);
            let expected = (route.method == Method::GET) != named;
            assert_eq!(looks(&route.method, Some(route.path)), expected, "{} {}", route.method, route.path);
        }
        assert!(!looks(&Method::POST, None) && looks(&Method::GET, None));
    }
}
