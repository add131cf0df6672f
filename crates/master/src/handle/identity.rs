//! Who comes in, and who may change what: the one place that says so of tasks and jobs.

use super::Handle;
use crate::auth::{AuthError, Identity};
use crate::mailbox::AskError;
use crate::model::{SeenJob, SeenTask};
use crate::principal::{Principal, Role};
use cloudai_core::ids::{JobId, TaskId, UserId};
use std::fmt;

impl Handle {
    /// Everybody who may come in.
    /// # Errors
    /// [`AuthError::NoUsers`] where nobody has to say who they are.
    pub(crate) fn identity(&self) -> Result<&Identity, AuthError> {
        self.shared.identity.as_ref().ok_or(AuthError::NoUsers)
    }

    /// Whether callers have to say who they are.
    #[must_use]
    pub fn has_users(&self) -> bool {
        self.shared.identity.is_some()
    }

    /// The path of a link that signs an administrator in once, within ten minutes; the first page where there are no
    /// users.
    #[must_use]
    pub fn login_link(&self) -> String {
        let code = self.shared.identity.as_ref().and_then(Identity::login_code);
        code.map_or_else(|| "/".into(), |code| format!("/login/{code}"))
    }

    /// A new API key of an administrator under this name, which takes the place of earlier ones: for a command line on
    /// the master's own machine.
    /// # Errors
    /// [`AskError`]; also where there are no users.
    pub async fn local_key(&self, name: &str) -> Result<String, AskError> {
        let key = match self.identity() {
            Ok(identity) => identity.remake_key(name).await,
            Err(error) => Err(error),
        };
        key.map(|key| key.to_string()).map_err(|error| match error {
            AuthError::Ask(error) => error,
            other => AskError::Internal(other.to_string()),
        })
    }

    /// Looks after users for as long as it is polled.
    pub(crate) async fn tend_users(&self) {
        match &self.shared.identity {
            Some(identity) => identity.tend().await,
            None => std::future::pending().await,
        }
    }

    /// The owner of a task, who sees what a user of the same projects does.
    pub(crate) fn owner(&self, name: &UserId) -> Principal {
        match &self.shared.identity {
            Some(identity) => Principal::person(name.clone(), Role::User, identity.team(name)),
            None => Principal::of(name.clone()),
        }
    }

    /// Somebody for whom is done now what was ordered before.
    /// # Errors
    /// [`AskError::Forbidden`] for who may order nothing any more.
    pub(crate) fn orderer(&self, name: &UserId) -> Result<Principal, AskError> {
        match &self.shared.identity {
            Some(identity) => identity.owner(name).ok_or_else(|| {
                let why = format!("{name} was removed, disabled or made a viewer, and runs nothing on this cluster");
                AskError::Forbidden(why.into())
            }),
            None => Ok(Principal::of(name.clone())),
        }
    }

    /// Whoever looks for what somebody's task finds: the owner, also where another one asks for it.
    pub(super) fn as_owner(&self, who: &Principal, owner: &UserId) -> Principal {
        if who.user == *owner { who.clone() } else { self.owner(owner) }
    }

    /// Whether the caller may change something that the caller sees.
    /// # Errors
    /// [`AskError::Forbidden`].
    pub(crate) fn may_change(&self, who: &Principal, owner: &UserId, what: &dyn fmt::Display) -> Result<(), AskError> {
        if who.may_change(owner) {
            return Ok(());
        }
        let why = if who.user == *owner {
            format!("{what} is yours, and the role {} changes nothing", who.role())
        } else {
            format!("{what} is {owner}'s: you see it and may not change it")
        };
        Err(AskError::Forbidden(why.into()))
    }

    /// A task that the caller may change.
    /// # Errors
    /// As [`Handle::task`]; [`AskError::Forbidden`] for one that the caller only sees.
    pub(crate) async fn task_to_change(&self, who: &Principal, id: TaskId) -> Result<SeenTask, AskError> {
        let task = self.task(who, id).await?;
        self.may_change(who, &task.record.owner, &id)?;
        Ok(task)
    }

    /// A job that the caller may change.
    /// # Errors
    /// As [`Handle::job`]; [`AskError::Forbidden`] for one that the caller only sees.
    pub(crate) async fn job_to_change(&self, who: &Principal, id: JobId) -> Result<SeenJob, AskError> {
        let job = self.job(who, id).await?;
        self.may_change(who, &job.record.owner, &id)?;
        Ok(job)
    }
}
