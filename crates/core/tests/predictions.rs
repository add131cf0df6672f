//! What the view learns from tasks that end, and what strategies are told of it.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::event::{Event, NewTask};
use cloudai_core::ids::{TaskId, UserId};
use cloudai_core::predict::{Expert, LEARNED_A_ROUND, Learner};
use cloudai_core::spec::Value;
use cloudai_core::strategy::board::{Board, Change, Length};
use cloudai_core::strategy::{Key, Knobs, Started, Strategy, View};
use cloudai_core::task::{Outcome, Step};
use cloudai_core::testing::{START, TestCluster, cores, spec, task_id};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Places nothing, and remembers what it was told.
#[derive(Clone, Debug, Default)]
struct Listener(Vec<Change>);

impl Strategy for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }
    fn hear(&mut self, board: &mut Board) {
        self.0 = board.take_changes();
    }
    fn line(&self, _board: &Board, _after: Option<Key>, _most: usize) -> Vec<(Key, usize)> {
        Vec::new()
    }
    fn copy(&self) -> Box<dyn Strategy> {
        Box::new(self.clone())
    }
    fn place(&mut self, board: &mut Board, _most: usize) -> Vec<Started> {
        self.hear(board);
        Vec::new()
    }
}

/// A cluster, the view of it and who listens to that.
struct World {
    cluster: TestCluster,
    view: View,
    told: usize,
    listener: Listener,
}

impl World {
    fn new() -> Self {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(1000));
        Self { cluster, view: View::default(), told: 0, listener: Listener::default() }
    }

    /// Tells the view what happened.
    fn tell(&mut self) {
        self.cluster.rows[self.told..].iter().for_each(|row| self.view.apply(row));
        self.told = self.cluster.rows.len();
    }

    /// One round; what the strategy was told in it.
    fn round(&mut self) -> &[Change] {
        self.tell();
        assert_eq!(self.view.round(&mut self.listener, self.cluster.now), []);
        &self.listener.0
    }

    fn begin(&mut self, number: u128) -> TaskId {
        let task = self.cluster.task(number);
        let attempt = self.cluster.place(task, "w1");
        self.cluster.step(attempt, Step::Running).unwrap();
        task
    }

    fn end(&mut self, task: TaskId) {
        let attempt = self.cluster.record(task).attempt();
        self.cluster.end(attempt, Outcome::exit(0)).unwrap();
    }

    /// Runs tasks at once, each for this long.
    fn run(&mut self, numbers: std::ops::Range<u128>, time: Duration) {
        let tasks: Vec<_> = numbers.map(|number| self.begin(number)).collect();
        self.tell();
        self.cluster.now = self.cluster.now + time;
        tasks.into_iter().for_each(|task| self.end(task));
        self.tell();
    }

    fn lengths(&self, jobs: std::ops::Range<usize>) -> Vec<Option<Length>> {
        jobs.map(|job| self.view.board().job(job).predicted).collect()
    }
}

#[test]
fn the_board_is_told_estimate_deadline_and_prediction() {
    let mut world = World::new();
    let fields = [("estimate_s", Value::Int(5)), ("deadline", Value::Int(60))];
    world.cluster.submit(1, spec(&fields)).unwrap();
    world.cluster.task(2);
    world.round();
    let job = world.view.board().job(0);
    let due = (START + MINUTE).as_millis();
    assert_eq!((job.estimate, job.deadline), (Some(5_000), Some(due)));
    assert_eq!(job.predicted, None, "nothing was learned");
    let job = world.view.board().job(1);
    assert_eq!((job.estimate, job.deadline), (None, None));
    assert_eq!(job.predicted, None, "nothing was learned");
}

#[test]
fn waiting_tasks_are_predicted_anew_from_what_ended_and_the_strategy_is_told_once() {
    let mut world = World::new();
    let waits = world.cluster.task(1);
    world.round();
    world.run(2..6, 10 * MINUTE);
    let told = world.round().to_vec();
    assert!(told.contains(&Change::Waits(0)), "{told:?}");
    let Length { mean, upper } = world.lengths(0..1)[0].unwrap();
    assert!((590_000..=610_000).contains(&mean) && upper >= mean, "{mean} {upper}");
    assert_eq!(world.round(), []);
    // A new one is predicted when it comes.
    world.cluster.task(7);
    world.round();
    assert_eq!(world.view.board().waiting(), 2);
    let board = world.view.board();
    let waiting: Vec<_> = (0..5).filter(|job| board.waits(*job)).map(|job| board.job(job).predicted).collect();
    assert_eq!(waiting, [Some(Length { mean, upper }); 2]);
    let (kinds, all) = world.view.learner().kinds(10);
    assert_eq!((kinds.len(), all, kinds[0].summary.runs), (1, 1, 4));
    assert_eq!((kinds[0].user.as_deref(), kinds[0].image.as_deref()), (Some("local"), Some("busybox")));
    assert_ne!(kinds[0].prediction.expert, Expert::Default);
    assert_eq!(world.view.learner().accuracy().runs, 4);
    assert!(world.cluster.record(waits).finished().is_none());
}

