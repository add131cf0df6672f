//! A client that never stops to ask for work, whatever becomes of its calls.

use crate::checker::{Asked, Demand};
use crate::rest::{Answer, Rest, ids};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// For an answer: what comes later is never heard.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before the same is asked again, or the next thing when there is too much already.
const PAUSE: Duration = Duration::from_millis(200);
/// Of a hundred submissions without an answer so many are never asked about again.
const GIVEN_UP: u32 = 10;
/// Of a hundred tasks so many are cancelled.
const CANCELLED: u32 = 4;

/// What the tasks are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Real containers, or fake ones.
    pub(crate) image: &'static str,
    /// Tasks a second of all clients together.
    pub(crate) rate: u32,
    pub(crate) clients: u32,
    /// Of one submission at most.
    pub(crate) batch: usize,
    /// Nothing more is submitted while so many wait.
    pub(crate) backlog: u64,
    /// Milliseconds; the longest come seldom.
    pub(crate) longest: u64,
    /// What most tasks take of a worker at least and at most, in thousandths.
    pub(crate) usual: (u64, u64),
    /// What a worker has.
    pub(crate) whole: Demand,
}

/// What was asked for and answered.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) asked: BTreeMap<String, Asked>,
    /// Id and name.
    pub(crate) acknowledged: Vec<(String, String)>,
    pub(crate) cancelled: BTreeSet<String>,
    /// Submissions that were sent again under their keys.
    pub(crate) repeated: u64,
    /// Submissions of which nobody heard.
    pub(crate) given_up: u64,
    /// Answers that no call of ours may get.
    pub(crate) odd: Vec<String>,
}

/// What clients share.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) rest: Rest,
    pub(crate) book: RefCell<Book>,
    pub(crate) closed: Cell<bool>,
    /// The cluster was behind when it said something last.
    pub(crate) behind: Cell<bool>,
    pub(crate) work: Work,
}

impl Office {
    /// Lets every client work until the office is closed.
    pub(crate) async fn run(&self, seed: u64) {
        let clients = (0..self.work.clients).map(|number| self.client(seed, number));
        tokio::join!(futures::future::join_all(clients), self.watch());
    }

    async fn client(&self, seed: u64, number: u32) {
        let mut rng = StdRng::seed_from_u64(seed ^ ((u64::from(number) + 1) << 48));
        let mut cancels: Vec<(Instant, String)> = Vec::new();
        let mut count = 0;
        while !self.closed.get() {
            let size = rng.random_range(1..=self.work.batch);
            let names: Vec<_> = (count..count + size).map(|n| format!("c{number}-{n}")).collect();
            count += size;
            for id in self.submit(&mut rng, &names).await {
                if rng.random_range(0..100) < CANCELLED {
                    cancels.push((Instant::now() + Duration::from_millis(rng.random_range(0..3000)), id));
                }
            }
            let due = cancels.extract_if(.., |(at, _)| *at <= Instant::now()).collect::<Vec<_>>();
            for (_, id) in due {
                self.cancel(&id).await;
            }
            // Over a second for as many as the rate says.
            let share = self.work.rate / self.work.clients;
            sleep(Duration::from_secs(1) * u32::try_from(size).unwrap() / share).await;
            while self.behind.get() && !self.closed.get() {
                sleep(PAUSE).await;
            }
        }
    }

    /// Submits until there is an answer, or nobody cares any more; answers the ids.
    async fn submit(&self, rng: &mut StdRng, names: &[String]) -> Vec<String> {
        let documents: Vec<_> = names.iter().map(|name| self.document(rng, name)).collect();
        let batch = json!({ "tasks": documents });
        loop {
            match self.ask("POST", "/api/v1/tasks/batch", Some(&batch)).await {
                Some(answer) if [200, 201].contains(&answer.status) => {
                    let ids = ids(&answer.body);
                    let pairs = ids.iter().cloned().zip(names.iter().cloned());
                    self.book.borrow_mut().acknowledged.extend(pairs);
                    return ids;
                }
                Some(answer) if answer.status != 503 => {
                    self.book.borrow_mut().odd.push(format!("a submission was answered {answer:?}"));
                    return Vec::new();
                }
                _ if rng.random_range(0..100) < GIVEN_UP => {
                    self.book.borrow_mut().given_up += 1;
                    return Vec::new();
                }
                _ => {
                    self.book.borrow_mut().repeated += 1;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn cancel(&self, id: &str) {
        self.book.borrow_mut().cancelled.insert(id.to_owned());
        let answer = self.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
        // An ended task is no conflict; 503 is the store's business.
        if let Some(answer) = answer.filter(|answer| ![200, 202, 409, 503].contains(&answer.status)) {
            self.book.borrow_mut().odd.push(format!("the cancel of {id} was answered {answer:?}"));
        }
    }

    /// Looks how much waits. Nobody is held back because nothing is said.
    async fn watch(&self) {
        while !self.closed.get() {
            let answer = self.ask("GET", "/api/v1/cluster", None).await;
            if let Some(waiting) = answer.and_then(|answer| answer.body["tasks"]["queued"].as_u64()) {
                self.behind.set(waiting >= self.work.backlog);
            }
            sleep(PAUSE).await;
        }
    }

    /// None when no answer came in time.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        timeout(PATIENCE, self.rest.try_ask(method, path, body)).await.ok()?.ok()
    }

    /// A task under this name and key, as it is written into the book.
    pub(crate) fn document(&self, rng: &mut StdRng, name: &str) -> Value {
        let millis = self.duration(rng);
        let exit = if rng.random_range(0..10) == 0 { rng.random_range(1..=100) } else { 0 };
        let demand = self.demand(rng);
        self.book.borrow_mut().asked.insert(name.to_owned(), Asked { demand, exit });
        let mut document = json!({"name": name, "idempotency_key": name, "image": self.work.image, "kill_after_s": 1,
            "cpu_cores": thousandth(demand.cpu_milli), "memory_gb": gib(demand.memory_mib),
            "storage_gb": 0.01});
        if self.work.image.starts_with("fake:") {
            document["env"] = json!({"FAKE_DURATION_MS": millis.to_string(), "FAKE_EXIT": exit.to_string()});
        } else {
            document["command"] = json!(["sh", "-c", format!("sleep {}; exit {exit}", thousandth(millis))]);
            document["pull_policy"] = "never".into();
        }
        document
    }

    fn duration(&self, rng: &mut StdRng) -> u64 {
        let range = match rng.random_range(0..200) {
            0..160 => 0..=300,
            160..192 => 0..=2500,
            192..198 => 0..=8000,
            // Longer than a lease and what follows: these would be seen to overlap.
            _ => 13_000..=22_000,
        };
        rng.random_range(range).min(self.work.longest)
    }

    /// What is usual, seldom much, very seldom most of a worker: nothing else starts while that
    /// waits for room. Memory and cores apart.
    fn demand(&self, rng: &mut StdRng) -> Demand {
        let mut share = || match rng.random_range(0..2000) {
            0..1800 => rng.random_range(self.work.usual.0..=self.work.usual.1),
            1800..1999 => rng.random_range(100..=400),
            _ => 600,
        };
        let Demand { cpu_milli, memory_mib } = self.work.whole;
        Demand { cpu_milli: cpu_milli * share() / 1000, memory_mib: memory_mib * share() / 1000 }
    }
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn thousandth(number: u64) -> f64 {
    number as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn gib(mib: u64) -> f64 {
    mib as f64 / 1024.0
}
