//! Who asks. Every method, route and call takes one.

use cloudai_core::ids::UserId;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub user: UserId,
}

impl Principal {
    /// The one user of a cluster without identities, which listens on loopback only.
    #[must_use]
    pub fn local() -> Self {
        Self { user: UserId::local() }
    }

    /// Whether this caller may see and change what belongs to `owner`.
    #[must_use]
    pub fn may_touch(&self, owner: &UserId) -> bool {
        self.user == *owner
    }
}
