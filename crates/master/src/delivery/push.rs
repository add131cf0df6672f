//! Delivery by calls to workers that asked for it: to each one call at a time, in order, and again until it took all in.
//!
//! Every worker has a pump of its own, so that one that does not answer holds no other up. A pump lives as long as the
//! session that it is of. What it calls is a [`Line`]; the wire is `grpc`'s.

#[cfg(test)]
mod tests;

use super::outlets::Outlets;
use super::{COMMANDS, Delivery};
use crate::exec::Order;
use crate::handle::Handle;
use crate::pace::Backoff;
use crate::principal::Principal;
use async_trait::async_trait;
use cloudai_core::effect::Dispatch;
use cloudai_core::event::Event;
use cloudai_core::ids::{Session, WorkerId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

/// Between two tries, first and at most: a worker takes nothing in before it knows that it is registered.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// For the answer to a call; it is made again afterwards.
const ANSWER: Duration = Duration::from_secs(10);
/// For the answer to an order of a program, which is not made again: commands wait behind it.
const ORDERED: Duration = Duration::from_secs(2);
/// How often a pump that has nothing to do looks whether its session lives.
const LOOK: Duration = Duration::from_secs(5);

/// So many tries in a row may fail before somebody should know: a worker that just registered is not ready at once.
const QUIET: u32 = 3;

/// The way to one worker.
#[async_trait]
pub(crate) trait Line: Send + Sync + std::fmt::Debug {
    /// Brings commands of a session; they were taken in when this returns.
    async fn bring(&self, session: Session, commands: Vec<Dispatch>) -> Result<(), NotTaken>;

    /// Brings the order of a program that a user wants to run there.
    async fn order(&self, session: Session, order: Order) -> Result<(), NotTaken>;
}

/// Why a worker took nothing in, or not all, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotTaken(pub(crate) String);

/// The master of a pump.
#[async_trait]
pub(crate) trait Home: Send + Sync + std::fmt::Debug {
    /// Whether the session lives: begun under this master and not ended since.
    fn is_current(&self, worker: &WorkerId, session: Session) -> bool;

    /// The way is open, as a stream that was subscribed to: what the worker has not confirmed is sent.
    /// Answers whether that was taken in.
    async fn opened(&self, worker: &WorkerId, session: Session) -> bool;

    /// Programs that users want to run there, from now on.
    fn orders(&self, worker: &WorkerId, session: Session) -> mpsc::Receiver<Order>;
}

#[async_trait]
impl Home for Handle {
    fn is_current(&self, worker: &WorkerId, session: Session) -> bool {
        self.has_session(worker, session)
    }

    async fn opened(&self, worker: &WorkerId, session: Session) -> bool {
        let told = self.report(&Principal::worker(), Event::Subscribed(worker.clone(), session)).await;
        told.inspect_err(|error| debug!(%worker, %error, "way of a session not opened")).is_ok()
    }

    fn orders(&self, worker: &WorkerId, session: Session) -> mpsc::Receiver<Order> {
        self.shared.execs.listen(worker.clone(), session)
    }
}

/// The pumps, one for each worker that asked for push delivery.
#[derive(Debug, Default)]
pub struct Pushes {
    outlets: Outlets,
    pumps: Mutex<BTreeMap<WorkerId, (Session, CancellationToken)>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Pushes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, (Session, CancellationToken)>> {
        self.pumps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a session from now on; that of an earlier session of the same worker ends.
    pub(crate) fn begin(
        self: &Arc<Self>,
        worker: WorkerId,
        session: Session,
        home: Arc<dyn Home>,
        line: Arc<dyn Line>,
    ) {
        let ends = self.stopping.child_token();
        let mut pumps = self.lock();
        if pumps.get(&worker).is_some_and(|(later, _)| *later > session) {
            return;
        }
        if let Some((_, earlier)) = pumps.insert(worker.clone(), (session, ends.clone())) {
            earlier.cancel();
        }
        drop(pumps);
        let pump = Pump { pushes: Arc::clone(self), worker, session, home, line };
        self.tasks.spawn(async move {
            ends.run_until_cancelled(pump.run()).await;
            pump.pushes.forget(&pump.worker, pump.session);
        });
    }

    /// A pump has ended.
    fn forget(&self, worker: &WorkerId, session: Session) {
        self.outlets.close(worker, session);
        let mut pumps = self.lock();
        if pumps.get(worker).is_some_and(|(present, _)| *present == session) {
            pumps.remove(worker);
        }
    }

    /// Waits until no call is under way any more, once all are closed.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Delivery for Pushes {
    fn deliver(&self, dispatches: Vec<Dispatch>) -> Vec<Dispatch> {
        self.outlets.put(dispatches)
    }

    fn close_all(&self) {
        self.stopping.cancel();
        self.outlets.close_all();
    }
}

/// What brings the commands of one session to its worker.
#[derive(Debug)]
struct Pump {
    pushes: Arc<Pushes>,
    worker: WorkerId,
    session: Session,
    home: Arc<dyn Home>,
    line: Arc<dyn Line>,
}

impl Pump {
    fn is_current(&self) -> bool {
        self.home.is_current(&self.worker, self.session)
    }

    /// Until the session ends. A queue that was full is begun again, as a stream is subscribed to again.
    async fn run(&self) {
        let mut wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        while self.is_current() {
            let commands = self.pushes.outlets.open(self.worker.clone(), self.session);
            let orders = self.home.orders(&self.worker, self.session);
            if self.home.opened(&self.worker, self.session).await {
                self.pump(commands, orders).await;
            }
            tokio::time::sleep(wait.wait()).await;
        }
    }

    /// Brings what comes until the queue or the session ends.
    async fn pump(&self, mut commands: mpsc::Receiver<Dispatch>, mut orders: mpsc::Receiver<Order>) {
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                biased;
                taken = commands.recv_many(&mut waiting, COMMANDS) => {
                    if taken == 0 || !self.bring(&std::mem::take(&mut waiting)).await {
                        return;
                    }
                }
                Some(order) = orders.recv() => self.order(order).await,
                () = tokio::time::sleep(LOOK) => {
                    if !self.is_current() {
                        return;
                    }
                }
            }
        }
    }

    /// Brings commands, again and again; answers false when their session ended before they were taken in. Those that
    /// were taken in already count once.
    async fn bring(&self, commands: &[Dispatch]) -> bool {
        let mut wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut missed = 0;
        while self.is_current() {
            let call = self.line.bring(self.session, commands.to_vec());
            let why = match tokio::time::timeout(ANSWER, call).await {
                Ok(Ok(())) => {
                    if missed > QUIET {
                        info!(worker = %self.worker, "commands were taken in again");
                    }
                    return true;
                }
                Ok(Err(NotTaken(why))) => why,
                Err(_) => "it did not answer in time".to_owned(),
            };
            missed += 1;
            if missed == QUIET + 1 {
                warn!(worker = %self.worker, why, "commands were not taken in, they are brought again");
            } else {
                debug!(worker = %self.worker, why, "commands were not taken in");
            }
            tokio::time::sleep(wait.wait()).await;
        }
        false
    }

    /// Whoever waits for the program is told when nothing comes of it.
    async fn order(&self, order: Order) {
        let call = self.line.order(self.session, order);
        match tokio::time::timeout(ORDERED, call).await {
            Ok(Ok(())) => {}
            Ok(Err(NotTaken(why))) => warn!(worker = %self.worker, why, "order of a user's program was not taken in"),
            Err(_) => warn!(worker = %self.worker, "order of a user's program was not answered in time"),
        }
    }
}
