//! Passwords: which are allowed, and argon2id at a bounded pace. A stored one is text in the PHC form.

use crate::mailbox::{AskError, NotNow};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use cloudai_core::ids::UserId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The fewest characters.
pub(crate) const LEAST: usize = 10;
/// The most: longer ones cost without being safer.
pub(crate) const MOST: usize = 1024;
/// Hashed at a time: two cores at most, and some 40 MiB, however many sign in.
const AT_ONCE: usize = 2;
/// Hashed or waiting for that: each takes some 30 ms, so the last of them waits a second.
const IN_ALL: usize = 64;
/// Bytes of a salt, and of what is kept.
const SALT: usize = 16;
const KEPT: usize = 32;

/// The worst of those that are long enough, in lower case: what is tried first everywhere.
const WORST: [&str; 56] = [
    "0123456789",
    "0987654321",
    "1234567890",
    "1234567891",
    "12345678910",
    "123456789a",
    "123456789q",
    "1234554321",
    "1223334444",
    "123qweasdzxc",
    "12qwaszx34",
    "147258369a",
    "1a2b3c4d5e",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qazxsw23edc",
    "9876543210",
    "abc1234567",
    "abcd123456",
    "abcd1234567",
    "abcdefghij",
    "adminadmin",
    "admin12345",
    "admin123456",
    "administrator",
    "alexander1",
    "asdfghjkl1",
    "asdfghjkl;",
    "basketball",
    "changeme123",
    "changeme1234",
    "cloudaicloudai",
    "cloudaiadmin",
    "correcthorsebatterystaple",
    "footballfootball",
    "iloveyou12",
    "iloveyou123",
    "letmein123",
    "letmein1234",
    "liverpool1",
    "passw0rd123",
    "password01",
    "password12",
    "password123",
    "password1234",
    "passwordpassword",
    "q1w2e3r4t5",
    "q1w2e3r4t5y6",
    "qwerty12345",
    "qwerty123456",
    "qwertyuiop",
    "qwertyuiop1",
    "secret1234",
    "welcome123",
    "zaq12wsxcde3",
];

/// What is wrong with a password that somebody chooses; it is never repeated.
/// # Errors
/// What is allowed.
pub(crate) fn check(password: &str, user: &UserId) -> Result<(), String> {
    let length = password.chars().count();
    if !(LEAST..=MOST).contains(&length) {
        return Err(format!("has {length} characters: {LEAST} to {MOST} are allowed"));
    }
    let plain = password.to_lowercase();
    if plain == user.as_str().to_lowercase() {
        return Err("is the user's name: choose another".into());
    }
    let first = plain.chars().next();
    if WORST.contains(&plain.as_str()) || plain.chars().all(|letter| Some(letter) == first) {
        return Err("is one of those that are tried first: choose another".into());
    }
    Ok(())
}

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// KiB of memory.
    pub memory: u32,
    /// How often that is gone over.
    pub passes: u32,
}

impl Default for Costs {
    /// 19 MiB and two passes, in one lane.
    fn default() -> Self {
        Self { memory: 19 << 10, passes: 2 }
    }
}

impl Costs {
    fn argon2(self) -> Result<Argon2<'static>, AskError> {
        let params = Params::new(self.memory, self.passes, 1, Some(KEPT));
        let params = params.map_err(|why| AskError::Internal(format!("passwords can not be hashed: {why}")))?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }
}

/// What is stored of a password. Its `Debug` shows the costs alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Hash {
    costs: Costs,
    salt: [u8; SALT],
    kept: [u8; KEPT],
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("costs", &self.costs).finish_non_exhaustive()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        let Costs { memory, passes } = hash.costs;
        let (salt, kept) = (STANDARD_NO_PAD.encode(hash.salt), STANDARD_NO_PAD.encode(hash.kept));
        format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${kept}")
    }
}

impl FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is no argon2id hash";
        let rest = text.strip_prefix("$argon2id$v=19$m=").ok_or(WRONG)?;
        let (memory, rest) = rest.split_once(",t=").ok_or(WRONG)?;
        let (passes, rest) = rest.split_once(",p=1$").ok_or(WRONG)?;
        let (salt, kept) = rest.split_once('$').ok_or(WRONG)?;
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| WRONG);
        Ok(Self {
            costs: Costs { memory: memory.parse().map_err(|_| WRONG)?, passes: passes.parse().map_err(|_| WRONG)? },
            salt: bytes(salt)?.try_into().map_err(|_| WRONG)?,
            kept: bytes(kept)?.try_into().map_err(|_| WRONG)?,
        })
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Hash {
    /// Takes some 30 ms.
    fn make(costs: Costs, password: &str) -> Result<Self, AskError> {
        let (salt, mut kept) = (rand::random::<[u8; SALT]>(), [0; KEPT]);
        let hashed = costs.argon2()?.hash_password_into(password.as_bytes(), &salt, &mut kept);
        hashed.map_err(|why| AskError::Internal(format!("a password can not be hashed: {why}")))?;
        Ok(Self { costs, salt, kept })
    }

    /// Takes as long.
    fn is_of(&self, password: &str) -> Result<bool, AskError> {
        let mut kept = [0; KEPT];
        let hashed = self.costs.argon2()?.hash_password_into(password.as_bytes(), &self.salt, &mut kept);
        hashed.map_err(|why| AskError::Internal(format!("a password can not be hashed: {why}")))?;
        Ok(kept[..].ct_eq(&self.kept[..]).into())
    }
}

