//! `/ca.pem`: the certificate by which the cluster's others are known. Open to everyone: it is no secret, and who
//! has it trusts it only once its hash came another way.

use super::problem::{Code, Problem};
use crate::handle::Handle;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// The certificate of the cluster's authority, as PEM.
pub(super) async fn get(State(handle): State<Handle>) -> Result<Response, Problem> {
    match handle.ca_pem() {
        Some(pem) => Ok(([(CONTENT_TYPE, "application/x-pem-file")], pem.to_owned()).into_response()),
        None => {
            Err(Problem::new(Code::NotFound, "this cluster has no certificates of its own: it runs with --insecure")
                .next("who runs it starts it without --insecure"))
        }
    }
}
