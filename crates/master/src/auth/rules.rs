//! What an operator says of users.

use super::password::Costs;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// How users come in. Its `Debug` shows no key.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthRules {
    /// What signs access tokens, 32 bytes or more; none lets the cluster make it.
    pub jwt_secret: Option<Zeroizing<String>>,
    /// Whether people may register, as viewers.
    pub self_register: bool,
    /// How long an access token is good.
    pub access: Duration,
    /// How long a session goes on that is not used.
    pub refresh: Duration,
    /// What a hash of a password costs.
    pub costs: Costs,
}

impl Default for AuthRules {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            self_register: false,
            access: Duration::from_secs(15 * 60),
            refresh: Duration::from_secs(30 * 24 * 60 * 60),
            costs: Costs::default(),
        }
    }
}

impl fmt::Debug for AuthRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRules")
            .field("jwt_secret", &self.jwt_secret.as_ref().map(|_| "(set)"))
            .field("self_register", &self.self_register)
            .field("access", &self.access)
            .field("refresh", &self.refresh)
            .field("costs", &self.costs)
            .finish()
    }
}
