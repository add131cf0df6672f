//! Sessions: what a refresh token belongs to, in memory as it is stored. Pure: they are told the time.
//!
//! A refresh token names its session and is good once. One that names a session and is not its latest was used before,
//! by its owner or by a thief: nobody can tell, so the session ends.

use super::secret::{REFRESH, digest, random};
use cloudai_core::ids::{Incarnation, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Before the names of the facts of sessions.
pub(crate) const PREFIX: &str = "session/";
/// The most sessions of one user; beyond, the one ends that was not used for longest.
const OF_USER: usize = 100;
/// Digits of a session's name: 128 bits.
const NAME: usize = 32;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user: UserId,
    /// The hash of the latest refresh token; none where none was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<Sha256>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The life of the data in which it began: what a restored backup brings back is none.
    #[serde(default)]
    pub(crate) incarnation: Incarnation,
}

/// The name of a new one.
pub(crate) fn name() -> String {
    hex::encode(rand::random::<[u8; NAME / 2]>())
}

/// A refresh token of a session, and what is kept of it.
pub(crate) fn refresh_token(session: &str) -> (Zeroizing<String>, Sha256) {
    let token = Zeroizing::new(format!("{REFRESH}{session}{}", *random()));
    let hash = digest(&token);
    (token, hash)
}

/// The session that a refresh token names.
pub(crate) fn named_by(token: &str) -> Option<&str> {
    token.strip_prefix(REFRESH)?.get(..NAME).filter(|name| name.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// All that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<String, Session>);

impl Sessions {
    /// One that has not ended by this time.
    pub(crate) fn get(&self, name: &str, now: Timestamp) -> Option<&Session> {
        self.0.get(name).filter(|session| session.expires_at > now)
    }

    /// Keeps one, in the place of what it was before.
    pub(crate) fn put(&mut self, name: String, session: Session) {
        self.0.insert(name, session);
    }

    /// Forgets one.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The names of all of a user.
    pub(crate) fn of(&self, user: &UserId) -> Vec<String> {
        self.0.iter().filter(|(_, session)| session.user == *user).map(|(name, _)| name.clone()).collect()
    }

    /// Those of a user that must end before there is one more.
    pub(crate) fn too_many(&self, user: &UserId) -> Vec<String> {
        let mut all: Vec<_> = self.0.iter().filter(|(_, session)| session.user == *user).collect();
        all.sort_by_key(|(_, session)| session.expires_at);
        let beyond = (all.len() + 1).saturating_sub(OF_USER);
        all.into_iter().take(beyond).map(|(name, _)| name.clone()).collect()
    }

    /// Those whose time is over.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<String> {
        self.0.iter().filter(|(_, session)| session.expires_at <= now).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn session(user: &str, seconds: u64) -> Session {
        let expires_at = NOW + Duration::from_secs(seconds);
        Session { user: user.parse().unwrap(), refresh: None, created_at: NOW, expires_at, incarnation: Incarnation(1) }
    }

    #[test]
    fn a_refresh_token_names_its_session_and_is_kept_as_its_hash() {
        let name = name();
        let ((one, hash), (other, _)) = (refresh_token(&name), refresh_token(&name));
        assert_eq!((named_by(&one), named_by(&other)), (Some(name.as_str()), Some(name.as_str())));
        assert!(*one != *other && hash == digest(&one));
        for bad in ["", "cair_", "cair_0123", &name, &format!("cair_{}", "ü".repeat(32)), "caik_0123"] {
            assert_eq!(named_by(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_session_ends_with_its_time() {
        let mut all = Sessions::default();
        all.put("a".into(), session("ann", 10));
        assert!(all.get("a", NOW + Duration::from_secs(9)).is_some());
        assert!(all.get("a", NOW + Duration::from_secs(10)).is_none());
        assert_eq!(all.expired(NOW + Duration::from_secs(10)), ["a"]);
        assert!(all.expired(NOW).is_empty());
        all.remove("a");
        assert!(all.get("a", NOW).is_none());
    }

    #[test]
    fn of_too_many_sessions_of_a_user_those_end_that_were_not_used_for_longest() {
        let mut all = Sessions::default();
        all.put("bob".into(), session("bob", 1));
        for number in 0..OF_USER as u64 {
            assert!(all.too_many(&"ann".parse().unwrap()).is_empty());
            all.put(number.to_string(), session("ann", 1000 - number));
        }
        assert_eq!(all.too_many(&"ann".parse().unwrap()), [(OF_USER - 1).to_string()]);
        assert_eq!(all.of(&"ann".parse().unwrap()).len(), OF_USER);
    }
}
