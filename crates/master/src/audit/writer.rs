//! The one task that writes the log, and the half of it that everybody has.
//!
//! Who changes something takes room for its row first ([`Auditor::begin`]) and is answered when the row is on disk
//! ([`Open::done`]). All rows that wait go into one commit. While no row can be written nothing is begun: an
//! `Unavailable`
//! says so before anything was done. What was refused changes nothing: nobody waits for its row, and what is alike
//! within
//! a second is one row with a count, so that nobody fills the log by being refused.

use super::chain::{Era, Keys, era_of};
use super::row::{Entry, NOBODY, Outcome};
use super::verify::{self, Expected, Verdict};
use crate::clock::Clock;
use crate::mailbox::{AskError, NotNow};
use cloudai_core::ids::Term;
use cloudai_core::time::Timestamp;
use cloudai_store::audit::{AuditQuery, AuditRow};
use cloudai_store::query::Page;
use cloudai_store::{CommitError, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Rows that wait: as many as users may have under way (`mailbox.rs`).
const QUEUE: usize = 4096;
/// Rows of one commit.
const BATCH: usize = 1000;
/// For so long what is refused alike is one row.
const ALIKE: Duration = Duration::from_secs(1);
/// How many kinds of refusals are told apart in that time; what is beyond them is counted together.
const KINDS: usize = 1000;
/// Between two tries, first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What everybody has of the log.
#[derive(Debug)]
pub(crate) struct Auditor {
    queue: mpsc::Sender<Note>,
    trouble: watch::Receiver<Option<String>>,
    /// Refusals that found no room in the queue.
    lost: Arc<AtomicU64>,
    log: Arc<Log>,
}

/// Where the log is, and its keys.
#[derive(Debug)]
struct Log {
    store: Arc<dyn Store>,
    cluster: String,
    eras: Vec<Era>,
}

/// A row on its way, with the one who waits for it.
#[derive(Debug)]
struct Note {
    entry: Entry,
    told: Option<oneshot::Sender<Result<(), AskError>>>,
}

/// Room for the row of something that is done now.
#[derive(Debug)]
pub(crate) struct Open(mpsc::OwnedPermit<Note>);

impl Auditor {
    /// Both halves of a log that goes on so.
    pub(super) fn over(
        store: Arc<dyn Store>,
        clock: Arc<Clock>,
        term: Term,
        cluster: &str,
        eras: Vec<Era>,
        chain: Chain,
    ) -> (Self, Writer) {
        let (queue, notes) = mpsc::channel(QUEUE);
        let (told, trouble) = watch::channel(None);
        let lost = Arc::<AtomicU64>::default();
        let log = Arc::new(Log { store, cluster: cluster.to_owned(), eras });
        let auditor = Self { queue, trouble, lost: Arc::clone(&lost), log: Arc::clone(&log) };
        let writer = Writer { notes, trouble: told, lost, log, clock, term, chain, refused: BTreeMap::new() };
        (auditor, writer)
    }

    /// Opens the log of a cluster; the other half is to be run.
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn open(
        store: &Arc<dyn Store>,
        secrets: &crate::secrets::Secrets,
        clock: &Arc<Clock>,
        term: Term,
        cluster: &str,
    ) -> Result<(Self, Writer), cloudai_store::StoreError> {
        super::opened::open(store, secrets, clock, term, cluster).await
    }

    /// Takes room for the row of something that is about to be done.
    /// # Errors
    /// [`AskError::Unavailable`]: it must not be done now.
    pub(crate) fn begin(&self) -> Result<Open, AskError> {
        if self.trouble.borrow().is_some() {
            return Err(AskError::Unavailable(NotNow::NO_AUDIT));
        }
        let place = self.queue.clone().try_reserve_owned().map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Unavailable(NotNow::BUSY),
            mpsc::error::TrySendError::Closed(_) => AskError::Stopped,
        })?;
        Ok(Open(place))
    }

    /// Notes something and waits for nothing: what was refused, or happened by itself. Refusals that are alike become
    /// one
    /// row.
    pub(crate) fn note(&self, entry: Entry) {
        if self.queue.try_send(Note { entry, told: None }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Why nothing can be written; nothing while all is well.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// The state of the writing, to wait for changes of it.
    pub(crate) fn health(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// One page of the log.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn rows(&self, query: &AuditQuery) -> Result<Page<AuditRow>, AskError> {
        Ok(self.log.store.audit(query).await?)
    }

    /// Whether the log is whole.
    /// # Errors
    /// [`AskError::Store`]: it can not be read.
    pub(crate) async fn verify(&self, expected: Option<&Expected>) -> Result<Verdict, AskError> {
        let Log { store, cluster, eras } = &*self.log;
        verify::verify(&**store, eras, cluster, expected).await
    }

    /// By which everybody can check the signature of the head.
    pub(crate) fn public_key(&self) -> Option<String> {
        self.log.eras.last().and_then(|era| era.keys.as_ref()).map(Keys::public)
    }
}

impl Open {
    /// It was done: returns when the row is on disk.
    /// # Errors
    /// [`AskError`]: the row could not be written, what was done is done.
    pub(crate) async fn done(self, entry: Entry) -> Result<(), AskError> {
        let (told, answer) = oneshot::channel();
        self.0.send(Note { entry, told: Some(told) });
        answer.await.unwrap_or(Err(AskError::Stopped))
    }

    /// It was refused, failed, or nobody waits for its end: nobody waits for the row.
    pub(crate) fn left(self, entry: Entry) {
        self.0.send(Note { entry, told: None });
    }
}

/// The end of the log.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// The next row.
    pub(super) next: u64,
    /// The mac in front of it.
    pub(super) mac: Vec<u8>,
    /// The time of the row in front of it.
    pub(super) at: Timestamp,
}

