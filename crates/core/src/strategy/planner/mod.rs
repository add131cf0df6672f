//! The planner: a schedule of everything that waits, made on a backlog and improved as long as it
//! lasts.
//!
//! It begins with lists in several orders and improves the best by annealing. What a plan starts now
//! is started at once; the rest is kept, and is the beginning of the next plan: one incumbent per
//! version of the board. Annealing is a [`Thinking`] of its own: whoever drives rounds does it on the
//! spot or beside them, and brings the [`Thought`] back. Only a first plan is waited for.

mod anneal;
mod lists;
mod plan;
mod problem;
mod profile;
mod thinking;

pub use plan::Goal;
pub(super) use problem::horizon;
pub use thinking::{Thinking, Thought};

use super::board::Board;
use super::dispatch::Started;
use super::rules::Source;
use anneal::{Heat, Random};
use plan::{Plan, Scratch};
use problem::{Problem, Starving};
use std::collections::BTreeMap;

/// A plan of so many jobs and more is improved with as many moves as were said, one of less with up to three times those.
const FEW: usize = 300;

/// How a planner works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planning {
    /// What a plan is judged by.
    pub goal: Goal,
    /// Moves for a first plan; up to three times as many where jobs are few.
    pub first: usize,
    /// The same for each version of the board after that.
    pub later: usize,
    /// Whose word about run times counts.
    pub source: Source,
    /// A backlog is also what is left when nothing came for so large a part of the time that it takes;
    /// infinite for never: only what came at once is planned then.
    pub quiet: f64,
    /// What runs for at least so large a part of the time that a backlog takes goes first where lengths are known
    /// too badly for a plan.
    pub critical: f64,
    /// Whether what must follow jobs counts for when they end (see [`Job::tail`](super::board::Job::tail)).
    pub tails: bool,
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
    /// The [`Job::order`](super::board::Job::order) of whom it is meant for: numbers are used again.
    order: u64,
}

/// A job's place in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub job: usize,
    /// The worker on whose list it stands.
    pub worker: usize,
    /// When it starts, in milliseconds, as the board's clock.
    pub start: u64,
}

/// The plan that is followed, by jobs.
type Incumbent = BTreeMap<usize, Stand>;

/// What a planner does about thinking.
#[derive(Debug, Default)]
enum Mind {
    /// Nothing is to be thought about.
    #[default]
    Calm,
    /// This is.
    Wishes(Box<Thinking>),
    /// Somebody thinks; whether the board is another since then.
    Thinks { stale: bool },
    /// A thought came that no round looked at; whether the board is another since it was begun.
    Knows { stale: bool },
}

/// A copy goes on alone: what is being thought for the other does not reach it, and it thinks anew.
impl Clone for Mind {
    fn clone(&self) -> Self {
        match self {
            Self::Calm => Self::Calm,
            Self::Wishes(thinking) => Self::Wishes(thinking.clone()),
            Self::Thinks { .. } => Self::Knows { stale: true },
            Self::Knows { stale } => Self::Knows { stale: *stale },
        }
    }
}

/// A planner with its incumbent.
#[derive(Clone, Debug)]
pub struct Planner {
    planning: Planning,
    random: Random,
    incumbent: Incumbent,
    starving: Option<Starving>,
    mind: Mind,
    scratch: Scratch,
}

