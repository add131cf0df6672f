//! What explain says agrees with what placing does.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::access::Access;
use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::effect::{Effect, Row};
use cloudai_core::event::{Answer, DutyOrder, DutyWish, Event, LabelOrder, NewTask, Placement, Registration};
use cloudai_core::feasible;
use cloudai_core::ids::{Attempt, Incarnation, TaskId, UserId, WorkerId};
use cloudai_core::label::{self, Changes};
use cloudai_core::resources::{Capacity, Demand, Free, GIB, Gpu};
use cloudai_core::spec::{TaskSpec, Value, Volume};
use cloudai_core::state::Phase;
use cloudai_core::strategy::explain::{self, Change, Explanation, Looked, Standing, Turn};
use cloudai_core::strategy::{ALL, EXTERNAL, Knobs, Planned, Spot, View, by_name, make};
use cloudai_core::task::{Outcome, State, TaskRecord};
use cloudai_core::testing::{TestCluster, cores, cores_and_gpus, spec, task_id, worker_id};
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_core::worker::{About, WorkerRecord};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A cluster with what a strategy sees of it.
struct Seen {
    cluster: Cluster,
    view: View,
}

impl Seen {
    fn of(events: Vec<Event>) -> Self {
        let start = Start { incarnation: Incarnation(1), ..Start::default() };
        let cluster = Cluster::new(Timing::default(), start, NOW);
        let mut seen = Self { cluster, view: View::default() };
        for event in events {
            let Ok(applied) = seen.cluster.apply(NOW, event) else { continue };
            for effect in &applied.effects {
                if let Effect::Save(row) = effect {
                    seen.view.apply(row);
                }
            }
        }
        seen
    }

    /// Whether a placement would be taken after these events; it is tried on a twin.
    fn takes_after(&self, events: Vec<Event>, task: TaskId, worker: &WorkerId) -> bool {
        let mut twin = self.cluster.clone();
        for event in events {
            twin.apply(NOW, event).unwrap();
        }
        let number = twin.task(task).map_or(0, |task| task.number()) + 1;
        let placement = Placement { attempt: Attempt { task, number }, worker: worker.clone() };
        let applied = twin.apply(NOW, Event::Place(vec![placement])).unwrap();
        matches!(applied.answer, Answer::Placed { taken: 1, .. })
    }

    fn takes(&self, task: TaskId, worker: &WorkerId) -> bool {
        self.takes_after(Vec::new(), task, worker)
    }

    fn explain(&self, task: &TaskRecord, strategy: &str) -> Explanation {
        explain(&self.view, task, strategy, Some("ai"), NOW)
    }
}

fn submit(number: u128, spec: TaskSpec) -> Event {
    Event::Submit(vec![NewTask {
        id: task_id(number),
        owner: UserId::local(),
        job: None,
        depends_on: Vec::new(),
        retry_of: None,
        spec: Arc::new(spec),
    }])
}

fn name(number: u8) -> WorkerId {
    worker_id(&format!("w{number}"))
}

/// What a worker of a random cluster offers, what is done to it, and its labels.
type Machine = (u64, u64, u64, u8, u8, usize, usize);
/// What a task asks for: cpu, memory, storage, gpu, model, pin; where it is placed, if it fits; volumes and constraints.
type Wish = (u64, u64, u64, u64, u8, u8, u8, usize, usize);

/// What workers let tasks see.
const OFFERS: [&str; 5] = ["", "/data", "/data:ro", "/data/a scratch", "/ scratch:ro"];
/// What tasks want to see, most often nothing.
const VOLUMES: [&str; 9] = ["", "", "", "", "/data/a", "/data:ro", "/data/a:ro scratch:ro", "scratch", "other"];

/// Labels of workers.
const LABELS: [&str; 4] = ["", "zone=eu", "zone=us disk=ssd", "disk=hdd os=lie"];
/// What tasks ask of them, most often nothing.
const CONSTRAINTS: [&[&str]; 9] = [
    &[],
    &[],
    &[],
    &[],
    &["zone = eu"],
    &["zone != eu", "exists disk"],
    &["zone in (eu, us)", "disk notin (ssd)"],
    &["!disk"],
    &["os = linux", "gpu.model = a100"],
];

