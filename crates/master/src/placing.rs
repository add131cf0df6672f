//! The strategy's own thread: a mirror of the committed state, one round in flight.

use crate::choice::Choice;
use crate::clock::Clock;
use crate::external::{External, Word};
use crate::feed::What;
use crate::machine::Threads;
use crate::mailbox::{AskError, Mailboxes};
use crate::model::Model;
use crate::rescue;
use crate::watching::Watchers;
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Placement};
use cloudai_core::preemption::Preemption;
use cloudai_core::strategy::{Ahead, EXTERNAL, Queued, Spot, Strategy, Thinking, Thought, View};
use cloudai_core::time::Timestamp;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
    strategy: Box<dyn Strategy>,
    /// The number of what it thinks about beside the rounds, or thought about last.
    thinking: u64,
    /// How its thinking failed.
    fault: Option<Fault>,
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
        Self { view, strategy, thinking: 0, fault: None, restless: true, external, watchers: Watchers::default() }
    }

    /// What places, or leaves it to an agent.
    pub(crate) fn strategy(&self) -> &dyn Strategy {
        &*self.strategy
    }

    /// Another strategy places from the next round on; what the one before still thinks about is of no use.
    pub(crate) fn set_strategy(&mut self, strategy: Box<dyn Strategy>) {
        (self.strategy, self.fault) = (strategy, None);
        self.thinking += 1;
        self.restless = true;
    }

    /// What the strategy wants thought about, with a number for [`Stage::heed`].
    fn thinking(&mut self) -> Option<(u64, Thinking)> {
        let thinking = self.strategy.thinking()?;
        self.thinking += 1;
        Some((self.thinking, thinking))
    }

    /// Takes in what came of a thinking.
    fn heed(&mut self, number: u64, thought: Result<Thought, Fault>) {
        if number != self.thinking {
            return;
        }
        match thought {
            Ok(thought) => self.strategy.heed(thought),
            Err(fault) => self.fault = Some(fault),
        }
        self.restless = true;
    }

    /// A round; a fault of what was thought beside is one of the round.
    pub(crate) fn round(&mut self, now: Timestamp) -> Vec<Placement> {
        if let Some(fault) = self.fault.take() {
            resume_unwind(fault);
        }
        if self.strategy.name() == EXTERNAL {
            return self.external.round(&mut self.view, now);
        }
        self.external.rest();
        self.view.quick_round(&mut *self.strategy, now)
    }

    /// What is to make room for more important tasks after a round that placed nothing. While an agent places that is
    /// its business: it could not be kept from the room.
    fn preempt(&self, now: Timestamp) -> Vec<Preemption> {
        if self.acting().name() == EXTERNAL { Vec::new() } else { self.view.preempt(now) }
    }

    /// Takes rows, visitors and thoughts in.
    fn attend(&mut self, inbox: Inbox) {
        self.restless |= !inbox.rows.is_empty();
        for row in &inbox.rows {
            self.view.apply(row);
        }
        self.watchers.tell(&inbox.rows, &self.view);
        for (number, thought) in inbox.thoughts {
            self.heed(number, thought);
        }
        for visit in inbox.visits {
            visit(self);
        }
    }

    /// What places now: the fallback while an agent is late.
    fn acting(&self) -> &dyn Strategy {
        if self.strategy.name() == EXTERNAL { self.external.acting() } else { &*self.strategy }
    }

    /// What goes before what waits since the last round.
    fn ahead(&self) -> Ahead {
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

/// With what a thread panicked.
type Fault = Box<dyn Any + Send>;

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
    thoughts: Vec<(u64, Result<Thought, Fault>)>,
    /// Nobody empties it any more.
    closed: bool,
}

