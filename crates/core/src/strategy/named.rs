//! Every strategy by its name.

use super::board::Board;
use super::dispatch::{Dispatcher, Started};
use super::knobs::Knobs;
use super::mixed::Mixed;
use super::planner::{Goal, Planning};
use super::rules::{Blocked, Order, Rules, Seating, Source};
use super::{EXTERNAL, External, Strategy};

/// How to make a strategy.
type Make = fn() -> Box<dyn Strategy>;

/// Every strategy by its name.
pub const ALL: &[(&str, Make)] = &[
    ("greedy", || naive("greedy", Seating::First)),
    ("round_robin", || naive("round_robin", Seating::Turn)),
    ("balanced", || naive("balanced", Seating::Level)),
    ("greedy_skip", || skipping("greedy_skip", Seating::First)),
    ("round_robin_skip", || skipping("round_robin_skip", Seating::Turn)),
    ("balanced_skip", || skipping("balanced_skip", Seating::Level)),
    ("ai", || multi_objective("ai")),
    ("ai_multi_objective", || multi_objective("ai_multi_objective")),
    ("ai_aggressive", aggressive),
    ("ai_predictive", predictive),
    ("ai_load_balanced", load_balanced),
];

/// The strategy of this name; [`External`] is one that places nothing.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Strategy>> {
    if name == EXTERNAL {
        return Some(Box::new(External::default()));
    }
    ALL.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

/// The strategy of this name with these knobs.
#[must_use]
pub fn make(name: &str, _knobs: &Knobs) -> Option<Box<dyn Strategy>> {
    by_name(name)
}

/// What the `ai` strategies have in common: short tasks first, over several workers those that are
/// hard to place among them; room is kept for the first that has none; levels and likeness choose the
/// worker; nobody waits for ever.
const AI: Rules = Rules {
    order: Order::Size { length: 1.0, pool: 0.5, share: -1.0 },
    seating: Seating::Weighed { level: 1.0, alike: 1.0, best: 0.0 },
    blocked: Blocked::Reserved,
    source: Source::Estimate,
    patience: 50.0,
    patience_floor: 60_000,
    slack: 0.0,
    urgency: 0.1,
};

/// Both ends: a backlog is planned for its end and for waiting alike.
fn multi_objective(name: &'static str) -> Box<dyn Strategy> {
    let goal = Goal { makespan: 1.0, wait: 2.0, starving: 0.5 };
    Box::new(Mixed::new(name, AI, Planning { goal, first: 30_000, later: 1_500, source: AI.source, seed: 1 }))
}

/// The earliest end of everything: large tasks first, gaps are filled, a backlog is planned.
fn aggressive() -> Box<dyn Strategy> {
    let rules = Rules {
        order: Order::Size { length: 0.5, pool: -0.5, share: -1.0 },
        seating: Seating::Weighed { level: 0.0, alike: 1.0, best: 0.3 },
        ..AI
    };
    let goal = Goal { makespan: 1.0, wait: 0.002, starving: 0.1 };
    let planning = Planning { goal, first: 40_000, later: 2_000, source: rules.source, seed: 1 };
    Box::new(Mixed::new("ai_aggressive", rules, planning))
}

/// What was learned of run times counts, and deadlines do.
fn predictive() -> Box<dyn Strategy> {
    let rules = Rules { source: Source::Predicted, slack: 2.0, ..AI };
    let goal = Goal { makespan: 1.0, wait: 0.3, starving: 0.3 };
    let planning = Planning { goal, first: 20_000, later: 2_000, source: rules.source, seed: 1 };
    Box::new(Mixed::new("ai_predictive", rules, planning))
}

/// Equal load on all workers.
fn load_balanced() -> Box<dyn Strategy> {
    let rules = Rules { order: Order::Size { length: 1.0, pool: 0.5, share: -2.0 }, ..AI };
    Box::new(Ruled::new("ai_load_balanced", rules))
}

/// Tasks as they were submitted, whatever their priority; one that has no room holds up all others:
/// what the reference does.
fn naive(name: &'static str, seating: Seating) -> Box<dyn Strategy> {
    Box::new(Ruled::new(name, Rules { seating, order: Order::Submitted, ..Rules::default() }))
}

/// Tasks by priority, then as they were submitted; one that has no room is passed, until it has waited
/// too long.
fn skipping(name: &'static str, seating: Seating) -> Box<dyn Strategy> {
    let rules = Rules { seating, order: Order::Priority, blocked: Blocked::Passed, ..Rules::default() };
    Box::new(Ruled::new(name, rules))
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
