//! What a worker calls for its certificate.

use super::convert;
use super::guard::refused;
use super::master_service::status;
use super::tls::Peer;
use crate::handle::Handle;
use crate::mailbox::AskError;
use crate::pki::{NotGiven, Pki, PkiError, Wanted};
use cloudai_proto::v1 as pb;
use tonic::{Request, Status};
use tracing::{info, warn};

/// Gives a worker its certificate, or says how it gets one.
pub(super) async fn enrol(
    handle: &Handle,
    pki: &Pki,
    request: Request<pb::EnrollRequest>,
) -> Result<pb::EnrollAck, Status> {
    let shown = request.extensions().get::<Peer>().and_then(|peer| peer.shown.clone());
    let pb::EnrollRequest { token, worker_id, csr_pem } = request.into_inner();
    let worker = convert::worker_id(&worker_id)?;
    let known = handle.shared.model.worker_record(&worker).is_some();
    let wanted = Wanted { worker: &worker, known, token: &token, csr: &csr_pem, shown: shown.as_deref() };
    match pki.give(wanted).await {
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
