//! What every container is kept within, whatever its task asks for: the part of a policy that the engine is told.

use cloudai_core::policy::Policy;

/// Fences of containers; by default those of a worker without a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fences {
    /// Processes and threads at most.
    pub pids: u32,
    /// Which capabilities root inside keeps.
    pub capabilities: Vec<&'static str>,
    /// Only where root inside is nobody on the host.
    pub user_namespaces: bool,
}

impl From<&Policy> for Fences {
    fn from(policy: &Policy) -> Self {
        Self {
            pids: policy.pids(),
            capabilities: policy.capabilities(),
            user_namespaces: policy.wants_user_namespaces(),
        }
    }
}

impl Default for Fences {
    fn default() -> Self {
        Self::from(&Policy::default())
    }
}
