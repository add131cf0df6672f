//! What an external agent does: it follows the cluster and proposes.

use super::Handle;
use crate::mailbox::{AskError, NotNow};
use crate::placing::Stage;
use crate::principal::Principal;
use crate::watching::Watch;
use cloudai_core::event::{Answer, Event, Placement, PlacementRefusal};

/// Why no proposal of a call was looked at.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ProposeError {
    /// Another strategy places.
    #[error("the strategy is {0}: proposals are taken while it is external")]
    NotExternal(&'static str),
    /// The engine has not answered.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl Handle {
    /// The cluster as it is committed, then what changes.
    /// # Errors
    /// [`AskError::Unavailable`] when too many watch.
    pub(crate) async fn watch(&self, who: &Principal) -> Result<Watch, AskError> {
        debug_assert!(who.may_place(), "{who:?} is no agent");
        let watch = self.on_stage(|stage| stage.watchers.watch(&stage.view)).await?;
        watch.ok_or(AskError::Unavailable(NotNow { why: "too many watch the cluster", again_s: 5 }))
    }

    /// Has what an agent proposes checked and carried out; answers what was refused. Without any
    /// proposal it says that it wants nothing placed now.
    /// # Errors
    /// [`ProposeError`]; nothing was changed.
    pub(crate) async fn propose(
        &self,
        who: &Principal,
        placements: Vec<Placement>,
    ) -> Result<Vec<(Placement, PlacementRefusal)>, ProposeError> {
        debug_assert!(who.may_place(), "{who:?} is no agent");
        let (wants_nothing, now) = (placements.is_empty(), self.now());
        let heard = self.on_stage(move |stage| stage.hear_agent(wants_nothing, now)).await?;
        heard.map_err(ProposeError::NotExternal)?;
        if wants_nothing {
            return Ok(Vec::new());
        }
        match self.ask(who, Event::Place(placements)).await? {
            Answer::Placed { taken, refused } => {
                if taken > 0 {
                    self.shared.placing.word.spoke(self.now());
                }
                Ok(refused)
            }
            other => Err(AskError::unexpected(&other).into()),
        }
    }

    /// Looks at the placing thread's stage between two rounds.
    async fn on_stage<T: Send + 'static>(
        &self,
        visit: impl FnOnce(&mut Stage) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        let visited = self.shared.stopping.run_until_cancelled(self.shared.placing.visit(visit));
        visited.await.ok_or(AskError::Stopped)?.ok_or(AskError::Unavailable(NotNow::BUSY))
    }

    /// A strategy as people are told it: with who places while the agent is late.
    pub(crate) fn shown_strategy(&self, name: &str) -> String {
        let word = &self.shared.placing.word;
        word.fallback().map_or_else(|| name.to_owned(), |fallback| format!("{name} (fallback {fallback})"))
    }
}