impl Inbox {
    const fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.visits.is_empty() && self.thoughts.is_empty()
    }
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

    /// Thinks beside the rounds, and puts what came of it into the inbox.
    fn think(self: &Arc<Self>, threads: Threads, number: u64, thinking: Thinking) {
        let placing = Arc::clone(self);
        threads.beside(move || {
            let thought = catch_unwind(AssertUnwindSafe(|| thinking.think()));
            placing.lock().thoughts.push((number, thought));
            placing.arrived.notify_one();
        });
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
            if !inbox.is_empty() {
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
    threads: Threads,
) {
    let _open = Open(&placing);
    stage.restless = true;
    let mut told = Arc::new(Ahead::default());
    loop {
        let patience = stage.external.patience_left(clock.now());
        let inbox = if stage.restless { placing.take() } else { placing.wait_at_most(patience).await };
        stage.restless |= stage.external.patience_left(clock.now()) == Some(Duration::ZERO);
        stage.attend(inbox);
        if stage.restless {
            let before = choice.now().name();
            let placements = rescue::round(&mut stage, clock.now(), &choice);
            let places = choice.now().name();
            if places != before {
                // It had a fault: who follows hears of it as of a switch that somebody ordered.
                model.feed().add(clock.now(), vec![What::Strategy(places.into())]);
            }
            stage.restless = false;
            if let Some((number, thinking)) = stage.thinking() {
                placing.think(threads, number, thinking);
            }
            let taken = if placements.is_empty() {
                let preemptions = stage.preempt(clock.now());
                meanwhile(&placing, &mut stage, preempt(preemptions, &mailboxes)).await
            } else {
                meanwhile(&placing, &mut stage, propose(placements, &mailboxes)).await
            };
            stage.restless |= taken > 0;
            if !stage.restless {
                let ahead = stage.ahead();
                if *told != ahead {
                    told = Arc::new(ahead);
                    model.set_ahead(Arc::clone(&told));
                }
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
        Err(
            AskError::Bulk(_)
            | AskError::Keys(_)
            | AskError::Specs(_)
            | AskError::Denied(_)
            | AskError::Forbidden(_)
            | AskError::Stopped
            | AskError::Internal(_),
        ) => 0,
    }
}

/// Puts what is to make room to the engine; answers for how many tasks it does.
async fn preempt(preemptions: Vec<Preemption>, mailboxes: &Mailboxes) -> usize {
    if preemptions.is_empty() {
        return 0;
    }
    let (mut taken, proposed) = (0, preemptions.len());
    let answers = mailboxes.report_all(preemptions.into_iter().map(Event::Preempt).collect()).await;
    for answer in answers.unwrap_or_default() {
        match answer {
            Ok(Answer::Preempted { refused: None }) => taken += 1,
            Ok(Answer::Preempted { refused: Some(why) }) => debug!(proposed, %why, "preemption refused"),
            // Nothing else is answered; what the engine could not take is looked for again after the next rows.
            Ok(_) | Err(_) => {}
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Chosen;
    use crate::external::Fallback;
    use cloudai_core::spec::Value;
    use cloudai_core::strategy::{Knobs, by_name};
    use cloudai_core::testing::{TestCluster, cores, spec};

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

    /// A stage on which as many tasks of ten minutes wait for one core: a backlog that `ai` plans.
    fn backlog(tasks: u128) -> (TestCluster, Stage) {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(1));
        for number in 1..=tasks {
            cluster.submit(number, spec(&[("estimate_s", Value::Int(600))])).unwrap();
        }
        let external = External::new(Fallback::default(), Arc::default()).unwrap();
        let mut stage = Stage::new(View::default(), by_name("ai").unwrap(), external);
        cluster.rows.iter().for_each(|row| stage.view.apply(row));
        (cluster, stage)
    }

    #[tokio::test]
    async fn while_a_first_plan_is_thought_of_visitors_are_let_in_and_what_comes_of_it_is_placed() {
        let (cluster, mut stage) = backlog(9);
        let placing = Arc::new(Placing::default());
        assert_eq!(stage.round(cluster.now), []);
        let (number, thinking) = stage.thinking().expect("it plans");
        let now = cluster.now;
        let seen = tokio::select! {
            () = meanwhile(&placing, &mut stage, std::future::pending()) => unreachable!("nobody decides"),
            seen = placing.visit(move |stage| stage.queue(now, None, 99)) => seen.unwrap(),
        };
        assert_eq!(seen.len(), 9);
        placing.think(Threads::Own, number, thinking);
        let inbox = placing.wait().await;
        stage.restless = false;
        stage.attend(inbox);
        assert!(stage.restless);
        assert_eq!(stage.round(cluster.now).len(), 1);
        assert!(stage.thinking().is_none(), "nothing is new");
    }

    #[test]
    fn what_was_thought_for_a_strategy_of_before_is_dropped() {
        let (cluster, mut stage) = backlog(9);
        stage.round(cluster.now);
        let (number, thinking) = stage.thinking().unwrap();
        stage.set_strategy(by_name("ai").unwrap());
        stage.view.retell();
        stage.round(cluster.now);
        let (other, _) = stage.thinking().unwrap();
        stage.heed(number, Ok(thinking.think()));
        stage.heed(number, Err(Box::new("late")));
        assert_eq!(stage.round(cluster.now), [], "its own plan is still being thought of");
        assert_ne!(number, other);
    }

    #[test]
    fn a_fault_in_thinking_is_one_of_the_next_round() {
        let (cluster, mut stage) = backlog(9);
        let choice = Choice::new(Chosen::of("ai", Knobs::default()).unwrap());
        assert_eq!(rescue::round(&mut stage, cluster.now, &choice), []);
        let (number, _) = stage.thinking().unwrap();
        stage.heed(number, Err(Box::new("a fault")));
        assert_eq!(rescue::round(&mut stage, cluster.now, &choice).len(), 1);
        assert_eq!(stage.strategy().name(), "greedy_skip");
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
