//! How people and programs come in: by a password, a refresh token, a link; and who shows a token.

use super::lockout::Try;
use super::secret::KEY;
use super::session::{self, Session};
use super::token::{Claims, Wrong};
use super::user::User;
use super::{AuthError, Identity, secret};
use crate::mailbox::AskError;
use crate::principal::{Principal, Role};
use cloudai_core::ids::{ProjectName, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_core::time::Timestamp;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tracing::{info, warn};
use zeroize::Zeroizing;

/// How long a browser that followed a link is signed in: a day at the screen, without a page that refreshes.
const BY_LINK: Duration = Duration::from_secs(12 * 60 * 60);

/// What whoever signs in is given. Its `Debug` shows no token.
pub(crate) struct Tokens {
    pub(crate) access: Zeroizing<String>,
    /// How long that is good.
    pub(crate) expires_in: Duration,
    pub(crate) refresh: Zeroizing<String>,
    pub(crate) user: UserId,
    pub(crate) role: Role,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("user", &self.user).field("role", &self.role).finish_non_exhaustive()
    }
}

/// Somebody who showed a token that is one.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) who: Principal,
    pub(crate) by: By,
}

/// What was shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct By {
    /// The name of an API key.
    pub(crate) key: Option<String>,
    /// The session of an access token.
    pub(crate) session: Option<String>,
    /// When it ends by itself.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Why nobody is known by what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("the token is none of this cluster's")]
    Foreign,
    #[error("the access token has expired")]
    Expired,
    #[error("the session of the access token has ended")]
    Ended,
    /// The user was changed since.
    #[error("the access token is of before its user was changed")]
    Old,
    #[error("there is no such API key, or no longer")]
    NoKey,
    #[error("the API key has expired")]
    KeyExpired,
}

impl Identity {
    /// Who shows a token: a lookup in memory.
    pub(crate) fn authenticate(&self, shown: &str) -> Result<Entered, Unknown> {
        if shown.starts_with(KEY) { self.by_key(shown) } else { self.by_access_token(shown) }
    }

    fn by_key(&self, shown: &str) -> Result<Entered, Unknown> {
        let (directory, now, hash) = (self.directory(), self.now(), secret::digest(shown));
        let key = directory.key(&hash).ok_or(Unknown::NoKey)?;
        if key.expires_at.is_some_and(|end| end <= now) {
            return Err(Unknown::KeyExpired);
        }
        let who = directory.principal(&key.owner, key.role).ok_or(Unknown::NoKey)?;
        self.used().insert(hash, now);
        let by = By { key: Some(key.name.clone()), session: None, expires_at: key.expires_at };
        Ok(Entered { who, by })
    }

    fn by_access_token(&self, shown: &str) -> Result<Entered, Unknown> {
        let now = self.now();
        let claims = self.signer.read(shown, now).map_err(|wrong| match wrong {
            Wrong::Foreign => Unknown::Foreign,
            Wrong::Expired => Unknown::Expired,
        })?;
        let Claims { sub, generation, sid, exp, role: _, iat: _, iss: _ } = claims;
        let directory = self.directory();
        let user = directory.active(&sub).ok_or(Unknown::Ended)?;
        if user.generation != generation {
            return Err(Unknown::Old);
        }
        if self.sessions().get(&sid, now).is_none_or(|session| session.user != sub) {
            return Err(Unknown::Ended);
        }
        let who = directory.principal(&sub, None).ok_or(Unknown::Ended)?;
        let expires_at = Some(Timestamp::from_millis(exp.saturating_mul(1000)));
        Ok(Entered { who, by: By { key: None, session: Some(sid), expires_at } })
    }

    /// Signs in by a password. Whoever is not there takes as long to be refused, with the same words.
    pub(crate) async fn login(
        &self,
        name: &str,
        password: Zeroizing<String>,
        peer: Option<IpAddr>,
    ) -> Result<Tokens, AuthError> {
        let tried = Try { name, peer };
        self.lockout().admit(tried, self.now()).map_err(AuthError::Later)?;
        let id = name.parse::<UserId>().ok();
        let user = id.as_ref().and_then(|id| self.directory().active(id).cloned());
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let is_right = self.hasher.is_of(hash, password).await?;
        let (Some(id), Some(user), true) = (id, user, is_right) else {
            self.lockout().failed(tried, self.now());
            // A name that nobody has may be a password in the wrong field.
            warn!(peer = peer.map(tracing::field::display), "a sign-in failed");
            return Err(AuthError::WrongPassword);
        };
        self.lockout().succeeded(tried);
        let _alone = self.changing().await;
        // It may have been changed while it was looked at.
        let now_known = self.directory().active(&id).cloned();
        let same = now_known.filter(|now| now.generation == user.generation).ok_or(AuthError::WrongPassword)?;
        let tokens = self.begin(&id, &same).await?;
        info!(user = %id, "a user signed in");
        Ok(tokens)
    }

    /// Begins a session; whoever calls is alone.
    async fn begin(&self, id: &UserId, user: &User) -> Result<Tokens, AuthError> {
        let too_many = self.sessions().too_many(id);
        for name in too_many {
            self.end(&name).await?;
        }
        let (name, now) = (session::name(), self.now());
        let (refresh, hash) = session::refresh_token(&name);
        self.keep(&name, self.session(id, Some(hash), now + self.rules.refresh)).await?;
        self.tokens(id, user, &name, refresh)
    }

