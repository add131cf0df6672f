//! Sealed values: each a fact of the store, bound to the name of its fact. What they mean is their users' business.

use super::keys::{KeyError, Keyring};
use crate::mailbox::AskError;
use cloudai_core::ids::Term;
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Before the names of all facts that are sealed: the kinds of values that there are.
const PREFIXES: [&str; 6] = [
    super::PREFIX,
    super::registries::PREFIX,
    crate::pki::CA_KEY,
    crate::pki::FIRST_TEXT,
    crate::auth::SIGNING_KEY,
    crate::audit::KEYS,
];

/// Whether the cluster goes on without this value: the audit log tells itself which of its keys are lost, and they are kept
/// for ever.
fn may_be_lost(id: &str) -> bool {
    id.starts_with(crate::audit::KEYS)
}

/// The sealed values of a cluster.
#[derive(Debug)]
pub(super) struct Sealed {
    keys: Keyring,
    store: Arc<dyn Store>,
    /// One change at a time: a new key takes in every value.
    changing: tokio::sync::Mutex<()>,
}

/// What is stored of a value.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    sealed: String,
    pub(super) bytes: usize,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl Sealed {
    /// # Errors
    /// [`KeyError`]: the keys can not be read.
    pub(super) fn open(key_file: Option<PathBuf>, store: Arc<dyn Store>) -> Result<Self, KeyError> {
        Ok(Self { keys: Keyring::open(key_file)?, store, changing: tokio::sync::Mutex::default() })
    }

    /// Keeps a value under the name of a fact, in the place of an earlier one; answers what is stored and whether it is a
    /// new one.
    pub(super) async fn put(
        &self,
        term: Term,
        now: Timestamp,
        id: &str,
        value: &[u8],
    ) -> Result<(Stored, bool), AskError> {
        let _alone = self.changing.lock().await;
        self.nothing_lost().await?;
        let before = self.stored(id).await?;
        let stored = Stored {
            sealed: self.keys.seal(id, value)?,
            bytes: value.len(),
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            updated_at: now,
        };
        self.set(term, id, &stored).await?;
        Ok((stored, before.is_none()))
    }

    /// Keeps a value that may be lost under the name of a fact; answers whether it could be sealed. Beside values whose
    /// key is lost no new key is made: then it is noted that there was one, and nobody can open it.
    pub(super) async fn try_put(&self, term: Term, now: Timestamp, id: &str, value: &[u8]) -> Result<bool, AskError> {
        let _alone = self.changing.lock().await;
        let sealed = if self.lost().await? == 0 { self.keys.seal(id, value).ok() } else { None };
        let kept = sealed.is_some();
        let sealed = sealed.unwrap_or_default();
        self.set(term, id, &Stored { sealed, bytes: value.len(), created_at: now, updated_at: now }).await?;
        Ok(kept)
    }

    /// The values of all whose facts' names begin so, each under the rest of its name; none for one that can not be opened.
    pub(super) async fn values(&self, prefix: &str) -> Result<Vec<(String, Option<Zeroizing<Vec<u8>>>)>, AskError> {
        let facts = self.store.facts(prefix).await?;
        let read = |(id, text): (String, String)| {
            let name = id.strip_prefix(prefix)?.to_owned();
            let stored = serde_json::from_str::<Stored>(&text).ok();
            Some((name, stored.and_then(|stored| self.opened(&id, &stored).ok())))
        };
        Ok(facts.into_iter().filter_map(read).collect())
    }

    /// How many were sealed with a key that is not here any more, and are missed.
    pub(super) async fn lost(&self) -> Result<usize, AskError> {
        let facts = self.facts().await?;
        let missed = facts.iter().filter(|(id, _)| !may_be_lost(id));
        let sealed = missed.filter_map(|(_, text)| serde_json::from_str::<Stored>(text).ok());
        Ok(sealed.filter(|stored| !self.keys.knows(&stored.sealed)).count())
    }

    /// Where the keys are, for people.
    pub(super) fn place(&self) -> String {
        self.keys.place()
    }

    /// All whose facts' names begin so, in their order, each under the rest of its name. One that can not be read is none.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<(String, Stored)>, AskError> {
        let facts = self.store.facts(prefix).await?;
        let read = |(id, text): (String, String)| {
            Some((id.strip_prefix(prefix)?.to_owned(), serde_json::from_str(&text).ok()?))
        };
        Ok(facts.into_iter().filter_map(read).collect())
    }

    /// Whether there is one.
    pub(super) async fn knows(&self, id: &str) -> Result<bool, AskError> {
        Ok(self.store.fact(id).await?.is_some())
    }

    /// Removes one; answers whether it was there.
    pub(super) async fn remove(&self, term: Term, id: &str) -> Result<bool, AskError> {
        let _alone = self.changing.lock().await;
        self.store.drop_fact(term, id).await.map_err(AskError::from)
    }

    /// The value of one; none where there is none.
    pub(super) async fn value(&self, id: &str) -> Result<Option<Result<Zeroizing<Vec<u8>>, KeyError>>, AskError> {
        Ok(self.stored(id).await?.map(|stored| self.opened(id, &stored)))
    }

    /// The value of what is stored under this name.
    /// # Errors
    /// [`KeyError`]: its key is not here, or it was changed.
    pub(super) fn opened(&self, id: &str, stored: &Stored) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.keys.open_sealed(id, &stored.sealed)
    }

    /// Seals every value with a new key, then forgets the old ones; answers how many values. Cut off in the middle it
    /// leaves some under the old key, which is kept until all are under a new one. The cluster's own are not counted: nobody
    /// stored them.
    pub(super) async fn rotate(&self, term: Term) -> Result<usize, AskError> {
        let _alone = self.changing.lock().await;
        self.nothing_lost().await?;
        self.keys.renew()?;
        let facts = self.facts().await?;
        for (id, text) in &facts {
            match self.sealed_anew(id, text) {
                Ok(stored) => self.set(term, id, &stored).await?,
                // One that nobody can open stays as it is.
                Err(_) if may_be_lost(id) => {}
                Err(error) => return Err(error),
            }
        }
        self.keys.forget_old()?;
        Ok(facts.iter().filter(|(id, _)| !super::is_own(id)).count())
    }

    /// The same value under the key of now.
    fn sealed_anew(&self, id: &str, text: &str) -> Result<Stored, AskError> {
        let stored: Stored = serde_json::from_str(text).map_err(|why| AskError::Internal(why.to_string()))?;
        let value = self.opened(id, &stored)?;
        let sealed = self.keys.seal(id, &value)?;
        Ok(Stored { sealed, ..stored })
    }

    async fn nothing_lost(&self) -> Result<(), AskError> {
        match self.lost().await? {
            0 => Ok(()),
            lost => Err(KeyError::Lost { secrets: lost, place: self.keys.place() }.into()),
        }
    }

    /// Every one of every kind.
    async fn facts(&self) -> Result<Vec<(String, String)>, AskError> {
        let mut all = Vec::new();
        for prefix in PREFIXES {
            all.extend(self.store.facts(prefix).await?);
        }
        Ok(all)
    }

    async fn stored(&self, id: &str) -> Result<Option<Stored>, AskError> {
        let Some(text) = self.store.fact(id).await? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|why| AskError::Internal(format!("{id} can not be read: {why}")))
    }

    async fn set(&self, term: Term, id: &str, stored: &Stored) -> Result<(), AskError> {
        let text = serde_json::to_string(stored).map_err(|why| AskError::Internal(why.to_string()))?;
        self.store.set_fact(term, id, &text).await.map_err(AskError::from)
    }
}
