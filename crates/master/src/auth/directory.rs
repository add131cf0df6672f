//! Who there is, as every request looks it up: users, projects and keys in memory. Pure; changed as a whole.

use super::key::{self, Key};
use super::project::{self, Project};
use super::user::{self, User};
use crate::mailbox::AskError;
use crate::principal::{Principal, Role};
use cloudai_core::ids::{ProjectName, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_store::Store;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everybody. What it is made of is shared by its copies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    users: BTreeMap<UserId, Arc<User>>,
    projects: BTreeMap<ProjectName, Arc<Project>>,
    keys: BTreeMap<Sha256, Arc<Key>>,
    /// Of each member of a project the members of all of its projects.
    teams: BTreeMap<UserId, Arc<BTreeSet<UserId>>>,
}

impl Directory {
    /// All that is stored.
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, AskError> {
        let mut all = Self::default();
        for (name, user) in facts(store, user::PREFIX).await? {
            all.users.insert(name, Arc::new(user));
        }
        for (hash, key) in facts(store, key::PREFIX).await? {
            all.keys.insert(hash, Arc::new(key));
        }
        for (name, project) in facts(store, project::PREFIX).await? {
            all.projects.insert(name, Arc::new(project));
        }
        Ok(all.with_teams())
    }

    /// Whether there is nobody, not even who was removed.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// How many users there are and were.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// Everybody who was not removed, in the order of their names.
    pub(crate) fn users(&self) -> impl Iterator<Item = (&UserId, &Arc<User>)> {
        self.users.iter().filter(|(_, user)| !user.removed)
    }

    /// One who was not removed.
    pub(crate) fn user(&self, name: &UserId) -> Option<&Arc<User>> {
        self.users.get(name).filter(|user| !user.removed)
    }

    /// One who is there, or was.
    pub(crate) fn ever(&self, name: &UserId) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// Another name that differs in capital letters alone: people would take one for the other.
    pub(crate) fn like(&self, name: &UserId) -> Option<&UserId> {
        self.users.keys().find(|known| *known != name && known.as_str().eq_ignore_ascii_case(name.as_str()))
    }

    /// One who may come in.
    pub(crate) fn active(&self, name: &UserId) -> Option<&Arc<User>> {
        self.users.get(name).filter(|user| user.is_active())
    }

    /// Whether nobody else looks after the cluster.
    pub(crate) fn is_last_admin(&self, name: &UserId) -> bool {
        let is_admin = |(_, user): &(&UserId, &Arc<User>)| user.is_admin();
        let mut admins = self.users.iter().filter(is_admin).map(|(name, _)| name);
        admins.next() == Some(name) && admins.next().is_none()
    }

    /// Who looks after the cluster: the one of the first start, where that one still does.
    pub(crate) fn an_admin(&self) -> Option<&UserId> {
        let mut admins = self.users.iter().filter(|(_, user)| user.is_admin()).map(|(name, _)| name);
        let first = admins.next()?;
        Some(std::iter::once(first).chain(admins).find(|name| name.as_str() == user::FIRST).unwrap_or(first))
    }

    /// One who may come in, with this role at most.
    pub(crate) fn principal(&self, name: &UserId, most: Option<Role>) -> Option<Principal> {
        let user = self.active(name)?;
        let role = most.map_or(user.role, |most| most.min(user.role));
        Some(Principal::person(name.clone(), role, self.team(name)))
    }

    /// Whose objects one sees beside the own.
    pub(crate) fn team(&self, name: &UserId) -> Arc<BTreeSet<UserId>> {
        self.teams.get(name).cloned().unwrap_or_default()
    }

    /// All projects.
    pub(crate) fn projects(&self) -> impl Iterator<Item = (&ProjectName, &Arc<Project>)> {
        self.projects.iter()
    }

    /// One project.
    pub(crate) fn project(&self, name: &ProjectName) -> Option<&Arc<Project>> {
        self.projects.get(name)
    }

    /// The key with this hash.
    pub(crate) fn key(&self, hash: &Sha256) -> Option<&Arc<Key>> {
        self.keys.get(hash)
    }

