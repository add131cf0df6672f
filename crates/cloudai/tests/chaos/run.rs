//! One run: a storm over a working cluster, then calm, then the questions.

use crate::bed::{Bed, Fleet};
use crate::checker::{self, History, Task};
use crate::faults::{MASTER, Pace, Schedule, WORKERS};
use crate::network::Network;
use crate::report::Report;
use crate::storm::{self, Tally};
use crate::workload::{Office, Work};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a run is made of.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) fleet: Fleet,
    pub(crate) pace: Pace,
    pub(crate) work: Work,
    /// How long faults happen.
    pub(crate) storm: Duration,
    /// How often each thing must have happened; the storm goes on until it has.
    pub(crate) least: Least,
    /// How long everything may take to end once nothing is broken any more.
    pub(crate) calm: Duration,
}

/// Counts without which a run shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Least {
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    pub(crate) cuts: u64,
    pub(crate) tasks: u64,
}

impl Least {
    /// What is missing, in words.
    pub(crate) fn missing(&self, tally: &Tally, tasks: usize, links: bool) -> Vec<String> {
        let of = |what| tally.get(what).copied().unwrap_or_default();
        let cuts = if links { self.cuts } else { 0 };
        let rows = [
            ("kills", of("kills"), self.kills),
            ("pauses", of("pauses"), self.pauses),
            ("cuts", of("cuts"), cuts),
            ("tasks", tasks as u64, self.tasks),
        ];
        let short = rows.into_iter().filter(|(_, found, least)| found < least);
        short.map(|(what, found, least)| format!("{found} {what} are less than {least}")).collect()
    }
}

/// Tasks that are submitted when all is over.
const FRESH: usize = 12;
/// Violations that are told.
const SHOWN: usize = 40;
/// Between two looks.
const PACE: Duration = Duration::from_millis(100);
/// A storm whose counts are not reached in so many times its length shows that nothing goes on.
const PATIENCE: u32 = 3;

/// Runs in a thread of its own, which may move to another network; panics on a violation.
pub(crate) fn run(form: Form) {
    let seed = std::env::var("CHAOS_SEED").ok().map(|seed| seed.parse().expect("CHAOS_SEED is a number"));
    let seed = seed.unwrap_or_else(|| rand::random_range(0..1_000_000));
    let ran = std::thread::spawn(move || {
        eprintln!("chaos: {}; again with CHAOS_SEED={seed}", form.name);
        let network = Network::make(WORKERS + 1);
        let network = network.map_err(|why| eprintln!("NO LINK IS CUT, cuts need root and iptables: {why}")).ok();
        network.as_ref().inspect(|network| network.enter());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(once(form, seed, network));
    });
    if let Err(panic) = ran.join() {
        // Once more, below what the processes told: of a long output often the end alone is kept.
        if let Some(what) = panic.downcast_ref::<String>() {
            eprintln!("---- what this storm broke ----\n{what}");
        }
        std::panic::resume_unwind(panic);
    }
}

async fn once(form: Form, seed: u64, network: Option<Network>) {
    let begin = Instant::now();
    let bed = Bed::start(form.fleet, network).await;
    let (rest, links) = (bed.rest.clone(), bed.has_links());
    let bed = RefCell::new(bed);
    let office =
        Office { rest, book: RefCell::default(), closed: Cell::default(), behind: Cell::default(), work: form.work };
    let schedule = Schedule::new(seed, form.pace.clone(), links);
    let minutes = Cell::new(0);
    let enough = |passed: Duration, tally: &Tally| {
        let tasks = office.book.borrow().acknowledged.len();
        if passed.as_secs() / 60 > minutes.get() {
            minutes.set(passed.as_secs() / 60);
            eprintln!("after {} s: {tasks} tasks, {tally:?}", passed.as_secs());
        }
        let missing = form.least.missing(tally, tasks, links);
        passed >= form.storm && (missing.is_empty() || passed >= form.storm * PATIENCE)
    };
    let storm = async {
        let tally = storm::rage(&bed, schedule, enough).await;
        office.closed.set(true);
        tally
    };
    let (tally, ()) = tokio::join!(storm, office.run(seed));
    let stormed = begin.elapsed();
    let mut bed = bed.into_inner();
    let mut violations = form.least.missing(&tally, office.book.borrow().acknowledged.len(), links);
    violations.extend(settle(&bed, form.calm).await);
    let fresh = fresh(&bed, &office).await;
    violations.extend(fresh);
    violations.extend(emptied(&bed, form.calm).await);
    violations.extend(bed.odd());
    let history = history(&bed, &office).await;
    violations.extend(checker::violations(&history));
    let book = office.book.into_inner();
    violations.extend(book.odd.iter().cloned());
    let report =
        Report { form: &form, seed, links, stormed, took: begin.elapsed(), tally, book: &book, history: &history };
    eprintln!("{report}violations: {}", violations.len());
    violations.truncate(SHOWN);
    assert!(violations.is_empty(), "CHAOS_SEED={seed}: {violations:#?}");
}

