//! Logs and files of attempts: written beside the engine, followed live.

use cloudai_core::ids::Attempt;
use cloudai_store::bulk::{BulkError, BulkStore, LogPosition, LogRecord};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// The logs of all attempts, with a bell for those who follow one.
#[derive(Debug)]
pub struct Logs {
    bulk: Arc<dyn BulkStore>,
    bells: Mutex<BTreeMap<Attempt, Weak<watch::Sender<u64>>>>,
}

/// Rings when records were added to one log. The bell lives as long as somebody follows.
#[derive(Debug)]
pub struct LogBell {
    changes: watch::Receiver<u64>,
    _bell: Arc<watch::Sender<u64>>,
}

impl LogBell {
    /// Waits until records were added since the last call, or since the bell was made.
    pub async fn rung(&mut self) {
        // The sender lives in this value: the wait can not fail.
        let _ = self.changes.changed().await;
    }
}

impl Logs {
    /// Logs in this store.
    #[must_use]
    pub fn new(bulk: Arc<dyn BulkStore>) -> Self {
        Self { bulk, bells: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Attempt, Weak<watch::Sender<u64>>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the bytes are.
    #[must_use]
    pub fn bulk(&self) -> &Arc<dyn BulkStore> {
        &self.bulk
    }

    /// Appends records and wakes who follows.
    /// # Errors
    /// As [`BulkStore::append_log`].
    pub async fn append(&self, attempt: Attempt, first: u64, records: &[LogRecord]) -> Result<LogPosition, BulkError> {
        let position = self.bulk.append_log(attempt, first, records).await?;
        let bell = self.lock().get(&attempt).and_then(Weak::upgrade);
        if let Some(bell) = bell {
            bell.send_replace(position.records);
        }
        Ok(position)
    }

    /// A bell for one log; make it before reading, so that nothing is missed between.
    #[must_use]
    pub fn bell(&self, attempt: Attempt) -> LogBell {
        let mut bells = self.lock();
        bells.retain(|_, bell| bell.strong_count() > 0);
        let bell = bells.get(&attempt).and_then(Weak::upgrade).unwrap_or_else(|| Arc::new(watch::Sender::new(0)));
        bells.insert(attempt, Arc::downgrade(&bell));
        LogBell { changes: bell.subscribe(), _bell: bell }
    }
}
