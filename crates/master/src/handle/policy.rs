//! Every submission held against the operator's policy: tasks, batches, jobs, and what templates, schedules and retries
//! make. All of them come by one of two ways, which ask here before anything else is looked for.

use super::Handle;
use crate::mailbox::AskError;
use cloudai_core::policy::InForce;
use cloudai_core::spec::{FieldError, SpecError, TaskSpec};
use std::sync::Arc;

impl Handle {
    /// The policy that is in force.
    pub(crate) fn policy(&self) -> Arc<InForce> {
        self.shared.policies.now()
    }

    /// Looks whether the policy lets tasks be submitted, each with its number in the caller's list.
    /// # Errors
    /// [`AskError::Denied`] with every field that it denies.
    pub(super) fn check_policy<'a>(
        &self,
        specs: impl IntoIterator<Item = (usize, &'a TaskSpec)>,
    ) -> Result<(), AskError> {
        let policy = self.policy();
        let denied = specs.into_iter().filter_map(|(place, spec)| {
            let denied = policy.policy.check(spec).err()?;
            Some((place, SpecError(denied.into_iter().map(FieldError::from).collect())))
        });
        let denied: Vec<_> = denied.collect();
        if denied.is_empty() { Ok(()) } else { Err(AskError::Denied(Arc::new(denied))) }
    }
}
