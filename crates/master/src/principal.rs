//! Who asks. Every method, route and call takes one.

use cloudai_core::ids::{UserId, WorkerId};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub user: UserId,
    kind: Kind,
    /// The other members of this one's projects.
    team: Arc<BTreeSet<UserId>>,
    /// Which worker it is, when it showed a certificate.
    worker: Option<WorkerId>,
}

/// What a person may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Runs tasks, and changes what is its own.
    User,
    /// Sees and changes everybody's tasks, and looks after workers and strategies.
    Operator,
    /// Everything: users, keys, backups.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::User, Self::Operator, Self::Admin];

    /// The word that stands for it everywhere.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Person(Role),
    Worker,
    Agent,
}

impl Principal {
    /// The one user of a cluster without identities, which listens on loopback only.
    #[must_use]
    pub fn local() -> Self {
        Self::person(UserId::local(), Role::Admin, Arc::default())
    }

    /// A person with a role, and the other members of its projects.
    #[must_use]
    pub const fn person(user: UserId, role: Role, team: Arc<BTreeSet<UserId>>) -> Self {
        Self { user, kind: Kind::Person(role), team, worker: None }
    }

    /// A person, for whom something is looked up, or done that this one has ordered before.
    #[must_use]
    pub(crate) fn of(user: UserId) -> Self {
        Self::person(user, Role::User, Arc::default())
    }

    /// Whoever shows the join token: one of the cluster's workers, which has no tasks of its own.
    #[must_use]
    pub fn worker() -> Self {
        Self { user: UserId::workers(), kind: Kind::Worker, team: Arc::default(), worker: None }
    }

    /// The worker that a certificate names: it speaks for itself alone.
    #[must_use]
    pub fn worker_named(worker: WorkerId) -> Self {
        Self { worker: Some(worker), ..Self::worker() }
    }

    /// Whoever places tasks from outside: it shows the join token, too, until there are users.
    #[must_use]
    pub fn agent() -> Self {
        Self { user: UserId::agents(), kind: Kind::Agent, team: Arc::default(), worker: None }
    }

    /// The role of a person; what is none may nothing that people may.
    #[must_use]
    pub fn has(&self, least: Role) -> bool {
        matches!(self.kind, Kind::Person(role) if role >= least)
    }

    /// What it is, in a word.
    #[must_use]
    pub const fn role(&self) -> &'static str {
        match self.kind {
            Kind::Person(role) => role.word(),
            Kind::Worker => "worker",
            Kind::Agent => "agent",
        }
    }

    /// Whether this caller may see what belongs to `owner`.
    #[must_use]
    pub fn may_see(&self, owner: &UserId) -> bool {
        self.user == *owner || self.team.contains(owner) || self.has(Role::Operator)
    }

    /// Whether this caller may change what belongs to `owner`.
    #[must_use]
    pub fn may_change(&self, owner: &UserId) -> bool {
        self.has(Role::Operator) || (self.user == *owner && self.has(Role::User))
    }

    /// Whether this caller may tell what became of attempts.
    #[must_use]
    pub fn may_report(&self) -> bool {
        self.kind == Kind::Worker
    }

    /// The worker that this caller is, when its certificate says so.
    #[must_use]
    pub const fn worker_name(&self) -> Option<&WorkerId> {
        self.worker.as_ref()
    }

    /// Whether this caller may tell what a worker does: itself, or any where workers show no certificates.
    #[must_use]
    pub fn may_speak_for(&self, worker: &WorkerId) -> bool {
        self.may_report() && self.worker.as_ref().is_none_or(|own| own == worker)
    }

    /// Whether this caller may see what all tasks ask for, and say where they run.
    #[must_use]
    pub fn may_place(&self) -> bool {
        self.kind == Kind::Agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_a_certificate_names_speaks_for_itself_alone() {
        let (one, other): (WorkerId, WorkerId) = ("w1".parse().unwrap(), "w2".parse().unwrap());
        let named = Principal::worker_named(one.clone());
        assert!(named.may_report() && named.may_speak_for(&one) && !named.may_speak_for(&other));
        assert_eq!(named.worker_name(), Some(&one));
        assert!(
            Principal::worker().may_speak_for(&other),
            "the join token of a cluster without identities names nobody"
        );
        for nobody in [Principal::local(), Principal::agent()] {
            assert!(!nobody.may_speak_for(&one), "{nobody:?}");
        }
    }
}
