//! Which cluster a worker's folder belongs to: known from its first registration on, so that a
//! worker that starts while no master answers looks after its containers all the same.

use crate::convert::Registered;
use crate::files;
use cloudai_core::ids::Incarnation;
use cloudai_core::timing::Timing;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "membership.json";
const INSTANCE: &str = "instance";

/// A random word that stays with the folder.
/// # Errors
/// It can not be read or written.
pub(crate) fn instance(dir: &Path) -> io::Result<String> {
    match std::fs::read_to_string(dir.join(INSTANCE)) {
        Ok(word) if !word.trim().is_empty() => return Ok(word.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let word = format!("{:032x}", rand::random::<u128>());
    files::replace(dir, INSTANCE, word.as_bytes())?;
    Ok(word)
}

/// What the last registration told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) cluster: Arc<str>,
    pub(crate) incarnation: Incarnation,
    heartbeat: Duration,
    inactive: Duration,
    lease: Duration,
    margin: Duration,
}

impl Membership {
    pub(crate) fn of(registered: &Registered) -> Self {
        let Timing { heartbeat, inactive, lease, margin } = registered.timing;
        let (cluster, incarnation) = (Arc::clone(&registered.cluster), registered.incarnation);
        Self { cluster, incarnation, heartbeat, inactive, lease, margin }
    }

    /// The cluster's times as they were.
    pub(crate) const fn timing(&self) -> Timing {
        let Self { heartbeat, inactive, lease, margin, .. } = *self;
        Timing { heartbeat, inactive, lease, margin }
    }

    /// What is known; none before the first registration.
    /// # Errors
    /// It can not be read.
    pub(crate) fn load(dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(dir.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// It can not be written.
    pub(crate) fn save(&self, dir: &Path) -> io::Result<()> {
        files::replace(dir, FILE, &serde_json::to_vec(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_word_and_no_two_have_the_same() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let word = instance(one.path()).unwrap();
        assert_eq!(instance(one.path()).unwrap(), word);
        assert_ne!(instance(other.path()).unwrap(), word);
    }

    #[test]
    fn what_a_registration_told_is_known_in_the_next_life() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Membership::load(dir.path()).unwrap(), None);
        let lease = Duration::from_millis(90_500);
        let ack = cloudai_proto::v1::RegisterAck {
            cluster: "c".into(),
            incarnation: 3,
            lease_ms: 90_500,
            ..Default::default()
        };
        let member = Membership::of(&crate::convert::registered(&ack));
        member.save(dir.path()).unwrap();
        let known = Membership::load(dir.path()).unwrap().unwrap();
        assert_eq!((&known, known.timing().lease), (&member, lease));
    }
}
