//! Certificates of workers: which were given, which are taken back, and the end of connections that showed one of those.

use super::PkiError;
use crate::mailbox::AskError;
use cloudai_core::ids::{Term, WorkerId};
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// Before the names of all facts that are certificates; their serial numbers follow, as hex.
const PREFIX: &str = "cert/";

/// What is kept of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CertRecord {
    pub(super) worker: WorkerId,
    /// Of its key; not known of one that this master has only seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    pub(super) not_after: Timestamp,
    #[serde(default)]
    pub(super) revoked: bool,
}

#[derive(Debug)]
struct Given {
    record: CertRecord,
    /// Cancelled with it: connections that showed it end.
    ends: CancellationToken,
}

impl Given {
    fn new(record: CertRecord) -> Self {
        Self { record, ends: CancellationToken::new() }
    }
}

/// All that are not over.
#[derive(Debug)]
pub(super) struct Issued {
    store: Arc<dyn Store>,
    all: Mutex<BTreeMap<String, Given>>,
}

impl Issued {
    /// Those that are stored; of those that are over nothing is kept.
    /// # Errors
    /// [`PkiError`].
    pub(super) async fn open(store: &Arc<dyn Store>, (term, now): (Term, Timestamp)) -> Result<Self, PkiError> {
        let mut all = BTreeMap::new();
        for (name, text) in store.facts(PREFIX).await.map_err(AskError::from)? {
            let record: CertRecord = serde_json::from_str(&text).map_err(|why| PkiError::damaged(&name, &why))?;
            if now > record.not_after {
                store.drop_fact(term, &name).await.map_err(AskError::from)?;
            } else {
                all.insert(name.strip_prefix(PREFIX).unwrap_or_default().to_owned(), Given::new(record));
            }
        }
        Ok(Self { store: Arc::clone(store), all: Mutex::new(all) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Given>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one that is about to be given; those of its worker that are over go.
    pub(super) async fn keep(
        &self,
        (term, now): (Term, Timestamp),
        serial: &str,
        record: CertRecord,
    ) -> Result<(), AskError> {
        let over = |given: &Given| given.record.worker == record.worker && now > given.record.not_after;
        let over: Vec<String> =
            self.lock().iter().filter(|(_, given)| over(given)).map(|(serial, _)| serial.clone()).collect();
        for old in over {
            self.store.drop_fact(term, &format!("{PREFIX}{old}")).await?;
            self.lock().remove(&old);
        }
        self.set(term, serial, &record).await?;
        self.lock().insert(serial.to_owned(), Given::new(record));
        Ok(())
    }

    /// Whether a worker has one that is good, of another key than this.
    pub(super) fn holds_another(&self, worker: &WorkerId, key: &str, now: Timestamp) -> bool {
        let good = |record: &CertRecord| record.worker == *worker && !record.revoked && now <= record.not_after;
        self.lock().values().any(|given| good(&given.record) && given.record.key.as_deref() != Some(key))
    }

    /// Whether a worker has one that is good.
    pub(super) fn holds_one(&self, worker: &WorkerId, now: Timestamp) -> bool {
        let good = |record: &CertRecord| record.worker == *worker && !record.revoked && now <= record.not_after;
        self.lock().values().any(|given| good(&given.record))
    }

    /// What ends connections that show this one. One that the CA signed and nobody noted was given in a life of the data
    /// that a restore ended: it is good until its worker is removed. One that was taken back ends no new connection: on that
    /// each call is refused, and told why.
    pub(super) fn seen(&self, serial: &str, worker: &WorkerId, not_after: Timestamp) -> CancellationToken {
        let mut all = self.lock();
        let given = all
            .entry(serial.to_owned())
            .or_insert_with(|| Given::new(CertRecord { worker: worker.clone(), key: None, not_after, revoked: false }));
        if given.record.revoked { CancellationToken::new() } else { given.ends.clone() }
    }

    /// Whether this one was taken back.
    pub(super) fn is_revoked(&self, serial: &str) -> bool {
        self.lock().get(serial).is_some_and(|given| given.record.revoked)
    }

    /// Takes back all of a worker; answers how many. They count as taken back before that is stored: what can not be
    /// stored now is to be tried again, not to be let in.
    pub(super) async fn revoke(&self, term: Term, worker: &WorkerId) -> Result<usize, AskError> {
        let mut taken = Vec::new();
        for (serial, given) in self.lock().iter_mut().filter(|(_, given)| given.record.worker == *worker) {
            given.record.revoked = true;
            given.ends.cancel();
            taken.push((serial.clone(), given.record.clone()));
        }
        for (serial, record) in &taken {
            self.set(term, serial, record).await?;
        }
        Ok(taken.len())
    }

    async fn set(&self, term: Term, serial: &str, record: &CertRecord) -> Result<(), AskError> {
        let text = serde_json::to_string(record).map_err(|why| AskError::Internal(why.to_string()))?;
        Ok(self.store.set_fact(term, &format!("{PREFIX}{serial}"), &text).await?)
    }
}
