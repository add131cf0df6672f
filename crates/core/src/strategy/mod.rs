//! Placement algorithms.
//!
//! A strategy is a pure function of the [`board`] and of its own state: it proposes, the cluster
//! checks every proposal again and alone decides. Most are [`Rules`] for the one [`Dispatcher`]; a new
//! one is a line in [`ALL`], and a file here if rules do not say it.

mod about;
mod ahead;
mod among;
pub mod board;
mod candidates;
mod critical;
mod dispatch;
pub mod explain;
mod external;
mod fleet;
mod kindred;
pub mod knobs;
mod line;
mod mixed;
mod named;
mod needs;
mod numbers;
mod patience;
pub mod planner;
mod preempt;
mod queue;
mod reserve;
pub mod rules;
mod seating;
mod shares;
mod tails;
mod tasks;
mod view;

pub use about::about;
pub use ahead::{Ahead, Planned};
pub use board::Board;
pub use dispatch::{Dispatcher, Started};
pub use external::{EXTERNAL, External};
pub use fleet::{Fleet, Seen};
pub use knobs::{KnobError, Knobs};
pub use line::Key;
pub use mixed::Mixed;
pub use named::{ALL, Ruled, by_name, make, names, placing, predictive};
pub use planner::{Due, Thinking, Thought};
pub use queue::{Queued, Spot};
pub use rules::Rules;
pub use view::{View, Waiting};

/// A placement algorithm.
pub trait Strategy: Send + std::fmt::Debug {
    /// The name by which users choose it.
    fn name(&self) -> &'static str;

    /// Whose word about run times it goes by.
    fn source(&self) -> rules::Source {
        rules::Source::Estimate
    }

    /// The job that others wait behind since the last round: all of them, or those that it keeps room from. None
    /// where nobody waits for another one, or for no single one.
    fn ahead(&self) -> Option<usize> {
        None
    }

    /// What has its place in a plan, by what was heard last; empty of one that plans nothing now.
    fn planned(&self, _board: &Board) -> Vec<Due> {
        Vec::new()
    }

    /// Takes in what changed on the board since it was heard last, so that the line is of now; the next
    /// [`Strategy::place`] looks at it.
    fn hear(&mut self, board: &mut Board);

    /// The waiting jobs that some worker could run, in the order in which they are looked at: the first behind a
    /// place, or of all. By what was heard last.
    fn line(&self, board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)>;

    /// One that knows what this one knows and goes on alone.
    fn copy(&self) -> Box<dyn Strategy>;

    /// Starts waiting jobs on the board, at most so many, and says which in the order of their
    /// starts. Called again while it starts something.
    fn place(&mut self, board: &mut Board, most: usize) -> Vec<Started>;

    /// What it wants thought about since the last [`Strategy::place`]: it needs no board, and may be thought of
    /// beside further rounds. What comes of it goes to [`Strategy::heed`], and the next round acts on it.
    fn thinking(&mut self) -> Option<Thinking> {
        None
    }

    /// Takes in what came of the last [`Strategy::thinking`].
    fn heed(&mut self, _thought: Thought) {}
}

/// A round of a strategy that thinks on the spot, whatever time that takes: for simulators, and for copies that are
/// tried.
pub fn place(strategy: &mut dyn Strategy, board: &mut Board, most: usize) -> Vec<Started> {
    let mut started = strategy.place(board, most);
    while started.len() < most
        && let Some(thinking) = strategy.thinking()
    {
        strategy.heed(thinking.think());
        started.extend(strategy.place(board, most - started.len()));
    }
    started
}

/// The most placements of one round: a batch that commits in one go.
pub const ROUND: usize = 512;
