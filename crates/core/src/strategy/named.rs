//! Every strategy by its name.

use super::board::Board;
use super::dispatch::{Dispatcher, Started};
use super::knobs::Knobs;
use super::line::Key;
use super::mixed::Mixed;
use super::planner::{Goal, Planning};
use super::rules::{Blocked, Order, Rules, Seating, Source};
use super::{EXTERNAL, External, Strategy};

/// How to make a strategy of its knobs.
type Make = fn(&Knobs) -> Box<dyn Strategy>;

/// Every strategy by its name.
pub const ALL: &[(&str, Make)] = &[
    ("greedy", |_| naive("greedy", Seating::First)),
    ("round_robin", |_| naive("round_robin", Seating::Turn)),
    ("balanced", |_| naive("balanced", Seating::Level)),
    ("greedy_skip", |knobs| skipping("greedy_skip", Seating::First, knobs)),
    ("round_robin_skip", |knobs| skipping("round_robin_skip", Seating::Turn, knobs)),
    ("balanced_skip", |knobs| skipping("balanced_skip", Seating::Level, knobs)),
    ("ai", |knobs| multi_objective("ai", knobs)),
    ("ai_multi_objective", |knobs| multi_objective("ai_multi_objective", knobs)),
    ("ai_aggressive", aggressive),
    ("ai_predictive", |knobs| Box::new(predictive(knobs, RANK))),
    ("ai_load_balanced", load_balanced),
];

/// How much what must follow a task counts where an early end of everything is wanted: a task is as much more urgent as
/// the way from it to the end of its job is longer than itself.
const RANK: f64 = 1.0;

/// The names of the strategies that place.
#[must_use]
pub fn placing() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// The names of all that may be chosen: [`EXTERNAL`] too.
#[must_use]
pub fn names() -> Vec<&'static str> {
    placing().into_iter().chain([EXTERNAL]).collect()
}

/// The strategy of this name with the default knobs; [`External`] is one that places nothing.
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Strategy>> {
    make(name, &Knobs::default())
}

/// The strategy of this name with these knobs.
#[must_use]
pub fn make(name: &str, knobs: &Knobs) -> Option<Box<dyn Strategy>> {
    if name == EXTERNAL {
        return Some(Box::new(External::default()));
    }
    ALL.iter().find(|(known, _)| *known == name).map(|(_, make)| make(knobs))
}

/// What the `ai` strategies have in common: short tasks first, over several workers those that are
/// hard to place among them; what others wait for a little earlier, as those who sent single tasks wait as well; room
/// is kept for the first that has none; likeness chooses the worker, with a little of levels and of packing
/// (`docs/scheduling.md`, "How the weights were found"); nobody waits for ever.
fn ai(knobs: &Knobs) -> Rules {
    Rules {
        order: Order::Size { length: 1.0, pool: 0.5, share: -1.0 },
        seating: weighed(knobs, 0.25, 0.2),
        blocked: Blocked::Reserved,
        source: Source::Estimate,
        patience: knobs.patience,
        patience_floor: 60_000,
        slack: 0.0,
        fair_share: knobs.fair_share,
        urgency: knobs.urgency,
        rank: RANK / 2.0,
    }
}

/// What speaks for a worker: likeness, levels so much, packing so much; `utilization` scales the first and the last,
/// `balance` the second.
fn weighed(knobs: &Knobs, level: f64, best: f64) -> Seating {
    let (balance, utilization) = (knobs.relative("balance"), knobs.relative("utilization"));
    Seating::Weighed { level: level * balance, alike: utilization, best: best * utilization }
}

