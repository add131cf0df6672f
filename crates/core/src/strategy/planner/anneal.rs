//! Improving a plan by simulated annealing (Kirkpatrick et al., Science'83): random moves of jobs
//! between and within workers; a worse plan is kept with a chance that shrinks.
//!
//! The budget is a number of moves, never a time, so that every run replays.

use super::plan::{Goal, Plan, Scratch, cost};
use super::problem::Problem;

/// Random numbers from a seed (xorshift64*; Vigna, TOMS'16).
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below a bound that is not 0.
    fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * (bound as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// From 0 to 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How warm it begins and ends, as parts of the cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heat {
    pub(super) first: f64,
    pub(super) last: f64,
}

/// Improves a plan with so many moves; the best one seen is kept.
pub(super) fn anneal(
    problem: &Problem,
    plan: &mut Plan,
    goal: &Goal,
    moves: usize,
    heat: Heat,
    random: &mut Random,
    scratch: &mut Scratch,
) {
    let count = problem.items.len();
    if count < 2 || moves == 0 {
        return;
    }
    let mut now = plan.clone();
    let mut now_cost = now.cost(goal, count);
    let mut best_cost = now_cost;
    let scale = best_cost / f64::from(u32::try_from(count).unwrap_or(u32::MAX)).sqrt();
    let cooling = (heat.last / heat.first).powf(1.0 / f64::from(u32::try_from(moves).unwrap_or(u32::MAX)));
    let mut warmth = scale * heat.first;
    let mut undo = Undo::default();
    for _ in 0..moves {
        warmth *= cooling;
        if !change(problem, &mut now, random, &mut undo) {
            continue;
        }
        for worker in [undo.from, undo.to] {
            now.results[worker] = Plan::evaluate(problem, scratch, worker, &now.lists[worker], |_, _| {});
        }
        let cost = cost(now.results.iter(), goal, count);
        if cost <= now_cost || random.part() < ((now_cost - cost) / warmth).exp() {
            now_cost = cost;
            if cost < best_cost {
                best_cost = cost;
                plan.clone_from(&now);
            }
        } else {
            undo.back(&mut now);
        }
    }
}

/// The two lists that a move touches, as they were.
#[derive(Debug, Default)]
struct Undo {
    from: usize,
    to: usize,
    lists: [Vec<usize>; 2],
    results: [super::plan::Result; 2],
}

impl Undo {
    fn keep(&mut self, plan: &Plan, from: usize, to: usize) {
        (self.from, self.to) = (from, to);
        self.lists[0].clone_from(&plan.lists[from]);
        self.lists[1].clone_from(&plan.lists[to]);
        self.results = [plan.results[from], plan.results[to]];
    }

    fn back(&mut self, plan: &mut Plan) {
        plan.lists[self.from].clone_from(&self.lists[0]);
        plan.lists[self.to].clone_from(&self.lists[1]);
        plan.results[self.from] = self.results[0];
        plan.results[self.to] = self.results[1];
    }
}

/// One random move; false when it came to nothing.
fn change(problem: &Problem, plan: &mut Plan, random: &mut Random, undo: &mut Undo) -> bool {
    let from = if random.below(3) == 0 { plan.latest() } else { holder(plan, random) };
    if plan.lists[from].is_empty() {
        return false;
    }
    let at = random.below(plan.lists[from].len());
    let item = plan.lists[from][at];
    let able = &problem.able[problem.items[item].class];
    let kind = random.below(4);
    let to = if kind == 0 || able.len() < 2 { from } else { able[random.below(able.len())] };
    undo.keep(plan, from, to);
    if kind == 3 && !plan.lists[to].is_empty() {
        let other_at = random.below(plan.lists[to].len());
        let other = plan.lists[to][other_at];
        if other == item || !problem.able[problem.items[other].class].contains(&from) {
            return false;
        }
        plan.lists[from][at] = other;
        plan.lists[to][other_at] = item;
        return true;
    }
    plan.lists[from].remove(at);
    let to_at = random.below(plan.lists[to].len() + 1);
    plan.lists[to].insert(to_at, item);
    from != to || to_at != at
}

fn holder(plan: &Plan, random: &mut Random) -> usize {
    // A worker that has jobs is soon found; nothing is lost when it is not.
    (0..4).map(|_| random.below(plan.lists.len())).find(|worker| !plan.lists[*worker].is_empty()).unwrap_or(0)
}
