//! What tasks of a name should ask for, by what is stored of those that ended.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_core::sizing::{Advice, by_name};
use cloudai_core::state::Status;
use cloudai_store::StoreError;
use cloudai_store::query::{MAX_LIMIT, TaskQuery};

impl Handle {
    /// What the caller's tasks of each name that begins with `prefix` should ask for. Of the latest [`MAX_LIMIT`] that ended
    /// `last` attempts of each name count at most; a proposal is to be enough for so many of a thousand runs.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn advice(
        &self,
        who: &Principal,
        prefix: &str,
        last: usize,
        permille: u16,
    ) -> Result<Vec<(String, Advice)>, AskError> {
        let newest = TaskQuery {
            statuses: vec![Status::Completed, Status::Failed],
            owner: Some(who.user.clone()),
            expand: true,
            limit: MAX_LIMIT,
            ..TaskQuery::default()
        };
        let named = TaskQuery { name_prefix: Some(prefix.to_owned()), ..newest.clone() };
        let page = match self.shared.store.tasks(&named).await {
            // So many have such a name that they can not be sorted by time: enough of them are among the latest of all.
            Err(StoreError::Unsupported(_)) => self.shared.store.tasks(&newest).await?,
            page => page?,
        };
        let begins = |name: &str| name.starts_with(prefix);
        let tasks = page.items.iter().filter(|task| task.spec.name.as_deref().is_some_and(begins));
        Ok(by_name(tasks.map(|task| &**task), last, permille))
    }
}
