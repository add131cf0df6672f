//! API keys: made for programs, shown once, stored under their hash.

use super::secret::{KEY, digest, random};
use super::{AuthError, Identity};
use crate::principal::{Principal, Role};
use cloudai_core::ids::UserId;
use cloudai_core::sha256::Sha256;
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};
use zeroize::Zeroizing;

/// Before the names of the facts of keys.
pub(crate) const PREFIX: &str = "apikey/";
/// The most keys of one user.
const OF_USER: usize = 100;
/// The longest name, in characters.
pub(crate) const LONGEST_NAME: usize = 100;
/// A key's last use is stored when the stored one is so much older.
const RARELY: Duration = Duration::from_secs(60 * 60);

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// What it is called in lists and when it is removed; says nothing of the key.
    pub(crate) id: String,
    pub(crate) owner: UserId,
    /// For people.
    pub(crate) name: String,
    /// The most that it may, also where its owner may more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    pub(crate) created_at: Timestamp,
    /// Never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Told rarely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_used: Option<Timestamp>,
}

/// What somebody wants a key to be.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) role: Option<Role>,
    pub(crate) valid: Option<Duration>,
    /// When whoever wishes it has to leave: its key is no way to stay.
    pub(crate) at_most_until: Option<Timestamp>,
}

impl Identity {
    /// A user's keys, each with its last use.
    pub(crate) fn keys(&self, owner: &UserId) -> Vec<Key> {
        let keys = self.directory().keys_of(owner);
        let used = self.used();
        let shown = |(hash, key): (Sha256, Arc<Key>)| {
            let last_used = used.get(&hash).copied().max(key.last_used);
            Key { last_used, ..Key::clone(&key) }
        };
        keys.into_iter().map(shown).collect()
    }

    /// Makes a key for a user; answers it with what is stored. It may what its maker may, or less.
    pub(crate) async fn make_key(
        &self,
        who: &Principal,
        owner: &UserId,
        wish: Wish,
    ) -> Result<(Zeroizing<String>, Key), AuthError> {
        let _alone = self.changing().await;
        let (directory, now) = (self.directory(), self.now());
        directory.user(owner).ok_or_else(|| AuthError::no_user(owner))?;
        if directory.keys_of(owner).len() >= OF_USER {
            return Err(AuthError::TooMany(format!("{owner} has {OF_USER} API keys, the most there may be")));
        }
        let cap = if *owner == who.user { who.rank() } else { None };
        if let (Some(wished), Some(cap)) = (wish.role, cap)
            && wished > cap
        {
            let problem = format!("is more than you may: {cap} or less is allowed");
            return Err(AuthError::field("role", Some(wished.word()), problem));
        }
        let wished = wish.valid.map(|valid| now + valid);
        let expires_at = match (wished, wish.at_most_until) {
            (Some(wished), Some(most)) => Some(wished.min(most)),
            (wished, most) => wished.or(most),
        };
        let key = Key {
            id: hex::encode(rand::random::<[u8; 8]>()),
            owner: owner.clone(),
            name: wish.name,
            role: wish.role.or_else(|| cap.filter(|cap| directory.user(owner).is_some_and(|user| user.role > *cap))),
            created_at: now,
            expires_at,
            last_used: None,
        };
        let secret = Zeroizing::new(format!("{KEY}{}", *random()));
        self.keep_key(digest(&secret), key.clone()).await?;
        info!(user = %who.user, owner = %owner, key = key.id, "an api key was made");
        Ok((secret, key))
    }

    /// Makes a key of an administrator's under a name, in the place of earlier ones of that name.
    pub(crate) async fn remake_key(&self, name: &str) -> Result<Zeroizing<String>, AuthError> {
        let admin = self.directory().an_admin().cloned();
        let admin = admin.ok_or_else(|| AuthError::NoSuch("the cluster has no administrator".into()))?;
        let who = self.directory().principal(&admin, None).ok_or_else(|| AuthError::no_user(&admin))?;
        for key in self.keys(&admin).into_iter().filter(|key| key.name == name) {
            self.remove_key(&who, &admin, &key.id).await?;
        }
        let wish = Wish { name: name.to_owned(), role: None, valid: None, at_most_until: None };
        Ok(self.make_key(&who, &admin, wish).await?.0)
    }

    /// Removes a key of a user.
    pub(crate) async fn remove_key(&self, who: &Principal, owner: &UserId, id: &str) -> Result<(), AuthError> {
        let _alone = self.changing().await;
        let found = self.directory().keys_of(owner).into_iter().find(|(_, key)| key.id == id);
        let (hash, _) = found.ok_or_else(|| AuthError::NoSuch(format!("{owner} has no API key {id:?}")))?;
        self.drop_key(hash).await?;
        info!(user = %who.user, owner = %owner, key = id, "an api key was removed");
        Ok(())
    }

    /// Removes all of a user; whoever calls is alone.
    pub(super) async fn drop_keys_of(&self, owner: &UserId) -> Result<(), AuthError> {
        for (hash, _) in self.directory().keys_of(owner) {
            self.drop_key(hash).await?;
        }
        Ok(())
    }

    async fn drop_key(&self, hash: Sha256) -> Result<(), AuthError> {
        self.drop_fact(&format!("{PREFIX}{hash}")).await?;
        self.change(|all| all.with_key(hash, None));
        self.used().remove(&hash);
        Ok(())
    }

    async fn keep_key(&self, hash: Sha256, key: Key) -> Result<(), AuthError> {
        self.set_fact(&format!("{PREFIX}{hash}"), &key).await?;
        self.change(|all| all.with_key(hash, Some(key)));
        Ok(())
    }

    /// Stores when keys were used, of those whose stored time is old.
    pub(crate) async fn tend_keys(&self) {
        let now = self.now();
        let used: Vec<(Sha256, Timestamp)> = self.used().iter().map(|(hash, at)| (*hash, *at)).collect();
        for (hash, at) in used {
            let _alone = self.changing().await;
            let Some(key) = self.directory().key(&hash).cloned() else { continue };
            if key.last_used.is_some_and(|stored| at.since(stored) < RARELY) {
                continue;
            }
            if let Err(error) = self.keep_key(hash, Key { last_used: Some(at), ..Key::clone(&key) }).await {
                warn!(%error, key = key.id, "the last use of an api key was not stored");
                return;
            }
        }
        // The stored time is as good now.
        self.used().retain(|_, at| now.since(*at) < RARELY);
    }
}
