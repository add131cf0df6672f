//! Stored secrets: sealed in the store, opened for the worker of a task that names them, shown to nobody.

mod keys;

use crate::mailbox::AskError;
use cloudai_core::ids::{SecretName, Term, UserId};
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
pub use keys::KeyError;
use keys::Keyring;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The largest secret: a key or a certificate chain is far below it.
pub(crate) const MAX_SECRET: usize = 64 << 10;
/// The most secrets of one user.
pub(crate) const MAX_SECRETS: usize = 1000;
/// Before the names of all facts that are secrets.
const PREFIX: &str = "secret/";

/// What an operator says of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretRules {
    /// Where their keys are; without a file they live as long as the master.
    pub key_file: Option<PathBuf>,
    /// Whether a task may be given one as a variable.
    pub allow_env: bool,
}

/// The secrets of a cluster.
#[derive(Debug)]
pub(crate) struct Secrets {
    keys: Keyring,
    store: Arc<dyn Store>,
    pub(crate) allow_env: bool,
    /// One change at a time: a new key takes in every value.
    changing: tokio::sync::Mutex<()>,
}

/// A secret as everybody may see it who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) name: SecretName,
    pub(crate) bytes: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    sealed: String,
    bytes: usize,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Secrets {
    /// # Errors
    /// [`KeyError`]: the keys can not be read.
    pub(crate) fn open(rules: SecretRules, store: Arc<dyn Store>) -> Result<Self, KeyError> {
        let SecretRules { key_file, allow_env } = rules;
        Ok(Self { keys: Keyring::open(key_file)?, store, allow_env, changing: tokio::sync::Mutex::default() })
    }

    /// Keeps a value under a name, in the place of an earlier one; answers what it is and whether it is a new one.
    pub(crate) async fn put(
        &self,
        term: Term,
        now: Timestamp,
        owner: &UserId,
        name: &SecretName,
        value: &[u8],
    ) -> Result<(About, bool), AskError> {
        let _alone = self.changing.lock().await;
        let id = id(owner, name);
        let lost = self.lost().await?;
        if lost > 0 {
            return Err(KeyError::Lost { secrets: lost, place: self.keys.place() }.into());
        }
        let before = self.stored(&id).await?;
        let stored = Stored {
            sealed: self.keys.seal(&id, value)?,
            bytes: value.len(),
            created_at: before.as_ref().map_or(now, |before| before.created_at),
            updated_at: now,
        };
        self.set(term, &id, &stored).await?;
        Ok((about(name.clone(), &stored), before.is_none()))
    }

    /// How many were sealed with a key that is not here any more.
    pub(crate) async fn lost(&self) -> Result<usize, AskError> {
        let facts = self.store.facts(PREFIX).await?;
        let sealed = facts.iter().filter_map(|(_, text)| serde_json::from_str::<Stored>(text).ok());
        Ok(sealed.filter(|stored| !self.keys.knows(&stored.sealed)).count())
    }

    /// Where the keys are, for people.
    pub(crate) fn place(&self) -> String {
        self.keys.place()
    }

    /// All of a user, in the order of their names.
    pub(crate) async fn of(&self, owner: &UserId) -> Result<Vec<About>, AskError> {
        let prefix = format!("{PREFIX}{owner}/");
        let facts = self.store.facts(&prefix).await?;
        let read = |(id, text): (String, String)| {
            let name = id.strip_prefix(&prefix)?.parse().ok()?;
            Some(about(name, &serde_json::from_str(&text).ok()?))
        };
        Ok(facts.into_iter().filter_map(read).collect())
    }

    /// Whether there is one.
    pub(crate) async fn knows(&self, owner: &UserId, name: &SecretName) -> Result<bool, AskError> {
        Ok(self.store.fact(&id(owner, name)).await?.is_some())
    }

    /// Removes one; answers whether it was there.
    pub(crate) async fn remove(&self, term: Term, owner: &UserId, name: &SecretName) -> Result<bool, AskError> {
        let _alone = self.changing.lock().await;
        self.store.drop_fact(term, &id(owner, name)).await.map_err(AskError::from)
    }

    /// Its value; none where there is none.
    pub(crate) async fn value(
        &self,
        owner: &UserId,
        name: &SecretName,
    ) -> Result<Option<Result<Zeroizing<Vec<u8>>, KeyError>>, AskError> {
        let id = id(owner, name);
        Ok(self.stored(&id).await?.map(|stored| self.keys.open_sealed(&id, &stored.sealed)))
    }

    /// Seals every value with a new key, then forgets the old ones; answers how many values. Cut off in the middle it
    /// leaves some under the old key, which is kept until all are under a new one.
    pub(crate) async fn rotate(&self, term: Term) -> Result<usize, AskError> {
        let _alone = self.changing.lock().await;
        let lost = self.lost().await?;
        if lost > 0 {
            return Err(KeyError::Lost { secrets: lost, place: self.keys.place() }.into());
        }
        self.keys.renew()?;
        let facts = self.store.facts(PREFIX).await?;
        for (id, text) in &facts {
            let stored: Stored = serde_json::from_str(text).map_err(|why| AskError::Internal(why.to_string()))?;
            let value = self.keys.open_sealed(id, &stored.sealed)?;
            let sealed = self.keys.seal(id, &value)?;
            self.set(term, id, &Stored { sealed, ..stored }).await?;
        }
        self.keys.forget_old()?;
        Ok(facts.len())
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

/// The name of its fact.
fn id(owner: &UserId, name: &SecretName) -> String {
    format!("{PREFIX}{owner}/{name}")
}

fn about(name: SecretName, stored: &Stored) -> About {
    About { name, bytes: stored.bytes, created_at: stored.created_at, updated_at: stored.updated_at }
}