    fn tokens(&self, id: &UserId, user: &User, session: &str, refresh: Zeroizing<String>) -> Result<Tokens, AuthError> {
        let access = self.access_token(id, user, session, self.rules.access)?;
        Ok(Tokens { access, expires_in: self.rules.access, refresh, user: id.clone(), role: user.role })
    }

    fn access_token(
        &self,
        id: &UserId,
        user: &User,
        session: &str,
        valid: Duration,
    ) -> Result<Zeroizing<String>, AuthError> {
        let iat = self.now().as_millis() / 1000;
        let claims = Claims {
            sub: id.clone(),
            role: user.role,
            generation: user.generation,
            sid: session.to_owned(),
            iat,
            exp: iat.saturating_add(valid.as_secs()),
            iss: self.signer.issuer().to_owned(),
        };
        let token = self.signer.sign(&claims);
        let token = token.ok_or_else(|| AskError::Internal("no access token could be signed".into()))?;
        Ok(Zeroizing::new(token))
    }

    /// Goes on with a session: new tokens for the refresh token, which is good once. One that was used before ends it.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, AuthError> {
        let name = session::named_by(token).ok_or(AuthError::Ended)?;
        let _alone = self.changing().await;
        let now = self.now();
        let found = self.sessions().get(name, now).cloned().ok_or(AuthError::Ended)?;
        if found.refresh != Some(secret::digest(token)) {
            self.end(name).await?;
            warn!(user = %found.user, "a refresh token came a second time, its session was ended");
            return Err(AuthError::Ended);
        }
        let Some(user) = self.directory().active(&found.user).cloned() else {
            self.end(name).await?;
            return Err(AuthError::Ended);
        };
        let (refresh, hash) = session::refresh_token(name);
        let id = found.user.clone();
        self.keep(name, Session { refresh: Some(hash), expires_at: now + self.rules.refresh, ..found }).await?;
        self.tokens(&id, &user, name, refresh)
    }

    /// Ends a session by its refresh token, also by one that was used. What is none ends nothing.
    pub(crate) async fn logout(&self, token: &str) -> Result<(), AuthError> {
        match session::named_by(token) {
            Some(name) => self.end_session(name).await,
            None => Ok(()),
        }
    }

    /// Ends a session.
    pub(crate) async fn end_session(&self, name: &str) -> Result<(), AuthError> {
        let _alone = self.changing().await;
        let found = self.sessions().get(name, self.now()).map(|session| session.user.clone());
        if let Some(user) = found {
            self.end(name).await?;
            info!(%user, "a user signed out");
        }
        Ok(())
    }

    /// Ends one; whoever calls is alone.
    pub(super) async fn end(&self, name: &str) -> Result<(), AuthError> {
        self.drop_fact(&format!("{}{name}", session::PREFIX)).await?;
        self.sessions().remove(name);
        Ok(())
    }

    /// Ends all of a user; whoever calls is alone.
    pub(super) async fn end_all_of(&self, user: &UserId) -> Result<(), AuthError> {
        let all = self.sessions().of(user);
        for name in all {
            self.end(&name).await?;
        }
        Ok(())
    }

    /// One that begins now.
    fn session(&self, user: &UserId, refresh: Option<Sha256>, expires_at: Timestamp) -> Session {
        let (created_at, incarnation) = (self.now(), self.incarnation);
        Session { user: user.clone(), refresh, created_at, expires_at, incarnation }
    }

    async fn keep(&self, name: &str, session: Session) -> Result<(), AuthError> {
        self.set_fact(&format!("{}{name}", session::PREFIX), &session).await?;
        self.sessions().put(name.to_owned(), session);
        Ok(())
    }

    /// The code of a link that signs an administrator in once; none where there is no administrator.
    pub(crate) fn login_code(&self) -> Option<String> {
        let admin = self.directory().an_admin().cloned()?;
        Some(self.links().make(admin, self.now()))
    }

    /// Signs in by the code of a link: the access token for the cookie, and how long it is good.
    pub(crate) async fn follow(&self, code: &str) -> Result<(Zeroizing<String>, Duration), AuthError> {
        let taken = self.links().take(code, self.now());
        let id = taken.ok_or(AuthError::Ended)?;
        let _alone = self.changing().await;
        let user = self.directory().active(&id).cloned().ok_or(AuthError::Ended)?;
        let (name, now) = (session::name(), self.now());
        self.keep(&name, self.session(&id, None, now + BY_LINK)).await?;
        let access = self.access_token(&id, &user, &name, BY_LINK)?;
        info!(user = %id, "a login link was followed");
        Ok((access, BY_LINK))
    }

    /// The projects of a user, in the order of their names.
    pub(crate) fn projects_of(&self, name: &UserId) -> Vec<ProjectName> {
        let directory = self.directory();
        let own = directory.projects().filter(|(_, project)| project.members.contains(name));
        own.map(|(project, _)| project.clone()).collect()
    }
}