fn labels(texts: &str) -> BTreeMap<String, String> {
    let pairs = texts.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn accesses(texts: &str) -> Vec<Access> {
    texts.split_whitespace().map(|text| text.parse().unwrap()).collect()
}

fn volumes(texts: &str) -> Vec<Volume> {
    let volume = |(number, access)| Volume { access, path: format!("/v{number}") };
    accesses(texts).into_iter().enumerate().map(volume).collect()
}

fn events(machines: &[Machine], wishes: &[Wish]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut after = Vec::new();
    for (number, (cpu, memory, storage, gpus, duty, offers, known_as)) in (0u8..).zip(machines) {
        let gpu = |id: u8| Gpu { id: id.to_string().into(), model: ["t4", "a100"][usize::from(id % 2)].into() };
        let capacity = Capacity {
            cpu_milli: cpu * 500,
            memory: memory * GIB,
            storage: storage * GIB,
            gpus: (0..*gpus).map(gpu).collect(),
        };
        events.push(Event::Register(Box::new(Registration {
            worker: name(number),
            address: None,
            capacity,
            labels: labels(LABELS[*known_as]),
            about: About { offers: accesses(OFFERS[*offers]), os: "linux".into(), ..About::default() },
            held: vec![],
        })));
        let wish = match duty {
            0 => DutyWish::Cordon { reason: String::new() },
            1 => DutyWish::Drain { reason: String::new(), deadline: None },
            _ => continue,
        };
        after.push(Event::Duty(DutyOrder { worker: name(number), by: UserId::local(), wish }));
    }
    for (number, (cpu, memory, storage, gpu, model, pin, place, sees, asks)) in (1u128..).zip(wishes) {
        let mut spec = TaskSpec::of_image("busybox").unwrap();
        let gpu_milli = [0, 0, 300, 700, 1000, 2000][usize::try_from(*gpu).unwrap() % 6];
        spec.demand = Demand {
            cpu_milli: cpu * 500,
            memory: memory * GIB,
            storage: storage * GIB,
            gpu_milli,
            gpu_model: (gpu_milli > 0 && *model < 2).then(|| ["t4", "h100"][usize::from(*model)].into()),
        };
        spec.priority = i32::from(*model) - 2;
        spec.worker_id = (*pin < 2).then(|| name(*pin));
        spec.allow_pending = true;
        spec.container.volumes = volumes(VOLUMES[*sees]);
        spec.constraints = CONSTRAINTS[*asks].iter().map(|text| text.parse().unwrap()).collect();
        spec.name = Some(["a", "b"][usize::from(*model % 2)].into());
        let apart: &[&str] = [&["zone"][..], &["worker.id"], &[], &[], &[]][usize::try_from(*memory).unwrap() % 5];
        spec.anti_affinity = apart.iter().map(|label| (*label).to_owned()).collect();
        spec.hold = *pin == 9;
        let cores = Demand { cpu_milli: 3000, gpu_milli: 0, gpu_model: None, ..spec.demand.clone() };
        spec.alternatives.extend((*place % 3 == 0 && cores != spec.demand).then_some(cores));
        events.push(submit(number, spec));
        let attempt = Attempt { task: task_id(number), number: 1 };
        events.push(Event::Place(vec![Placement { attempt, worker: name(*place) }]));
    }
    events.extend(after);
    events
}

fn machines() -> impl Strategy<Value = Vec<Machine>> {
    let machine = (1u64..9, 1u64..9, 0u64..6, 0u8..3, 0u8..8, 0..OFFERS.len(), 0..LABELS.len());
    proptest::collection::vec(machine, 1..5)
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let given = (0..VOLUMES.len(), 0..CONSTRAINTS.len());
    let wish = (1u64..9, 1u64..9, 0u64..4, 0u64..6, 0u8..6, 0u8..10, 0u8..12, given.0, given.1);
    proptest::collection::vec(wish, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_of_every_worker_is_what_a_placement_there_comes_to(machines in machines(), wishes in wishes()) {
        let seen = Seen::of(events(&machines, &wishes));
        for task in seen.cluster.tasks() {
            let told = seen.explain(task, "greedy");
            if told.standing != Standing::Waits {
                continue;
            }
            for looked in &told.workers {
                prop_assert_eq!(looked.fits(), seen.takes(task.id, &looked.worker), "{:?} on {:?}", task.spec, looked);
            }
            prop_assert_eq!(told.workers.len(), seen.cluster.workers().count());
            prop_assert_eq!(told.counts.values().sum::<usize>(), told.workers.len());
            if told.workers.iter().any(Looked::fits) {
                prop_assert!(told.changes.is_empty() && told.why.is_none(), "{:?}", told);
                prop_assert!(told.start.is_some_and(|start| start.at == NOW && start.after.is_none()), "{:?}", told);
            }
        }
    }

    #[test]
    fn what_a_strategy_is_said_to_do_is_what_it_does(machines in machines(), wishes in wishes()) {
        let seen = Seen::of(events(&machines, &wishes));
        for (strategy, _) in ALL {
            let mut view = seen.view.clone();
            view.retell();
            let round = view.round(&mut *by_name(strategy).unwrap(), NOW);
            let mut queue = seen.view.clone();
            queue.retell();
            let mut queue = queue.queue(&mut *by_name(strategy).unwrap(), NOW, None, usize::MAX);
            queue.retain(|queued| !matches!(queued.spot, Spot::Outside(_)));
            for task in seen.cluster.tasks() {
                let told = seen.explain(task, strategy);
                let place = queue.iter().position(|queued| queued.task == task.id);
                prop_assert_eq!(told.place, place.map(|place| (place + 1, queue.len())), "{} {:?}", strategy, told);
                let Some(outlook) = &told.now else { continue };
                let fits = told.workers.iter().any(Looked::fits);
                prop_assert_eq!(outlook.turn == Turn::NoRoom, !fits, "{:?}", told);
                if let Some(placed) = round.iter().find(|placement| placement.attempt.task == task.id) {
                    prop_assert_eq!(&outlook.turn, &Turn::Now(placed.worker.clone()), "{} {:?}", strategy, told);
                }
                if let Turn::Now(worker) = &outlook.turn
                    && outlook.starts == 0
                {
                    prop_assert!(seen.takes(task.id, worker), "{} {:?}", strategy, told);
                }
                prop_assert_eq!(told.scores.is_empty(), !fits, "{} {:?}", strategy, told);
                for score in &told.scores {
                    prop_assert!(seen.takes(task.id, &score.worker), "{} {:?}", strategy, score);
                }
            }
        }
    }

    #[test]
    fn with_the_smallest_change_the_task_fits(machines in machines(), wishes in wishes()) {
        let seen = Seen::of(events(&machines, &wishes));
        for task in seen.cluster.tasks() {
            let told = seen.explain(task, "ai");
            let changed = |change: &Change| match change {
                Change::Ask(asked) => {
                    let mut spec = TaskSpec { hold: false, ..(*task.spec).clone() };
                    let demand = asked.apply(asked.of(&spec));
                    match asked.request {
                        None | Some(0) => spec.demand = demand,
                        Some(request) => spec.alternatives[usize::from(request) - 1] = demand,
                    }
                    (spec, asked.worker.clone())
                }
                Change::Unpin(worker) => {
                    (TaskSpec { worker_id: None, hold: false, ..(*task.spec).clone() }, worker.clone())
                }
                Change::Open(worker, _) | Change::Label(worker, _) => ((*task.spec).clone(), worker.clone()),
            };
            for change in &told.changes {
                let (spec, worker) = changed(change);
                let document = TaskSpec { idempotency_key: None, ..spec.clone() }.to_value();
                prop_assert!(TaskSpec::from_value(&document).is_ok(), "{change:?} can not be asked for");
                let (events, id) = match change {
                    Change::Open(..) => {
                        let order = DutyOrder { worker: worker.clone(), by: UserId::local(), wish: DutyWish::Open };
                        (vec![Event::Duty(order), Event::Release(task.id)], task.id)
                    }
                    Change::Label(worker, changes) => {
                        (vec![label_order(worker, changes), Event::Release(task.id)], task.id)
                    }
                    Change::Ask(_) | Change::Unpin(_) => (vec![submit(999, spec)], task_id(999)),
                };
                prop_assert!(seen.takes_after(events, id, &worker), "{:?} {:?}", task.spec, change);
            }
            for change in &told.possible {
                let (spec, worker) = changed(change);
                let record = seen.cluster.workers().find(|record| record.id == worker).unwrap();
                let mut record = WorkerRecord::clone(record);
                let of_labels = matches!(change, Change::Label(..));
                if let Change::Label(_, changes) = change {
                    label::change(&mut record.labels, changes);
                }
                prop_assert!(feasible::could_ever(&spec, &record).is_ok(), "{:?} {:?}", task.spec, change);
                let large = task.spec.demands().all(|demand| Free::all(&record.capacity).pick(demand).is_err());
                prop_assert!(large || task.spec.worker_id.is_some() || of_labels);
            }
        }
    }
}

fn label_order(worker: &WorkerId, changes: &Changes) -> Event {
    let set = changes.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    let remove = changes.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.clone()).collect();
    Event::SetLabels(LabelOrder { worker: worker.clone(), set, remove, by: UserId::local() })
}

/// Explains as a strategy does that sees the view for the first time.
fn explain(view: &View, task: &TaskRecord, strategy: &str, other: Option<&str>, now: Timestamp) -> Explanation {
    let mut view = view.clone();
    view.retell();
    explain::explain(&view, task, &*by_name(strategy).unwrap(), other, now)
}

fn view(c: &TestCluster) -> View {
    let mut view = View::default();
    c.rows.iter().for_each(|row| view.apply(row));
    view
}

fn told(c: &TestCluster, task: TaskId, strategy: &str) -> Explanation {
    explain(&view(c), &c.record(task), strategy, None, c.now)
}

/// A worker with four cores, of which a task has two.
fn half_full() -> (TestCluster, TaskId) {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let runs = of_cpus(&mut c, 1, 2);
    c.place(runs, "w1");
    (c, runs)
}

fn of_cpus(c: &mut TestCluster, number: u128, cpus: i64) -> TaskId {
    c.submit(number, spec(&[("cpu_cores", Value::Int(cpus))])).unwrap()
}

#[test]
fn every_resource_that_is_short_is_told_with_numbers_and_the_nearest_change_and_start() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    c.worker("w2", cores(8));
    let first = of_cpus(&mut c, 1, 6);
    c.place(first, "w2");
    let fields = [("cpu_cores", Value::Int(6)), ("memory_gb", Value::Int(16))];
    let task = c.submit(2, spec(&fields)).unwrap();
    let told = told(&c, task, "greedy");
    let against = |at: usize| told.workers[at].against.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told.workers[0].worker.as_str(), "w2", "it alone could ever run it");
    assert_eq!(against(0), ["cpu need 6 free 2 of 8", "memory need 16 GiB free 15.5 GiB of 16 GiB"]);
    assert_eq!(against(1), ["cpu need 6 free 4 of 4", "memory need 16 GiB free 8 GiB of 8 GiB"]);
    let start = told.start.unwrap();
    assert_eq!((start.after, start.guessed), (Some(first), true));
    assert_eq!(start.at.as_millis(), c.now.as_millis() + 300_000, "what is unknown is taken for five minutes");
    let changes: Vec<_> = told.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["with 4 cpu and 8 GiB memory or less it fits w1"]);
    assert_eq!((told.place, told.now.unwrap().turn), (Some((1, 1)), Turn::NoRoom));
}

