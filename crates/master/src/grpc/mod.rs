//! The gRPC side: the only place in the master that knows protobuf types.

mod agent;
mod convert;
mod end;
mod enrol;
mod exec;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guard;
mod health;
mod inputs;
mod logs;
mod master_service;
mod secrets;
pub(crate) mod tls;
mod view;
mod worker_line;

use crate::delivery::Deliveries;
use crate::handle::Handle;
use crate::principal::Principal;
use crate::serve::RunError;
use agent::AgentApi;
use cloudai_proto::v1::agent_service_server::AgentServiceServer;
use cloudai_proto::v1::master_service_server::MasterServiceServer;
use guard::{AgentToken, Certified, JoinToken};
use master_service::WorkerApi;
use std::sync::Arc;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
pub(crate) use worker_line::announce;

/// The largest message of a worker: a batch of log records or a part of a file is far below it, a
/// heartbeat of ten thousand attempts fits.
const MAX_MESSAGE: usize = 16 << 20;

/// The largest message of an agent: as many proposals as a call may have are far below it.
const MAX_PROPOSALS: usize = 1 << 20;

/// Makes all services: what workers and agents call, behind certificates and join tokens; health and reflection,
/// open.
///
/// Those two need no token: they tell whether the master serves, which a load balancer without
/// secrets asks, and the schema, which everyone can read in `proto/`.
/// # Errors
/// When the committed schema can not be read: a fault of the build.
pub(crate) fn routes(handle: &Handle, deliveries: Deliveries) -> Result<(Routes, health::Reporter), RunError> {
    let token = |who| JoinToken::new(handle.join_token(&Principal::local()), who);
    let service = MasterServiceServer::new(WorkerApi::new(handle.clone(), deliveries))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let agents = AgentServiceServer::new(AgentApi::new(handle.clone())).max_decoding_message_size(MAX_PROPOSALS);
    let (reporter, health) = health::service();
    let schema = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(cloudai_proto::DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let unreadable = |error| RunError::Server("gRPC reflection", std::io::Error::other(error));
    let routes = match &handle.shared.pki {
        None => Routes::new(InterceptedService::new(service, token(Principal::worker())))
            .add_service(InterceptedService::new(agents, token(Principal::agent()))),
        Some(pki) => Routes::new(Certified::new(service, Arc::clone(pki)))
            .add_service(InterceptedService::new(agents, AgentToken::new(Arc::clone(pki)))),
    };
    let routes = routes
        .add_service(health)
        .add_service(schema().build_v1().map_err(unreadable)?)
        .add_service(schema().build_v1alpha().map_err(unreadable)?);
    Ok((routes, reporter))
}
