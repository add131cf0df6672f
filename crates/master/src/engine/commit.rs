//! Committing a batch: exactly one is in flight, and it is retried until it is stored.

use super::{Batch, Engine, EngineError, start_of};
use crate::mailbox::StoreHealth;
use cloudai_core::cluster::Undone;
use cloudai_core::effect::Row;
use cloudai_core::event::Event;
use cloudai_store::CommitError;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Between two tries, first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Engine {
    /// Stores the batch, then tells of it.
    pub(super) async fn commit_and_tell(
        &mut self,
        mut batch: Batch,
        stop: &CancellationToken,
    ) -> Result<(), EngineError> {
        let mut wait = FIRST_WAIT;
        let rows = loop {
            let rows = batch.rows();
            let committed = match rows.as_slice() {
                [] => Ok(()),
                rows => {
                    self.pulse.begin(self.clock.now());
                    let committed = self.store.commit(self.term, batch.now(), rows).await;
                    self.pulse.end();
                    committed
                }
            };
            match committed {
                Ok(()) => break rows,
                Err(CommitError::Fenced) => return Err(EngineError::Fenced),
                Err(CommitError::Unavailable(error)) => {
                    self.set_trouble(&error);
                    // Users who wait see the trouble and take back what they asked for.
                    if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                        return Ok(()); // told to stop: nothing of this batch was ever seen
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(CommitError::Refused { row, why }) => {
                    error!(row, why, "store refused a row, loading the state again");
                    self.reload((&batch.tasks(), &batch.jobs())).await?;
                    batch = batch.without(row, &why, &mut self.cluster);
                }
            }
        };
        self.clear_trouble();
        self.tell(batch, rows);
        Ok(())
    }

    /// Drops what was never committed, changes of what is `undone` among it, and starts again from the
    /// store; workers register again.
    async fn reload(&mut self, undone: Undone<'_>) -> Result<(), EngineError> {
        let loaded = self.store.load().await.map_err(EngineError::Reload)?;
        self.heartbeats.end_all();
        self.cluster = self.cluster.reloaded(start_of(&loaded), undone, self.clock.now());
        // Nobody is silent because the master loaded its state.
        let _ = self.cluster.apply(self.clock.now(), Event::Paused(Duration::ZERO));
        // Every worker is to register again. No row says so: readers and the strategy must hear it.
        let workers: Vec<_> = self.cluster.workers().map(|worker| Row::Worker(Arc::clone(worker))).collect();
        self.model.publish(self.clock.now(), &workers);
        self.placing.publish(workers);
        Ok(())
    }

    fn set_trouble(&self, error: &std::io::Error) {
        let trouble = format!("no commit goes through: {error}");
        self.inbox.health.send_if_modified(|health| {
            let fresh = health.trouble.is_none();
            if fresh {
                warn!(%error, "store stopped answering");
            }
            health.trouble = Some(trouble);
            fresh
        });
    }

    fn clear_trouble(&self) {
        self.inbox.health.send_if_modified(|health| {
            let was = health.trouble.is_some();
            if was {
                info!("store answers again");
                *health = StoreHealth::default();
            }
            was
        });
    }
}
