//! Heartbeats on their way to the engine: the latest of each worker, and what it last told of
//! itself. Answering one needs neither the engine nor the store.

use cloudai_core::event::Heartbeat;
use cloudai_core::ids::{Attempt, Session, WorkerId};
use cloudai_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// What a worker tells of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Percent.
    pub cpu: f64,
    /// Percent.
    pub memory: f64,
    /// Percent.
    pub gpu: f64,
    /// Percent of the disk that tasks use.
    pub storage: f64,
}

/// The last that was heard of a worker.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// When.
    pub at: Timestamp,
    /// Its host.
    pub usage: Usage,
    /// A word for people about attempts, as `pulling 43%`.
    pub details: BTreeMap<Attempt, String>,
}

/// Latest-wins slots, one for each worker.
#[derive(Debug, Default)]
pub struct Heartbeats {
    slots: Mutex<Slots>,
    arrived: Notify,
    /// How many have come in this master's life.
    count: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Slots {
    /// How often every session has ended.
    epoch: u64,
    /// Sessions that were begun in this master's life.
    sessions: BTreeMap<WorkerId, Session>,
    waiting: BTreeMap<WorkerId, Heartbeat>,
    heard: BTreeMap<WorkerId, Heard>,
}

impl Heartbeats {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the cluster as it was loaded: ask for it before a registration.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// A worker has begun a session, unless the cluster was loaded anew since: it does not know the
    /// session then, and the worker is to register again.
    pub fn begin(&self, worker: WorkerId, session: Session, epoch: u64) {
        let mut slots = self.lock();
        if slots.epoch == epoch {
            slots.sessions.insert(worker, session);
        }
    }

    /// Every session has ended: the cluster was loaded anew.
    pub fn end_all(&self) {
        let mut slots = self.lock();
        slots.epoch += 1;
        slots.sessions.clear();
        slots.waiting.clear();
    }

    /// Whether the session was begun in this master's life and not replaced since.
    #[must_use]
    pub fn knows(&self, worker: &WorkerId, session: Session) -> bool {
        self.lock().sessions.get(worker) == Some(&session)
    }

    /// Keeps a heartbeat for the engine in place of an older one.
    pub fn put(&self, mut heartbeat: Heartbeat, heard: Heard) {
        let mut slots = self.lock();
        slots.heard.insert(heartbeat.worker.clone(), heard);
        let older = slots.waiting.remove(&heartbeat.worker).filter(|older| older.session == heartbeat.session);
        // They are told once: the older one was answered as this one will be.
        heartbeat.images = heartbeat.images.or_else(|| older?.images);
        slots.waiting.insert(heartbeat.worker.clone(), heartbeat);
        drop(slots);
        self.arrived.notify_one();
        self.count.send_modify(|count| *count += 1);
    }

    /// Takes all that arrived.
    #[must_use]
    pub fn take(&self) -> Vec<Heartbeat> {
        std::mem::take(&mut self.lock().waiting).into_values().collect()
    }

    /// Waits until something arrived.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// How many have come, to await the next one on.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// The last that was heard of a worker in this master's life.
    #[must_use]
    pub fn heard(&self, worker: &WorkerId) -> Option<Heard> {
        self.lock().heard.get(worker).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::CommandSeq;
    use cloudai_core::images::Images;

    #[test]
    fn images_that_were_told_are_not_lost_with_the_heartbeat_that_another_one_replaces() {
        let heartbeats = Heartbeats::default();
        let put = |session: u64, images: Option<&str>| {
            let worker = cloudai_core::testing::worker_id("w1");
            let (session, seen, held) = (Session(session), CommandSeq(0), Vec::new());
            let images = images.map(|image| Images::of([image]));
            let heartbeat = Heartbeat { worker, session, seen, held, draining: false, unfit: None, images };
            heartbeats.put(heartbeat, Heard::default());
        };
        let taken = || heartbeats.take().pop().and_then(|heartbeat| heartbeat.images);
        put(1, Some("a"));
        put(1, None);
        put(1, None);
        assert_eq!(taken(), Some(Images::of(["a"])));
        put(1, None);
        assert_eq!(taken(), None, "it was taken");
        put(1, Some("a"));
        put(1, Some("b"));
        assert_eq!(taken(), Some(Images::of(["b"])));
        put(1, Some("a"));
        put(2, None);
        assert_eq!(taken(), None, "a registration told all that there was");
    }

    #[test]
    fn a_session_that_was_answered_before_a_reload_does_not_live_after_it() {
        let (heartbeats, worker) = (Heartbeats::default(), cloudai_core::testing::worker_id("w1"));
        let before = heartbeats.epoch();
        heartbeats.end_all();
        heartbeats.begin(worker.clone(), Session(1), before);
        assert!(!heartbeats.knows(&worker, Session(1)), "the cluster would refuse each of its heartbeats unheard");
        heartbeats.begin(worker.clone(), Session(2), heartbeats.epoch());
        assert!(heartbeats.knows(&worker, Session(2)));
    }
}
