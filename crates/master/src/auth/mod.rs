//! Who may come in: users with passwords, sessions, API keys, projects. Knows nothing of HTTP and of tasks.
//!
//! Everything is a fact of the store and is looked up in memory: `directory` (users, projects, keys) is changed as a
//! whole after its commit, `session` beside it. `entering` says who somebody is, `people` changes users and projects,
//! `key` API keys. `password`, `token`, `secret`, `lockout` and `login_link` are pure, or nearly so.

mod directory;
pub(crate) mod entering;
pub(crate) mod key;
mod lockout;
mod login_link;
pub(crate) mod password;
pub(crate) mod people;
pub(crate) mod project;
mod rules;
mod secret;
mod session;
#[cfg(test)]
pub(crate) mod tests;
mod token;
pub(crate) mod user;

pub use password::Costs;
pub(crate) use project::Project;
pub use rules::AuthRules;
pub(crate) use token::LEAST_KEY;

use crate::clock::Clock;
use crate::mailbox::AskError;
use crate::principal::{Principal, Role};
use crate::secrets::Secrets;
use arc_swap::ArcSwap;
use cloudai_core::ids::{Incarnation, Term, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use directory::Directory;
use lockout::Lockout;
use login_link::Links;
use password::Hasher;
use serde::Serialize;
use session::{Session, Sessions};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use token::Signer;
use tracing::warn;
use user::User;
use zeroize::Zeroizing;

/// The fact of the key that signs access tokens.
pub(crate) const SIGNING_KEY: &str = "auth/jwt";
/// Between two looks at what has ended.
const TEND: Duration = Duration::from_secs(10 * 60);

/// Why something of users is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// The cluster was started without identities.
    #[error("this cluster has no users: its master was started with --insecure")]
    NoUsers,
    /// Nobody is told which of them it is.
    #[error("the name or the password is wrong")]
    WrongPassword,
    /// Too many failures: wait.
    #[error("too many failed attempts: wait {} s", seconds(*.0))]
    Later(Duration),
    /// The refresh token is none, or none any more.
    #[error("the session has ended")]
    Ended,
    /// A value is not allowed.
    #[error("{path} {problem}")]
    Field {
        /// Which.
        path: &'static str,
        /// What was given; nothing of what is secret.
        value: Option<String>,
        /// What is allowed.
        problem: String,
    },
    /// It is not there.
    #[error("{0}")]
    NoSuch(String),
    /// It is there already.
    #[error("{0}")]
    Taken(String),
    /// Nobody could look after the cluster any more.
    #[error("{0} is the last administrator who can sign in: make another one first")]
    LastAdmin(UserId),
    /// Nobody registers.
    #[error("people do not register here (auth.self_register is false): an administrator makes users")]
    Closed,
    /// There are as many as there may be.
    #[error("{0}")]
    TooMany(String),
    /// It could not be read or stored.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl AuthError {
    fn field(path: &'static str, value: Option<&str>, problem: impl Into<String>) -> Self {
        Self::Field { path, value: value.map(ToOwned::to_owned), problem: problem.into() }
    }

    fn no_user(name: &UserId) -> Self {
        Self::NoSuch(format!("there is no user {name}"))
    }
}

/// A wait in whole seconds, at least one.
pub(crate) fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// What identities are made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) secrets: &'a Secrets,
    pub(crate) clock: Arc<Clock>,
    pub(crate) term: Term,
    /// The cluster's id, and which life of its data this is.
    pub(crate) cluster: (String, Incarnation),
}

/// Everybody who may come in, and how.
pub(crate) struct Identity {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    term: Term,
    incarnation: Incarnation,
    rules: AuthRules,
    signer: Signer,
    hasher: Hasher,
    directory: ArcSwap<Directory>,
    sessions: Mutex<Sessions>,
    lockout: Mutex<Lockout>,
    links: Mutex<Links>,
    /// When keys were used last, in this master's life.
    used: Mutex<BTreeMap<Sha256, Timestamp>>,
    /// One change at a time: it follows from what is there.
    changing: tokio::sync::Mutex<()>,
}

/// Shown without the store, whose facts hold the hashes of passwords.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("rules", &self.rules)
            .field("signer", &self.signer)
            .field("directory", &self.directory)
            .field("sessions", &self.sessions)
            .field("lockout", &self.lockout)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

/// The password of the administrator that a first start makes.
pub(crate) type FirstPassword = Option<Zeroizing<String>>;