#[test]
fn a_task_that_no_worker_could_ever_run_is_told_what_it_may_ask_for() {
    let mut c = TestCluster::default();
    c.worker("w1", cores_and_gpus(4, 1));
    let gpu = |count| ("gpu_cores", Value::Int(count));
    let fields = [gpu(2), ("allow_pending", Value::Bool(true))];
    let task = c.submit(1, spec(&fields)).unwrap();
    let told = told(&c, task, "ai");
    assert_eq!((&told.standing, told.workers[0].ever, told.now.is_none()), (&Standing::Never, false, true));
    assert_eq!(told.possible[0].to_string(), "with 1 gpu or less it fits w1");
    assert!(told.sentence().starts_with("no worker can run this"), "{}", told.sentence());
}

#[test]
fn a_task_behind_another_is_told_which_and_what_other_strategies_would_do() {
    let (mut c, runs) = half_full();
    let large = of_cpus(&mut c, 2, 4);
    let small = of_cpus(&mut c, 3, 1);
    let strict = explain(&view(&c), &c.record(small), "greedy", Some("greedy_skip"), c.now);
    let outlook = strict.now.as_ref().unwrap();
    assert!(matches!(outlook.turn, Turn::Behind(first, Some(start)) if first == large && start.after == Some(runs)));
    assert_eq!(strict.place, Some((2, 2)));
    assert!(strict.sentence().contains(&format!("{large} goes first")), "{}", strict.sentence());
    let other = strict.other.unwrap();
    assert_eq!((other.turn, other.starts), (Turn::Now(worker_id("w1")), 0));
    assert_eq!(strict.scores[0].used[0], Some(0.75), "3 of 4 cores with it");
}