/// Waits until every task has ended.
async fn settle(bed: &Bed, patience: Duration) -> Option<String> {
    let live =
        |tasks: &Value| ["queued", "pending", "running"].iter().filter_map(|word| tasks[word].as_u64()).sum::<u64>();
    wait(patience, "tasks that do not end", async || {
        let Ok(answer) = bed.rest.try_ask("GET", "/api/v1/cluster", None).await else {
            return Some("the master does not answer".into());
        };
        let tasks = &answer.body["tasks"];
        if tasks.is_object() && live(tasks) == 0 { None } else { Some(tasks.to_string()) }
    })
    .await
}

/// When nothing is broken, new work is done as ever.
async fn fresh(bed: &Bed, office: &Office) -> Option<String> {
    bed.all_active().await;
    let mut rng = StdRng::seed_from_u64(0);
    let names: Vec<_> = (0..FRESH).map(|n| format!("fresh-{n}")).collect();
    let mut documents: Vec<_> = names.iter().map(|name| office.document(&mut rng, name)).collect();
    for document in &mut documents {
        let asked = office.book.borrow().asked[document["name"].as_str().unwrap()];
        // Whatever it was drawn to be, it is short and ends well.
        if document["env"].is_object() {
            document["env"] = json!({"FAKE_DURATION_MS": "100"});
        } else {
            document["command"] = json!(["true"]);
        }
        let name = document["name"].as_str().unwrap().to_owned();
        office.book.borrow_mut().asked.insert(name, checker::Asked { exit: 0, ..asked });
    }
    let ids = bed.rest.submit_all(documents).await;
    office.book.borrow_mut().acknowledged.extend(ids.iter().cloned().zip(names));
    for id in ids {
        let task = bed.rest.ended(&id).await;
        if (task["status"].as_str(), task["attempt"].as_u64()) != (Some("completed"), Some(1)) {
            return Some(format!("after all faults {id} did not complete at once: {task:#}"));
        }
    }
    None
}

/// Waits until nothing runs, nothing is held, and no container is left.
async fn emptied(bed: &Bed, patience: Duration) -> Option<String> {
    wait(patience, "things that are left over", async || {
        let workers = bed.rest.get("/api/v1/workers").await;
        let held = |worker: &Value| {
            let amounts = worker["allocated"].as_object().unwrap();
            worker["tasks"] != 0 || amounts.values().any(|amount| amount.as_f64() != Some(0.0))
        };
        if let Some(worker) = workers["items"].as_array().unwrap().iter().find(|worker| held(worker)) {
            return Some(format!("the master holds room on a worker for nothing: {worker}"));
        }
        let (runs, _) = checker::runs(&bed.marks());
        let open: Vec<_> = runs.iter().filter(|(_, run)| run.end.is_none()).map(|(attempt, _)| attempt).collect();
        let containers = bed.containers();
        let clean = open.is_empty() && containers.is_empty();
        (!clean).then(|| format!("{open:?} run, containers {containers:?}"))
    })
    .await
}

/// Looks until there is nothing left to tell; answers the last it was told when that takes too long.
async fn wait(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<String>) -> Option<String> {
    let begin = Instant::now();
    loop {
        let told = look().await?;
        if begin.elapsed() > patience {
            return Some(format!("after {} s without faults there are {what}: {told}", patience.as_secs()));
        }
        sleep(PACE).await;
    }
}

async fn history(bed: &Bed, office: &Office) -> History {
    let listed = bed.rest.all_tasks().await;
    let book = office.book.borrow();
    History {
        asked: book.asked.clone(),
        acknowledged: book.acknowledged.clone(),
        cancelled: book.cancelled.clone(),
        listed: listed.iter().map(|task| Task::read(task, bed.boot())).collect(),
        marks: bed.marks(),
        harm: bed.harm(),
        capacities: bed.capacities(),
        outlive: bed.outlive(),
    }
}

const _: () = assert!(MASTER == 0, "the master is the first host of the network");
