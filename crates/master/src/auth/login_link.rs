//! Links that sign in once, for whoever sees what `cloudai up` prints. They live in memory, and not for long.

use super::secret::{digest, random};
use cloudai_core::ids::UserId;
use cloudai_core::sha256::Sha256;
use cloudai_core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a link may be followed.
const VALID: Duration = Duration::from_secs(10 * 60);
/// Links that wait to be followed; beyond, the oldest goes.
const MOST: usize = 16;

/// The links that wait to be followed.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<Sha256, (UserId, Timestamp)>);

impl Links {
    /// The code of a new one, for a user.
    pub(crate) fn make(&mut self, user: UserId, now: Timestamp) -> String {
        self.0.retain(|_, (_, until)| *until > now);
        while self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, (_, until))| *until).map(|(code, _)| *code);
            let Some(oldest) = oldest else { break };
            self.0.remove(&oldest);
        }
        let code = random();
        self.0.insert(digest(&code), (user, now + VALID));
        code.to_string()
    }

    /// Whom a code signs in, now and never again.
    pub(crate) fn take(&mut self, code: &str, now: Timestamp) -> Option<UserId> {
        self.0.remove(&digest(code)).filter(|(_, until)| *until > now).map(|(user, _)| user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn ann() -> UserId {
        "ann".parse().unwrap()
    }

    #[test]
    fn a_code_signs_in_once_and_for_ten_minutes() {
        let mut links = Links::default();
        let (one, other) = (links.make(ann(), NOW), links.make(ann(), NOW));
        assert_ne!(one, other);
        assert_eq!(links.take("x", NOW), None);
        assert_eq!(links.take(&one, NOW), Some(ann()));
        assert_eq!(links.take(&one, NOW), None);
        assert_eq!(links.take(&other, NOW + VALID), None);
        assert_eq!(links.take(&other, NOW), None, "who came late has used it up");
        assert!(!format!("{links:?}").contains(&one));
    }

    #[test]
    fn codes_are_bounded_and_the_latest_stay() {
        let mut links = Links::default();
        let codes: Vec<String> = (0..20).map(|second| links.make(ann(), NOW + Duration::from_secs(second))).collect();
        assert_eq!(links.0.len(), MOST);
        assert_eq!(links.take(&codes[3], NOW), None);
        assert_eq!(links.take(&codes[19], NOW), Some(ann()));
    }
}