impl Identity {
    /// Loads everybody; the first time makes an administrator.
    /// # Errors
    /// What is stored can not be read, or nothing can be stored.
    pub(crate) async fn open(rules: AuthRules, parts: Parts<'_>) -> Result<(Self, FirstPassword), AskError> {
        let Parts { store, secrets, clock, term, cluster: (cluster, incarnation) } = parts;
        let now = clock.now();
        let hasher = Hasher::start(rules.costs).await?;
        let mut directory = Directory::load(&*store).await?;
        let mut first = None;
        if directory.is_empty() {
            let password = secret::password();
            let admin = User::new(Role::Admin, Some(hasher.hash(password.clone()).await?), now);
            let name = user::FIRST.parse::<UserId>().map_err(|why| AskError::Internal(why.to_string()))?;
            store.set_fact(term, &format!("{}{name}", user::PREFIX), &json(&admin)?).await?;
            directory = directory.with_user(name, admin);
            first = Some(password);
        }
        let mut sessions = Sessions::default();
        for (name, session) in directory::facts::<String, Session>(&*store, session::PREFIX).await? {
            if session.incarnation == incarnation {
                sessions.put(name, session);
            } else {
                store.drop_fact(term, &format!("{}{name}", session::PREFIX)).await?;
            }
        }
        let signer = Signer::new(signing_key(&rules, secrets, (term, now)).await?, cluster);
        let identity = Self {
            store,
            clock,
            term,
            incarnation,
            rules,
            signer,
            hasher,
            directory: ArcSwap::from_pointee(directory),
            sessions: Mutex::new(sessions),
            lockout: Mutex::default(),
            links: Mutex::default(),
            used: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        };
        Ok((identity, first))
    }

    /// Somebody for whom something is done that was ordered before; none who may order nothing any more.
    pub(crate) fn owner(&self, name: &UserId) -> Option<Principal> {
        self.directory().principal(name, Some(Role::User)).filter(|who| who.has(Role::User))
    }

    /// Whose tasks somebody sees, whether that one may come in or not.
    pub(crate) fn team(&self, name: &UserId) -> Arc<std::collections::BTreeSet<UserId>> {
        self.directory().team(name)
    }

    /// Removes what has ended for as long as it is polled.
    pub(crate) async fn tend(&self) {
        loop {
            tokio::time::sleep(TEND).await;
            self.tend_sessions().await;
            self.tend_keys().await;
        }
    }

    /// Removes sessions whose time is over.
    async fn tend_sessions(&self) {
        let expired = self.sessions().expired(self.now());
        for name in expired {
            let _alone = self.changing().await;
            if let Err(error) = self.end(&name).await {
                warn!(%error, "a session that is over was not removed");
                return;
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// Changes who is looked up; whoever calls is alone, and has stored it.
    fn change(&self, change: impl FnOnce(Directory) -> Directory) {
        let before = Directory::clone(&self.directory.load());
        self.directory.store(Arc::new(change(before)));
    }

    async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used(&self) -> MutexGuard<'_, BTreeMap<Sha256, Timestamp>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn set_fact<T: Serialize + Sync>(&self, name: &str, value: &T) -> Result<(), AuthError> {
        Ok(self.store.set_fact(self.term, name, &json(value)?).await.map_err(AskError::from)?)
    }

    async fn drop_fact(&self, name: &str) -> Result<(), AuthError> {
        self.store.drop_fact(self.term, name).await.map_err(AskError::from)?;
        Ok(())
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, AskError> {
    serde_json::to_string(value).map_err(|why| AskError::Internal(why.to_string()))
}

/// The key that signs access tokens: the one that is configured, else one that the cluster made. Where that can not be
/// opened any more a new one is made: tokens live for minutes, and sessions go on.
async fn signing_key(
    rules: &AuthRules,
    secrets: &Secrets,
    (term, now): (Term, Timestamp),
) -> Result<Zeroizing<Vec<u8>>, AskError> {
    if let Some(secret) = &rules.jwt_secret {
        return Ok(Zeroizing::new(secret.as_bytes().to_vec()));
    }
    match secrets.own(SIGNING_KEY).await? {
        Some(Ok(key)) if key.len() >= LEAST_KEY => return Ok(key),
        Some(found) => {
            let error = found.err().map_or_else(|| "it is too short".to_owned(), |error| error.to_string());
            warn!(error, "the key of access tokens can not be used, a new one was made");
            secrets.drop_own(term, SIGNING_KEY).await?;
        }
        None => {}
    }
    let fresh = Zeroizing::new(rand::random::<[u8; LEAST_KEY]>().to_vec());
    if let Err(error) = secrets.put_own((term, now), SIGNING_KEY, &fresh).await {
        warn!(%error, "the key of access tokens was not kept and ends with this master");
    }
    Ok(fresh)
}
