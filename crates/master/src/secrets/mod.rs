//! Stored secrets: sealed in the store, opened for the worker of a task that names them, shown to nobody. Credentials of
//! registries are kept the same way (`registries.rs`).

mod keys;
pub(crate) mod registries;
mod sealed;

use crate::mailbox::AskError;
use cloudai_core::ids::{SecretName, Term, UserId};
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
pub use keys::KeyError;
use sealed::{Sealed, Stored};
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The largest secret: a key or a certificate chain is far below it.
pub(crate) const MAX_SECRET: usize = 64 << 10;
/// The most secrets of one user.
pub(crate) const MAX_SECRETS: usize = 1000;
/// Before the names of all facts that are secrets.
const PREFIX: &str = "secret/";
/// The names of all facts that are the cluster's own.
const OWN: [&str; 4] = [crate::pki::CA_KEY, crate::pki::FIRST_TEXT, crate::auth::SIGNING_KEY, crate::audit::KEYS];

/// Whether nobody but the cluster stored this.
fn is_own(id: &str) -> bool {
    OWN.iter().any(|own| id.starts_with(own))
}

/// What an operator says of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretRules {
    /// Where their keys are; without a file they live as long as the master.
    pub key_file: Option<PathBuf>,
    /// Whether a task may be given one as a variable.
    pub allow_env: bool,
}

/// The secrets of a cluster, and its credentials of registries.
#[derive(Debug)]
pub(crate) struct Secrets {
    sealed: Sealed,
    pub(crate) allow_env: bool,
}

/// A secret as everybody may see it who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) name: SecretName,
    pub(crate) bytes: usize,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Secrets {
    /// # Errors
    /// [`KeyError`]: the keys can not be read.
    pub(crate) fn open(rules: SecretRules, store: Arc<dyn Store>) -> Result<Self, KeyError> {
        let SecretRules { key_file, allow_env } = rules;
        Ok(Self { sealed: Sealed::open(key_file, store)?, allow_env })
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
        let (stored, fresh) = self.sealed.put(term, now, &id(owner, name), value).await?;
        Ok((about(name.clone(), &stored), fresh))
    }

    /// How many values, those of registries included, were sealed with a key that is not here any more.
    pub(crate) async fn lost(&self) -> Result<usize, AskError> {
        self.sealed.lost().await
    }

    /// Where the keys are, for people.
    pub(crate) fn place(&self) -> String {
        self.sealed.place()
    }

    /// All of a user, in the order of their names.
    pub(crate) async fn of(&self, owner: &UserId) -> Result<Vec<About>, AskError> {
        let found = self.sealed.list(&format!("{PREFIX}{owner}/")).await?;
        Ok(found.into_iter().filter_map(|(name, stored)| Some(about(name.parse().ok()?, &stored))).collect())
    }

    /// Whether there is one.
    pub(crate) async fn knows(&self, owner: &UserId, name: &SecretName) -> Result<bool, AskError> {
        self.sealed.knows(&id(owner, name)).await
    }

    /// Removes one; answers whether it was there.
    pub(crate) async fn remove(&self, term: Term, owner: &UserId, name: &SecretName) -> Result<bool, AskError> {
        self.sealed.remove(term, &id(owner, name)).await
    }

    /// Its value; none where there is none.
    pub(crate) async fn value(
        &self,
        owner: &UserId,
        name: &SecretName,
    ) -> Result<Option<Result<Zeroizing<Vec<u8>>, KeyError>>, AskError> {
        self.sealed.value(&id(owner, name)).await
    }

    /// A value of the cluster's own, by the whole name of its fact; none where there is none.
    pub(crate) async fn own(&self, id: &str) -> Result<Option<Result<Zeroizing<Vec<u8>>, KeyError>>, AskError> {
        debug_assert!(is_own(id), "{id} is sealed with no new key");
        self.sealed.value(id).await
    }

    /// Keeps one.
    pub(crate) async fn put_own(&self, (term, now): (Term, Timestamp), id: &str, value: &[u8]) -> Result<(), AskError> {
        self.sealed.put(term, now, id, value).await.map(drop)
    }

    /// Keeps one that may be lost; answers whether it could be sealed.
    pub(crate) async fn try_put_own(
        &self,
        (term, now): (Term, Timestamp),
        id: &str,
        value: &[u8],
    ) -> Result<bool, AskError> {
        self.sealed.try_put(term, now, id, value).await
    }

    /// The cluster's own whose names begin so, each under the rest of its name; none for one that can not be opened.
    pub(crate) async fn all_own(&self, prefix: &str) -> Result<Vec<(String, Option<Zeroizing<Vec<u8>>>)>, AskError> {
        self.sealed.values(prefix).await
    }

    /// Removes one.
    pub(crate) async fn drop_own(&self, term: Term, id: &str) -> Result<(), AskError> {
        self.sealed.remove(term, id).await.map(drop)
    }

    /// Seals every value, those of registries included, with a new key, then forgets the old ones; answers how many.
    pub(crate) async fn rotate(&self, term: Term) -> Result<usize, AskError> {
        self.sealed.rotate(term).await
    }
}

/// The name of its fact.
fn id(owner: &UserId, name: &SecretName) -> String {
    format!("{PREFIX}{owner}/{name}")
}

fn about(name: SecretName, stored: &Stored) -> About {
    About { name, bytes: stored.bytes, created_at: stored.created_at, updated_at: stored.updated_at }
}
