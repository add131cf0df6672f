//! The planner: a schedule of everything that waits, made on a backlog and improved as long as it
//! lasts.
//!
//! It begins with lists in several orders and improves the best by annealing. What a plan starts now
//! is started; the rest is kept, and is the beginning of the next plan: one incumbent per version of
//! the board.

mod anneal;
mod plan;
mod problem;
mod profile;

pub use plan::Goal;

use super::board::Board;
use super::dispatch::Started;
use super::rules::Source;
use anneal::{Heat, Random, anneal};
use plan::{Plan, Scratch};
use problem::{Item, Problem};
use std::collections::BTreeMap;

/// How a planner works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planning {
    /// What a plan is judged by.
    pub goal: Goal,
    /// Moves for a first plan.
    pub first: usize,
    /// Moves for each version of the board after that.
    pub later: usize,
    /// Whose word about run times counts.
    pub source: Source,
    /// A backlog is also what is left when nothing came for so large a part of the time that it takes;
    /// infinite for never: only what came at once is planned then.
    pub quiet: f64,
    /// Of its random numbers.
    pub seed: u64,
}

/// Where a job stands in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stand {
    worker: usize,
    /// On its worker's list.
    place: usize,
    /// Of the board's clock.
    start: u64,
}

/// A planner with its incumbent.
#[derive(Clone, Debug)]
pub struct Planner {
    planning: Planning,
    random: Random,
    incumbent: BTreeMap<usize, Stand>,
    scratch: Scratch,
}

impl Planner {
    /// One that planned nothing yet.
    #[must_use]
    pub fn new(planning: Planning) -> Self {
        let random = Random::new(planning.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self { planning, random, incumbent: BTreeMap::new(), scratch: Scratch::default() }
    }

    /// Forgets its plan.
    pub fn forget(&mut self) {
        self.incumbent.clear();
    }

    /// When a job is planned to start; in milliseconds, as the board's clock.
    pub(super) fn planned_start(&self, job: usize) -> Option<u64> {
        self.incumbent.get(&job).map(|stand| stand.start)
    }

    /// Plans these waiting jobs and starts on the board what the plan starts now.
    pub fn round(&mut self, board: &mut Board, jobs: &[usize]) -> Vec<Started> {
        let problem = Problem::of(board, self.planning.source, jobs);
        let known = jobs.iter().filter(|job| self.incumbent.contains_key(job)).count();
        let fresh = known * 2 < jobs.len();
        let mut plan = if fresh { self.first(&problem) } else { self.resume(&problem) };
        let goal = self.planning.goal;
        let (moves, heat) = if fresh {
            (self.planning.first, Heat { first: 0.3, last: 0.003 })
        } else {
            (self.planning.later, Heat { first: 0.03, last: 0.003 })
        };
        anneal(&problem, &mut plan, &goal, moves, heat, &mut self.random, &mut self.scratch);
        self.keep(&problem, &plan);
        self.start(board)
    }

    /// The best of several lists.
    fn first(&mut self, problem: &Problem) -> Plan {
        type Size = fn(&Item) -> f64;
        #[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
        const SIZES: [Size; 6] = [
            |item| -(item.length as f64),
            |item| -(item.length as f64 * item.share),
            |item| -item.share,
            |item| item.length as f64,
            |item| item.length as f64 * item.share,
            |item| -(item.length as f64 * item.share.sqrt()),
        ];
        let count = problem.items.len();
        let mut best: Option<(f64, Plan)> = None;
        for size in SIZES {
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|a, b| size(&problem.items[*a]).total_cmp(&size(&problem.items[*b])));
            let mut plan = Plan::empty(problem);
            self.insert(problem, &mut plan, &order);
            let cost = plan.cost(&self.planning.goal, count);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, plan));
            }
        }
        best.map(|(_, plan)| plan).unwrap_or_default()
    }

    /// Puts jobs behind the others, each where it ends first.
    fn insert(&mut self, problem: &Problem, plan: &mut Plan, order: &[usize]) {
        let mut profiles = problem.profiles.clone();
        for (worker, list) in plan.lists.iter().enumerate() {
            for number in list {
                let item = &problem.items[*number];
                let start = profiles[worker].earliest(&item.amounts, item.length);
                if start < u64::MAX {
                    profiles[worker].take(start, &item.amounts, item.length);
                }
            }
        }
        for number in order {
            let item = &problem.items[*number];
            let able = problem.able[item.class].iter().copied();
            let earliest = |worker: &usize| profiles[*worker].earliest(&item.amounts, item.length);
            let Some(worker) = able.min_by_key(earliest) else { continue };
            let start = earliest(&worker);
            if start < u64::MAX {
                profiles[worker].take(start, &item.amounts, item.length);
                plan.lists[worker].push(*number);
            }
        }
        plan.renew(problem, &mut self.scratch);
    }

    /// The incumbent without what is gone, with what is new at its ends.
    fn resume(&mut self, problem: &Problem) -> Plan {
        let mut plan = Plan::empty(problem);
        let mut places = Vec::new();
        let mut new = Vec::new();
        for (number, item) in problem.items.iter().enumerate() {
            match self.incumbent.get(&item.job) {
                Some(stand) if problem.able[item.class].contains(&stand.worker) => {
                    places.push((stand.worker, stand.place, number));
                }
                Some(_) | None => new.push(number),
            }
        }
        places.sort_unstable();
        for (worker, _, number) in places {
            plan.lists[worker].push(number);
        }
        self.insert(problem, &mut plan, &new);
        plan
    }

    fn keep(&mut self, problem: &Problem, plan: &Plan) {
        self.incumbent.clear();
        for (worker, list) in plan.lists.iter().enumerate() {
            let mut place = 0;
            Plan::evaluate(problem, &mut self.scratch, worker, list, |item, start| {
                self.incumbent.insert(problem.items[item].job, Stand { worker, place, start });
                place += 1;
            });
        }
    }

    fn start(&self, board: &mut Board) -> Vec<Started> {
        let now = board.now();
        let due = self.incumbent.iter().filter(|(_, stand)| stand.start == now);
        let mut due: Vec<(Stand, usize)> = due.map(|(job, stand)| (*stand, *job)).collect();
        due.sort_unstable();
        let started = due.into_iter().map(|(stand, job)| Started { job, worker: stand.worker });
        started.filter(|start| board.start(start.job, start.worker)).collect()
    }
}
