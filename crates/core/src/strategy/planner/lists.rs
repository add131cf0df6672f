//! Where a plan begins: the best of several list schedules; and where it goes on: what is new on its lists.

use super::plan::{Goal, Plan, Scratch};
use super::problem::{Item, Problem};
use super::profile::Profile;
use std::cmp::Reverse;

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

/// The longest way first (upward rank; HEFT: Topcuoglu, Hariri, Wu, TPDS'02): where something must follow a job.
#[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
const RANKED: Size = |item| -(item.rank() as f64);

/// The plan of the order that costs least.
pub(super) fn first(problem: &Problem, goal: &Goal, scratch: &mut Scratch) -> Plan {
    let count = problem.items.len();
    let mut best: Option<(f64, Plan)> = None;
    let ranked = problem.items.iter().any(|item| item.tail > 0);
    // Of plans that cost the same the first stays.
    for size in ranked.then_some(RANKED).into_iter().chain(SIZES) {
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

/// Puts new jobs on the lists: those that something must follow before all of which less is to come, the others behind.
pub(super) fn add(problem: &Problem, plan: &mut Plan, new: Vec<usize>, scratch: &mut Scratch) {
    let (mut urgent, rest): (Vec<usize>, Vec<usize>) =
        new.into_iter().partition(|number| problem.items[*number].tail > 0);
    if !urgent.is_empty() {
        urgent.sort_by_key(|number| Reverse(problem.items[*number].rank()));
        rank(problem, plan, &urgent, scratch);
    }
    append(problem, plan, &rest, scratch);
}

/// Puts jobs, the longest way first, before the first on a list that has a shorter one: each where it starts first
/// then, of lists where it does at the same time on the one that is over first.
fn rank(problem: &Problem, plan: &mut Plan, urgent: &[usize], scratch: &mut Scratch) {
    let lists = plan.lists.iter().enumerate();
    let mut over: Vec<u64> = lists.map(|(worker, list)| free_at(problem, worker, list, scratch)).collect();
    let mut profiles = problem.profiles.clone();
    let mut places = vec![0_usize; plan.lists.len()];
    for number in urgent {
        let item = &problem.items[*number];
        for (worker, list) in plan.lists.iter().enumerate() {
            let before = list[places[worker]..].iter().map(|other| &problem.items[*other]);
            for other in before.take_while(|other| other.rank() >= item.rank()) {
                take(&mut profiles[worker], other);
                places[worker] += 1;
            }
        }
        if let Some(worker) = place(problem, &mut profiles, item, |worker| over[worker]) {
            plan.lists[worker].insert(places[worker], *number);
            places[worker] += 1;
            over[worker] = over[worker].saturating_add(item.length);
        }
    }
}

/// When a worker has done its list.
fn free_at(problem: &Problem, worker: usize, list: &[usize], scratch: &mut Scratch) -> u64 {
    let mut over = problem.now;
    Plan::evaluate(problem, scratch, worker, list, |number, start| {
        over = over.max(start.saturating_add(problem.items[number].length));
    });
    over
}

/// Puts jobs behind the others, each where it starts first.
fn append(problem: &Problem, plan: &mut Plan, order: &[usize], scratch: &mut Scratch) {
    let mut profiles = problem.profiles.clone();
    for (worker, list) in plan.lists.iter().enumerate() {
        list.iter().for_each(|number| take(&mut profiles[worker], &problem.items[*number]));
    }
    for number in order {
        if let Some(worker) = place(problem, &mut profiles, &problem.items[*number], |_| 0) {
            plan.lists[worker].push(*number);
        }
    }
    plan.renew(problem, scratch);
}

/// Takes what a job of a list holds; nothing of one that never has room there.
fn take(profile: &mut Profile, item: &Item) {
    let start = profile.earliest(&item.amounts, item.length);
    if start < u64::MAX {
        profile.take(start, &item.amounts, item.length);
    }
}

/// The worker where a job starts first, of equal ones the one of which the least is said, and takes what it holds
/// there; none where it never does.
fn place(problem: &Problem, profiles: &mut [Profile], item: &Item, then: impl Fn(usize) -> u64) -> Option<usize> {
    let able = problem.able[item.class].iter().copied();
    let starts = able.map(|worker| (profiles[worker].earliest(&item.amounts, item.length), then(worker), worker));
    let (start, _, worker) = starts.min_by_key(|(start, then, _)| (*start, *then))?;
    (start < u64::MAX).then(|| {
        profiles[worker].take(start, &item.amounts, item.length);
        worker
    })
}
