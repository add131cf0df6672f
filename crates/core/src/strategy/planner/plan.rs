//! A plan: for each worker its jobs in the order in which they take what is free (a serial schedule;
//! Kolisch, EJOR'96: the best schedule is always among these).

use super::problem::Problem;
use super::profile::Profile;

/// What a plan is judged by: less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Of the time until everything has ended, what must follow jobs of the plan too.
    pub makespan: f64,
    /// Of the mean time from submission to start.
    pub wait: f64,
    /// Of the time by which jobs wait beyond what is starving, on average, and of the part of them
    /// that do, times the makespan.
    pub starving: f64,
}

/// How one worker does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Result {
    /// When the last of its jobs ends with what must follow it, after now: the worker may be free before.
    end: u64,
    /// All waiting of its jobs.
    wait: u64,
    /// All waiting beyond what is starving.
    starving: u64,
    /// How many wait so long, each in thousandths.
    starved: u64,
}

/// Jobs by worker, and what comes of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) lists: Vec<Vec<usize>>,
    pub(super) results: Vec<Result>,
}

/// Memory for evaluations.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    profile: Profile,
}

impl Plan {
    pub(super) fn empty(problem: &Problem) -> Self {
        let workers = problem.profiles.len();
        Self { lists: vec![Vec::new(); workers], results: vec![Result::default(); workers] }
    }

    /// Evaluates a list of jobs on a worker, and tells each start.
    pub(super) fn evaluate(
        problem: &Problem,
        scratch: &mut Scratch,
        worker: usize,
        list: &[usize],
        mut starts: impl FnMut(usize, u64),
    ) -> Result {
        scratch.profile.copy(&problem.profiles[worker]);
        let mut result = Result::default();
        for number in list {
            let item = &problem.items[*number];
            let start = scratch.profile.earliest(&item.amounts, item.length);
            if start == u64::MAX {
                // Never: a plan must not have it here.
                result.starving = result.starving.saturating_add(1 << 40);
                continue;
            }
            scratch.profile.take(start, &item.amounts, item.length);
            starts(*number, start);
            result.end = result.end.max((start + item.length - problem.now).saturating_add(item.tail));
            result.wait += start.saturating_sub(item.arrival);
            result.starving += start.saturating_sub(item.starves);
            result.starved += starved(start.saturating_sub(item.starves));
        }
        result
    }

    /// Evaluates everything again.
    pub(super) fn renew(&mut self, problem: &Problem, scratch: &mut Scratch) {
        for worker in 0..self.lists.len() {
            self.results[worker] = Self::evaluate(problem, scratch, worker, &self.lists[worker], |_, _| {});
        }
    }

    /// What it costs, in milliseconds. The ends of workers count by a high power each, so that
    /// shortening any long one is progress.
    pub(super) fn cost(&self, goal: &Goal, items: usize) -> f64 {
        cost(self.results.iter(), goal, items)
    }

    /// The worker whose jobs end last, with what must follow them.
    pub(super) fn latest(&self) -> usize {
        (0..self.results.len()).max_by_key(|worker| self.results[*worker].end).unwrap_or(0)
    }
}

/// How much of a starved job one counts for that waits so much too long, in thousandths: a half as soon as it does, so
/// that none is better than few, and more up to ten seconds, so that each move in the right direction is progress.
fn starved(over: u64) -> u64 {
    if over == 0 { 0 } else { 500 + over.min(10_000) / 20 }
}

#[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
pub(super) fn cost<'a>(results: impl Iterator<Item = &'a Result> + Clone, goal: &Goal, items: usize) -> f64 {
    let longest = results.clone().map(|result| result.end).max().unwrap_or(0).max(1) as f64;
    let (mut wait, mut starving, mut starved, mut tall) = (0.0, 0.0, 0, 0.0);
    for result in results {
        wait += result.wait as f64;
        starving += result.starving as f64;
        starved += result.starved;
        let part = result.end as f64 / longest;
        let (squared, fourth) = (part * part, part * part * part * part);
        tall += fourth * fourth * fourth * squared;
    }
    let count = items.max(1) as f64;
    // (1 + x)^(1/14) for small x: a maximum that feels how many others come near.
    let makespan = longest * (1.0 + (tall - 1.0).max(0.0) / 14.0 / 8.0);
    let starved = starved as f64 / 1000.0 / count;
    goal.makespan * makespan + goal.wait * wait / count + goal.starving * (starving / count + starved * longest)
}
