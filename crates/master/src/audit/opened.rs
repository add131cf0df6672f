//! Where the log goes on when a master starts: the keys of before, the last row, the head.
//!
//! What does not fit together is not mended: the log goes on with a gap, so that whoever looks finds it.

use super::chain::{Era, Head, Keys, MAC, NOTHING};
use super::verify::read_head;
use super::writer::{Auditor, Chain, Writer};
use crate::clock::Clock;
use crate::mailbox::AskError;
use crate::secrets::Secrets;
use cloudai_core::ids::Term;
use cloudai_core::time::Timestamp;
use cloudai_store::audit::{AuditQuery, AuditRow};
use cloudai_store::{CommitError, Store, StoreError};
use std::sync::Arc;
use tracing::warn;

/// Before the names of the facts that are keys: then the row from which on one is used.
pub(crate) const KEYS: &str = "audit/key/";

/// What a master that starts finds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) eras: Vec<Era>,
    pub(super) head: Option<Head>,
    pub(super) last: Option<AuditRow>,
}

/// How it goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GoesOn {
    /// The next row.
    pub(super) next: u64,
    /// The mac in front of it.
    pub(super) mac: Vec<u8>,
    /// Whether it takes new keys.
    pub(super) anew: bool,
    /// Whether something is missing, changed or too much.
    pub(super) broken: bool,
}

impl Found {
    /// Decides where to go on.
    pub(super) fn goes_on(&self, cluster: &str) -> GoesOn {
        let keys = self.eras.last().and_then(|era| era.keys.as_ref());
        let last = self.last.as_ref().map_or(0, |row| row.seq);
        let last_mac = || self.last.as_ref().map_or_else(|| NOTHING.to_vec(), |row| row.mac.clone());
        // Without its key nobody can say whether a head is true: it is believed where it says what is there.
        let believed = |head: &&Head| keys.is_none_or(|keys| keys.signed(cluster, head));
        let anew = keys.is_none();
        match self.head.as_ref().filter(believed) {
            Some(head) => {
                let mac = hex::decode(&head.mac).ok().filter(|mac| mac.len() == MAC).unwrap_or_else(last_mac);
                let broken = head.seq != last || (last > 0 && mac != last_mac());
                GoesOn { next: head.seq.max(last).saturating_add(1), mac, anew, broken }
            }
            None if self.last.is_none() && self.head.is_none() && self.eras.is_empty() => {
                GoesOn { next: 1, mac: NOTHING.to_vec(), anew, broken: false }
            }
            None => {
                let known = self.head.as_ref().map_or(0, |head| head.seq).max(last);
                GoesOn { next: known.saturating_add(2), mac: last_mac(), anew, broken: true }
            }
        }
    }
}

/// Opens the log: the half that everybody has, and the one that writes and is still to be run.
/// # Errors
/// The store does not answer.
pub(crate) async fn open(
    store: &Arc<dyn Store>,
    secrets: &Secrets,
    clock: &Arc<Clock>,
    term: Term,
    cluster: &str,
) -> Result<(Auditor, Writer), StoreError> {
    let mut found = find(store, secrets).await.map_err(unread)?;
    let on = found.goes_on(cluster);
    if on.broken {
        warn!(row = on.next, "audit log was found damaged: cloudai audit verify tells where");
    }
    if on.anew {
        // The head first: keys without a head would be a head that somebody took away.
        let bytes = Keys::fresh();
        let keys = Keys::of(&bytes[..]).ok_or_else(|| wrong("no audit key could be made"))?;
        let now = clock.now();
        write_head(&**store, term, &keys.head(cluster, on.next - 1, &on.mac, now)).await?;
        keep(secrets, term, now, on.next, &bytes[..]).await.map_err(unread)?;
        found.eras.push(Era { from: on.next, keys: Some(keys) });
    }
    let at = found.last.as_ref().map_or(Timestamp::ZERO, |row| row.at);
    let chain = Chain { next: on.next, mac: on.mac, at };
    Ok(Auditor::over(Arc::clone(store), Arc::clone(clock), term, cluster, found.eras, chain))
}

async fn find(store: &Arc<dyn Store>, secrets: &Secrets) -> Result<Found, AskError> {
    let mut eras = Vec::new();
    for (name, bytes) in secrets.all_own(KEYS).await? {
        let Ok(from) = name.parse() else { continue };
        eras.push(Era { from, keys: bytes.and_then(|bytes| Keys::of(&bytes)) });
    }
    let last = store.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await?.items.pop();
    Ok(Found { eras, head: read_head(&**store).await?, last })
}

/// Keeps new keys. Where that can not be they live as long as this master: what it writes can be checked until then.
async fn keep(secrets: &Secrets, term: Term, now: Timestamp, from: u64, bytes: &[u8]) -> Result<(), AskError> {
    // Names are in the order of their texts.
    if !secrets.try_put_own((term, now), &format!("{KEYS}{from:020}"), bytes).await? {
        let file = secrets.place();
        warn!(
            row = from,
            file, "audit key could not be kept: what is written from here on can be checked by this master alone"
        );
    }
    Ok(())
}

async fn write_head(store: &dyn Store, term: Term, head: &Head) -> Result<(), StoreError> {
    let text = serde_json::to_string(head).map_err(|error| wrong(&error.to_string()))?;
    store.append_audit(term, &[], &text).await.map_err(unwritten)
}

/// Why a master can not start that could write nothing down.
pub(crate) fn unwritten(error: CommitError) -> StoreError {
    match error {
        CommitError::Unavailable(error) => StoreError::Unavailable(error),
        CommitError::Fenced | CommitError::Refused { .. } => wrong(&error.to_string()),
    }
}

fn wrong(why: &str) -> StoreError {
    StoreError::Unavailable(std::io::Error::other(why.to_owned()))
}

fn unread(error: AskError) -> StoreError {
    wrong(&error.to_string())
}