/// Hashes apart from those who serve others, a few at a time.
#[derive(Debug)]
pub(crate) struct Hasher {
    costs: Costs,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What is compared where there is nothing to compare with, so that it takes as long.
    nobody: Hash,
}

impl Hasher {
    /// Begins; hashes once.
    pub(crate) async fn start(costs: Costs) -> Result<Self, AskError> {
        let nobody = tokio::task::spawn_blocking(move || Hash::make(costs, &super::secret::random())).await;
        let nobody = nobody.map_err(|error| AskError::Internal(error.to_string()))??;
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Ok(Self { costs, turns: semaphore(AT_ONCE), places: semaphore(IN_ALL), nobody })
    }

    /// What is to be stored of a password.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<Hash, AskError> {
        let costs = self.costs;
        self.in_turn(move || Hash::make(costs, &password)).await
    }

    /// Whether it is the password; where none is stored it is not, and that takes as long to say.
    pub(crate) async fn is_of(&self, hash: Option<Hash>, password: Zeroizing<String>) -> Result<bool, AskError> {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        Ok(self.in_turn(move || hash.is_of(&password)).await? && is_known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AskError> + Send + 'static,
    ) -> Result<T, AskError> {
        let _place = self.places.try_acquire().map_err(|_| AskError::Unavailable(NotNow::BUSY))?;
        // It goes with the work: also when nobody waits for that any more, no third begins.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| AskError::Stopped)?;
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        work.await.map_err(|error| AskError::Internal(error.to_string()))?
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The least that there is: what is tested is not how long it takes.
    pub(crate) const CHEAP: Costs = Costs { memory: 8, passes: 1 };

    fn word(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn a_password_is_long_and_neither_the_name_nor_one_that_is_tried_first() {
        let ann: UserId = "Annabelle.Lee".parse().unwrap();
        let rows = [
            ("short 123", Some("10 to 1024")),
            ("long enough", None),
            ("ünïcödé wörd", None),
            ("annabelle.lee", Some("user's name")),
            ("Password123", Some("tried first")),
            ("zzzzzzzzzzzz", Some("tried first")),
            (&"ab".repeat(512), None),
            (&"ab".repeat(513), Some("1026 characters")),
        ];
        for (password, part) in rows {
            match (check(password, &ann), part) {
                (Ok(()), None) => {}
                (Err(said), Some(part)) => assert!(said.contains(part) && !said.contains(password), "{said}"),
                (found, _) => panic!("{password:?}: {found:?}"),
            }
        }
        assert!(WORST.iter().all(|word| word.len() >= LEAST && *word == word.to_lowercase()));
    }

    #[test]
    fn the_default_costs_are_those_that_are_documented() {
        assert_eq!(Costs::default(), Costs { memory: 19456, passes: 2 });
        assert!(Costs::default().argon2().is_ok());
    }

    #[tokio::test]
    async fn a_stored_password_is_read_back_and_tells_its_own_from_any_other() {
        let hasher = Hasher::start(CHEAP).await.unwrap();
        let hash = hasher.hash(word("correct horse")).await.unwrap();
        let text = String::from(hash.clone());
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{text}");
        let read: Hash = serde_json::from_str(&serde_json::to_string(&hash).unwrap()).unwrap();
        assert_eq!(read, hash);
        assert!(hasher.is_of(Some(read.clone()), word("correct horse")).await.unwrap());
        assert!(!hasher.is_of(Some(read), word("correct horsf")).await.unwrap());
        assert!(!hasher.is_of(None, word("correct horse")).await.unwrap());
        assert_ne!(text, String::from(hasher.hash(word("correct horse")).await.unwrap()), "each has a salt of its own");
        for bad in ["", "$argon2i$v=19$m=8,t=1,p=1$AA$AA", &text[..text.len() - 3], "$argon2id$v=19$m=x,t=1,p=1$$"] {
            assert!(bad.parse::<Hash>().is_err(), "{bad}");
        }
        let shown = format!("{hash:?} {hasher:?}");
        assert!(!shown.contains(text.rsplit('$').next().unwrap()) && shown.contains("memory: 8"), "{shown}");
    }

    #[tokio::test]
    async fn beyond_a_bound_who_signs_in_is_told_to_come_again() {
        let hasher = Hasher::start(CHEAP).await.unwrap();
        let _all = hasher.places.acquire_many(u32::try_from(IN_ALL).unwrap()).await.unwrap();
        let refused = hasher.is_of(None, word("x")).await.unwrap_err();
        assert!(matches!(refused, AskError::Unavailable(NotNow::BUSY)), "{refused}");
    }
}
