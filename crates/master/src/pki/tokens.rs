//! Join tokens: what lets a worker ask for its first certificate. Kept as hashes; only the first one, which every
//! operator may be shown again, is kept sealed as well.

use super::{PkiError, Refusal};
use crate::mailbox::AskError;
use crate::secrets::Secrets;
use cloudai_core::ids::Term;
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Before the names of all facts that are tokens.
const PREFIX: &str = "jointoken/";
/// The one that the first start makes.
pub const FIRST: &str = "first";
/// The sealed text of that one.
pub(crate) const FIRST_TEXT: &str = "sealed/jointoken/first";
/// The most tokens: those that are of no use any more make room for new ones.
pub const MOST: usize = 1000;
/// What every token begins with.
const HEAD: &str = "cai1-";

/// What is known of a token; not the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Of its last part.
    sha256: String,
    /// Whether it lets in more than one worker.
    pub reusable: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How many certificates were given for it.
    #[serde(default)]
    pub uses: u64,
    /// Whether it lets nobody in any more.
    #[serde(default)]
    pub revoked: bool,
    /// The key that it was used with: that worker may not have heard the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_by: Option<String>,
}

/// Whether a token is good for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It lets workers in.
    Valid,
    /// It was for one worker, which has come.
    Used,
    /// Its time is over.
    Expired,
    /// Somebody took it back.
    Revoked,
}

