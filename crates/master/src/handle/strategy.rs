//! Which strategy places, and what it is told of run times.

use super::Handle;
use crate::choice::{self, Chosen};
use crate::feed::What;
use crate::mailbox::{AskError, NotNow};
use crate::principal::{Principal, Role};
use cloudai_core::ids::UserId;
use cloudai_core::predict::{Accuracy, Kind};
use std::sync::Arc;
use tracing::info;

/// What is known of run times.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// How good predictions were.
    pub accuracy: Accuracy,
    /// Kinds of tasks, those that ended last first.
    pub kinds: Vec<Kind>,
    /// How many kinds there are.
    pub all: usize,
}

impl Handle {
    /// The strategy that places now.
    #[must_use]
    pub fn strategy(&self) -> Chosen {
        self.shared.choice.now()
    }

    /// Lets another strategy place from the next round on; it is stored before.
    /// # Errors
    /// [`AskError`].
    pub async fn set_strategy(&self, who: &Principal, chosen: Chosen) -> Result<(), AskError> {
        let _alone = self.shared.choice.changing.lock().await;
        let strategy = chosen.make().ok_or_else(|| AskError::Internal(format!("{chosen} can not be made")))?;
        self.shared.store.set_fact(self.facts().term, choice::FACT, &chosen.to_string()).await?;
        let choice = Arc::clone(&self.shared.choice);
        let taken = self.shared.placing.visit(move |stage| {
            stage.set_strategy(strategy);
            stage.view.set_knobs(&chosen.knobs);
            stage.view.retell();
            // Here, so that whoever takes over from it in its first round is told after it.
            choice.set(chosen)
        });
        let before = taken.await.ok_or(AskError::Unavailable(NotNow::BUSY))?;
        self.shared.model.feed().add(self.now(), vec![What::Strategy(chosen.name().into())]);
        info!(strategy = %chosen, %before, user = %who.user, "the strategy was set");
        Ok(())
    }

    /// What is known of run times, at most so many kinds of tasks: of those whose tasks the caller sees.
    /// # Errors
    /// [`AskError::Unavailable`] when too many ask.
    pub async fn predictions(&self, who: &Principal, most: usize) -> Result<Predictions, AskError> {
        let who = who.clone();
        let look = self.shared.placing.visit(move |stage| {
            let learner = stage.view.learner();
            let accuracy = learner.accuracy();
            if who.has(Role::Operator) {
                let (kinds, all) = learner.kinds(most);
                return Predictions { accuracy, kinds, all };
            }
            let (mut kinds, _) = learner.kinds(usize::MAX);
            let user = |kind: &Kind| kind.user.as_ref().and_then(|user| user.parse::<UserId>().ok());
            kinds.retain(|kind| user(kind).is_some_and(|user| who.may_see(&user)));
            let all = kinds.len();
            kinds.truncate(most);
            Predictions { accuracy, kinds, all }
        });
        look.await.ok_or(AskError::Unavailable(NotNow::BUSY))
    }
}
