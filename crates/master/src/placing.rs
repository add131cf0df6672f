//! The strategy's own thread: a mirror of the committed state, one round in flight.

use crate::choice::Choice;
use crate::clock::Clock;
use crate::external::{External, Word};
use crate::mailbox::{AskError, Mailboxes};
use crate::model::Model;
use crate::rescue;
use crate::watching::Watchers;
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Placement};
use cloudai_core::ids::TaskId;
use cloudai_core::strategy::{EXTERNAL, Queued, Spot, Strategy, View};
use cloudai_core::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tracing::debug;

/// What the strategy's thread holds: nobody else touches it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The committed state.
    pub(crate) view: View,
    /// What places.
    pub(crate) strategy: Box<dyn Strategy>,
    /// Whether a round may find something new.
    pub(crate) restless: bool,
    /// What happens while an agent places.
    pub(crate) external: External,
    /// Who follows the committed state.
    pub(crate) watchers: Watchers,
}

impl Stage {
    /// A stage on which nothing was done yet.
    pub(crate) fn new(view: View, strategy: Box<dyn Strategy>, external: External) -> Self {
        Self { view, strategy, restless: true, external, watchers: Watchers::default() }
    }

    pub(crate) fn round(&mut self, now: Timestamp) -> Vec<Placement> {
        if self.strategy.name() == EXTERNAL {
            return self.external.round(&mut self.view, now);
        }
        self.external.rest();
        self.view.round(&mut *self.strategy, now)
    }

    /// Takes rows and visitors in.
    fn attend(&mut self, inbox: Inbox) {
        self.restless |= !inbox.rows.is_empty();
        for row in &inbox.rows {
            self.view.apply(row);
        }
        self.watchers.tell(&inbox.rows, &self.view);
        for visit in inbox.visits {
            visit(self);
        }
    }

    /// What places now: the fallback while an agent is late.
    fn acting(&self) -> &dyn Strategy {
        if self.strategy.name() == EXTERNAL { self.external.acting() } else { &*self.strategy }
    }

    /// The task that others wait behind since the last round.
    fn ahead(&self) -> Option<TaskId> {
        self.view.ahead(self.acting())
    }

    /// As [`View::queue`], by what places now.
    pub(crate) fn queue(&mut self, now: Timestamp, after: Option<Spot>, most: usize) -> Vec<Queued> {
        let strategy = match self.strategy.name() {
            EXTERNAL => self.external.acting_mut(),
            _ => &mut *self.strategy,
        };
        self.view.queue(strategy, now, after, most)
    }

    /// An agent proposes, or says that it wants nothing placed now.
    /// # Errors
    /// The name of the strategy that places instead.
    pub(crate) fn hear_agent(&mut self, wants_nothing: bool, now: Timestamp) -> Result<(), &'static str> {
        if self.strategy.name() != EXTERNAL {
            return Err(self.strategy.name());
        }
        self.external.hear(&mut self.view, wants_nothing, now);
        self.restless = true;
        Ok(())
    }
}

/// Something to do with the stage between two rounds; the proposals of the last one may still be undecided.
type Visit = Box<dyn FnOnce(&mut Stage) + Send>;

/// Most visits that wait: whoever comes then is told to come again.
const VISITS: usize = 64;

/// Committed rows on their way to the mirror: at most what changed during one round; and visitors.
#[derive(Default)]
pub(crate) struct Placing {
    inbox: Mutex<Inbox>,
    arrived: Notify,
    /// Held by whoever has a copy of the view: one at a time.
    copy: tokio::sync::Mutex<()>,
    /// What callers know of an external agent.
    pub(crate) word: Arc<Word>,
}

/// What a timer may be early by: it has a clock of its own.
const TICK: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Inbox {
    rows: Vec<Row>,
    visits: Vec<Visit>,
    /// Nobody empties it any more.
    closed: bool,
}

/// Closes the inbox of a thread that ends, however it does: nobody waits for what will not come.
struct Open<'a>(&'a Placing);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        *self.0.lock() = Inbox { closed: true, ..Inbox::default() };
    }
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing").finish_non_exhaustive()
    }
}

impl Placing {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands committed rows to the mirror.
    pub(crate) fn publish(&self, rows: Vec<Row>) {
        {
            let mut inbox = self.lock();
            if inbox.closed {
                return;
            }
            inbox.rows.extend(rows);
        }
        self.arrived.notify_one();
    }

