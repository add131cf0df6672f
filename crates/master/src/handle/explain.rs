//! Why a task waits, as the strategy's thread sees it.

use super::Handle;
use crate::mailbox::{AskError, NotNow};
use crate::model::SeenTask;
use crate::principal::Principal;
use cloudai_core::ids::TaskId;
use cloudai_core::strategy::explain::{Explanation, explain};
use cloudai_core::strategy::{Strategy, View};
use std::sync::Arc;

/// A task and why it stands where it stands.
#[derive(Debug)]
pub struct Explained {
    /// The task.
    pub task: SeenTask,
    /// The strategy in use.
    pub strategy: String,
    /// Why.
    pub told: Explanation,
}

impl Handle {
    /// Explains a task; `other` is a strategy whose doings are asked for. Nothing changes.
    /// # Errors
    /// As [`Handle::task`]; unavailable when too many ask.
    pub async fn explain(
        &self,
        who: &Principal,
        id: TaskId,
        other: Option<&'static str>,
    ) -> Result<Explained, AskError> {
        let task = self.task(who, id).await?;
        let (record, now) = (Arc::clone(&task.record), self.now());
        if record.finished().is_some() {
            let strategy = self.strategy().name().to_owned();
            return Ok(Explained { task, strategy, told: Explanation::of_ended() });
        }
        let think = move |view: &View, strategy: &dyn Strategy| {
            (explain(view, &record, strategy, other, now), strategy.name().to_owned())
        };
        let thought = self.shared.placing.ponder(think);
        match self.shared.stopping.run_until_cancelled(thought).await {
            Some(Some((told, strategy))) => Ok(Explained { task, strategy, told }),
            Some(None) => Err(AskError::Unavailable(NotNow::BUSY)),
            None => Err(AskError::Stopped),
        }
    }
}
