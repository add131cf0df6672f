//! Programs that users run in containers, beside the tasks themselves: which worker is asked for what, who waits for
//! it, and how many there are. Nothing here is state of the cluster: it is gone with this master.
//!
//! A worker is told of an order on its stream of commands, and opens a stream for it. Whoever waits for the order takes
//! that stream over. Every queue is short: a slow user slows the program down, and nothing else.

use bytes::Bytes;
use cloudai_core::ids::{Attempt, Incarnation, Session, TaskId, WorkerId};
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Open at a time in one task: people and their scripts, no way to run work beside the scheduler.
pub(crate) const IN_TASK: usize = 16;
/// Open at a time on one worker: each is a connection of its own, and a few megabytes at worst.
pub(crate) const ON_WORKER: usize = 64;
/// Open at a time on this master: a part of the connections that its door lets in.
pub(crate) const IN_ALL: usize = 512;
/// Orders that wait on the way to one worker: as many as may be open there.
const ORDERS: usize = ON_WORKER;
/// Messages that wait for a worker; their senders wait beyond that.
pub(crate) const TO_WORKER: usize = 8;

/// What a user wants to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The program and its words; empty for a shell.
    pub(crate) command: Vec<String>,
    /// On a terminal of its own.
    pub(crate) tty: bool,
    /// It reads what the user sends.
    pub(crate) stdin: bool,
    /// As whom; empty for the container's own user.
    pub(crate) user: String,
    /// Where; empty for the container's own folder.
    pub(crate) workdir: String,
    /// `NAME=VALUE` each.
    pub(crate) env: Vec<String>,
    /// Of its terminal, at first.
    pub(crate) size: Option<Size>,
}

/// A terminal's size, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) cols: u16,
    pub(crate) rows: u16,
}

/// What a worker is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// Random: whoever knows it may open the stream.
    pub(crate) id: String,
    pub(crate) attempt: Attempt,
    pub(crate) incarnation: Incarnation,
    pub(crate) wish: Wish,
}

/// The worker's end of a program.
pub(crate) struct Opened {
    /// What it sends; it is not read faster than the user reads.
    pub(crate) from: BoxStream<'static, Result<FromWorker, Lost>>,
    /// What it is sent. Dropped, the program is ended.
    pub(crate) to: mpsc::Sender<ToWorker>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

/// The connection to the worker broke, or it said what makes no sense.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Lost(pub(crate) String);

/// What a worker sends of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromWorker {
    Refused(Refusal, String),
    Started,
    Stdout(Bytes),
    Stderr(Bytes),
    Ended(End),
}

/// What a worker is sent for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToWorker {
    Stdin(Bytes),
    EndOfInput,
    Resize(Size),
}

/// Why a worker began nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotRunning,
    Forbidden,
    NotPossible,
    TooMany,
    Engine,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this code, or it could not be begun: then the text says why.
    Exited(i32, String),
    /// With its container.
    TaskEnded,
    /// Its worker stops, or begins another session.
    WorkerStopped,
    /// The engine failed, and why.
    Engine(String),
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Execs {
    /// Whether this master lets any be begun.
    enabled: bool,
    table: Mutex<Table>,
    /// Those who speak with users.
    pub(crate) tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Table {
    /// Who waits for which worker's stream.
    waiting: BTreeMap<String, oneshot::Sender<Opened>>,
    /// The ways to workers, each of a session.
    ways: BTreeMap<WorkerId, (Session, mpsc::Sender<Order>)>,
    in_task: BTreeMap<TaskId, usize>,
    on_worker: BTreeMap<WorkerId, usize>,
    all: usize,
}

/// There is no room for another one: where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Task,
    Worker,
    Master,
}

impl Default for Execs {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Execs {
    /// None yet.
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, table: Mutex::default(), tasks: TaskTracker::new() }
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders for a worker in a session; an earlier stream of the same worker hears no more of them.
    pub(crate) fn listen(&self, worker: WorkerId, session: Session) -> mpsc::Receiver<Order> {
        let (way, orders) = mpsc::channel(ORDERS);
        self.lock().ways.insert(worker, (session, way));
        orders
    }