#[test]
fn a_strategy_that_keeps_room_tells_for_which_task() {
    let (mut c, _) = half_full();
    c.wait(std::time::Duration::from_secs(1));
    let first = of_cpus(&mut c, 2, 3);
    // There is room for it now, and it would not have ended when the first one could start.
    let late = c.submit(3, spec(&[("cpu_cores", Value::Int(2)), ("memory_gb", Value::Int(7))])).unwrap();
    for (strategy, _) in ALL {
        assert_eq!(told(&c, first, strategy).now.unwrap().turn, Turn::NoRoom, "{strategy}");
        let turn = told(&c, late, strategy).now.unwrap().turn;
        let (next, behind) =
            (turn == Turn::Now(worker_id("w1")), matches!(turn, Turn::Behind(task, _) if task == first));
        let strict = ["greedy", "round_robin", "balanced"].contains(strategy);
        let skips = strategy.ends_with("_skip");
        assert!(next && !strict || behind && !skips, "{strategy}: {turn:?}");
        let (mut view, mut placing) = (view(&c), by_name(strategy).unwrap());
        view.round(&mut *placing, c.now);
        assert_eq!(view.ahead(&*placing).first, (!skips).then_some(first), "{strategy}");
    }
}

#[test]
fn a_task_pinned_behind_another_is_told_which() {
    for strategy in ALL.iter().map(|(name, _)| *name).chain([EXTERNAL]) {
        let (mut c, runs) = half_full();
        c.worker("w2", cores(4));
        let pin = ("worker_id", Value::Text("w1".into()));
        let large = c.submit(2, spec(&[pin.clone(), ("cpu_cores", Value::Int(3))])).unwrap();
        let small = c.submit(3, spec(&[pin])).unwrap();
        assert_eq!(told(&c, large, strategy).now.unwrap().turn, Turn::NoRoom, "{strategy}");
        let turn = told(&c, small, strategy).now.unwrap().turn;
        let is_behind = matches!(turn, Turn::Behind(first, Some(start)) if first == large && start.after == Some(runs));
        assert!(is_behind, "{strategy}: {turn:?}");
    }
}

