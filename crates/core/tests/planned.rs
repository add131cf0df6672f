//! A plan is for the board of which it was made.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::strategy::board::{Board, Job, Seat, Wanted};
use cloudai_core::strategy::planner::{Goal, Planning};
use cloudai_core::strategy::rules::Source;
use cloudai_core::strategy::{Mixed, Rules, Strategy, by_name, place};

/// Jobs of these seconds, and workers of these cores, in this order; all jobs came at once.
fn board(seconds: &[u64], cores: &[u64]) -> Board {
    followed(seconds, cores, 0)
}

/// The same where so much must follow each of them.
fn followed(seconds: &[u64], cores: &[u64], tail: u64) -> Board {
    let mut board = Board::default();
    for (worker, cores) in cores.iter().enumerate() {
        board.set_seat(worker, Seat::plain([*cores, 100, 100, 0]));
    }
    for seconds in seconds {
        let class = board.class(Wanted { amounts: [1 + seconds % 3, 1, 1, 0], ..Wanted::default() });
        board.wait(Job { order: *seconds, tail, ..Job::plain(class, seconds * 1000) });
    }
    board
}

/// A planner that makes lists and improves nothing.
fn lists() -> Mixed {
    planner(0, true)
}

/// A planner that improves its lists by so many moves; whether what must follow jobs counts.
fn planner(moves: usize, tails: bool) -> Mixed {
    let goal = Goal { makespan: 1.0, wait: 0.0, starving: 0.0 };
    let (source, quiet) = (Source::Estimate, f64::INFINITY);
    let planning = Planning { goal, first: moves, later: moves, source, quiet, critical: 0.4, tails, seed: 1 };
    Mixed::new("planner", Rules::default(), planning)
}

#[test]
fn when_everything_has_another_number_a_plan_is_made_anew() {
    let mut seconds: Vec<u64> = (1..30).map(|number| number * 7 % 31 * 10).collect();
    let mut old = lists();
    assert!(!place(&mut old, &mut board(&seconds, &[3, 4, 6]), usize::MAX).is_empty());
    seconds.reverse();
    let mut other = board(&seconds, &[6, 3, 4]);
    other.retell();
    let expected = place(&mut lists(), &mut other.clone(), usize::MAX);
    assert_eq!(place(&mut old, &mut other, usize::MAX), expected);
}

#[test]
fn nothing_starts_before_the_first_plan_and_rounds_go_on_while_it_is_thought_of() {
    let mut strategy = by_name("ai").unwrap();
    let mut board = board(&[600; 12], &[3]);
    assert_eq!(strategy.place(&mut board, usize::MAX), []);
    let thinking = strategy.thinking().expect("it plans");
    let class = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
    board.wait(Job { order: 99, ..Job::plain(class, 600_000) });
    assert_eq!((strategy.place(&mut board, usize::MAX), strategy.thinking().is_none()), (Vec::new(), true));
    strategy.heed(thinking.think());
    assert!(!strategy.place(&mut board, usize::MAX).is_empty());
    let later = strategy.thinking().expect("one came meanwhile");
    strategy.heed(later.think());
    strategy.place(&mut board, usize::MAX);
    assert!(strategy.thinking().is_none(), "nothing is new");
}

#[test]
fn what_fits_closed_workers_only_keeps_nobody_else_waiting() {
    // Three of four ask for more than the small worker has.
    let seconds: Vec<u64> = (0..16).map(|number| 600 + u64::from(number % 4 > 0) * 2).collect();
    let mut strategy = by_name("ai").unwrap();
    let mut board = board(&seconds, &[1, 9]);
    board.set_seat(1, Seat { open: false, ..board.seats()[1].clone() });
    let started = place(&mut *strategy, &mut board, usize::MAX);
    assert_eq!(started.iter().map(|start| start.worker).collect::<Vec<_>>(), [0]);
    board.set_seat(0, Seat { open: false, ..board.seats()[0].clone() });
    assert_eq!(place(&mut *strategy, &mut board, usize::MAX), []);
    board.set_seat(1, Seat { open: true, ..board.seats()[1].clone() });
    assert!(!place(&mut *strategy, &mut board, usize::MAX).is_empty());
}

