//! The standard health service: `SERVING` while the master takes work.

use crate::handle::Handle;
use crate::serve::RunError;
use cloudai_proto::v1::agent_service_server::SERVICE_NAME as AGENTS;
use cloudai_proto::v1::master_service_server::SERVICE_NAME;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

/// The whole server, and the services whose health is the same.
const SERVICES: [&str; 3] = ["", SERVICE_NAME, AGENTS];

/// Tells the health service what to answer.
#[derive(Debug)]
pub(crate) struct Reporter(HealthReporter);

/// The service, and who tells it.
pub(super) fn service() -> (Reporter, HealthServer<impl Health>) {
    let (reporter, server) = tonic_health::server::health_reporter();
    (Reporter(reporter), server)
}

impl Reporter {
    /// Keeps the answer true until the master stops; then whoever watches hears so, and its stream
    /// ends.
    pub(crate) async fn keep(mut self, handle: Handle) -> Result<(), RunError> {
        let mut seen = handle.shared.mailboxes.health();
        let mut audit = handle.shared.audit.health();
        loop {
            seen.mark_unchanged();
            audit.mark_unchanged();
            let ready = handle.unready().is_empty();
            self.tell(if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            if !handle.readiness_changed(&mut seen, &mut audit).await {
                break;
            }
        }
        self.tell(ServingStatus::NotServing).await;
        for service in SERVICES {
            self.0.clear_service_status(service).await;
        }
        // This part ends with the master: an earlier end would be taken for a failure.
        handle.shared.stopping.cancelled().await;
        Ok(())
    }

    async fn tell(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}