    /// Lets somebody look at the stage, or change it, between two rounds, also while proposals are being decided; the
    /// rows that were published before are in. None when too many wait, or the thread has ended.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        visit: impl FnOnce(&mut Stage) -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        {
            let mut inbox = self.lock();
            if inbox.closed || inbox.visits.len() >= VISITS {
                return None;
            }
            // Whoever asked may have gone.
            inbox.visits.push(Box::new(move |stage| drop(tell.send(visit(stage)))));
        }
        self.arrived.notify_one();
        told.await.ok()
    }

    /// Lets somebody think for long about copies of the view and of the strategy that places, while rounds go
    /// on. None as for [`Placing::visit`].
    pub(crate) async fn ponder<T: Send + 'static>(
        &self,
        think: impl FnOnce(&View, &dyn Strategy) -> T + Send + 'static,
    ) -> Option<T> {
        let _one_at_a_time = self.copy.lock().await;
        let (view, strategy) = self.visit(|stage| (stage.view.clone(), stage.acting().copy())).await?;
        tokio::task::spawn_blocking(move || think(&view, &*strategy)).await.ok()
    }

    /// Takes what there is.
    fn take(&self) -> Inbox {
        std::mem::take(&mut *self.lock())
    }

    /// Waits for something, or until the time is over.
    async fn wait_at_most(&self, time: Option<Duration>) -> Inbox {
        let Some(time) = time else { return self.wait().await };
        // What is taken is returned at once: nothing is lost when the time is over.
        tokio::time::timeout(time + TICK, self.wait()).await.unwrap_or_default()
    }

    /// Waits for something.
    async fn wait(&self) -> Inbox {
        loop {
            let inbox = self.take();
            if !inbox.rows.is_empty() || !inbox.visits.is_empty() {
                return inbox;
            }
            self.arrived.notified().await;
        }
    }
}

/// Runs the strategy until it is dropped. A round may think for long: give it a thread of its own.
///
/// A round's proposals are answered before the next begins, and the rows that they caused are in
/// the inbox by then, so that no round proposes what the one before already did.
pub(crate) async fn run(
    placing: Arc<Placing>,
    mut stage: Stage,
    clock: Arc<Clock>,
    mailboxes: Arc<Mailboxes>,
    model: Arc<Model>,
    choice: Arc<Choice>,
) {
    let _open = Open(&placing);
    stage.restless = true;
    let mut ahead = None;
    loop {
        let patience = stage.external.patience_left(clock.now());
        let inbox = if stage.restless { placing.take() } else { placing.wait_at_most(patience).await };
        stage.restless |= stage.external.patience_left(clock.now()) == Some(Duration::ZERO);
        stage.attend(inbox);
        if stage.restless {
            let placements = rescue::round(&mut stage, clock.now(), &choice);
            stage.restless = false;
            if !placements.is_empty() {
                let taken = meanwhile(&placing, &mut stage, propose(placements, &mailboxes)).await;
                stage.restless |= taken > 0;
            }
            if !stage.restless && ahead != stage.ahead() {
                ahead = stage.ahead();
                model.set_ahead(ahead);
            }
        }
    }
}

/// Lets rows and visits in while something is decided elsewhere, however long that takes: the store may be away.
async fn meanwhile<T>(placing: &Placing, stage: &mut Stage, decided: impl Future<Output = T>) -> T {
    tokio::pin!(decided);
    loop {
        tokio::select! {
            biased;
            decided = &mut decided => return decided,
            inbox = placing.wait() => stage.attend(inbox),
        }
    }
}

/// Puts a round's proposals to the engine; answers how many were taken.
async fn propose(placements: Vec<Placement>, mailboxes: &Mailboxes) -> usize {
    let proposed = placements.len();
    match mailboxes.report(Event::Place(placements)).await {
        Ok(Answer::Placed { taken, refused }) => {
            if let Some((_, why)) = refused.first() {
                debug!(proposed, taken, %why, "proposals refused");
            }
            taken
        }
        Ok(_) | Err(AskError::Rejected(_) | AskError::Unavailable(_) | AskError::Store(_)) => 0,
        Err(AskError::Stopped | AskError::Internal(_)) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::Fallback;
    use cloudai_core::strategy::by_name;
    use cloudai_core::testing::{TestCluster, cores};

    #[tokio::test]
    async fn while_proposals_are_undecided_visitors_see_the_queue_with_them() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(1));
        let tasks = [cluster.task(1), cluster.task(2)];
        let placing = Placing::default();
        let external = External::new(Fallback::default(), Arc::clone(&placing.word)).unwrap();
        let mut stage = Stage::new(View::default(), by_name("ai").unwrap(), external);
        placing.publish(cluster.rows.clone());
        stage.attend(placing.take());
        let proposed = stage.round(cluster.now);
        assert_eq!(proposed.len(), 1);
        let now = cluster.now;
        let seen = tokio::select! {
            () = meanwhile(&placing, &mut stage, std::future::pending()) => unreachable!("nobody decides"),
            seen = placing.visit(move |stage| stage.queue(now, None, 9)) => seen.unwrap(),
        };
        assert_eq!(seen.iter().map(|queued| queued.task).collect::<Vec<_>>(), tasks);
        // They are taken after all: what was shown meanwhile changes nothing.
        let before = cluster.rows.len();
        cluster.place(proposed[0].attempt.task, "w1");
        placing.publish(cluster.rows[before..].to_vec());
        stage.attend(placing.take());
        assert_eq!(stage.round(cluster.now), []);
        assert_eq!(stage.queue(cluster.now, None, 9).len(), 1);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_thread_that_has_ended() {
        let placing = Placing::default();
        let open = Open(&placing);
        let end = async {
            while placing.lock().visits.is_empty() {
                tokio::task::yield_now().await;
            }
            drop(open);
        };
        let (before, ()) = tokio::join!(placing.visit(|_| ()), end);
        assert_eq!((before, placing.visit(|_| ()).await), (None, None));
    }
}
