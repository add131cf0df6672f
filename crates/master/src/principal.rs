//! Who asks. Every method, route and call takes one.

use cloudai_core::ids::UserId;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub user: UserId,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Person,
    Worker,
    Agent,
}

impl Principal {
    /// The one user of a cluster without identities, which listens on loopback only.
    #[must_use]
    pub fn local() -> Self {
        Self { user: UserId::local(), role: Role::Person }
    }

    /// A person, for whom something is looked up, or done that this one has ordered before.
    #[must_use]
    pub(crate) const fn of(user: UserId) -> Self {
        Self { user, role: Role::Person }
    }

    /// Whoever shows the join token: one of the cluster's workers, which has no tasks of its own.
    #[must_use]
    pub fn worker() -> Self {
        Self { user: UserId::workers(), role: Role::Worker }
    }

    /// Whoever places tasks from outside: it shows the join token, too, until there are users.
    #[must_use]
    pub fn agent() -> Self {
        Self { user: UserId::agents(), role: Role::Agent }
    }

    /// Whether this caller may see and change what belongs to `owner`.
    #[must_use]
    pub fn may_touch(&self, owner: &UserId) -> bool {
        self.user == *owner
    }

    /// Whether this caller may tell what became of attempts.
    #[must_use]
    pub fn may_report(&self) -> bool {
        self.role == Role::Worker
    }

    /// Whether this caller may see what all tasks ask for, and say where they run.
    #[must_use]
    pub fn may_place(&self) -> bool {
        self.role == Role::Agent
    }
}