#[test]
fn what_is_planned_is_told_where_and_when_and_starts_so() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    c.worker("w2", cores(4));
    let wish = |number: i64| spec(&[("cpu_cores", Value::Int(4)), ("estimate_s", Value::Int(100 + 7 * (number % 5)))]);
    let tasks: Vec<TaskId> = (1..11u8).map(|number| c.submit(number.into(), wish(number.into())).unwrap()).collect();
    let (mut view, mut strategy) = (view(&c), by_name("ai_aggressive").unwrap());
    let mut runs: Vec<Attempt> = Vec::new();
    let mut promised: BTreeMap<TaskId, Planned> = BTreeMap::new();
    for _ in 0..tasks.len() {
        let mut seen = c.rows.len();
        loop {
            let round = view.round(&mut *strategy, c.now);
            if round.is_empty() {
                break;
            }
            for placement in round {
                let task = placement.attempt.task;
                let planned = Planned { worker: placement.worker.clone(), at: c.now };
                assert!(promised.is_empty() || promised.get(&task) == Some(&planned), "{planned:?} of {promised:?}");
                runs.push(c.place(task, placement.worker.as_str()));
            }
            c.rows[seen..].iter().for_each(|row| view.apply(row));
            seen = c.rows.len();
        }
        promised = view.ahead(&*strategy).planned;
        assert_eq!(promised.len() + runs.len(), tasks.len());
        for (task, planned) in &promised {
            let told = explain::explain(&view, &c.record(*task), &*strategy, None, c.now).now.unwrap();
            assert_eq!((told.planned.as_ref(), told.turn.clone()), (Some(planned), Turn::NoRoom));
            assert!(told.to_string().contains(&format!("plans it for {}", planned.worker)), "{told}");
        }
        // All ends as was said.
        let Some(next) = promised.values().map(|planned| planned.at).min() else { break };
        c.now = next;
        let due = |run: &&Attempt| {
            let record = c.record(run.task);
            record.finished().is_none() && record.attempts[0].assigned_at + record.spec.estimate.unwrap() <= next
        };
        let ended: Vec<Attempt> = runs.iter().filter(due).copied().collect();
        let seen = c.rows.len();
        ended.into_iter().for_each(|run| drop(c.end(run, Outcome::exit(0)).unwrap()));
        c.rows[seen..].iter().for_each(|row| view.apply(row));
    }
    assert_eq!(runs.len(), tasks.len());
}

