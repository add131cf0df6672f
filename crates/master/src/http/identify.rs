//! Who asks: whoever shows an access token or an API key, as a bearer or, a browser, in a cookie.
//!
//! Here somebody is only looked up, in memory. What is wrong with a token is noted for the table of routes, which refuses
//! who must say who asks: routes that are open take anybody, also one with a token that has expired.

use super::audited::Via;
use super::door::Peer;
use super::problem::{Code, Problem};
use crate::auth::entering::{By, Entered, Unknown};
use crate::handle::Handle;
use crate::principal::Principal;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::convert::Infallible;
use std::net::IpAddr;

/// The cookie of a browser that is signed in.
pub(super) const COOKIE_NAME: &str = "cloudai_session";
/// What is said to who shows nothing.
pub(super) const NOBODY: &str = "the request does not say who asks";
/// What a browser says of where a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";

/// What is asked of, and whether it listens for its own machine alone.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) handle: Handle,
    pub(super) local: bool,
}

/// Whether the listener is for this machine alone, for handlers to whom that matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) bool);

/// Why nobody is known by what was shown.
#[derive(Clone, Copy, Debug)]
enum Refused {
    Token(Unknown),
    /// The header has another form.
    Form,
    /// A change with a cookie that no page of ours asked for.
    Site,
}

/// Puts into the request who asks, or what is wrong with what it shows.
pub(super) async fn identify(State(listener): State<Listener>, mut request: Request, next: Next) -> Response {
    let Listener { handle, local } = listener;
    let found = match handle.identity() {
        // It is loopback, or was opened by a flag that says what that means.
        Err(_) => Found::Somebody(Entered { who: Principal::local(), by: Default::default() }),
        Ok(identity) => look(&request, local, |token| identity.authenticate(token)),
    };
    let extensions = request.extensions_mut();
    extensions.insert(Local(local));
    match found {
        Found::Somebody(Entered { who, by }) => {
            extensions.insert(via(&by, handle.has_users()));
            extensions.insert(who);
            extensions.insert(by);
        }
        Found::Nobody => {}
        Found::Refused(why) => {
            extensions.insert(why);
        }
    }
    next.run(request).await
}

/// By what somebody is known, for the audit log.
fn via(by: &By, has_users: bool) -> Via {
    let By { key, session, expires_at: _ } = by;
    Via(match (key, session) {
        (Some(key), _) => format!("key {key}"),
        (None, Some(_)) => "session".into(),
        (None, None) if has_users => "guest".into(),
        (None, None) => "insecure".into(),
    })
}

enum Found {
    Somebody(Entered),
    Nobody,
    Refused(Refused),
}

fn look(request: &Request, local: bool, known: impl Fn(&str) -> Result<Entered, Unknown>) -> Found {
    let headers = request.headers();
    if let Some(shown) = headers.get(AUTHORIZATION) {
        let shown = shown.to_str().ok().and_then(bearer);
        return match shown.map(known) {
            Some(Ok(entered)) => Found::Somebody(entered),
            Some(Err(why)) => Found::Refused(Refused::Token(why)),
            None => Found::Refused(Refused::Form),
        };
    }
    // The reference's clients of this machine know of no users.
    let guest = || Found::Somebody(Entered { who: Principal::guest(), by: Default::default() });
    let is_open = local && is_of_reference(request.uri().path());
    let Some(token) = cookie(headers) else { return if is_open { guest() } else { Found::Nobody } };
    match known(token) {
        Ok(_) if needs_origin(request) && !is_of_our_page(headers) => Found::Refused(Refused::Site),
        Ok(entered) => Found::Somebody(entered),
        Err(_) if is_open => guest(),
        Err(why) => Found::Refused(Refused::Token(why)),
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The token of the cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut pairs = all.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| token).filter(|token| !token.is_empty())
}

/// The routes of the reference, which are open to the machine that the master runs on.
fn is_of_reference(path: &str) -> bool {
    let within = |of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path == "/workers" || within("/telemetry") || within("/ws/telemetry")
}

/// What changes something, or listens for long: a browser sends the cookie along whoever's page asks for it.
fn needs_origin(request: &Request) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    !reads || request.headers().contains_key(UPGRADE)
}

/// Whether a page of ours asks. That an origin is ours `edge.rs` has made sure of before.
fn is_of_our_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin")
}

