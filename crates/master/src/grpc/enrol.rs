//! What a worker calls for its certificate.

use super::convert;
use super::guard::refused;
use super::master_service::status;
use super::tls::Peer;
use crate::audit::{Entry, Outcome};
use crate::handle::Handle;
use crate::mailbox::AskError;
use crate::pki::{Given, NotGiven, Pki, PkiError, Refusal, Wanted};
use crate::principal::Principal;
use cloudai_proto::v1 as pb;
use tonic::{Request, Status};
use tracing::{info, warn};

/// How the audit log calls it.
const ACTION: &str = "grpc EnrollWorker";

/// Gives a worker its certificate, or says how it gets one.
pub(super) async fn enrol(
    handle: &Handle,
    pki: &Pki,
    request: Request<pb::EnrollRequest>,
) -> Result<pb::EnrollAck, Status> {
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
    let pb::EnrollRequest { token, worker_id, csr_pem } = request.into_inner();
    let worker = convert::worker_id(&worker_id)?;
    let known = handle.shared.model.worker_record(&worker).is_some();
    let wanted = Wanted { worker: &worker, known, token: &token, csr: &csr_pem, shown: peer.shown.as_deref() };
    let answer = pki.give(wanted).await;
    handle.shared.audit.note(row(wanted, &peer, &answer));
    match answer {
        Ok(given) => Ok(pb::EnrollAck {
            certificate_pem: given.certificate,
            ca_pem: pki.ca_pem().to_owned(),
            not_after_ms: given.not_after.as_millis(),
        }),
        Err(NotGiven::Refused(refusal)) => {
            info!(%worker, why = %refusal, "worker was not given a certificate");
            Err(refused(&refusal))
        }
        Err(NotGiven::Failed(PkiError::Ask(error))) => Err(again(error)),
        Err(NotGiven::Failed(error)) => {
            warn!(%worker, %error, "certificate of a worker not made");
            Err(Status::internal(error.to_string()))
        }
    }
}

/// The row of the audit log. Nobody waits for it: workers go on also while none can be written.
fn row(wanted: Wanted<'_>, peer: &Peer, answer: &Result<Given, NotGiven>) -> Entry {
    let entry = Entry::new(ACTION).on(Some(wanted.worker.to_string())).peer(peer.address);
    match answer {
        Ok(given) => {
            let entry = entry.detail("not_after_ms", given.not_after.as_millis());
            let mut entry = entry.by(&Principal::worker_named(wanted.worker.clone()));
            let via = match (wanted.token.is_empty(), wanted.shown.is_some()) {
                (true, true) => Some("certificate"),
                (true, false) => None,
                (false, _) => Some("join token"),
            };
            entry.body.via = via.map(ToOwned::to_owned);
            entry
        }
        Err(NotGiven::Refused(refusal)) => entry.ended(Outcome::refused(word(refusal), None)),
        Err(NotGiven::Failed(_)) => entry.ended(Outcome::refused("failed", None)),
    }
}

/// How the audit log calls a refusal: as those of users.
const fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoCertificate
        | Refusal::NoToken
        | Refusal::WrongToken
        | Refusal::UsedToken(_)
        | Refusal::ExpiredToken(_)
        | Refusal::RevokedToken(_)
        | Refusal::Revoked(_)
        | Refusal::Over(_) => "unauthenticated",
        Refusal::AnotherName { .. } | Refusal::NotRegistered(_) => "forbidden",
        Refusal::Taken(_) => "conflict",
        Refusal::BadRequest(_) => "invalid",
    }
}

/// What fails here passes: the worker tries again.
fn again(error: AskError) -> Status {
    match error {
        AskError::Internal(why) => Status::unavailable(why),
        other => status(other),
    }
}

/// The answer of a master that gives none.
pub(super) fn none_given() -> Status {
    Status::failed_precondition(
        "this master was started with --insecure and gives no certificates: its join token, which `cloudai worker token` \
         prints, lets workers in without",
    )
}
