//! Placement algorithms.
//!
//! A strategy is a pure function of the view and of its own state: it proposes, the cluster
//! checks every proposal again and alone decides. A new one is a file here and a line in [`ALL`].

mod fleet;
mod greedy;
mod round_robin;
mod view;

pub use fleet::{Fleet, Seen};
pub use greedy::Greedy;
pub use round_robin::RoundRobin;
pub use view::{Draft, View, Waiting};

use crate::event::Placement;

/// A placement algorithm.
pub trait Strategy: Send + std::fmt::Debug {
    /// The name by which users choose it.
    fn name(&self) -> &'static str;

    /// Proposes places for waiting tasks that are not pinned, in the order in which they are to
    /// be made; at most [`ROUND`] of them.
    fn place(&mut self, view: &View) -> Vec<Placement>;
}

/// The most placements of one round: a batch that commits in one go.
pub const ROUND: usize = 512;

/// How to make a strategy.
type Make = fn() -> Box<dyn Strategy>;

/// Every strategy by its name.
pub const ALL: &[(&str, Make)] = &[("greedy", || Box::new(Greedy)), ("round_robin", || Box::<RoundRobin>::default())];

/// The strategy of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Strategy>> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

/// One whole round: pinned tasks go where they must, the strategy places the others.
pub fn round(strategy: &mut dyn Strategy, view: &View) -> Vec<Placement> {
    let mut placements = view.place_pinned();
    if placements.is_empty() {
        placements = strategy.place(view);
    }
    placements
}
