//! Credentials of registries: of one user, or of the whole cluster; opened for the worker that pulls an image.

use super::{KeyError, Secrets};
use crate::mailbox::AskError;
use cloudai_core::ids::{Term, UserId};
use cloudai_core::spec::RegistryName;
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// The most registries of one user, and of the cluster.
pub(crate) const MAX_REGISTRIES: usize = 100;
/// Before the names of all facts that are credentials.
pub(super) const PREFIX: &str = "registry/";

/// Whose credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// One user's, for this one's tasks.
    User(UserId),
    /// The cluster's, for the tasks of all who have none of their own.
    Cluster,
}

/// A name and a password. Its `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Credentials as everybody may see them who may use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AboutRegistry {
    pub(crate) host: RegistryName,
    pub(crate) whose: Whose,
    /// None when what is stored can not be opened.
    pub(crate) username: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What is sealed.
#[derive(Serialize)]
struct Written<'a> {
    username: &'a str,
    password: &'a str,
}

#[derive(Deserialize)]
struct Read {
    username: String,
    password: String,
}

impl Secrets {
    /// Keeps credentials, in the place of earlier ones for the registry; answers what they are and whether they are new.
    pub(crate) async fn put_registry(
        &self,
        term: Term,
        now: Timestamp,
        (whose, host): (&Whose, &RegistryName),
        credentials: &Credentials,
    ) -> Result<(AboutRegistry, bool), AskError> {
        let Credentials { username, password } = credentials;
        let written = serde_json::to_vec(&Written { username, password });
        let value = Zeroizing::new(written.map_err(|why| AskError::Internal(why.to_string()))?);
        let (stored, fresh) = self.sealed.put(term, now, &id(whose, host), &value).await?;
        let about = AboutRegistry {
            host: host.clone(),
            whose: whose.clone(),
            username: Some(username.clone()),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        };
        Ok((about, fresh))
    }

    /// All of one user, or of the cluster, in the order of their registries.
    pub(crate) async fn registries_of(&self, whose: &Whose) -> Result<Vec<AboutRegistry>, AskError> {
        let found = self.sealed.list(&prefix(whose)).await?;
        let about = |(name, stored): (String, super::Stored)| {
            let host: RegistryName = name.parse().ok()?;
            let value = self.sealed.opened(&id(whose, &host), &stored).ok();
            let username = value.and_then(|value| read(&value).ok()).map(|found| found.username);
            let (created_at, updated_at) = (stored.created_at, stored.updated_at);
            Some(AboutRegistry { host, whose: whose.clone(), username, created_at, updated_at })
        };
        Ok(found.into_iter().filter_map(about).collect())
    }

    /// Whether there are any for a registry.
    pub(crate) async fn knows_registry(&self, whose: &Whose, host: &RegistryName) -> Result<bool, AskError> {
        self.sealed.knows(&id(whose, host)).await
    }

    /// Removes those of a registry; answers whether there were any.
    pub(crate) async fn remove_registry(
        &self,
        term: Term,
        whose: &Whose,
        host: &RegistryName,
    ) -> Result<bool, AskError> {
        self.sealed.remove(term, &id(whose, host)).await
    }

    /// The credentials of a registry; none where there are none.
    pub(crate) async fn credentials(
        &self,
        whose: &Whose,
        host: &RegistryName,
    ) -> Result<Option<Result<Credentials, KeyError>>, AskError> {
        let found = self.sealed.value(&id(whose, host)).await?;
        Ok(found.map(|value| value.and_then(|value| read(&value))))
    }
}

fn read(value: &[u8]) -> Result<Credentials, KeyError> {
    // What was opened is what was sealed: only another version could have written it in another form.
    let found: Read = serde_json::from_slice(value).map_err(|_| KeyError::Broken)?;
    Ok(Credentials { username: found.username, password: Zeroizing::new(found.password) })
}

/// Before the names of the facts of one owner. No user has the empty name that stands for the cluster.
fn prefix(whose: &Whose) -> String {
    match whose {
        Whose::User(user) => format!("{PREFIX}{user}/"),
        Whose::Cluster => format!("{PREFIX}/"),
    }
}

fn id(whose: &Whose, host: &RegistryName) -> String {
    format!("{}{host}", prefix(whose))
}

