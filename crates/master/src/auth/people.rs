//! Users and projects: made, changed, removed.

use super::project::{self, MOST_MEMBERS, Project};
use super::user::{self, User};
use super::{AuthError, Identity, password, secret};
use crate::principal::{Principal, Role};
use cloudai_core::ids::{ProjectName, UserId};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use tracing::info;
use zeroize::Zeroizing;

/// What is to be another at a user.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) role: Option<Role>,
    pub(crate) disabled: Option<bool>,
    pub(crate) password: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change")
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .field("password", &self.password.as_ref().map(|_| "(set)"))
            .finish()
    }
}

impl Identity {
    /// Everybody, in the order of their names.
    pub(crate) fn users(&self) -> Vec<(UserId, Arc<User>)> {
        self.directory().users().map(|(name, user)| (name.clone(), Arc::clone(user))).collect()
    }

    /// One user.
    pub(crate) fn user(&self, name: &UserId) -> Result<Arc<User>, AuthError> {
        self.directory().user(name).cloned().ok_or_else(|| AuthError::no_user(name))
    }

    /// Makes a user, with a password of the caller's or one that is answered and shown once.
    pub(crate) async fn add_user(
        &self,
        who: &Principal,
        name: &UserId,
        role: Role,
        given: Option<Zeroizing<String>>,
    ) -> Result<(Arc<User>, Option<Zeroizing<String>>), AuthError> {
        let made = if given.is_none() { Some(secret::password()) } else { None };
        let user = self.make_user(name, role, given.or_else(|| made.clone()), false).await?;
        info!(user = %who.user, made = %name, %role, "a user was made");
        Ok((user, made))
    }

    /// Makes a viewer of whoever asks, where the cluster lets people register.
    pub(crate) async fn register(
        &self,
        name: &UserId,
        password: Zeroizing<String>,
        peer: Option<IpAddr>,
    ) -> Result<Arc<User>, AuthError> {
        if !self.rules.self_register {
            return Err(AuthError::Closed);
        }
        // A name of its own: only the address counts, which makes no thousand users.
        let tried = super::lockout::Try { name: "", peer };
        self.lockout().admit(tried, self.now()).map_err(AuthError::Later)?;
        self.lockout().spent(peer, self.now());
        let user = self.make_user(name, Role::Viewer, Some(password), true).await?;
        info!(user = %name, "a user registered");
        Ok(user)
    }

    async fn make_user(
        &self,
        name: &UserId,
        role: Role,
        password: Option<Zeroizing<String>>,
        by_itself: bool,
    ) -> Result<Arc<User>, AuthError> {
        if name.is_reserved() {
            let problem = "is the cluster's own: local and what begins with system. are not for people";
            return Err(AuthError::field("name", Some(name.as_str()), problem));
        }
        if let Some(password) = &password {
            password::check(password, name).map_err(|problem| AuthError::field("password", None, problem))?;
        }
        self.free(name, by_itself)?;
        let hash = match password {
            Some(password) => Some(self.hasher.hash(password).await?),
            None => None,
        };
        let _alone = self.changing().await;
        // Somebody may have been quicker.
        self.free(name, by_itself)?;
        let now = self.now();
        let fresh = User::new(role, hash, now);
        let user = match self.directory().ever(name) {
            Some(before) => User { generation: before.generation.saturating_add(1), ..fresh },
            None => fresh,
        };
        self.keep_user(name, user).await
    }

    /// Whether a name may be taken. One of a removed user only by an administrator: it comes with all that was that
    /// user's.
    fn free(&self, name: &UserId, by_itself: bool) -> Result<(), AuthError> {
        let directory = self.directory();
        let taken = match directory.ever(name) {
            Some(user) => !user.removed || by_itself,
            None => false,
        };
        if taken {
            return Err(AuthError::Taken(format!("the name {name} is taken")));
        }
        if let Some(like) = directory.like(name) {
            return Err(AuthError::Taken(format!("the name {name} is taken: {like} differs in capital letters alone")));
        }
        if directory.len() >= user::MOST && directory.ever(name).is_none() {
            return Err(AuthError::TooMany(format!("there are {} users, the most there may be", user::MOST)));
        }
        Ok(())
    }

    /// Changes a user. Access tokens of before are refused; a new password and a ban end all sessions.
    pub(crate) async fn change_user(
        &self,
        who: &Principal,
        name: &UserId,
        change: Change,
    ) -> Result<Arc<User>, AuthError> {
        let Change { role, disabled, password } = change;
        self.user(name)?;
        let hash = match password {
            Some(password) => Some(self.checked_hash(name, password).await?),
            None => None,
        };
        let _alone = self.changing().await;
        let before = self.user(name)?;
        let (role, disabled) = (role.unwrap_or(before.role), disabled.unwrap_or(before.disabled));
        let is_admin = role == Role::Admin && !disabled;
        if !is_admin && self.directory().is_last_admin(name) {
            return Err(AuthError::LastAdmin(name.clone()));
        }
        if hash.is_none() && (role, disabled) == (before.role, before.disabled) {
            return Ok(before);
        }
        let ends = hash.is_some() || (disabled && !before.disabled);
        let password = hash.or_else(|| before.password.clone());
        let user = User { role, disabled, password, ..User::clone(&before) }.changed(self.now());
        let user = self.keep_user(name, user).await?;
        if ends {
            self.end_all_of(name).await?;
        }
        info!(user = %who.user, changed = %name, %role, disabled, "a user was changed");
        Ok(user)
    }