#[test]
fn tasks_that_start_before_are_named_and_take_the_room() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(2));
    let tasks: Vec<TaskId> = (1..=3).map(|number| of_cpus(&mut c, number, 1)).collect();
    let last = told(&c, tasks[2], "greedy").now.unwrap();
    assert_eq!((&last.turn, last.starts, &last.before[..]), (&Turn::Taken, 2, &tasks[..2]));
    let second = told(&c, tasks[1], "greedy").now.unwrap();
    assert_eq!((&second.turn, second.starts, &second.before[..]), (&Turn::Now(worker_id("w1")), 1, &tasks[..1]));
}

#[test]
fn while_a_program_outside_places_a_task_with_room_waits_for_it() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(2));
    let (small, large) = (of_cpus(&mut c, 1, 1), of_cpus(&mut c, 2, 2));
    let said = told(&c, small, EXTERNAL);
    assert_eq!(said.now.as_ref().unwrap().turn, Turn::Outside);
    assert!(said.sentence().contains("waits for the program that places"), "{}", said.sentence());
    c.place(small, "w1");
    assert_eq!(told(&c, large, EXTERNAL).now.unwrap().turn, Turn::NoRoom);
}

#[test]
fn a_strategy_is_asked_with_the_knobs_that_were_set() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(1));
    let runs = of_cpus(&mut c, 1, 1);
    c.place(runs, "w1");
    let long = c.submit(2, spec(&[("cpu_cores", Value::Int(1)), ("estimate_s", Value::Int(120))])).unwrap();
    c.wait(std::time::Duration::from_secs(20));
    let short = c.submit(3, spec(&[("cpu_cores", Value::Int(1)), ("estimate_s", Value::Int(10))])).unwrap();
    c.end(c.record(runs).attempt(), Outcome::exit(0)).unwrap();
    let mut view = view(&c);
    let hasty = Knobs { patience: 0.1, ..Knobs::default() };
    let other = |view: &View| explain(view, &c.record(short), "greedy", Some("ai"), c.now).other.unwrap().turn;
    assert_eq!(other(&view), Turn::Now(worker_id("w1")), "the shortest first");
    view.set_knobs(&hasty);
    assert_eq!(other(&view), Turn::Taken, "{long} waited more than a tenth of its length");
    let used = explain::explain(&view, &c.record(short), &*make("ai", &hasty).unwrap(), None, c.now).now.unwrap();
    assert_eq!((used.turn, used.before), (Turn::Taken, vec![long]));
}

