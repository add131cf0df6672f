//! The part of planning that takes long: it needs no board, and may be done beside the rounds.

use super::anneal::{Heat, Random, anneal};
use super::plan::{Goal, Plan, Scratch};
use super::problem::{Item, Problem};
use super::{Incumbent, Stand, lists};

/// A plan that is to be improved: everything that it takes.
#[derive(Clone, Debug)]
pub struct Thinking {
    pub(super) problem: Problem,
    /// None for a first one.
    pub(super) plan: Option<Plan>,
    pub(super) goal: Goal,
    pub(super) moves: usize,
    pub(super) heat: Heat,
    pub(super) random: Random,
}

/// The improved plan.
#[derive(Clone, Debug)]
pub struct Thought {
    pub(super) incumbent: Incumbent,
    pub(super) random: Random,
}

impl Thinking {
    /// Improves it: some tenths of a second for a first plan of a thousand jobs, some hundredths for a later one. The
    /// same plan always comes to the same.
    #[must_use]
    pub fn think(self) -> Thought {
        let mut scratch = Scratch::default();
        let Self { problem, plan, goal, moves, heat, mut random } = self;
        let mut plan = plan.unwrap_or_else(|| lists::first(&problem, &goal, &mut scratch));
        anneal(&problem, &mut plan, &goal, moves, heat, &mut random, &mut scratch);
        Thought { incumbent: stands(&problem, &plan, &mut scratch), random }
    }
}

/// Where each job of a plan stands.
pub(super) fn stands(problem: &Problem, plan: &Plan, scratch: &mut Scratch) -> Incumbent {
    let mut incumbent = Incumbent::new();
    for (worker, list) in plan.lists.iter().enumerate() {
        let mut place = 0;
        Plan::evaluate(problem, scratch, worker, list, |item, start| {
            let Item { job, order, .. } = problem.items[item];
            incumbent.insert(job, Stand { worker, place, start, order });
            place += 1;
        });
    }
    incumbent
}