    /// The keys of a user, the earliest first.
    pub(crate) fn keys_of(&self, owner: &UserId) -> Vec<(Sha256, Arc<Key>)> {
        let own = self.keys.iter().filter(|(_, key)| key.owner == *owner);
        let mut own: Vec<_> = own.map(|(hash, key)| (*hash, Arc::clone(key))).collect();
        own.sort_by(|(_, one), (_, other)| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        own
    }

    /// The same with another user in it.
    pub(crate) fn with_user(mut self, name: UserId, user: User) -> Self {
        self.users.insert(name, Arc::new(user));
        self
    }

    /// The same with another project in it, or without one.
    pub(crate) fn with_project(mut self, name: ProjectName, project: Option<Project>) -> Self {
        match project {
            Some(project) => drop(self.projects.insert(name, Arc::new(project))),
            None => drop(self.projects.remove(&name)),
        }
        self.with_teams()
    }

    /// The same with another key in it, or without one.
    pub(crate) fn with_key(mut self, hash: Sha256, key: Option<Key>) -> Self {
        match key {
            Some(key) => drop(self.keys.insert(hash, Arc::new(key))),
            None => drop(self.keys.remove(&hash)),
        }
        self
    }

    fn with_teams(mut self) -> Self {
        let mut teams: BTreeMap<UserId, BTreeSet<UserId>> = BTreeMap::new();
        for project in self.projects.values() {
            for member in &project.members {
                teams.entry(member.clone()).or_default().extend(project.members.iter().cloned());
            }
        }
        self.teams = teams.into_iter().map(|(name, team)| (name, Arc::new(team))).collect();
        self
    }
}

/// All facts of a kind, by what their names say. One that can not be read stops a master: it might be the one that
/// forbids something.
pub(crate) async fn facts<K: std::str::FromStr, V: DeserializeOwned>(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<(K, V)>, AskError> {
    let read = |(name, text): (String, String)| {
        let key = name.strip_prefix(prefix).and_then(|key| key.parse().ok());
        let value = serde_json::from_str(&text).ok();
        key.zip(value).ok_or_else(|| AskError::Internal(format!("the stored {name} can not be read")))
    };
    store.facts(prefix).await?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::time::Timestamp;

    fn id(name: &str) -> UserId {
        name.parse().unwrap()
    }

    fn with(names: &[(&str, Role)]) -> Directory {
        names.iter().fold(Directory::default(), |all, (name, role)| {
            all.with_user(id(name), User::new(*role, None, Timestamp::ZERO))
        })
    }

    fn team_of(members: &[&str]) -> Project {
        let members = members.iter().map(|name| id(name)).collect();
        Project { members, created_at: Timestamp::ZERO, updated_at: Timestamp::ZERO }
    }

    #[test]
    fn a_team_is_all_members_of_all_projects_of_a_member() {
        let all = with(&[("ann", Role::User), ("bob", Role::User), ("eve", Role::User), ("kim", Role::User)])
            .with_project("a".parse().unwrap(), Some(team_of(&["ann", "bob"])))
            .with_project("b".parse().unwrap(), Some(team_of(&["ann", "eve"])));
        let sees = |all: &Directory, who: &str, whose: &str| all.principal(&id(who), None).unwrap().may_see(&id(whose));
        assert!(sees(&all, "ann", "bob") && sees(&all, "ann", "eve") && sees(&all, "bob", "ann"));
        assert!(!sees(&all, "bob", "eve") && !sees(&all, "ann", "kim"));
        let all = all.with_project("a".parse().unwrap(), None);
        assert!(!sees(&all, "ann", "bob") && sees(&all, "eve", "ann"));
    }

    #[test]
    fn a_role_is_the_lesser_of_the_users_and_the_keys() {
        let all = with(&[("ann", Role::User), ("root", Role::Admin)]);
        let rank = |name: &str, most| all.principal(&id(name), most).unwrap().rank();
        assert_eq!(rank("ann", None), Some(Role::User));
        assert_eq!(rank("ann", Some(Role::Admin)), Some(Role::User));
        assert_eq!(rank("root", Some(Role::Viewer)), Some(Role::Viewer));
    }

    #[test]
    fn the_last_admin_is_the_only_one_who_can_come_in() {
        let all = with(&[("admin", Role::Admin), ("ann", Role::Admin), ("bob", Role::User)]);
        assert!(!all.is_last_admin(&id("admin")) && !all.is_last_admin(&id("ann")));
        assert_eq!(all.an_admin(), Some(&id("admin")));
        let off = User { disabled: true, ..User::new(Role::Admin, None, Timestamp::ZERO) };
        let all = all.with_user(id("admin"), off);
        assert!(all.is_last_admin(&id("ann")) && !all.is_last_admin(&id("admin")) && !all.is_last_admin(&id("bob")));
        assert_eq!(all.an_admin(), Some(&id("ann")));
        assert!(all.principal(&id("admin"), None).is_none());
    }

    #[test]
    fn names_that_differ_in_capital_letters_alone_are_found() {
        let all = with(&[("Ann", Role::User)]);
        assert_eq!(all.like(&id("ann")), Some(&id("Ann")));
        assert_eq!((all.like(&id("Ann")), all.like(&id("anne"))), (None, None));
    }
}