impl Planner {
    /// One that planned nothing yet.
    #[must_use]
    pub fn new(planning: Planning) -> Self {
        Self {
            planning,
            random: Random::new(planning.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            incumbent: Incumbent::new(),
            starving: None,
            mind: Mind::Calm,
            scratch: Scratch::default(),
        }
    }

    /// Forgets its plan, and what is being thought of it.
    pub fn forget(&mut self) {
        self.incumbent.clear();
        self.starving = None;
        self.mind = Mind::Calm;
    }

    /// When a job is planned to start; in milliseconds, as the board's clock.
    pub(super) fn planned_start(&self, board: &Board, job: usize) -> Option<u64> {
        self.stand(board, job).map(|stand| stand.start)
    }

    /// All places of its plan.
    pub(super) fn due(&self, board: &Board) -> Vec<Due> {
        let stands = self.incumbent.iter().filter(|(job, stand)| stand.order == board.job(**job).order);
        stands.map(|(job, Stand { worker, start, .. })| Due { job: *job, worker: *worker, start: *start }).collect()
    }

    fn stand(&self, board: &Board, job: usize) -> Option<&Stand> {
        self.incumbent.get(&job).filter(|stand| stand.order == board.job(job).order)
    }

    /// Whether a thought came that no round looked at.
    pub(super) const fn knows_better(&self) -> bool {
        matches!(self.mind, Mind::Knows { .. })
    }

    /// What it wants thought about, to be brought back to [`Planner::heed`].
    pub fn thinking(&mut self) -> Option<Thinking> {
        match std::mem::take(&mut self.mind) {
            Mind::Wishes(thinking) => {
                self.mind = Mind::Thinks { stale: false };
                Some(*thinking)
            }
            mind @ (Mind::Calm | Mind::Thinks { .. } | Mind::Knows { .. }) => {
                self.mind = mind;
                None
            }
        }
    }

    /// Takes a thought for its plan, unless the plan that it was about is forgotten.
    pub fn heed(&mut self, thought: Thought) {
        if let Mind::Thinks { stale } = self.mind {
            // Who is not in it, since a proposal was refused meanwhile, stands where he stood.
            self.incumbent.extend(thought.incumbent);
            self.random = thought.random;
            self.mind = Mind::Knows { stale };
        }
    }

    /// Starts on the board what the plan starts now of these waiting jobs, at most so many, and wishes for a better
    /// plan where something is new. Each of them must have a worker that could run it. Nothing is started before the
    /// first plan of most of them.
    pub fn round(&mut self, board: &mut Board, jobs: &[usize], new: bool, most: usize) -> Vec<Started> {
        let known = jobs.iter().filter(|job| self.stand(board, **job).is_some()).count();
        if known * 2 < jobs.len() {
            match &mut self.mind {
                Mind::Thinks { stale } => {
                    *stale |= new;
                    return Vec::new();
                }
                // They were thought about just now: who is not in it finds no place on any list.
                Mind::Knows { stale: false } if !new => {}
                Mind::Calm | Mind::Wishes(_) | Mind::Knows { .. } => {
                    self.begin(board, jobs);
                    return Vec::new();
                }
            }
        }
        let started = self.follow(board, jobs, most);
        let free = match &mut self.mind {
            Mind::Thinks { stale } => {
                *stale |= new;
                false
            }
            Mind::Knows { stale } => *stale || new,
            Mind::Calm | Mind::Wishes(_) => new,
        };
        if free {
            let left: Vec<usize> = jobs.iter().copied().filter(|job| board.waits(*job)).collect();
            let problem = self.problem(board, &left);
            let plan = self.resume(board, &problem);
            self.wish(problem, Some(plan), self.planning.later, Heat { first: 0.03, last: 0.003 });
        } else if self.knows_better() {
            self.mind = Mind::Calm;
        }
        started
    }

    /// A first plan.
    fn begin(&mut self, board: &Board, jobs: &[usize]) {
        self.starving = None;
        let problem = self.problem(board, jobs);
        self.wish(problem, None, self.planning.first, Heat { first: 0.3, last: 0.003 });
    }

    fn wish(&mut self, problem: Problem, plan: Option<Plan>, moves: usize, heat: Heat) {
        // Moves of few jobs cost less.
        let moves = moves.saturating_mul((FEW / problem.items.len().max(1)).clamp(1, 3));
        let (goal, random) = (self.planning.goal, self.random);
        self.mind = Mind::Wishes(Box::new(Thinking { problem, plan, goal, moves, heat, random }));
    }

    fn problem(&mut self, board: &Board, jobs: &[usize]) -> Problem {
        let source = self.planning.source;
        let starving = *self.starving.get_or_insert_with(|| Starving::of(board, source, jobs));
        Problem::of(board, &self.planning, jobs, starving)
    }

    /// Brings the incumbent up to the board, and starts what it starts now.
    fn follow(&mut self, board: &mut Board, jobs: &[usize], most: usize) -> Vec<Started> {
        let problem = self.problem(board, jobs);
        let plan = self.resume(board, &problem);
        self.incumbent = thinking::stands(&problem, &plan, &mut self.scratch);
        self.start(board, most)
    }

    /// The incumbent without what is gone, with what is new at its ends, or before where something must follow it.
    fn resume(&mut self, board: &Board, problem: &Problem) -> Plan {
        let mut plan = Plan::empty(problem);
        let mut places = Vec::new();
        let mut new = Vec::new();
        for (number, item) in problem.items.iter().enumerate() {
            match self.stand(board, item.job) {
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
        lists::add(problem, &mut plan, new, &mut self.scratch);
        plan
    }

    fn start(&self, board: &mut Board, most: usize) -> Vec<Started> {
        let now = board.now();
        let due = self.incumbent.iter().filter(|(_, stand)| stand.start == now);
        let mut due: Vec<(Stand, usize)> = due.map(|(job, stand)| (*stand, *job)).collect();
        due.sort_unstable();
        let started = due.into_iter().map(|(stand, job)| Started { job, worker: stand.worker });
        started.filter(|start| board.start(start.job, start.worker)).take(most).collect()
    }
}