/// What is refused alike: from where, to whom, what, how.
type Kind = (Option<String>, String, String, Outcome);

/// The half that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    notes: mpsc::Receiver<Note>,
    trouble: watch::Sender<Option<String>>,
    lost: Arc<AtomicU64>,
    log: Arc<Log>,
    clock: Arc<Clock>,
    term: Term,
    chain: Chain,
    /// What was refused in the last second, each kind with when its row is due.
    refused: BTreeMap<Kind, (Instant, Entry)>,
}

impl Writer {
    /// Writes one row before anything else is done.
    /// # Errors
    /// The store does not take it.
    pub(crate) async fn begin_with(&mut self, entry: Entry) -> Result<(), CommitError> {
        let (rows, chain) = self.chained(vec![entry], self.clock.now());
        self.store(&rows, &chain).await?;
        self.chain = chain;
        Ok(())
    }

    /// Writes until told to stop; then all that was noted before.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut noted = Vec::with_capacity(BATCH);
        loop {
            let due = self.refused.values().map(|(due, _)| *due).min();
            let ended = tokio::select! {
                biased;
                count = self.notes.recv_many(&mut noted, BATCH) => count == 0,
                () = due_at(due) => false,
                () = stop.cancelled() => true,
            };
            if ended {
                self.notes.close();
                while let Ok(note) = self.notes.try_recv() {
                    noted.push(note);
                }
            }
            let batch = self.batch(&mut noted, ended);
            if !batch.is_empty() {
                self.write(batch, &stop).await;
            }
            if ended {
                return;
            }
        }
    }

    /// What is to be written now: what was done, and refusals whose second is over.
    fn batch(&mut self, noted: &mut Vec<Note>, all: bool) -> Vec<Note> {
        let now = Instant::now();
        let mut batch = Vec::with_capacity(noted.len());
        for note in noted.drain(..) {
            if note.told.is_some() || note.entry.body.outcome.is_ok() || note.entry.body.outcome == Outcome::unknown() {
                batch.push(note);
            } else {
                self.refuse(note.entry, now);
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(count = lost, "audit queue was full: refusals were only counted");
            let mut entry = beyond();
            entry.body.count = lost;
            self.refuse(entry, now);
        }
        let due: Vec<Kind> =
            self.refused.iter().filter(|(_, (due, _))| all || *due <= now).map(|(kind, _)| kind.clone()).collect();
        let entries = due.iter().filter_map(|kind| self.refused.remove(kind));
        batch.extend(entries.map(|(_, entry)| Note { entry, told: None }));
        batch
    }

    /// Counts a refusal with those that are like it.
    fn refuse(&mut self, entry: Entry, now: Instant) {
        let kind = kind_of(&entry);
        let (kind, entry) = if self.refused.len() < KINDS || self.refused.contains_key(&kind) {
            (kind, entry)
        } else {
            let mut many = beyond();
            many.body.count = entry.body.count;
            (kind_of(&many), many)
        };
        match self.refused.get_mut(&kind) {
            Some((_, first)) => first.body.count = first.body.count.saturating_add(entry.body.count),
            None => drop(self.refused.insert(kind, (now + ALIKE, entry))),
        }
    }

    /// Writes a batch, again and again until it is on disk; once more when the master stops.
    async fn write(&mut self, batch: Vec<Note>, stop: &CancellationToken) {
        let now = self.clock.now();
        let (entries, told): (Vec<Entry>, Vec<_>) = batch.into_iter().map(|note| (note.entry, note.told)).unzip();
        let (rows, chain) = self.chained(entries, now);
        let mut wait = FIRST_WAIT;
        let written = loop {
            match self.store(&rows, &chain).await {
                Ok(()) => break Ok(()),
                Err(CommitError::Unavailable(error)) => {
                    self.set_trouble(&error.to_string());
                    if stop.is_cancelled() || stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                        let last = self.store(&rows, &chain).await;
                        break last.map_err(AskError::from);
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                // An earlier try may have been written after all.
                Err(CommitError::Refused { .. }) if self.are_stored(&rows).await => break Ok(()),
                Err(error @ CommitError::Refused { .. }) => break Err(AskError::from(error)),
                // Never again by this master: it ends when its engine hears the same.
                Err(CommitError::Fenced) => {
                    self.set_trouble(&CommitError::Fenced.to_string());
                    break Err(AskError::Stopped);
                }
            }
        };
        match &written {
            Ok(()) => {
                self.chain = chain;
                self.clear_trouble();
            }
            Err(why) => error!(rows = rows.len(), %why, "audit rows could not be written"),
        }
        for told in told.into_iter().flatten() {
            // Who does not wait any more has gone.
            let _ = told.send(written.clone());
        }
    }

    /// The rows of these entries, tied to the last, and the end of the log behind them.
    fn chained(&self, entries: Vec<Entry>, now: Timestamp) -> (Vec<AuditRow>, Chain) {
        let mut chain = self.chain.clone();
        chain.at = chain.at.max(now);
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut row = entry.into_row(chain.next, chain.at);
            if let Some(keys) = self.keys(chain.next) {
                row.mac = keys.mac(&chain.mac, &row);
            }
            chain.mac.clone_from(&row.mac);
            chain.next = chain.next.saturating_add(1);
            rows.push(row);
        }
        (rows, chain)
    }

    async fn store(&self, rows: &[AuditRow], chain: &Chain) -> Result<(), CommitError> {
        let last = chain.next.saturating_sub(1);
        let head = self.keys(last).map(|keys| keys.head(&self.log.cluster, last, &chain.mac, chain.at));
        let refused = |why: String| CommitError::Refused { row: 0, why };
        let head = head.ok_or_else(|| refused("there is no audit key".into()))?;
        let head = serde_json::to_string(&head).map_err(|error| refused(error.to_string()))?;
        self.log.store.append_audit(self.term, rows, &head).await
    }

    async fn are_stored(&self, rows: &[AuditRow]) -> bool {
        let Some(first) = rows.first() else { return true };
        let stored = self.log.store.audit_after(first.seq.saturating_sub(1), rows.len()).await;
        stored.is_ok_and(|stored| stored == rows)
    }

    fn keys(&self, seq: u64) -> Option<&Keys> {
        era_of(&self.log.eras, seq).and_then(|era| era.keys.as_ref())
    }

    fn set_trouble(&self, error: &str) {
        let trouble = format!("the audit log can not be written: {error}");
        self.trouble.send_if_modified(|told| {
            let fresh = told.is_none();
            if fresh {
                warn!(error, "audit log could not be written");
            }
            *told = Some(trouble);
            fresh
        });
    }

    fn clear_trouble(&self) {
        self.trouble.send_if_modified(|told| {
            let was = told.take().is_some();
            if was {
                info!("audit log is written again");
            }
            was
        });
    }
}

/// Refusals of too many kinds, counted together.
fn beyond() -> Entry {
    let mut entry = Entry::new("several calls").ended(Outcome::refused("refused", None));
    NOBODY.clone_into(&mut entry.who);
    entry
}

fn kind_of(entry: &Entry) -> Kind {
    (entry.body.from.clone(), entry.who.clone(), entry.action.clone(), entry.body.outcome.clone())
}

async fn due_at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
