//! Every strategy by its name.

use super::Strategy;
use super::board::Board;
use super::dispatch::{Dispatcher, Started};
use super::rules::{Blocked, Order, Rules, Seating, Source};

/// How to make a strategy.
type Make = fn() -> Box<dyn Strategy>;

/// Every strategy by its name.
pub const ALL: &[(&str, Make)] = &[
    ("greedy", || naive("greedy", Seating::First, Blocked::Waits)),
    ("round_robin", || naive("round_robin", Seating::Turn, Blocked::Waits)),
    ("balanced", || naive("balanced", Seating::Level, Blocked::Waits)),
    ("greedy_skip", || naive("greedy_skip", Seating::First, Blocked::Passed)),
    ("round_robin_skip", || naive("round_robin_skip", Seating::Turn, Blocked::Passed)),
    ("balanced_skip", || naive("balanced_skip", Seating::Level, Blocked::Passed)),
    ("ai", || Box::new(Ruled::new("ai", AI))),
];

/// The strategy of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Strategy>> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

const AI: Rules = Rules {
    order: Order::Size { length: 1.0, share: 1.0 },
    seating: Seating::Level,
    blocked: Blocked::Reserved,
    source: Source::Estimate,
    patience: 0.0,
    patience_floor: 0,
    urgency: 0.0,
};

/// Tasks as they were submitted, higher priority first: what the reference does.
fn naive(name: &'static str, seating: Seating, blocked: Blocked) -> Box<dyn Strategy> {
    Box::new(Ruled::new(name, Rules { seating, blocked, ..Rules::default() }))
}

/// Rules with a name.
#[derive(Debug)]
pub struct Ruled {
    name: &'static str,
    dispatcher: Dispatcher,
}

impl Ruled {
    /// A strategy of these rules.
    #[must_use]
    pub fn new(name: &'static str, rules: Rules) -> Self {
        Self { name, dispatcher: Dispatcher::new(rules) }
    }
}

impl Strategy for Ruled {
    fn name(&self) -> &'static str {
        self.name
    }

    fn source(&self) -> Source {
        self.dispatcher.rules().source
    }

    fn place(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        self.dispatcher.round(board, most)
    }
}