    /// Changes one's own password; ends all sessions. Whoever guesses at the old one waits as who signs in does.
    pub(crate) async fn change_password(
        &self,
        who: &Principal,
        (old, new): (Zeroizing<String>, Zeroizing<String>),
        peer: Option<IpAddr>,
    ) -> Result<(), AuthError> {
        let user = self.user(&who.user)?;
        password::check(&new, &who.user).map_err(|problem| AuthError::field("new", None, problem))?;
        let tried = super::lockout::Try { name: who.user.as_str(), peer };
        self.lockout().admit(tried, self.now()).map_err(AuthError::Later)?;
        if !self.hasher.is_of(user.password.clone(), old).await? {
            self.lockout().failed(tried, self.now());
            return Err(AuthError::field("old", None, "is not your password"));
        }
        self.lockout().succeeded(tried);
        let hash = self.hasher.hash(new).await?;
        let _alone = self.changing().await;
        let before = self.user(&who.user)?;
        if before.generation != user.generation {
            return Err(AuthError::Taken("you were changed meanwhile: look, and try again".into()));
        }
        let changed = User { password: Some(hash), ..User::clone(&before) }.changed(self.now());
        self.keep_user(&who.user, changed).await?;
        self.end_all_of(&who.user).await?;
        info!(user = %who.user, "a password was changed");
        Ok(())
    }

    /// Removes a user with keys, sessions and places in projects. What that one owned stays under the name.
    pub(crate) async fn remove_user(&self, who: &Principal, name: &UserId) -> Result<(), AuthError> {
        let _alone = self.changing().await;
        let before = self.user(name)?;
        if self.directory().is_last_admin(name) {
            return Err(AuthError::LastAdmin(name.clone()));
        }
        let gone = User { removed: true, password: None, ..User::clone(&before) }.changed(self.now());
        self.keep_user(name, gone).await?;
        self.end_all_of(name).await?;
        self.drop_keys_of(name).await?;
        for project in self.projects_of(name) {
            let Some(before) = self.directory().project(&project).cloned() else { continue };
            let members = before.members.iter().filter(|member| *member != name).cloned().collect();
            let after = Project { members, updated_at: self.now(), ..Project::clone(&before) };
            self.keep_project(&project, after).await?;
        }
        info!(user = %who.user, removed = %name, "a user was removed");
        Ok(())
    }

    async fn checked_hash(&self, name: &UserId, given: Zeroizing<String>) -> Result<password::Hash, AuthError> {
        password::check(&given, name).map_err(|problem| AuthError::field("password", None, problem))?;
        Ok(self.hasher.hash(given).await?)
    }

    async fn keep_user(&self, name: &UserId, user: User) -> Result<Arc<User>, AuthError> {
        self.set_fact(&format!("{}{name}", user::PREFIX), &user).await?;
        let kept = Arc::new(user.clone());
        self.change(|all| all.with_user(name.clone(), user));
        Ok(kept)
    }

    /// The projects that somebody sees: administrators all, others their own.
    pub(crate) fn projects(&self, who: &Principal) -> Vec<(ProjectName, Arc<Project>)> {
        let directory = self.directory();
        let seen = directory.projects();
        let seen = seen.filter(|(_, project)| who.has(Role::Admin) || project.members.contains(&who.user));
        seen.map(|(name, project)| (name.clone(), Arc::clone(project))).collect()
    }

    /// Every project.
    pub(crate) fn all_projects(&self) -> Vec<(ProjectName, Arc<Project>)> {
        self.directory().projects().map(|(name, project)| (name.clone(), Arc::clone(project))).collect()
    }

    /// Says who is of a project; answers whether it is a new one.
    pub(crate) async fn put_project(
        &self,
        who: &Principal,
        name: &ProjectName,
        members: BTreeSet<UserId>,
    ) -> Result<(Arc<Project>, bool), AuthError> {
        let _alone = self.changing().await;
        let (directory, now) = (self.directory(), self.now());
        if members.len() > MOST_MEMBERS {
            let problem = format!("has {} entries: a project has {MOST_MEMBERS} members at most", members.len());
            return Err(AuthError::field("members", None, problem));
        }
        if let Some(stranger) = members.iter().find(|member| directory.user(member).is_none()) {
            return Err(AuthError::field("members", Some(stranger.as_str()), "is no user: cloudai user list"));
        }
        let before = directory.project(name);
        if before.is_none() && directory.projects().count() >= project::MOST {
            return Err(AuthError::TooMany(format!("there are {} projects, the most there may be", project::MOST)));
        }
        let created_at = before.map_or(now, |before| before.created_at);
        let is_new = before.is_none();
        let project = self.keep_project(name, Project { members, created_at, updated_at: now }).await?;
        info!(user = %who.user, project = %name, "a project was kept");
        Ok((project, is_new))
    }

    /// Removes a project. What its members own stays theirs.
    pub(crate) async fn remove_project(&self, who: &Principal, name: &ProjectName) -> Result<(), AuthError> {
        let _alone = self.changing().await;
        if self.directory().project(name).is_none() {
            return Err(AuthError::NoSuch(format!("there is no project {name}")));
        }
        self.drop_fact(&format!("{}{name}", project::PREFIX)).await?;
        self.change(|all| all.with_project(name.clone(), None));
        info!(user = %who.user, project = %name, "a project was removed");
        Ok(())
    }

    async fn keep_project(&self, name: &ProjectName, project: Project) -> Result<Arc<Project>, AuthError> {
        self.set_fact(&format!("{}{name}", project::PREFIX), &project).await?;
        let kept = Arc::new(project.clone());
        self.change(|all| all.with_project(name.clone(), Some(project)));
        Ok(kept)
    }
}
