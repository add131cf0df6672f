//! Where a plan begins: the best of several list schedules.

use super::plan::{Goal, Plan, Scratch};
use super::problem::{Item, Problem};

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

/// The plan of the order that costs least.
pub(super) fn first(problem: &Problem, goal: &Goal, scratch: &mut Scratch) -> Plan {
    let count = problem.items.len();
    let mut best: Option<(f64, Plan)> = None;
    for size in SIZES {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| size(&problem.items[*a]).total_cmp(&size(&problem.items[*b])));
        let mut plan = Plan::empty(problem);
        append(problem, &mut plan, &order, scratch);
        let cost = plan.cost(goal, count);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, plan));
        }
    }
    best.map(|(_, plan)| plan).unwrap_or_default()
}

/// Puts jobs behind the others, each where it starts first.
pub(super) fn append(problem: &Problem, plan: &mut Plan, order: &[usize], scratch: &mut Scratch) {
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
    plan.renew(problem, scratch);
}