#[test]
fn what_was_cancelled_teaches_nothing_and_a_row_that_comes_again_neither() {
    let mut world = World::new();
    let task = world.begin(1);
    world.tell();
    world.cluster.now = world.cluster.now + MINUTE;
    world.cluster.cancel(task).unwrap();
    world.end(task);
    world.round();
    world.run(2..3, MINUTE);
    let learned = world.view.learner().accuracy().runs;
    let last = world.cluster.rows.last().unwrap().clone();
    world.view.apply(&last);
    world.round();
    assert_eq!(world.view.learner().accuracy().runs, learned);
    assert!(learned <= 2, "{learned}");
}

/// As in the simulator: a reservation would move with every task that ends.
#[test]
fn what_runs_is_held_to_what_was_thought_at_its_start() {
    let mut world = World::new();
    world.begin(1);
    world.cluster.task(2);
    world.round();
    let before = world.lengths(0..2);
    world.run(3..7, 10 * MINUTE);
    world.round();
    let after = world.lengths(0..2);
    let runs = (0..2).find(|job| !world.view.board().waits(*job)).unwrap();
    assert_eq!(after[runs], before[runs]);
    assert_ne!(after[1 - runs], before[1 - runs], "one that waits is not");
    world.cluster.worker("w0", cores(1));
    world.round();
    let runs = (0..2).find(|job| !world.view.board().waits(*job)).unwrap();
    assert_eq!(world.lengths(0..2)[runs], before[runs], "also when a worker joins, and everything has another number");
}

#[test]
fn a_round_learns_from_so_many_runs_at_most() {
    let mut world = World::new();
    let many = LEARNED_A_ROUND as u128;
    world.round();
    world.run(1..many + 50, MINUTE);
    assert_eq!(world.view.learner().accuracy().runs, LEARNED_A_ROUND as u64);
    world.round();
    world.run(many + 50..many + 52, MINUTE);
    assert_eq!(world.view.learner().accuracy().runs, LEARNED_A_ROUND as u64 + 2);
}

#[test]
fn many_predictions_are_made_anew_over_several_rounds() {
    let mut world = World::new();
    for block in 0..2 {
        let new = |number: u128| NewTask {
            id: task_id(1_000 + 400 * block + number),
            owner: UserId::local(),
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec: spec(&[]),
        };
        world.cluster.ok(Event::Submit((0..400).map(new).collect()));
    }
    world.round();
    world.run(1..5, 10 * MINUTE);
    let changed = |world: &World| world.lengths(0..800).iter().flatten().filter(|length| length.mean > 100_000).count();
    world.round();
    let first = changed(&world);
    assert!(first > 0 && first < 800, "{first}");
    for _ in 0..800 / first {
        world.round();
    }
    assert_eq!(changed(&world), 800);
}

#[test]
fn a_learner_goes_on_with_what_was_stored_and_refuses_another_form() {
    let mut world = World::new();
    world.round();
    world.run(1..5, MINUTE);
    let stored = serde_json::to_string(&world.view.learner_mut().stored()).unwrap();
    let mut other = Learner::default();
    other.restore(serde_json::from_str(&stored).unwrap()).unwrap();
    assert_eq!(other.kinds(10), world.view.learner().kinds(10));
    let newer = stored.replacen("\"version\":1", "\"version\":2", 1);
    let error = Learner::default().restore(serde_json::from_str(&newer).unwrap()).unwrap_err();
    assert!(error.to_string().contains("form 2"), "{error}");
}

#[test]
fn the_upper_quantile_is_a_knob() {
    let mut world = World::new();
    world.cluster.task(1_000);
    world.round();
    for number in 1..30 {
        world.run(number..number + 1, if number % 6 == 0 { 10 * MINUTE } else { MINUTE });
        world.round();
    }
    let upper = |world: &World| world.lengths(0..1)[0].unwrap().upper;
    let before = upper(&world);
    let mut knobs = Knobs::default();
    knobs.set("upper_quantile", "0.5").unwrap();
    world.view.set_knobs(&knobs);
    world.round();
    assert!(upper(&world) < before, "{} {before}", upper(&world));
}
