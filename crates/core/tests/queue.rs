//! What waits is listed in the order in which it gets its turn.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::ids::TaskId;
use cloudai_core::spec::Value;
use cloudai_core::strategy::{ALL, EXTERNAL, Queued, Spot, View, by_name};
use cloudai_core::task::{Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, spec, worker_id};
use proptest::prelude::{Strategy, prop_assert};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Cores, estimated seconds (0: none said), priority, pinned or not.
type Wish = (i64, i64, i64, bool);

/// A cluster with a full worker w1 of 4 cores, and tasks that wait, in the order of the wishes.
fn full(wishes: &[Wish]) -> (TestCluster, Vec<TaskId>) {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let blocker = c.submit(9999, spec(&[("cpu_cores", Value::Int(4)), ("estimate_s", Value::Int(30))])).unwrap();
    c.place(blocker, "w1");
    c.wait(Duration::from_secs(1));
    let ids = submit_all(&mut c, wishes);
    (c, ids)
}

fn submit_all(c: &mut TestCluster, wishes: &[Wish]) -> Vec<TaskId> {
    (1..).zip(wishes).map(|(number, wish)| submit(c, number, wish)).collect()
}

fn submit(c: &mut TestCluster, number: u128, (cores, seconds, priority, pinned): &Wish) -> TaskId {
    let mut fields = vec![("cpu_cores", Value::Int(*cores)), ("priority", Value::Int(*priority))];
    fields.extend((*seconds > 0).then_some(("estimate_s", Value::Int(*seconds))));
    let mut spec = spec(&fields);
    let wish = Arc::make_mut(&mut spec);
    wish.worker_id = pinned.then(|| worker_id("w1"));
    wish.allow_pending = true;
    c.submit(number, spec).unwrap()
}

fn view(c: &TestCluster) -> View {
    let mut view = View::default();
    c.rows.iter().for_each(|row| view.apply(row));
    view.retell();
    view
}

fn queue(c: &TestCluster, strategy: &str) -> Vec<Queued> {
    view(c).queue(&mut *by_name(strategy).unwrap(), c.now, None, usize::MAX)
}

/// The places of the wishes, each as its number from 0, first to last.
fn order(wishes: &[Wish], strategy: &str) -> Vec<usize> {
    let (c, ids) = full(wishes);
    let number = |queued: Queued| ids.iter().position(|id| *id == queued.task).unwrap();
    queue(&c, strategy).into_iter().map(number).collect()
}

#[test]
fn each_strategy_has_its_own_order() {
    let wishes = [(4, 600, 0, false), (4, 60, 0, false), (4, 300, 5, false)];
    for (strategy, expected) in [
        ("greedy", [0, 1, 2]),        // as they were submitted, whatever their priority
        ("balanced_skip", [2, 0, 1]), // by priority
        ("ai", [1, 2, 0]),            // the shortest first
        (EXTERNAL, [2, 0, 1]),        // whoever places is told by priority
    ] {
        assert_eq!(order(&wishes, strategy), expected, "{strategy}");
    }
}

#[test]
fn pinned_tasks_are_first_and_what_no_worker_could_ever_run_has_no_place() {
    let wishes = [(5, 0, 9, false), (1, 0, 0, false), (4, 0, -9, true), (8, 0, 0, true), (1, 0, 1, true)];
    for (strategy, _) in ALL {
        assert_eq!(order(&wishes, strategy), [4, 2, 1, 0, 3], "{strategy}");
    }
    let (c, _) = full(&wishes);
    let spots: Vec<bool> = queue(&c, "ai").iter().map(|queued| matches!(queued.spot, Spot::Outside(_))).collect();
    assert_eq!(spots, [false, false, false, true, true]);
}

#[test]
fn before_the_first_worker_tells_what_it_has_everybody_has_a_place_as_submitted() {
    let mut c = TestCluster::default();
    let ids = submit_all(&mut c, &[(1, 0, 0, false), (64, 0, 9, false), (2, 0, -5, false)]);
    for (strategy, _) in ALL {
        let queue = queue(&c, strategy);
        assert_eq!(queue.iter().map(|queued| queued.task).collect::<Vec<_>>(), ids, "{strategy}");
        assert!(queue.iter().all(|queued| matches!(queued.spot, Spot::Line(_))), "{strategy}");
    }
}

#[test]
fn who_waited_too_long_is_first_and_the_line_knows_it_before_the_next_round() {
    let (mut c, ids) = full(&[(4, 10, 0, false)]);
    c.now = c.now + Duration::from_secs(3600);
    let short = submit(&mut c, 2, &(4, 1, 0, false));
    let (mut view, mut strategy) = (view(&c), by_name("ai").unwrap());
    let mut line = |c: &TestCluster| -> Vec<TaskId> {
        view.queue(&mut *strategy, c.now, None, 9).into_iter().map(|queued| queued.task).collect()
    };
    assert_eq!(line(&c), [ids[0], short]);
}

