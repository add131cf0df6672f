//! A plan is for the board of which it was made.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::strategy::board::{Board, Job, Seat, Wanted};
use cloudai_core::strategy::planner::{Goal, Planning};
use cloudai_core::strategy::rules::Source;
use cloudai_core::strategy::{Mixed, Rules, Strategy};

/// Jobs of these seconds, and workers of these cores, in this order; all jobs came at once.
fn board(seconds: &[u64], cores: &[u64]) -> Board {
    let mut board = Board::default();
    for (worker, cores) in cores.iter().enumerate() {
        board.set_seat(worker, Seat::plain([*cores, 100, 100, 0]));
    }
    for seconds in seconds {
        let class = board.class(Wanted { amounts: [1 + seconds % 3, 1, 1, 0], model: None });
        board.wait(Job { order: *seconds, ..Job::plain(class, seconds * 1000) });
    }
    board
}

/// A planner that makes lists and improves nothing.
fn lists() -> Mixed {
    let goal = Goal { makespan: 1.0, wait: 0.0, starving: 0.0 };
    let planning = Planning { goal, first: 0, later: 0, source: Source::Estimate, quiet: f64::INFINITY, seed: 1 };
    Mixed::new("lists", Rules::default(), planning)
}

#[test]
fn when_everything_has_another_number_a_plan_is_made_anew() {
    let mut seconds: Vec<u64> = (1..30).map(|number| number * 7 % 31 * 10).collect();
    let mut old = lists();
    assert!(!old.place(&mut board(&seconds, &[3, 4, 6]), usize::MAX).is_empty());
    seconds.reverse();
    let mut other = board(&seconds, &[6, 3, 4]);
    other.retell();
    let expected = lists().place(&mut other.clone(), usize::MAX);
    assert_eq!(old.place(&mut other, usize::MAX), expected);
}
