//! Properties over random inputs: event sequences, resources, task documents.

use cloudai_core::cluster::{Cluster, Start, invariants};
use cloudai_core::event::{
    Admission, Cancel, DutyOrder, DutyWish, EndReport, Event, Heartbeat, Held, HeldStage, LabelOrder, NewTask,
    Placement, Registration, Removal,
};
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session, TaskId, UserId, WorkerId};
use cloudai_core::images::Images;
use cloudai_core::preemption::Preemption;
use cloudai_core::resources::{Capacity, Demand, Free, GIB, Gpu, Kind, MIB};
use cloudai_core::spec::{LATER, LIVE, MAX_DURATION, NotBefore, Retries, RetryOn, TaskSpec, Value};
use cloudai_core::state::Status;
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::testing::held;
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_core::worker::{About, Unfit};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const STEPS: [Step; 4] = [Step::Assigned, Step::Pulling, Step::Starting, Step::Running];
const CAUSES: [Cause; 9] = [
    Cause::Exited,
    Cause::TimedOut,
    Cause::Stopped,
    Cause::LeaseEnded,
    Cause::WorkerStopped,
    Cause::Vanished,
    Cause::ImagePull,
    Cause::ImageAbsent,
    Cause::EngineError,
];

/// The choices from which one event is made; each number picks from what fits the kind.
#[derive(Clone, Copy, Debug)]
struct Choice {
    kind: u8,
    task: u8,
    worker: u8,
    number: u8,
    detail: u8,
    wait: u64,
}

fn choice() -> impl Strategy<Value = Choice> {
    let wait = prop_oneof![4 => 0u64..3000, 1 => 0u64..200_000];
    (0u8..38, 0u8..8, 0u8..4, 0u8..4, any::<u8>(), wait).prop_map(|(kind, task, worker, number, detail, wait)| Choice {
        kind,
        task,
        worker,
        number,
        detail,
        wait,
    })
}

impl Choice {
    fn worker(self) -> WorkerId {
        format!("w{}", self.worker).parse().expect("a name")
    }

    fn id(self) -> TaskId {
        TaskId::new(u128::from(self.task))
    }

    fn pick<T: Copy>(self, from: &[T]) -> T {
        from[usize::from(self.detail) % from.len()]
    }

    /// Mostly the task's present attempt, so that sequences get somewhere.
    fn attempt(self, cluster: &Cluster, ahead: u32) -> Attempt {
        let task = self.id();
        let present = cluster.task(task).map_or(0, |task| task.number());
        let number = if self.number == 0 { u32::from(self.detail % 4) } else { present + ahead };
        Attempt { task, number }
    }

    /// Mostly the worker's present session.
    fn session(self, cluster: &Cluster) -> Session {
        let worker = self.worker();
        let present = cluster.workers().find(|record| record.id == worker).map_or(Session(0), |record| record.session);
        if self.number == 0 { Session(u64::from(self.detail % 4)) } else { present }
    }

    fn held(self, cluster: &Cluster) -> Vec<Held> {
        let stage = match self.detail % 6 {
            0 => HeldStage::Stopping,
            1 => HeldStage::Ended,
            _ => HeldStage::At(self.pick(&STEPS)),
        };
        let some = held(self.attempt(cluster, 0), stage);
        let theirs = cluster.tasks().filter(|task| task.active().is_some_and(|active| active.worker == self.worker()));
        let mut held: Vec<_> = theirs.map(|task| held(task.attempt(), stage)).collect();
        held.truncate(usize::from(self.detail % 5));
        if self.number == 1 {
            held.push(some);
        }
        held
    }