#[test]
fn a_planned_backlog_is_listed_by_when_it_is_planned_to_start() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    c.worker("w2", cores(4));
    let wishes: Vec<Wish> = (0..12).map(|number| (4, 20 + 7 * (number % 5), 0, false)).collect();
    submit_all(&mut c, &wishes);
    let (mut view, mut strategy) = (View::default(), by_name("ai_aggressive").unwrap());
    let (mut seen, mut listed, mut ends) = (0, Vec::new(), BTreeMap::new());
    loop {
        c.rows[seen..].iter().for_each(|row| view.apply(row));
        seen = c.rows.len();
        let round = view.round(&mut *strategy, c.now);
        for placement in &round {
            let task = placement.attempt.task;
            // What starts at one time is in no order.
            let first = listed.iter().take(round.len()).any(|listed| *listed == task);
            assert!(listed.is_empty() || first, "{task:?} before {listed:?}");
            c.place(task, placement.worker.as_str());
            ends.insert((c.now + c.record(task).spec.estimate.unwrap(), task), placement.attempt);
        }
        if round.is_empty() {
            listed = view.queue(&mut *strategy, c.now, None, 99).into_iter().map(|queued| queued.task).collect();
            let Some(((at, _), attempt)) = ends.pop_first() else { break };
            c.now = at;
            c.end(attempt, Outcome::exit(0)).unwrap();
        }
    }
    assert_eq!(listed, []);
}

#[test]
fn a_backlog_whose_lengths_do_not_come_true_starts_as_it_is_listed_with_what_is_long_first() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let (mut view, mut strategy) = (View::default(), by_name("ai").unwrap());
    let mut seen = 0;
    // Each runs for a tenth of what was said, one after the other: so plans are not trusted.
    let mut work_off = |c: &mut TestCluster| -> Vec<(Vec<TaskId>, TaskId)> {
        let mut started = Vec::new();
        loop {
            c.rows[seen..].iter().for_each(|row| view.apply(row));
            seen = c.rows.len();
            let listed = view.queue(&mut *strategy, c.now, None, 99).into_iter().map(|queued| queued.task).collect();
            let round = view.round(&mut *strategy, c.now);
            let Some(task) = round.first().map(|placement| placement.attempt.task) else { return started };
            started.push((listed, task));
            let attempt = c.place(task, "w1");
            c.step(attempt, Step::Running).unwrap();
            c.now = c.now + c.record(task).spec.estimate.unwrap() / 10;
            c.end(attempt, Outcome::exit(0)).unwrap();
        }
    };
    for number in 1..=4 {
        submit(&mut c, number, &(4, 100, 0, false));
        assert_eq!(work_off(&mut c).len(), 1);
    }
    let seconds = [20, 30, 40, 50, 60, 70, 80, 90, 800];
    let ids: Vec<TaskId> =
        (5..).zip(seconds).map(|(number, said)| submit(&mut c, number, &(4, said, 0, false))).collect();
    let started = work_off(&mut c);
    assert!(started.iter().all(|(listed, task)| listed[0] == *task), "{started:?}");
    let [longest, shortest] = [ids[8], ids[0]];
    assert_eq!((started.len(), started[0].1, started[1].1), (9, longest, shortest));
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let pinned = proptest::sample::select(vec![false, false, false, true]);
    proptest::collection::vec((1..6i64, 0..4i64, -2..3i64, pinned), 0..20)
}

proptest::proptest! {
    #[test]
    fn pages_of_any_length_are_the_whole_queue(wishes in wishes(), length in 1..5usize) {
        let (c, ids) = full(&wishes);
        for strategy in ALL.iter().map(|(name, _)| *name).chain([EXTERNAL]) {
            let (mut view, mut strategy) = (view(&c), by_name(strategy).unwrap());
            let whole = view.queue(&mut *strategy, c.now, None, usize::MAX);
            prop_assert!(whole.len() == ids.len() && whole.is_sorted_by_key(|queued| queued.spot));
            let mut pages: Vec<Queued> = Vec::new();
            while pages.len() < whole.len() {
                let after = pages.last().map(|queued| queued.spot);
                let page = view.queue(&mut *strategy, c.now, after, length);
                prop_assert!(!page.is_empty() && page.len() <= length);
                pages.extend(page);
            }
            prop_assert!(pages == whole, "{pages:?} {whole:?}");
        }
    }

    #[test]
    fn of_tasks_that_ask_for_the_same_the_first_in_the_queue_gets_a_place_first(
        wishes in proptest::collection::vec((1..4i64, 1..4i64, -2..3i64, proptest::bool::ANY), 0..8),
        free in 0..4i64,
    ) {
        for (strategy, _) in ALL {
            let mut c = TestCluster::default();
            c.worker("w1", cores(4));
            let runs = c.submit(9999, spec(&[("cpu_cores", Value::Int(4 - free))])).unwrap();
            c.place(runs, "w1");
            submit_all(&mut c, &wishes);
            let (mut view, mut strategy) = (view(&c), by_name(strategy).unwrap());
            let queue = view.queue(&mut *strategy, c.now, None, usize::MAX);
            let (mut started, mut seen) = (Vec::new(), c.rows.len());
            loop {
                let round = view.round(&mut *strategy, c.now);
                if round.is_empty() {
                    break;
                }
                for placement in round {
                    c.place(placement.attempt.task, placement.worker.as_str());
                    started.push(placement.attempt.task);
                }
                c.rows[seen..].iter().for_each(|row| view.apply(row));
                seen = c.rows.len();
            }
            let asks = |task: TaskId| {
                let record = c.record(task);
                (record.spec.demand.clone(), record.spec.estimate, record.spec.worker_id.clone())
            };
            for (place, queued) in queue.iter().enumerate().filter(|(_, queued)| !started.contains(&queued.task)) {
                let passes = |other: &&Queued| started.contains(&other.task) && asks(other.task) == asks(queued.task);
                let passed = queue[place..].iter().find(passes);
                prop_assert!(passed.is_none(), "{} passes {:?}: {:?}", strategy.name(), queued, passed);
            }
        }
    }
}