/// What is said to somebody who has to say who asks and has not.
pub(super) fn unknown(request: &Request) -> Problem {
    match request.extensions().get::<Refused>() {
        None => Problem::new(Code::Unauthenticated, NOBODY)
            .next("cloudai login, or send an API key: Authorization: Bearer caik_..."),
        Some(Refused::Token(why)) => Problem::new(Code::Unauthenticated, why.to_string()).next("cloudai login"),
        Some(Refused::Form) => {
            Problem::new(Code::Unauthenticated, "the header Authorization has another form: Bearer TOKEN was expected")
                .next("cloudai login")
        }
        Some(Refused::Site) => Problem::new(
            Code::Forbidden,
            "a cookie alone changes nothing: the request does not come from a page of ours",
        )
        .next("send an access token or an API key: Authorization: Bearer TOKEN"),
    }
}

/// The address of whoever asks, where it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub(super) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Peer>().map(|Peer(address)| address.ip())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    fn of(local: bool, method: Method, path: &str, headers: &[(&str, &str)]) -> String {
        let known = |token: &str| match token {
            "good" => Ok(Entered { who: Principal::local(), by: Default::default() }),
            _ => Err(Unknown::Expired),
        };
        match look(&request(method, path, headers), local, known) {
            Found::Somebody(entered) => entered.who.user.to_string(),
            Found::Nobody => "nobody".into(),
            Found::Refused(why) => format!("{why:?}"),
        }
    }

    #[test]
    fn a_bearer_counts_before_a_cookie_and_what_is_wrong_is_told() {
        let bearer = |header: &str| of(true, Method::GET, "/api/v1/tasks", &[("authorization", header)]);
        assert_eq!(bearer("Bearer good"), "local");
        assert_eq!(bearer("bearer  good"), "local");
        assert_eq!(bearer("Bearer bad"), "Token(Expired)");
        for form in ["Basic good", "good", "Bearer ", "Bearer"] {
            assert_eq!(bearer(form), "Form", "{form}");
        }
        let both = [("authorization", "Bearer bad"), ("cookie", "cloudai_session=good")];
        assert_eq!(of(true, Method::GET, "/api/v1/tasks", &both), "Token(Expired)");
        let cookie = |text| of(true, Method::GET, "/api/v1/tasks", &[("cookie", text)]);
        assert_eq!(cookie("a=b; cloudai_session=good; c=d"), "local");
        assert_eq!(cookie("cloudai_session=bad"), "Token(Expired)");
        for none in ["", "a=good", "xcloudai_session=good", "cloudai_session="] {
            assert_eq!(cookie(none), "nobody", "{none}");
        }
    }

    #[test]
    fn a_cookie_changes_something_only_for_a_page_of_ours() {
        let cookie = ("cookie", "cloudai_session=good");
        let rows = [
            (Method::GET, vec![cookie], "local"),
            (Method::POST, vec![cookie], "Site"),
            (Method::DELETE, vec![cookie, ("sec-fetch-site", "cross-site")], "Site"),
            (Method::GET, vec![cookie, ("upgrade", "websocket")], "Site"),
            (Method::POST, vec![cookie, ("origin", "http://127.0.0.1:8080")], "local"),
            (Method::POST, vec![cookie, ("sec-fetch-site", "same-origin")], "local"),
            (Method::POST, vec![("authorization", "Bearer good")], "local"),
        ];
        for (method, headers, expected) in rows {
            assert_eq!(of(true, method.clone(), "/api/v1/tasks", &headers), expected, "{method} {headers:?}");
        }
    }

    #[test]
    fn the_references_routes_are_open_on_the_own_machine_alone() {
        for path in ["/telemetry", "/telemetry/w1", "/workers", "/ws/telemetry", "/ws/telemetry/w1"] {
            assert_eq!(of(true, Method::GET, path, &[]), "system.guests", "{path}");
            assert_eq!(of(false, Method::GET, path, &[]), "nobody", "{path}");
            assert_eq!(of(true, Method::GET, path, &[("cookie", "cloudai_session=old")]), "system.guests", "{path}");
            assert_eq!(of(true, Method::GET, path, &[("authorization", "Bearer old")]), "Token(Expired)", "{path}");
        }
        for path in ["/telemetryx", "/workers/w1", "/api/v1/workers", "/"] {
            assert_eq!(of(true, Method::GET, path, &[]), "nobody", "{path}");
        }
    }
}