impl TokenState {
    /// As programs read it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl TokenRecord {
    /// What it is good for now.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.revoked {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|end| now >= end) {
            TokenState::Expired
        } else if !self.reusable && self.uses > 0 {
            TokenState::Used
        } else {
            TokenState::Valid
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Tokens {
    store: Arc<dyn Store>,
    /// Of the CA: every token names it.
    ca: String,
    first: String,
    all: Mutex<BTreeMap<String, TokenRecord>>,
}

impl Tokens {
    /// Those that are stored, with the first one.
    /// # Errors
    /// [`PkiError`].
    pub(super) async fn open(
        store: &Arc<dyn Store>,
        secrets: &Secrets,
        (term, now): (Term, Timestamp),
        ca: String,
    ) -> Result<Self, PkiError> {
        let facts = store.facts(PREFIX).await.map_err(AskError::from)?;
        let read = |(name, text): (String, String)| {
            let record: TokenRecord = serde_json::from_str(&text).map_err(|why| PkiError::damaged(&name, &why))?;
            Ok::<_, PkiError>((name.strip_prefix(PREFIX).unwrap_or_default().to_owned(), record))
        };
        let all = facts.into_iter().map(read).collect::<Result<BTreeMap<_, _>, PkiError>>()?;
        let first = match secrets.own(FIRST_TEXT).await? {
            Some(text) => {
                let text = text?;
                String::from_utf8(text.to_vec()).map_err(|why| PkiError::damaged(FIRST_TEXT, &why))?
            }
            None => {
                let text = fresh(&ca);
                secrets.put_own((term, now), FIRST_TEXT, text.as_bytes()).await?;
                text
            }
        };
        let tokens = Self { store: Arc::clone(store), ca, first, all: Mutex::new(all) };
        // A start that was cut off may have left the text alone.
        if !tokens.lock().contains_key(FIRST) {
            let record = TokenRecord::new(&tokens.first, true, now, None);
            tokens.keep(term, FIRST, record).await?;
        }
        Ok(tokens)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TokenRecord>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text of the first one.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// All of them, in the order of their ids.
    pub(super) fn list(&self) -> Vec<(String, TokenRecord)> {
        self.lock().iter().map(|(id, record)| (id.clone(), record.clone())).collect()
    }

    /// One of them.
    pub(super) fn get(&self, id: &str) -> Option<TokenRecord> {
        self.lock().get(id).cloned()
    }

    /// Makes one; answers its id, its text and what is kept of it. None when there are too many.
    pub(super) async fn make(
        &self,
        (term, now): (Term, Timestamp),
        reusable: bool,
        life: Option<Duration>,
    ) -> Result<Option<(String, String, TokenRecord)>, AskError> {
        let dead = |(id, record): (&String, &TokenRecord)| {
            (id != FIRST && record.state(now) != TokenState::Valid).then(|| id.clone())
        };
        let crowded = self.lock().len() >= MOST;
        let gone: Vec<String> = if crowded { self.lock().iter().filter_map(dead).collect() } else { Vec::new() };
        for id in gone {
            self.store.drop_fact(term, &format!("{PREFIX}{id}")).await?;
            self.lock().remove(&id);
        }
        if self.lock().len() >= MOST {
            return Ok(None);
        }
        let (id, text) = (hex::encode(rand::random::<[u8; 4]>()), fresh(&self.ca));
        let record = TokenRecord::new(&text, reusable, now, life.map(|life| now + life));
        self.keep(term, &id, record.clone()).await?;
        Ok(Some((id, text, record)))
    }

    /// Takes one back; answers whether there is such a one.
    pub(super) async fn revoke(&self, term: Term, id: &str) -> Result<bool, AskError> {
        let Some(record) = self.get(id) else { return Ok(false) };
        self.keep(term, id, TokenRecord { revoked: true, ..record }).await?;
        Ok(true)
    }

    /// The id of a token that lets a worker in that has this key.
    pub(super) fn admits(&self, token: &str, now: Timestamp, key: Option<&str>) -> Result<String, Refusal> {
        if token.is_empty() {
            return Err(Refusal::NoToken);
        }
        let (ca, secret) = parts(token).ok_or(Refusal::WrongToken)?;
        let digest = hex::encode(Sha256::digest(secret));
        let all = self.lock();
        // Digests are compared, so the time taken tells nothing about a token.
        let found = all.iter().find(|(_, record)| ca == self.ca && record.sha256 == digest);
        let (id, record) = found.ok_or(Refusal::WrongToken)?;
        match record.state(now) {
            TokenState::Valid => Ok(id.clone()),
            TokenState::Used if key.is_some() && record.used_by.as_deref() == key => Ok(id.clone()),
            TokenState::Used => Err(Refusal::UsedToken(id.clone())),
            TokenState::Expired => Err(Refusal::ExpiredToken(id.clone())),
            TokenState::Revoked => Err(Refusal::RevokedToken(id.clone())),
        }
    }

    /// Notes that a certificate is about to be given for one.
    pub(super) async fn used(&self, term: Term, id: &str, key: &str) -> Result<(), AskError> {
        let Some(record) = self.get(id) else { return Ok(()) };
        let used_by = (!record.reusable).then(|| key.to_owned());
        self.keep(term, id, TokenRecord { uses: record.uses.saturating_add(1), used_by, ..record }).await
    }

    /// Nobody acts on it before it is stored.
    async fn keep(&self, term: Term, id: &str, record: TokenRecord) -> Result<(), AskError> {
        let text = serde_json::to_string(&record).map_err(|why| AskError::Internal(why.to_string()))?;
        self.store.set_fact(term, &format!("{PREFIX}{id}"), &text).await?;
        self.lock().insert(id.to_owned(), record);
        Ok(())
    }
}

impl TokenRecord {
    fn new(text: &str, reusable: bool, created_at: Timestamp, expires_at: Option<Timestamp>) -> Self {
        let secret = parts(text).map_or("", |(_, secret)| secret);
        let sha256 = hex::encode(Sha256::digest(secret));
        Self { sha256, reusable, created_at, expires_at, uses: 0, revoked: false, used_by: None }
    }
}

/// 128 random bits, behind the hash of the CA that whoever shows them shall look for.
fn fresh(ca: &str) -> String {
    format!("{HEAD}{ca}-{}", hex::encode(rand::random::<[u8; 16]>()))
}

/// The CA's hash and the secret.
fn parts(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix(HEAD)?.split_once('-').filter(|(_, secret)| !secret.is_empty())
}