    fn spec(self) -> Arc<TaskSpec> {
        let mut spec = TaskSpec::of_image(["busybox", "alpine"][usize::from(self.detail % 2)]).expect("an image");
        spec.demand = Demand { cpu_milli: 500 * u64::from(self.detail % 5), memory: GIB, ..Demand::default() };
        spec.demand.gpu_milli = [0, 0, 300, 1000][usize::from(self.detail / 5 % 4)];
        if self.detail % 6 == 5 {
            let (cpu_milli, memory) = (250 + 500 * u64::from(self.number), 2 * GIB);
            spec.alternatives = vec![Demand { cpu_milli, memory, ..Demand::default() }];
        }
        spec.priority = i32::from(self.detail % 7) - 3;
        spec.worker_id = (self.detail.is_multiple_of(11)).then(|| self.worker());
        spec.idempotency_key = (self.number < 2).then(|| format!("k{}", self.detail % 3).into());
        spec.retries = self.detail.is_multiple_of(3).then(|| Retries {
            max: u32::from(self.detail % 4),
            on: RetryOn { any_exit: true, worker_lost: self.detail.is_multiple_of(2), ..RetryOn::default() },
            initial: Duration::from_millis(self.wait / 10),
            ..Retries::DEFAULT
        });
        spec.hold = self.detail.is_multiple_of(13);
        spec.limits.queue = (self.detail % 4 == 1).then(|| Duration::from_millis(1 + self.wait));
        spec.limits.total = (self.detail % 4 == 2).then(|| Duration::from_millis(1 + 5 * self.wait));
        spec.not_before = match self.detail % 8 {
            3 => Some(NotBefore::After(Duration::from_millis(self.wait))),
            4 => Some(NotBefore::At(Timestamp::from_millis(1_000_000 + 10 * self.wait))),
            _ => None,
        };
        spec.estimate = self.detail.is_multiple_of(5).then(|| Duration::from_millis(1 + self.wait));
        spec.deadline = match self.detail % 9 {
            5 => Some(NotBefore::After(Duration::from_millis(1 + self.wait))),
            6 => Some(NotBefore::At(Timestamp::from_millis(1_000_000 + 10 * self.wait))),
            _ => None,
        };
        let asks = ["zone = eu", "zone != us", "!disk", "exists disk"];
        if self.detail.is_multiple_of(7) {
            spec.constraints.push(self.pick(&asks).parse().expect("a constraint"));
        }
        if self.detail.is_multiple_of(4) {
            spec.name = Some("kin".into());
            spec.anti_affinity.push("worker.id".into());
        }
        spec.allow_pending = !self.detail.is_multiple_of(3);
        Arc::new(spec)
    }

    fn registration(self, cluster: &Cluster) -> Event {
        let gpu = Gpu { id: "0".into(), model: "t4".into() };
        // Now and then it comes back smaller, or without its device.
        let (cpu_milli, memory) =
            ([3000, 3000, 2000, 500][usize::from(self.detail % 4)], [8, 1][usize::from(self.detail / 4 % 2)]);
        let gpus = if self.detail.is_multiple_of(7) { Vec::new() } else { vec![gpu] };
        let capacity = Capacity { cpu_milli, memory: memory * GIB, storage: 20 * GIB, gpus };
        Event::Register(Box::new(Registration {
            worker: self.worker(),
            address: None,
            capacity,
            labels: BTreeMap::new(),
            about: About { unfit: self.unfit(9), ..About::default() },
            held: self.held(cluster),
        }))
    }

    fn unfit(self, one_in: u8) -> Option<Unfit> {
        let unfit = if self.number < 2 { Unfit::EngineAway } else { Unfit::DiskPressure };
        self.detail.is_multiple_of(one_in).then(|| unfit("told".into()))
    }

    fn wish(self) -> DutyWish {
        let reason = ["", "disk"][usize::from(self.number % 2)].to_owned();
        match self.detail % 4 {
            0 => DutyWish::Cordon { reason },
            1 => DutyWish::Drain { reason, deadline: None },
            2 => DutyWish::Drain { reason, deadline: Some(Duration::from_millis(self.wait)) },
            _ => DutyWish::Open,
        }
    }

    /// Mostly some of what is on the worker.
    fn preemption(self, cluster: &Cluster) -> Preemption {
        let there = cluster.tasks().filter(|task| task.active().is_some_and(|active| active.worker == self.worker()));
        let victims = there.take(1 + usize::from(self.detail % 3)).map(|task| task.attempt()).collect();
        let margin = i32::from(self.detail % 4);
        Preemption { for_: self.attempt(cluster, 1), worker: self.worker(), victims, margin }
    }

    fn labels(self, by: UserId) -> LabelOrder {
        let key = ["zone", "disk"][usize::from(self.number % 2)].to_owned();
        let value = ["eu", "us"][usize::from(self.detail % 2)].to_owned();
        let mut order = LabelOrder { worker: self.worker(), set: BTreeMap::new(), remove: Vec::new(), by };
        if self.detail.is_multiple_of(3) {
            order.remove.push(key);
        } else {
            order.set.insert(key, value);
        }
        order
    }