    /// Takes a place; it is free again when the answer is dropped.
    /// # Errors
    /// Where there is none.
    pub(crate) fn place(self: &Arc<Self>, task: TaskId, worker: &WorkerId) -> Result<Place, Full> {
        let mut table = self.lock();
        if table.in_task.get(&task).is_some_and(|open| *open >= IN_TASK) {
            return Err(Full::Task);
        }
        if table.on_worker.get(worker).is_some_and(|open| *open >= ON_WORKER) {
            return Err(Full::Worker);
        }
        if table.all >= IN_ALL {
            return Err(Full::Master);
        }
        *table.in_task.entry(task).or_default() += 1;
        *table.on_worker.entry(worker.clone()).or_default() += 1;
        table.all += 1;
        Ok(Place { execs: Arc::clone(self), task, worker: worker.clone() })
    }

    /// Sends an order; none when its worker hears nothing in this session.
    pub(crate) fn order(self: &Arc<Self>, worker: &WorkerId, session: Session, order: Order) -> Option<Waiting> {
        let id = order.id.clone();
        let mut table = self.lock();
        let (of, way) = table.ways.get(worker)?;
        if *of != session || way.try_send(order).is_err() {
            return None;
        }
        let (sender, opened) = oneshot::channel();
        table.waiting.insert(id.clone(), sender);
        Some(Waiting { execs: Arc::clone(self), id, opened })
    }

    /// Hands a worker's stream to whoever waits for it; gives it back when nobody does.
    pub(crate) fn open(&self, id: &str, opened: Opened) -> Result<(), Opened> {
        let waiting = self.lock().waiting.remove(id);
        match waiting {
            Some(waiting) => waiting.send(opened),
            None => Err(opened),
        }
    }
}

/// One of the places that there are.
#[derive(Debug)]
pub(crate) struct Place {
    execs: Arc<Execs>,
    task: TaskId,
    worker: WorkerId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.execs.lock();
        table.all -= 1;
        take_one(&mut table.in_task, &self.task);
        take_one(&mut table.on_worker, &self.worker);
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Waits for a worker's stream; dropped, a stream that comes later is not found.
#[derive(Debug)]
pub(crate) struct Waiting {
    execs: Arc<Execs>,
    id: String,
    opened: oneshot::Receiver<Opened>,
}

impl Waiting {
    /// The stream, once the worker has opened it.
    pub(crate) async fn opened(mut self) -> Option<Opened> {
        (&mut self.opened).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.execs.lock().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    fn worker(name: &str) -> WorkerId {
        name.parse().unwrap()
    }

    fn order(id: &str) -> Order {
        let attempt = Attempt { task: TaskId::new(1), number: 1 };
        Order { id: id.into(), attempt, incarnation: Incarnation(1), wish: Wish::default() }
    }

    fn stream() -> Opened {
        Opened { from: futures::stream::empty().boxed(), to: mpsc::channel(1).0 }
    }

    #[test]
    fn a_place_is_refused_where_there_is_none_and_is_free_when_it_is_given_back() {
        let execs = Arc::new(Execs::default());
        let (one, two) = (worker("one"), worker("two"));
        let mut places: Vec<_> = (0..IN_TASK).map(|_| execs.place(TaskId::new(1), &one).unwrap()).collect();
        assert_eq!(execs.place(TaskId::new(1), &one).unwrap_err(), Full::Task);
        let others = |task: usize| TaskId::new(2 + (task / IN_TASK) as u128);
        places.extend((0..ON_WORKER - IN_TASK).map(|task| execs.place(others(task), &one).unwrap()));
        assert_eq!(execs.place(TaskId::new(99), &one).unwrap_err(), Full::Worker);
        places.push(execs.place(TaskId::new(99), &two).unwrap());
        places.clear();
        let table = execs.lock();
        assert!(table.all == 0 && table.in_task.is_empty() && table.on_worker.is_empty(), "{table:?}");
    }

    #[tokio::test]
    async fn a_stream_reaches_whoever_waits_for_it_and_nobody_else() {
        let execs = Arc::new(Execs::default());
        assert!(execs.order(&worker("w"), Session(1), order("a")).is_none(), "it does not listen");
        let mut orders = execs.listen(worker("w"), Session(2));
        assert!(execs.order(&worker("w"), Session(1), order("a")).is_none(), "in another session");
        let waiting = execs.order(&worker("w"), Session(2), order("a")).unwrap();
        assert_eq!(orders.recv().await.unwrap().id, "a");
        assert!(execs.open("b", stream()).is_err(), "nobody ordered that");
        assert!(execs.open("a", stream()).is_ok());
        assert!(waiting.opened().await.is_some());
        assert!(execs.open("a", stream()).is_err(), "it is open already");
        drop(execs.order(&worker("w"), Session(2), order("c")).unwrap());
        assert!(execs.open("c", stream()).is_err(), "its user has gone");
        assert!(execs.lock().waiting.is_empty());
    }
}