/// How a backlog is planned: `makespan` and `wait` times what the knobs say of them.
fn planning(knobs: &Knobs, rules: &Rules, goal: Goal) -> Planning {
    let evaluations = usize::try_from(knobs.planner_evaluations).unwrap_or(usize::MAX);
    let (end, waits) = (knobs.relative("makespan"), knobs.relative("starvation"));
    let goal = Goal { makespan: goal.makespan * end, wait: goal.wait * waits, starving: goal.starving * waits };
    Planning {
        goal,
        first: evaluations.saturating_mul(3),
        later: evaluations / 5,
        source: rules.source,
        quiet: f64::INFINITY,
        critical: 0.4,
        tails: rules.rank > 0.0,
        seed: knobs.seed,
    }
}

/// Both ends: a backlog is planned for its end and for waiting alike.
fn multi_objective(name: &'static str, knobs: &Knobs) -> Box<dyn Strategy> {
    let (rules, goal) = (ai(knobs), Goal { makespan: 1.0, wait: 2.0, starving: 0.5 });
    Box::new(Mixed::new(name, rules, planning(knobs, &rules, goal)))
}

/// The earliest end of everything: large tasks first, gaps are filled, a backlog is planned.
fn aggressive(knobs: &Knobs) -> Box<dyn Strategy> {
    let rules = Rules {
        order: Order::Size { length: 0.5, pool: -0.5, share: -1.0 },
        seating: Seating::Weighed { level: 0.0, alike: 1.0, best: 0.3 },
        rank: RANK,
        ..ai(knobs)
    };
    let goal = Goal { makespan: 1.0, wait: 0.002, starving: 1.0 };
    let planning = Planning { quiet: 0.05, critical: 0.0, ..planning(knobs, &rules, goal) };
    Box::new(Mixed::new("ai_aggressive", rules, planning))
}

/// `ai_predictive` in which what must follow a task counts so much ([`Rules::rank`]), so that who compares can have it
/// without: what was learned of run times counts, deadlines do, and the way to the end of a task's job.
#[must_use]
pub fn predictive(knobs: &Knobs, rank: f64) -> Mixed {
    let seating = weighed(knobs, 0.1, 0.1);
    let rules = Rules { source: Source::Predicted, slack: 1.0, seating, rank, ..ai(knobs) };
    let goal = Goal { makespan: 1.0, wait: 0.3, starving: 2.0 };
    Mixed::new("ai_predictive", rules, planning(knobs, &rules, goal))
}

/// Equal load on all workers.
fn load_balanced(knobs: &Knobs) -> Box<dyn Strategy> {
    let (order, seating) = (Order::Size { length: 1.0, pool: 0.5, share: -2.0 }, weighed(knobs, 1.0, 0.0));
    let rules = Rules { order, seating, rank: 0.0, ..ai(knobs) };
    Box::new(Ruled::new("ai_load_balanced", rules))
}

/// Tasks as they were submitted, whatever their priority; one that has no room holds up all others:
/// what the reference does.
fn naive(name: &'static str, seating: Seating) -> Box<dyn Strategy> {
    Box::new(Ruled::new(name, Rules { seating, order: Order::Submitted, ..Rules::default() }))
}

/// Tasks by priority, then as they were submitted; one that has no room is passed, until it has waited
/// too long.
fn skipping(name: &'static str, seating: Seating, knobs: &Knobs) -> Box<dyn Strategy> {
    let (order, blocked) = (Order::Priority, Blocked::Passed);
    let patience = Rules { patience: knobs.patience, patience_floor: 60_000, ..Rules::default() };
    let rules = Rules { seating, order, blocked, ..patience };
    Box::new(Ruled::new(name, rules))
}

/// Rules with a name.
#[derive(Clone, Debug)]
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

    fn ahead(&self) -> Option<usize> {
        self.dispatcher.ahead()
    }

    fn hear(&mut self, board: &mut Board) {
        self.dispatcher.listen(board);
    }

    fn line(&self, _board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)> {
        self.dispatcher.rising(after).take(most).collect()
    }

    fn copy(&self) -> Box<dyn Strategy> {
        Box::new(self.clone())
    }

    fn place(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        self.dispatcher.round(board, most)
    }
}