    fn event(self, cluster: &Cluster) -> Event {
        let owner = UserId::local();
        match self.kind {
            0..=4 => {
                let task = NewTask {
                    id: self.id(),
                    owner,
                    job: None,
                    depends_on: Vec::new(),
                    retry_of: None,
                    spec: self.spec(),
                };
                Event::Submit(vec![task; 1 + usize::from(self.detail.is_multiple_of(9))])
            }
            5 => Event::Cancel(Cancel { task: self.id(), by: owner }),
            6..=10 => {
                let placement = Placement { attempt: self.attempt(cluster, 1), worker: self.worker() };
                Event::Place(vec![placement; 1 + usize::from(self.detail.is_multiple_of(3))])
            }
            11..=13 => self.registration(cluster),
            14 => Event::Admit(Admission { worker: self.worker(), address: Some("10.0.0.1:50052".into()) }),
            15 => Event::Remove(Removal { worker: self.worker(), force: self.detail.is_multiple_of(2) }),
            16 => Event::Subscribed(self.worker(), self.session(cluster)),
            17 | 18 => Event::Heartbeat(Heartbeat {
                worker: self.worker(),
                session: self.session(cluster),
                seen: CommandSeq(u64::from(self.detail % 8)),
                held: self.held(cluster),
                draining: self.detail.is_multiple_of(5),
                unfit: self.unfit(3),
                images: self.detail.is_multiple_of(3).then(|| Images::of([format!("i:{}", self.detail % 4)])),
            }),
            19 => Event::Leave(self.worker(), self.session(cluster)),
            20 | 21 => Event::Progress(held(self.attempt(cluster, 0), HeldStage::At(self.pick(&STEPS)))),
            22..=24 => {
                let mut outcome = Outcome::of(self.pick(&CAUSES), "");
                outcome.exit_code = (outcome.cause == Cause::Exited).then(|| i32::from(self.detail % 3));
                let incarnation = Incarnation(u64::from(!self.detail.is_multiple_of(17)));
                Event::Ended(EndReport { attempt: self.attempt(cluster, 0), incarnation, outcome: Arc::new(outcome) })
            }
            27 => Event::Hold(self.id(), owner),
            28 => Event::Release(self.id()),
            29 | 30 => Event::Duty(DutyOrder { worker: self.worker(), by: owner, wish: self.wish() }),
            25 => Event::Paused(Duration::from_millis(self.wait)),
            26 => Event::Sent(self.worker()),
            32 => Event::Reconcile { dry_run: self.detail.is_multiple_of(2) },
            33 => Event::Inspect { limit: usize::from(self.detail % 4) },
            31 => Event::Collect(vec![(self.id(), Status::Completed)]),
            34 => Event::SetLabels(self.labels(owner)),
            35 | 36 => Event::Preempt(self.preemption(cluster)),
            _ => Event::Tick,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_of_events_keeps_the_invariants(choices in proptest::collection::vec(choice(), 1..120)) {
        let start = Start { incarnation: Incarnation(1), ..Start::default() };
        let mut now = Timestamp::from_millis(1_000_000);
        let mut cluster = Cluster::new(Timing::default(), start, now);
        for choice in choices {
            now = now + Duration::from_millis(choice.wait);
            let event = choice.event(&cluster);
            let before = format!("{cluster:?}");
            if let Err(why) = cluster.apply(now, event.clone()) {
                prop_assert_eq!(&before, &format!("{cluster:?}"), "{:?} is rejected ({}) and changes something", event, why);
            }
            prop_assert_eq!(invariants::check(&cluster), Vec::<String>::new(), "after {:?}", event);
            prop_assert!(cluster.next_deadline(now).is_none_or(|at| at > now));
        }
    }

    #[test]
    fn what_is_picked_can_be_taken_and_never_over_commits(
        (cpu_milli, memory, storage, devices) in (0u64..10_000, 0u64..100, 0u64..100, 0usize..4),
        demands in proptest::collection::vec((0u64..4000, 0u64..40, 0u64..40, 0u64..3500, any::<bool>()), 1..40),
    ) {
        let gpu = |id: usize| Gpu { id: id.to_string().into(), model: ["t4", "a100"][id % 2].into() };
        let gpus = (0..devices).map(gpu).collect();
        let capacity = Capacity { cpu_milli, memory: memory * MIB, storage: storage * MIB, gpus };
        let mut free = Free::all(&capacity);
        let mut held = Vec::new();
        for (cpu_milli, memory, storage, gpu, picky) in demands {
            let gpu_milli = if gpu > 1000 { gpu / 1000 * 1000 } else { gpu };
            let gpu_model = (picky && gpu_milli > 0).then(|| "t4".into());
            let demand = Demand { cpu_milli, memory: memory * MIB, storage: storage * MIB, gpu_milli, gpu_model };
            let Ok(allocation) = free.pick(&demand) else { continue };
            prop_assert_eq!(allocation.amount(Kind::Gpu), gpu_milli);
            prop_assert!(free.take(&allocation).is_ok());
            held.push(allocation);
        }
        for kind in Kind::ALL {
            let sum: u64 = held.iter().map(|allocation| allocation.amount(kind)).sum();
            prop_assert_eq!(sum + free.amount(kind), capacity.amount(kind));
        }
        for gpu in &capacity.gpus {
            let taken = held.iter().flat_map(|allocation| &allocation.gpus).filter(|(id, _)| *id == gpu.id);
            prop_assert!(taken.map(|(_, milli)| milli).sum::<u64>() <= 1000);
        }
    }

    #[test]
    fn a_document_gives_a_spec_within_its_ranges_or_names_the_wrong_fields(document in document()) {
        match TaskSpec::from_value(&document) {
            Ok(spec) => {
                prop_assert!((1..=4_096_000).contains(&spec.demand.cpu_milli));
                prop_assert!((6 * MIB..=(64 << 40)).contains(&spec.demand.memory));
                prop_assert!(spec.demand.storage <= 1 << 50);
                prop_assert!(spec.demand.gpu_milli <= 1_024_000);
                prop_assert!((-100..=100).contains(&spec.priority));
                prop_assert!(spec.limits.kill_after <= Duration::from_secs(60));
                prop_assert!(spec.limits.pull <= MAX_DURATION && spec.limits.run.is_none_or(|run| run <= MAX_DURATION));
                for limit in [spec.limits.queue, spec.limits.total].into_iter().flatten() {
                    prop_assert!(limit > Duration::ZERO && limit <= MAX_DURATION);
                }
                prop_assert!(!spec.image.is_empty());
                prop_assert_eq!(TaskSpec::from_value(&spec.to_value()), Ok(spec));
            }
            Err(error) => {
                prop_assert!(!error.0.is_empty());
                prop_assert!(error.0.iter().all(|field| !field.problem.is_empty()), "{}", error);
            }
        }
    }
}

/// Anything that a parser may hand over.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200i64..200).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        (0.0..100.0).prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        "[a-z/]{1,9}(:[0-9.]{1,4})?".prop_map(Value::Text),
        "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:00:00([.][0-9]{1,4})?(Z|[+]01:30)".prop_map(Value::Text),
        "[0-9]{1,30}[.]?[0-9]{0,12}[kmgtpKib]{0,3}".prop_map(Value::Text),
        "!?(not )?(exists )?[a-z]{1,3} ?(=|!=|in|notin)? ?[(]?[a-z]{0,2}(, ?[a-z]{1,2})?[)]?".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::vec((any::<String>(), inner.clone()), 0..6).prop_map(Value::Map),
            proptest::collection::vec(("[A-Z/a-z._]{1,6}", inner), 0..6).prop_map(Value::Map),
        ]
    })
}

/// A map with known, coming and unknown fields; also what is no map at all.
fn document() -> impl Strategy<Value = Value> {
    let known = proptest::sample::select(LIVE).prop_map(str::to_owned);
    let later = proptest::sample::select(LATER).prop_map(|(name, _)| name.to_owned());
    let field = (prop_oneof![20 => known, 1 => later, 1 => any::<String>()], value());
    let image = prop_oneof![9 => Just(Some(Value::Text("busybox:1".into()))), 1 => Just(None)];
    let map = (image, proptest::collection::vec(field, 0..8)).prop_map(|(image, mut fields)| {
        fields.extend(image.map(|image| ("image".into(), image)));
        Value::Map(fields)
    });
    prop_oneof![20 => map, 1 => value()]
}
