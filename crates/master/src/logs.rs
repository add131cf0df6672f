//! Logs and files of attempts: written beside the engine, followed live.

use cloudai_core::ids::Attempt;
use cloudai_core::log_room::LogRoom;
use cloudai_core::task::LogEnd;
use cloudai_store::bulk::{BulkError, BulkStore, LogPosition, LogRecord};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, watch};

/// Logs that wait for their final form at most: ids alone, some hundred kilobytes. Of more it is
/// noted that there are more.
const ENDED: usize = 16_384;

/// The logs of all attempts, with a bell for those who follow one.
#[derive(Debug)]
pub struct Logs {
    bulk: Arc<dyn BulkStore>,
    max_bytes: u64,
    bells: Mutex<BTreeMap<Attempt, Weak<watch::Sender<u64>>>>,
    ended: Mutex<Ended>,
    news: Notify,
}

/// Logs that have ended and are worth another form.
#[derive(Debug, Default)]
struct Ended {
    waiting: VecDeque<Attempt>,
    /// Some did not find room.
    more: bool,
}

/// What the one who seals logs does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToSeal {
    /// This one has ended.
    One(Attempt),
    /// Look for all: some were not told.
    Look,
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
    /// Logs in this store, of any size.
    #[must_use]
    pub fn new(bulk: Arc<dyn BulkStore>) -> Self {
        Self { bulk, max_bytes: 0, bells: Mutex::default(), ended: Mutex::default(), news: Notify::new() }
    }

    /// The same, with so many bytes of output at most of the log of one attempt; 0 for any number.
    #[must_use]
    pub fn limited(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// How much of a log is kept when that much is, and may be.
    #[must_use]
    pub fn room(&self, kept: LogPosition) -> LogRoom {
        LogRoom { records: kept.records, bytes: kept.bytes, max_bytes: self.max_bytes }
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

    /// The end of an attempt is stored, and with it how much of its log there will ever be: it may get its final form.
    /// Most attempts write little or nothing and cost no more than this look.
    pub fn ended(&self, attempt: Attempt, log: LogEnd) {
        let position = LogPosition { records: log.records, bytes: log.bytes };
        if !log.is_settled() || !self.bulk.is_worth_sealing(position) {
            return;
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.waiting.len() < ENDED {
            ended.waiting.push_back(attempt);
        } else {
            ended.more = true;
        }
        self.news.notify_one();
    }

    /// Waits for a log that has ended. One at a time may wait.
    pub(crate) async fn to_seal(&self) -> ToSeal {
        loop {
            if let Some(next) = self.try_to_seal() {
                return next;
            }
            self.news.notified().await;
        }
    }

    pub(crate) fn try_to_seal(&self) -> Option<ToSeal> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.waiting.pop_front() {
            Some(attempt) => Some(ToSeal::One(attempt)),
            None => std::mem::take(&mut ended.more).then_some(ToSeal::Look),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::TaskId;
    use cloudai_core::task::LogCut;
    use cloudai_store::bulk::local::LocalBulk;

    fn ended(logs: &Logs, task: usize, log: LogEnd) {
        logs.ended(Attempt { task: TaskId::new(task as u128), number: 1 }, log);
    }

    #[test]
    fn most_logs_are_not_even_asked_for_and_more_than_there_is_room_for_are_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(Arc::new(LocalBulk::open(dir.path()).unwrap()));
        let whole = LogEnd { records: 10, bytes: 1 << 20, complete: true, cut: None };
        ended(&logs, 1, LogEnd::default());
        ended(&logs, 2, LogEnd { bytes: 100, ..whole });
        ended(&logs, 3, LogEnd { complete: false, ..whole });
        assert_eq!(logs.try_to_seal(), None);
        ended(&logs, 4, LogEnd { complete: false, cut: Some(LogCut::default()), ..whole });
        assert_eq!(logs.try_to_seal(), Some(ToSeal::One(Attempt { task: TaskId::new(4), number: 1 })));

        (0..ENDED + 5).for_each(|task| ended(&logs, task, whole));
        for task in 0..ENDED {
            let attempt = Attempt { task: TaskId::new(task as u128), number: 1 };
            assert_eq!(logs.try_to_seal(), Some(ToSeal::One(attempt)));
        }
        assert_eq!(logs.try_to_seal(), Some(ToSeal::Look));
        assert_eq!(logs.try_to_seal(), None);
    }
}