#[cfg(test)]
mod tests {
    use super::super::SecretRules;
    use super::*;
    use cloudai_core::testing::START;
    use cloudai_store::Store;
    use cloudai_store::memory::MemoryStore;
    use std::path::Path;
    use std::sync::Arc;

    const PASSWORD: &str = "correct-horse";

    fn host() -> RegistryName {
        "ghcr.io".parse().unwrap()
    }

    fn ann() -> Whose {
        Whose::User("ann".parse().unwrap())
    }

    fn credentials(username: &str) -> Credentials {
        Credentials { username: username.into(), password: Zeroizing::new(PASSWORD.into()) }
    }

    /// Credentials of a user and of the cluster, and a secret beside them.
    async fn filled(key_file: &Path) -> (Arc<dyn Store>, Term, Secrets) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let term = store.lead().await.unwrap();
        let secrets = opened(key_file, &store);
        for (whose, username) in [(ann(), "a"), (Whose::Cluster, "all")] {
            secrets.put_registry(term, START, (&whose, &host()), &credentials(username)).await.unwrap();
        }
        secrets.put(term, START, &"ann".parse().unwrap(), &"token".parse().unwrap(), b"value").await.unwrap();
        (store, term, secrets)
    }

    fn opened(key_file: &Path, store: &Arc<dyn Store>) -> Secrets {
        let rules = SecretRules { key_file: Some(key_file.to_owned()), allow_env: false };
        Secrets::open(rules, Arc::clone(store)).unwrap()
    }

    async fn username(secrets: &Secrets, whose: &Whose) -> Option<String> {
        secrets.credentials(whose, &host()).await.unwrap().map(|found| found.unwrap().username)
    }

    #[tokio::test]
    async fn credentials_are_their_owners_alone_and_stand_nowhere_in_the_clear() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _, secrets) = filled(&dir.path().join("k")).await;
        assert_eq!(username(&secrets, &ann()).await.as_deref(), Some("a"));
        assert_eq!(username(&secrets, &Whose::Cluster).await.as_deref(), Some("all"));
        let bob = Whose::User("bob".parse().unwrap());
        assert_eq!(username(&secrets, &bob).await, None);
        assert!(secrets.registries_of(&bob).await.unwrap().is_empty());
        assert_eq!(secrets.registries_of(&Whose::Cluster).await.unwrap().len(), 1);
        let facts = store.facts("").await.unwrap();
        assert!(facts.iter().any(|(name, _)| name == "registry/ann/ghcr.io"), "{facts:?}");
        assert!(!format!("{facts:?} {:?}", credentials("a")).contains(PASSWORD));
    }

    #[tokio::test]
    async fn a_new_key_seals_credentials_and_secrets_alike() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k");
        let (store, term, secrets) = filled(&file).await;
        let before = std::fs::read_to_string(&file).unwrap();
        assert_eq!(secrets.rotate(term).await.unwrap(), 3);
        assert_ne!(std::fs::read_to_string(&file).unwrap(), before);
        let later = opened(&file, &store);
        assert_eq!(later.lost().await.unwrap(), 0);
        let found = later.credentials(&ann(), &host()).await.unwrap().unwrap().unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("a", PASSWORD));
        assert_eq!(username(&later, &Whose::Cluster).await.as_deref(), Some("all"));
    }

    #[tokio::test]
    async fn without_their_key_credentials_are_listed_and_removed_and_no_other_key_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k");
        let (store, term, _) = filled(&file).await;
        std::fs::remove_file(&file).unwrap();
        let later = opened(&file, &store);
        assert_eq!(later.lost().await.unwrap(), 3);
        let listed = later.registries_of(&ann()).await.unwrap();
        assert_eq!((&listed[0].host, &listed[0].username), (&host(), &None));
        let told = later.credentials(&ann(), &host()).await.unwrap().unwrap().unwrap_err().to_string();
        assert!(told.contains("bring back the file"), "{told}");
        let refused = later.put_registry(term, START, (&ann(), &host()), &credentials("b")).await.unwrap_err();
        assert!(refused.to_string().contains("bring back the file") && !file.exists(), "{refused}");
        for whose in [ann(), Whose::Cluster] {
            assert!(later.remove_registry(term, &whose, &host()).await.unwrap());
        }
        later.remove(term, &"ann".parse().unwrap(), &"token".parse().unwrap()).await.unwrap();
        assert!(later.put_registry(term, START, (&ann(), &host()), &credentials("b")).await.is_ok());
    }
}