#[test]
fn room_that_was_kept_on_a_list_is_given_to_others_when_its_task_is_cancelled() {
    let mut strategy = by_name("ai_aggressive").unwrap();
    let mut board = Board::default();
    board.set_seat(0, Seat::plain([4, 100, 100, 0]));
    let wait = |board: &mut Board, order, cores, seconds: u64| {
        let class = board.class(Wanted { amounts: [cores, 1, 1, 0], ..Wanted::default() });
        board.wait(Job { order, ..Job::plain(class, seconds * 1000) })
    };
    let long = wait(&mut board, 0, 2, 3600);
    assert_eq!(place(&mut *strategy, &mut board, usize::MAX).len(), 1);
    for _ in 0..9 {
        board.ran(long, 1_000, None);
    }
    let large = wait(&mut board, 1, 4, 9000);
    for order in 2..12 {
        wait(&mut board, order, 2, 7200);
    }
    assert_eq!(place(&mut *strategy, &mut board, usize::MAX), []);
    assert_eq!(strategy.ahead(), Some(large));
    board.remove(large, false);
    assert_eq!(place(&mut *strategy, &mut board, usize::MAX).len(), 1);
}

#[test]
fn a_copy_does_not_wait_for_what_is_thought_for_another() {
    let mut strategy = by_name("ai").unwrap();
    let mut board = board(&[600; 12], &[3]);
    strategy.place(&mut board, usize::MAX);
    let _ = strategy.thinking().expect("it plans");
    assert!(!place(&mut *strategy.copy(), &mut board.clone(), usize::MAX).is_empty());
}

#[test]
fn what_is_long_goes_first_where_lengths_did_not_come_true() {
    let order = |truth: u64| {
        let mut strategy = by_name("ai_aggressive").unwrap();
        let mut board = board(&[12, 21, 30, 42, 51, 60, 600, 900], &[2]);
        for _ in 0..9 {
            let class = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
            let ran = board.run(Job::plain(class, 10_000), 0, 0);
            board.ran(ran, truth, None);
            board.remove(ran, false);
        }
        board.retell();
        place(&mut *strategy, &mut board, usize::MAX);
        strategy.line(&board, None, 99).into_iter().map(|(_, job)| board.job(job).estimate.unwrap()).collect::<Vec<_>>()
    };
    let listed = order(2_000);
    assert!(listed.is_sorted_by(|before, after| before >= after), "{listed:?}");
    let planned = order(10_000);
    assert!(!planned.is_sorted_by(|before, after| before >= after), "{planned:?}");
}

#[test]
fn what_is_short_and_much_must_follow_goes_first_where_lengths_did_not_come_true() {
    let first = |tail: u64| {
        let mut strategy = by_name("ai_aggressive").unwrap();
        let mut board = board(&[15, 21, 30, 42, 51, 60, 600, 900], &[2]);
        let class = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
        for _ in 0..9 {
            let ran = board.run(Job::plain(class, 10_000), 0, 0);
            board.ran(ran, 2_000, None);
            board.remove(ran, false);
        }
        board.wait(Job { order: 12, tail, ..Job::plain(class, 12_000) });
        board.retell();
        let started = place(&mut *strategy, &mut board, usize::MAX);
        board.job(started.first().unwrap().job).order
    };
    assert_eq!((first(0), first(7_200_000)), (900, 12));
}

