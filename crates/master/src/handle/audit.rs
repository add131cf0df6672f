//! The audit log, for those who may read it.

use super::Handle;
use crate::audit::{Expected, Verdict};
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_store::audit::{AuditQuery, AuditRow};
use cloudai_store::query::Page;

impl Handle {
    /// One page of what was done, the latest first.
    /// # Errors
    /// [`AskError::Store`]; also for a pair that no index serves.
    pub(crate) async fn audit(&self, _who: &Principal, query: &AuditQuery) -> Result<Page<AuditRow>, AskError> {
        self.shared.audit.rows(query).await
    }

    /// Whether the log is whole, and by which key the signature of its head is checked.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn verify_audit(
        &self,
        _who: &Principal,
        expected: Option<&Expected>,
    ) -> Result<(Verdict, Option<String>), AskError> {
        Ok((self.shared.audit.verify(expected).await?, self.shared.audit.public_key()))
    }
}
