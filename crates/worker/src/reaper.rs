//! Containers of this worker that its agent does not hold: left by a lost journal, by an engine that
//! was away when the worker started, by a removal that failed. They are looked for all the time.
//!
//! What is held is never touched: an attempt is held before its container is made, and until the
//! master has acknowledged its end. Then its container is removed by the shell; the grace lets it.

use crate::executor::{EngineError, Executor};
use crate::messages::Input;
use crate::run::Runner;
use crate::upload::Whose;
use cloudai_core::ids::{Attempt, Incarnation};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info, warn};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// How long a container may be there that nobody holds: longer than a look is old when it is judged.
const GRACE: Duration = Duration::from_secs(60);

/// A container's attempt and the life of the cluster in which it was ordered.
pub type Ordered = (Attempt, Incarnation);

/// Finds containers that nobody holds.
#[derive(Debug)]
pub struct Reaper {
    executor: Arc<dyn Executor>,
    grace: Duration,
    /// When each of them was first seen.
    strangers: BTreeMap<Ordered, Instant>,
}

impl Reaper {
    /// Gives each container so much time to be removed by others.
    #[must_use]
    pub fn new(executor: Arc<dyn Executor>, grace: Duration) -> Self {
        Self { executor, grace, strangers: BTreeMap::new() }
    }

    /// The attempts of which there has been a container for longer than the grace, though nobody
    /// held them. `held` is asked after the engine: what is begun meanwhile is no stranger. Without
    /// an answer of it nothing is judged.
    /// # Errors
    /// The engine does not tell.
    pub async fn look(
        &mut self,
        held: impl Future<Output = Option<BTreeSet<Ordered>>>,
    ) -> Result<Vec<Ordered>, EngineError> {
        let existing = self.executor.existing().await?;
        let Some(held) = held.await else { return Ok(Vec::new()) };
        let now = Instant::now();
        let seen = std::mem::take(&mut self.strangers);
        let strangers = existing.into_iter().filter(|one| !held.contains(one));
        self.strangers = strangers.map(|one| (one, seen.get(&one).copied().unwrap_or(now))).collect();
        let overdue = self.strangers.iter().filter(|(_, first)| now - **first > self.grace);
        Ok(overdue.map(|(one, _)| *one).collect())
    }
}

/// Looks and removes until the shell is gone.
pub(crate) async fn reap(runner: Runner, shell: mpsc::Sender<Input>) {
    let mut reaper = Reaper::new(Arc::clone(&runner.executor), GRACE);
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shell.is_closed() {
        looks.tick().await;
        match reaper.look(held(&shell)).await {
            Ok(overdue) => remove(&runner, overdue).await,
            // That it is away is told by whoever watches it.
            Err(error) => debug!(%error, "containers were not listed"),
        }
    }
}

async fn held(shell: &mpsc::Sender<Input>) -> Option<BTreeSet<Ordered>> {
    let (reply, held) = oneshot::channel();
    shell.send(Input::Holds(reply)).await.ok()?;
    held.await.ok()
}

async fn remove(runner: &Runner, overdue: Vec<Ordered>) {
    for (attempt, incarnation) in overdue {
        match runner.discard(Whose { attempt, incarnation }).await {
            Ok(()) => info!(%attempt, "container that nobody held was removed"),
            Err(error) => warn!(%attempt, error, "container that nobody holds was not removed, trying again"),
        }
    }
}
