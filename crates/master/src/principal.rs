//! Who asks. Every method, route and call takes one.

use cloudai_core::ids::{UserId, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|role| role.word() == text);
        known.ok_or_else(|| format!("is no role: there are {}", Self::ALL.map(Self::word).join(", ")))
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

    /// A person on a cluster without identities, for whom something is done that this one has ordered before;
    /// `Handle::owner` knows of teams.
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

    /// Whoever looks from the master's own machine at what is open there.
    #[must_use]
    pub(crate) fn guest() -> Self {
        Self::person(UserId::guests(), Role::Viewer, Arc::default())
    }

    /// The role of a person; workers and agents have none.
    #[must_use]
    pub const fn rank(&self) -> Option<Role> {
        match self.kind {
            Kind::Person(role) => Some(role),
            Kind::Worker | Kind::Agent => None,
        }
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
    fn who(name: &str, role: Role, team: &[&str]) -> Principal {
        let team = team.iter().map(|name| name.parse().unwrap()).collect();
        Principal::person(name.parse().unwrap(), role, Arc::new(team))
    }

    #[test]
    fn teammates_see_and_only_owners_and_operators_change() {
        let (ann, bob, eve): (UserId, UserId, UserId) =
            ("ann".parse().unwrap(), "bob".parse().unwrap(), "eve".parse().unwrap());
        // Who asks, then what it may see and change of ann's, bob's and eve's.
        let rows = [
            (who("ann", Role::Viewer, &["bob"]), [(true, false), (true, false), (false, false)]),
            (who("ann", Role::User, &["bob"]), [(true, true), (true, false), (false, false)]),
            (who("ann", Role::Operator, &[]), [(true, true), (true, true), (true, true)]),
            (who("ann", Role::Admin, &[]), [(true, true), (true, true), (true, true)]),
            (Principal::worker(), [(false, false); 3]),
            (Principal::agent(), [(false, false); 3]),
            (Principal::guest(), [(false, false); 3]),
        ];
        for (who, expected) in rows {
            let found = [&ann, &bob, &eve].map(|owner| (who.may_see(owner), who.may_change(owner)));
            assert_eq!(found, expected, "{who:?}");
        }
    }

    #[test]
    fn a_role_is_read_back_as_written_and_any_other_word_names_all() {
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("{:?}", role.word()));
        }
        assert!("root".parse::<Role>().unwrap_err().contains("viewer, user, operator, admin"));
    }
}
