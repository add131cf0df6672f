//! What every request passes first and every answer last: an id, time and origin limits, panics.

use super::door::Peer;
use super::problem::{Code, Problem};
use super::{blobs, restore};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, HOST, ORIGIN, UPGRADE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::net::IpAddr;
use std::time::Duration;
use tracing::field::display;
use tracing::{Instrument, debug, error, info_span};
use ulid::Ulid;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a client may choose for its request.
const LONGEST_ID: usize = 64;
/// An answer must have begun in this time: longer than the longest wait that a call offers (60 s).
/// A body that is streamed takes as long as it takes; the one that comes in so has a limit of its own.
pub(super) const PATIENCE: Duration = Duration::from_secs(75);

/// What the edge holds requests to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// An answer must have begun in this time.
    pub(super) patience: Duration,
    /// The listener is for this machine alone: it has no other name than the machine's own.
    pub(super) local: bool,
}

/// Gives the request an id, which its log lines and its answer carry, and ends what takes too long.
pub(super) async fn edge(limits: Limits, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let uploads = path == restore::PATH || path.starts_with(blobs::PATH);
    let patience = if uploads { restore::PATIENCE } else { limits.patience };
    let id = request_id(request.headers());
    // What is written of the request names it as its answer does.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let shown = id.to_str().unwrap_or_default().to_owned();
    let span = info_span!("request", request = shown, method = %request.method(), path = request.uri().path());
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| display(*peer));
    let answer = async {
        let allowed = refuse_other_names(limits.local, &request).and_then(|()| refuse_other_origins(&request));
        let response = match allowed {
            Err(problem) => problem.into_response(),
            Ok(()) => match tokio::time::timeout(patience, next.run(request)).await {
                Ok(response) => response,
                Err(_) => too_slow(patience).into_response(),
            },
        };
        debug!(status = response.status().as_u16(), peer, "request answered");
        response
    };
    let mut response = answer.instrument(span).await;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The client's own id where it is short and plain, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let given = headers.get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(|byte| plain(*byte))
    });
    given.cloned().unwrap_or_else(|| {
        let fresh = Ulid(rand::random()).to_string();
        HeaderValue::from_str(&fresh).unwrap_or_else(|_| HeaderValue::from_static("none"))
    })
}

/// A page of another site may have its own name point to this machine, and so pass for ours (DNS
/// rebinding): a loopback listener answers only to names that nobody can give away.
fn refuse_other_names(local: bool, request: &Request) -> Result<(), Problem> {
    let Some(host) = request.headers().get(HOST).filter(|_| local) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    let authority: Option<axum::http::uri::Authority> = host.parse().ok();
    let name = authority.as_ref().map(|authority| authority.host().trim_matches(['[', ']'])).unwrap_or_default();
    if name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let why = format!("the master listens on this machine only and is not known as {host:?}");
    Err(Problem::new(Code::Forbidden, why).next("call it by its address, as http://127.0.0.1:8080"))
}

/// A page of another site may be open in a browser on this machine: it changes nothing here. Nor
/// does it listen: a browser lets every page read a WebSocket, unlike the answer of a `GET`.
fn refuse_other_origins(request: &Request) -> Result<(), Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads && !request.headers().contains_key(UPGRADE) {
        return Ok(());
    }
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    if authority.is_some() && authority == host {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "the request comes from a page of another site"))
}

fn too_slow(patience: Duration) -> Problem {
    let why = format!("the master did not answer within {} s; what was asked may still be done", patience.as_secs());
    Problem::new(Code::Unavailable, why)
        .next("look first, or send it again: a submission with the same Idempotency-Key is accepted once")
        .retry_after(5)
}

/// The answer of a handler that panicked.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    error!(panic = text, "request handler panicked");
    let why = "the master made a mistake; its log tells more under this answer's X-Request-Id";
    Problem::new(Code::Internal, why).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::within;
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    fn router() -> Router {
        async fn fails() {
            panic!("a planted fault")
        }
        async fn never() {
            std::future::pending::<()>().await;
        }
        let router = Router::new().route("/fails", get(fails)).route("/never", get(never));
        let limits = Limits { patience: Duration::from_millis(100), local: true };
        within(limits, router.route("/do", post(|| async {})))
    }

    async fn ask(request: axum::http::request::Builder) -> Response {
        router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_with_an_id() {
        let response = ask(Request::get("/fails")).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()[REQUEST_ID].len(), 26);
    }

    #[tokio::test]
    async fn an_answer_that_never_begins_is_ended() {
        let response = ask(Request::get("/never")).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
    }

    #[tokio::test]
    async fn a_plain_request_id_is_kept_and_any_other_replaced() {
        for (given, kept) in [("build-7.3", true), ("", false), ("a b", false), (&*"x".repeat(65), false)] {
            let response = ask(Request::post("/do").header(REQUEST_ID, given)).await;
            assert_eq!(response.headers()[REQUEST_ID] == given, kept, "{given:?}");
        }
    }

    #[tokio::test]
    async fn a_loopback_listener_answers_to_no_name_that_somebody_could_point_here() {
        let rows = [
            ("127.0.0.1:8080", 200),
            ("[::1]:8080", 200),
            ("localhost:8080", 200),
            ("cloudai.localhost", 200),
            ("evil.example:8080", 403),
            ("localhost.evil.example", 403),
            ("a b", 403),
        ];
        for (host, status) in rows {
            assert_eq!(ask(Request::post("/do").header(HOST, host)).await.status(), status, "{host}");
        }
        let open = Limits { patience: PATIENCE, local: false };
        let open = within(open, Router::new().route("/do", get(|| async {})));
        let request = Request::get("/do").header(HOST, "master.example").body(Body::empty()).unwrap();
        assert_eq!(open.oneshot(request).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn a_page_of_another_site_changes_nothing() {
        let rows = [
            (None, 200),
            (Some("http://127.0.0.1:8080"), 200),
            (Some("http://evil.example"), 403),
            (Some("http://127.0.0.1:3000"), 403),
            (Some("null"), 403),
        ];
        for (origin, status) in rows {
            let mut request = Request::post("/do").header(HOST, "127.0.0.1:8080");
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            assert_eq!(ask(request).await.status(), status, "{origin:?}");
        }
    }
}