#[test]
fn what_waits_for_no_place_or_has_one_is_told_so_and_the_view_stays_as_it_is() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(2));
    let (held, placed) = (c.task(1), c.task(2));
    c.hold(held).unwrap();
    c.place(placed, "w1");
    let view = view(&c);
    let before = format!("{view:?}");
    let told = explain(&view, &c.record(held), "ai", Some("greedy"), c.now);
    assert_eq!((told.standing, told.workers[0].fits()), (Standing::NotReady(Phase::Held), true));
    let told = explain(&view, &c.record(placed), "ai", Some("greedy"), c.now);
    assert!(
        matches!(&told.standing, Standing::Placed { worker, phase: Phase::Assigned, .. } if worker.as_str() == "w1")
    );
    assert_eq!(told.scores[0].used[0], Some(0.5));
    assert_eq!(before, format!("{view:?}"));
    assert!(
        matches!(c.record(placed).state, State::Active(_)) && c.rows.iter().any(|row| matches!(row, Row::Worker(_)))
    );
}

/// A worker of this name that lets tasks see this.
fn offering(c: &mut TestCluster, name: &str, offers: &str) {
    c.ok(Event::Register(Box::new(Registration {
        worker: worker_id(name),
        address: None,
        capacity: cores(4),
        labels: BTreeMap::new(),
        about: About { offers: accesses(offers), ..About::default() },
        held: vec![],
    })));
}

/// A task that sees this; it may wait for a worker that offers it.
fn seeing(c: &mut TestCluster, number: u128, sees: &str) -> TaskId {
    let mut seeing = (*spec(&[("allow_pending", Value::Bool(true))])).clone();
    seeing.container.volumes = volumes(sees);
    c.submit(number, Arc::new(seeing)).unwrap()
}

#[test]
fn a_task_goes_where_its_volumes_are_offered_also_when_that_changes() {
    let mut c = TestCluster::default();
    offering(&mut c, "w1", "");
    offering(&mut c, "w2", "/data:ro");
    let (reads, writes) = (seeing(&mut c, 1, "/data/a:ro"), seeing(&mut c, 2, "/data"));
    for (strategy, _) in ALL.iter().filter(|(name, _)| *name != EXTERNAL) {
        let mut view = view(&c);
        let round = view.round(&mut *by_name(strategy).unwrap(), c.now);
        let placed: Vec<_> = round.iter().map(|one| (one.attempt.task, one.worker.as_str())).collect();
        assert_eq!(placed, [(reads, "w2")], "{strategy}");
    }
    let told = told(&c, writes, "ai");
    let needs = "needs host path /data to be written to, which no worker offers";
    assert!(told.standing == Standing::Never && told.sentence().contains(needs), "{}", told.sentence());
    assert!(told.sentence().contains("--allow-path /data"), "{}", told.sentence());
    let word = |looked: &Looked| looked.against[0].to_string();
    assert_eq!(told.workers.iter().map(word).collect::<Vec<_>>(), ["does not offer host path /data"; 2]);
    // The same view, one row later.
    let mut view = view(&c);
    view.round(&mut *by_name("greedy").unwrap(), c.now);
    let rows = c.rows.len();
    offering(&mut c, "w1", "/data");
    c.rows[rows..].iter().for_each(|row| view.apply(row));
    view.retell();
    let round = view.round(&mut *by_name("greedy").unwrap(), c.now);
    assert!(round.iter().any(|one| (one.attempt.task, one.worker.as_str()) == (writes, "w1")), "{round:?}");
}

#[test]
fn a_view_that_forgets_the_needs_of_ended_tasks_goes_on_placing() {
    let mut c = TestCluster::default();
    offering(&mut c, "w1", "/data");
    let mut view = view(&c);
    let mut ai = by_name("ai").unwrap();
    for number in 1..=3000 {
        let rows = c.rows.len();
        let task = seeing(&mut c, number, &format!("/data/{number}:ro"));
        c.rows[rows..].iter().for_each(|row| view.apply(row));
        let round = view.round(&mut *ai, c.now);
        assert_eq!(round.len(), 1, "{number}");
        let rows = c.rows.len();
        let attempt = c.place(task, "w1");
        c.end(attempt, Outcome::exit(0)).unwrap();
        c.rows[rows..].iter().for_each(|row| view.apply(row));
    }
}
