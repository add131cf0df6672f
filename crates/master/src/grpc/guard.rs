//! Who is let in, and as whom: workers by the certificate of their connection, agents by a join token; without security
//! both by the one join token.

use super::tls::Peer;
use crate::pki::{Pki, Refusal};
use crate::principal::Principal;
use futures::future::{Either, Ready, ready};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// The call that needs no certificate: it gives one.
const ENROLL: &str = "/cloudai.v1.MasterService/EnrollWorker";

/// The answer to whoever is not let in.
pub(super) fn refused(refusal: &Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::NoCertificate
        | Refusal::NoToken
        | Refusal::WrongToken
        | Refusal::UsedToken(_)
        | Refusal::ExpiredToken(_)
        | Refusal::RevokedToken(_)
        | Refusal::Revoked(_)
        | Refusal::Over(_) => Status::unauthenticated(text),
        Refusal::AnotherName { .. } | Refusal::NotRegistered(_) => Status::permission_denied(text),
        Refusal::Taken(_) => Status::already_exists(text),
        Refusal::BadRequest(_) => Status::invalid_argument(text),
    }
}

/// Lets only those in whose connection showed a certificate that is good now.
#[derive(Clone, Debug)]
pub(super) struct Certified<S> {
    inner: S,
    pki: Arc<Pki>,
}

impl<S> Certified<S> {
    pub(super) const fn new(inner: S, pki: Arc<Pki>) -> Self {
        Self { inner, pki }
    }
}

impl<S: NamedService> NamedService for Certified<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Certified<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<S::Response, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let shown = request.extensions().get::<Peer>().and_then(|peer| peer.shown.clone());
        match self.pki.admit(shown.as_deref()) {
            Ok(worker) => {
                request.extensions_mut().insert(Principal::worker_named(worker));
            }
            // Whoever enrols shows a token in the request itself.
            Err(_) if request.uri().path() == ENROLL => {}
            Err(refusal) => return Either::Right(ready(Ok(refused(&refusal).into_http()))),
        }
        Either::Left(self.inner.call(request))
    }
}

/// Lets agents in that show a join token.
#[derive(Clone, Debug)]
pub(super) struct AgentToken {
    pki: Arc<Pki>,
}

impl AgentToken {
    pub(super) const fn new(pki: Arc<Pki>) -> Self {
        Self { pki }
    }
}

impl Interceptor for AgentToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        self.pki.admit_agent(shown_token(&request)).map_err(|refusal| refused(&refusal))?;
        request.extensions_mut().insert(Principal::agent());
        Ok(request)
    }
}

/// The token that a call shows; empty for none.
fn shown_token(request: &Request<()>) -> &str {
    let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

/// Lets only those in who show the join token.
#[derive(Clone, Debug)]
pub(super) struct JoinToken {
    digest: [u8; 32],
    /// As whom.
    who: Principal,
}

impl JoinToken {
    pub(super) fn new(token: &str, who: Principal) -> Self {
        Self { digest: Sha256::digest(token).into(), who }
    }
}

impl Interceptor for JoinToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // Digests are compared, so the time taken tells nothing about the token.
        if <[u8; 32]>::from(Sha256::digest(shown_token(&request))) == self.digest {
            request.extensions_mut().insert(self.who.clone());
            Ok(request)
        } else {
            Err(Status::unauthenticated(
                "the join token is wrong or missing: print the right one on the master with `cloudai worker token` \
                 and give it with --join-token or CLOUDAI_JOIN_TOKEN",
            ))
        }
    }
}