#[test]
fn what_much_must_follow_goes_first_in_a_plan_and_before_one_that_is_followed() {
    let begun = |tails: bool| {
        let (mut strategy, mut board) = (planner(0, tails), board(&[600; 12], &[1]));
        let class = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
        let mut begin = |order: u64, tail: u64| {
            board.set_now(order * 600_000);
            board.wait(Job { order: 1000 + order, tail, ..Job::plain(class, 600_000) });
            let started = place(&mut strategy, &mut board, usize::MAX);
            assert_eq!(started.len(), 1, "there is one core");
            let begun = board.job(started[0].job).order;
            board.remove(started[0].job, true);
            begun
        };
        [begin(1, 12_000_000), begin(2, 20_000_000)]
    };
    assert_eq!(begun(true), [1001, 1002]);
    assert_eq!(begun(false), [600, 600]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    /// Bit by bit: a plan is random moves, so the least difference of costs would show.
    #[test]
    fn a_plan_is_as_ever_where_nothing_must_follow_or_that_does_not_count(
        cores in proptest::collection::vec(3..7u64, 1..4),
        seconds in proptest::collection::vec(1..900u64, 9..40),
        tail in 1..10_000_000u64,
    ) {
        let plan = |tails: bool, tail: u64| {
            let (mut strategy, mut board) = (planner(200, tails), followed(&seconds, &cores, tail));
            let started = place(&mut strategy, &mut board, usize::MAX);
            (started, strategy.planned(&board))
        };
        let expected = plan(false, 0);
        proptest::prop_assert_eq!(&plan(true, 0), &expected);
        proptest::prop_assert_eq!(&plan(false, tail), &expected);
    }

    /// However long thinking takes, and whatever happens meanwhile: every job starts, once, and where it has room.
    #[test]
    fn a_backlog_is_worked_off_however_late_thoughts_come(
        cores in proptest::collection::vec(3..7u64, 1..4),
        seconds in proptest::collection::vec(1..900u64, 9..40),
        late in proptest::collection::vec(0..6usize, 1..200),
        come in proptest::collection::vec((1..900u64, 0..2u64), 0..20),
        shut in proptest::collection::vec((0..4usize, 0..60usize), 0..40),
        truth in proptest::sample::select(vec![1.0, 0.3]),
    ) {
        let mut strategy = by_name("ai").unwrap();
        let mut board = board(&seconds, &cores);
        let (mut left, mut ends) = (seconds.len(), std::collections::BTreeSet::new());
        let (mut thoughts, mut late, mut come) = (Vec::new(), late.into_iter().cycle(), come.into_iter());
        let (mut shut, mut closed) = (shut.into_iter(), None);
        for step in 0..2_000 {
            loop {
                let started = strategy.place(&mut board, 3);
                if started.is_empty() {
                    break;
                }
                for start in started {
                    let length = std::time::Duration::from_millis(board.job(start.job).estimate.unwrap());
                    let ran = u64::try_from(length.mul_f64(truth).as_millis()).unwrap().max(1);
                    proptest::prop_assert!(ends.insert((board.now() + ran, start.job, ran)));
                    left -= 1;
                }
            }
            thoughts.extend(strategy.thinking().map(|thinking| (step + late.next().unwrap(), thinking.think())));
            if let Some(due) = thoughts.iter().position(|(due, _)| *due <= step) {
                strategy.heed(thoughts.remove(due).1);
            } else if let Some((now, job, ran)) = ends.pop_first() {
                board.set_now(now);
                board.ran(job, ran, None);
                board.remove(job, true);
                // A worker closes until the next end, or for ever nobody; a task that waits is cancelled.
                if let Some(worker) = closed.take() {
                    board.set_seat(worker, Seat { open: true, ..board.seats()[worker].clone() });
                }
                if let Some((worker, job)) = shut.next() {
                    if board.waits(job.min(seconds.len() - 1)) {
                        board.remove(job.min(seconds.len() - 1), false);
                        left -= 1;
                    }
                    if worker < cores.len() && !ends.is_empty() {
                        board.set_seat(worker, Seat { open: false, ..board.seats()[worker].clone() });
                        closed = Some(worker);
                    }
                }
                if let Some((seconds, cores)) = come.next() {
                    let class = board.class(Wanted { amounts: [1 + cores, 1, 1, 0], ..Wanted::default() });
                    board.wait(Job { arrival: now, order: 1000 + step as u64, ..Job::plain(class, seconds * 1000) });
                    left += 1;
                }
            } else if thoughts.is_empty() {
                break;
            }
        }
        proptest::prop_assert_eq!(left, 0);
    }
}
