//! Talks to a master's REST API: one request, its answer as a `dto` type, its problem as a failure.
//!
//! Knows nothing of commands and output. Every call here may be repeated without harm (a
//! submission carries an idempotency key), so lost connections are retried.

mod credentials;
mod socket;
mod trust;

use crate::exit::{Exit, Failure};
use bytes::Bytes;
use cloudai_master::http::dto::Problem;
pub(crate) use credentials::{Credentials, Tokens};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
pub(crate) use socket::Socket;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
pub(crate) use trust::{Trust, UNTRUSTED, is_local};

/// The address of a master that nobody named another of.
pub(crate) const DEFAULT_ADDR: &str = "http://127.0.0.1:8080";
/// Pauses before a lost request is sent again; together under a second, so that a missing master is told at once.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)];
/// Time to build a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest answer of a call that does not wait; a waiting call gets its wait on top.
const ANSWER: Duration = Duration::from_secs(60);

/// A client of one master.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    who: Credentials,
    /// The master's clock minus ours, in milliseconds, from the last answer.
    offset: Arc<AtomicI64>,
}

/// Reads an address as people type it: `http://host:port`, `https://host:port`, `host:port`, `:port`, `port`.
/// # Errors
/// What is allowed instead.
pub(crate) fn parse_addr(text: &str) -> Result<Url, String> {
    let allowed = "expected a URL, as http://127.0.0.1:8080 or https://gpu-01:8080";
    let full = if text.contains("://") {
        text.to_owned()
    } else if let Some(port) = text.strip_prefix(':').or_else(|| text.parse::<u16>().ok().map(|_| text)) {
        format!("http://127.0.0.1:{port}")
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&full).map_err(|_| allowed.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.query().is_some() {
        return Err(allowed.into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address has no name and no password: cloudai login asks for them".into());
    }
    Ok(url)
}

impl Client {
    /// A client of the master at `base` that trusts the system's certificates and says nothing of who
    /// asks; connects with the first call.
    /// # Errors
    /// When the HTTP library can not start.
    pub(crate) fn new(base: Url) -> Result<Self, Failure> {
        Self::with(base, &Trust::System, Credentials::Nobody)
    }

    /// The same that trusts and is known as it is told.
    /// # Errors
    /// When the HTTP library can not start, or the certificates are none.
    pub(crate) fn with(base: Url, trust: &Trust, who: Credentials) -> Result<Self, Failure> {
        Ok(Self { http: trust.client(&base)?, base, who, offset: Arc::default() })
    }

    /// The address, for messages.
    #[must_use]
    pub(crate) fn addr(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The time by the master's clock, as far as its last answer told.
    #[must_use]
    pub(crate) fn now(&self) -> jiff::Timestamp {
        let offset = jiff::SignedDuration::from_millis(self.offset.load(Ordering::Relaxed));
        jiff::Timestamp::now().checked_add(offset).unwrap_or_else(|_| jiff::Timestamp::now())
    }

    /// `GET` of JSON.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T, Failure> {
        let response = self.send(|| self.request(Method::GET, path).query(query).timeout(ANSWER * 2)).await?;
        self.json(response).await
    }

    /// `POST` of JSON, under an idempotency key where one is given; answers the status and the body.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&serde_json::Value>,
        key: Option<&str>,
    ) -> Result<(StatusCode, T), Failure> {
        self.post_with(path, &[], body, key).await
    }

    /// The same with parameters.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn post_with<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&serde_json::Value>,
        key: Option<&str>,
    ) -> Result<(StatusCode, T), Failure> {
        let make = || {
            let request = self.request(Method::POST, path).query(query).timeout(ANSWER);
            let request = if let Some(body) = body { request.json(body) } else { request };
            match key {
                Some(key) => request.header("Idempotency-Key", key),
                None => request,
            }
        };
        let response = self.send(make).await?;
        let status = response.status();
        Ok((status, self.json(response).await?))
    }

    /// `POST` of JSON that is written already, without a key: sent again it would count twice, so
    /// it is sent once.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn post_bytes<T: DeserializeOwned>(&self, path: &[&str], body: Bytes) -> Result<T, Failure> {
        let request = self.request(Method::POST, path).timeout(ANSWER).body(body);
        let response = self.once(request.header(CONTENT_TYPE, "application/json")).await?;
        self.json(response).await
    }

    /// `POST` of a file of this size, sent once and without a time limit.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn post_file<T: DeserializeOwned>(
        &self,
        path: &[&str],
        file: tokio::fs::File,
        size: u64,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/octet-stream");
        let response = self.once(request.header(CONTENT_LENGTH, size).body(file)).await?;
        self.json(response).await
    }

    /// Sends bytes that may come twice without harm.
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn send_bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Bytes,
    ) -> Result<T, Failure> {
        let make = || {
            let request = self.request(method.clone(), path).query(query);
            request.header(CONTENT_TYPE, "application/octet-stream").body(body.clone())
        };
        let response = self.send(make).await?;
        self.json(response).await
    }

    /// `POST` of what the path and the query say.
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post_query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        let response = self.send(|| self.request(Method::POST, path).query(query).timeout(ANSWER)).await?;
        self.json(response).await
    }

    /// `POST` of JSON with a query, of a call that changes nothing.
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post_asking<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &serde_json::Value,
    ) -> Result<T, Failure> {
        let make = || self.request(Method::POST, path).query(query).json(body).timeout(ANSWER);
        let response = self.send(make).await?;
        self.json(response).await
    }

    /// `PUT` of JSON.
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &serde_json::Value) -> Result<T, Failure> {
        let response = self.send(|| self.request(Method::PUT, path).json(body).timeout(ANSWER)).await?;
        self.json(response).await
    }

    /// `PATCH` with JSON that says the same when it comes twice.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Result<T, Failure> {
        let response = self.send(|| self.request(Method::PATCH, path).json(body).timeout(ANSWER)).await?;
        self.json(response).await
    }

    /// `DELETE`; the answer has no body.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn delete(&self, path: &[&str], query: &[(&str, String)]) -> Result<(), Failure> {
        self.send(|| self.request(Method::DELETE, path).query(query).timeout(ANSWER)).await.map(drop)
    }

    /// `GET` of a body that is read piece by piece, without a time limit.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn stream(&self, path: &[&str], query: &[(&str, String)]) -> Result<Response, Failure> {
        self.send(|| self.request(Method::GET, path).query(query)).await
    }

    /// `POST` without a body; the answer is read piece by piece, without a time limit.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn post_stream(&self, path: &[&str]) -> Result<Response, Failure> {
        self.send(|| self.request(Method::POST, path)).await
    }

    /// One try of [`Client::stream`], for callers that count their tries themselves.
    /// # Errors
    /// As [`Client::stream`].
    pub(crate) async fn stream_once(&self, path: &[&str], query: &[(&str, String)]) -> Result<Response, Failure> {
        self.once(self.request(Method::GET, path).query(query)).await
    }

    /// `GET` of a text, which is no JSON.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn text(&self, path: &[&str]) -> Result<String, Failure> {
        let response = self.send(|| self.request(Method::GET, path).timeout(ANSWER)).await?;
        response.text().await.map_err(|error| self.unreachable(&error))
    }

    /// `POST` and `PATCH` of JSON whose answer has no body.
    /// # Errors
    /// The master's problem, or that it could not be reached.
    pub(crate) async fn tell(&self, method: Method, path: &[&str], body: &serde_json::Value) -> Result<(), Failure> {
        self.send(|| self.request(method.clone(), path).json(body).timeout(ANSWER)).await.map(drop)
    }

    /// Sends one request once.
    async fn once(&self, request: RequestBuilder) -> Result<Response, Failure> {
        match self.signed(request).await?.send().await {
            Ok(response) => self.accept(response).await,
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// A request that says who asks.
    async fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, Failure> {
        Ok(match self.who.token(self).await? {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.http.request(method, url)
    }

    /// Sends, and sends again while the connection fails or the master is too busy.
    async fn send(&self, make: impl Fn() -> RequestBuilder) -> Result<Response, Failure> {
        let mut pauses = PAUSES.iter();
        let mut renewed = false;
        loop {
            let failure = match self.signed(make()).await?.send().await {
                // A master that was restored, or has another clock, knows the token no more.
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !renewed && self.who.can_renew() => {
                    renewed = true;
                    self.who.renew(self).await?;
                    continue;
                }
                Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return self.accept(response).await;
                }
                Ok(response) => self.accept(response).await.err(),
                Err(error) if error.is_timeout() && !error.is_connect() => return Err(self.unreachable(&error)),
                Err(error) if trust::fault(&error).is_some() => return Err(self.unreachable(&error)),
                Err(error) => Some(self.unreachable(&error)),
            };
            match (pauses.next(), failure) {
                (Some(pause), _) => tokio::time::sleep(jittered(*pause)).await,
                (None, failure) => {
                    return Err(failure.unwrap_or_else(|| Failure::error("the master gave no answer")));
                }
            }
        }
    }

    async fn accept(&self, response: Response) -> Result<Response, Failure> {
        self.note_clock(&response);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::PERMANENT_REDIRECT
            && let Some(secret) = self.encrypted(&response)
        {
            return Err(Failure::error(format!("{} is spoken to by https only", self.addr()))
                .why("nothing is sent there in the clear")
                .next(format!("cloudai login {secret}, or --addr {secret}")));
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(match serde_json::from_slice::<Problem>(&body) {
            // The master does not know by which address it is called.
            Ok(problem)
                if problem.code == "unauthenticated"
                    && problem.next.as_ref().is_none_or(|next| next.starts_with("cloudai login")) =>
            {
                Failure::of_problem(problem).next(format!("cloudai login {}", self.addr()))
            }
            Ok(problem) => Failure::of_problem(problem),
            Err(_) => Failure::error(format!("{} answered {status}", self.addr()))
                .why("that is not how a CloudAI master answers")
                .next("check --addr: it names the master's HTTP address"),
        })
    }

    async fn json<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::error(format!("the answer of {} was not understood", self.addr()))
                .why(error.to_string())
                .next("cloudai version, and cloudai cluster status -o wide for the master's")
        })
    }

    /// The encrypted address of a master that is called without encryption and says so.
    fn encrypted(&self, response: &Response) -> Option<String> {
        let told = response.headers().get(LOCATION)?.to_str().ok().filter(|told| told.starts_with("https://"));
        let mut secret = self.base.clone();
        secret.set_scheme("https").ok()?;
        told.filter(|_| self.base.scheme() == "http").map(|_| secret.as_str().trim_end_matches('/').to_owned())
    }

    /// The failure of a request that got no whole answer.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if let Some(fault) = trust::fault(error) {
            return trust::told(fault, self.addr());
        }
        Failure::new(Exit::Unreachable, "unreachable", format!("no master at {}", self.addr()))
            .why(chain(error))
            .next("start one with `cloudai up`, or name it with --addr URL")
    }

    fn note_clock(&self, response: &Response) {
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else { return };
        let offset = theirs.timestamp().as_millisecond() - jiff::Timestamp::now().as_millisecond();
        // The header has whole seconds: what is less than two is no difference.
        let offset = if offset.abs() < 2_000 { 0 } else { offset };
        self.offset.store(offset, Ordering::Relaxed);
    }
}

/// The deepest cause of an error: the words of the operating system.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "it did not answer in time".into() } else { cause.to_string() }
}

/// Between half of a pause and all of it, so that many clients do not come back together.
#[must_use]
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::parse_addr;

    #[test]
    fn an_address_is_read_as_people_type_it() {
        let rows = [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("127.0.0.1:9", "http://127.0.0.1:9/"),
            (":9090", "http://127.0.0.1:9090/"),
            ("9090", "http://127.0.0.1:9090/"),
            ("gpu-01:80", "http://gpu-01/"),
            ("http://gw/cloudai", "http://gw/cloudai"),
            ("https://gpu-01:8080", "https://gpu-01:8080/"),
        ];
        for (typed, url) in rows {
            assert_eq!(parse_addr(typed).unwrap().as_str(), url, "{typed}");
        }
    }

    #[test]
    fn what_can_not_be_reached_is_refused_with_what_can() {
        for (typed, said) in
            [("http://a:b@x", "cloudai login"), ("ftp://x", "expected"), ("", "expected"), (":x", "expected")]
        {
            assert!(parse_addr(typed).unwrap_err().contains(said), "{typed}");
        }
    }
}
