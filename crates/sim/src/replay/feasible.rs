//! Whether a schedule is one: every task once, on a worker with room, not before it came, as long as it takes.

use super::csv::AMOUNTS;
use super::run::Assignment;
use super::sweep::{Sweep, by_worker};
use super::workload::Workload;

/// So many errors are told.
const MOST_ERRORS: usize = 20;
/// So many are told of one kind.
const MOST_OF_A_KIND: usize = 5;
const EPS: f64 = 1e-6;

/// What is wrong with a schedule.
#[derive(Debug, Default)]
struct Errors(Vec<String>);

impl Errors {
    fn push(&mut self, error: String) {
        if self.0.len() < MOST_ERRORS {
            self.0.push(error);
        }
    }
}

/// The schedule by task, and everything that is wrong with it.
pub(super) fn check(workload: &Workload, assignments: &[Assignment]) -> (Vec<Option<Assignment>>, Vec<String>) {
    let mut errors = Errors::default();
    let mut placed: Vec<Option<Assignment>> = vec![None; workload.tasks.len()];
    for one in assignments {
        let Some(task) = workload.tasks.get(one.task) else {
            errors.push(format!("unknown task {}", one.task));
            continue;
        };
        let id = &task.id;
        if placed[one.task].is_some() {
            errors.push(format!("task {id} assigned more than once"));
        } else if one.worker >= workload.workers.len() {
            errors.push(format!("task {id}: unknown worker {}", one.worker));
        } else if !(one.start_s.is_finite() && one.end_s.is_finite()) {
            errors.push(format!("task {id}: bad times"));
        } else {
            placed[one.task] = Some(*one);
        }
    }
    let missing: Vec<_> = (0..placed.len()).filter(|at| placed[*at].is_none()).collect();
    if let Some(first) = missing.first() {
        errors.push(format!("{} tasks never run, e.g. {}", missing.len(), workload.tasks[*first].id));
    }
    times(workload, &placed, &mut errors);
    capacity(workload, &placed, &mut errors);
    (placed, errors.0)
}

fn times(workload: &Workload, placed: &[Option<Assignment>], errors: &mut Errors) {
    let runs = || placed.iter().flatten().map(|one| (one, &workload.tasks[one.task]));
    for (one, task) in runs().filter(|(one, task)| one.start_s < task.arrival_s - EPS).take(MOST_OF_A_KIND) {
        errors.push(format!("task {} starts {} before arrival {}", task.id, one.start_s, task.arrival_s));
    }
    let wrong = |one: &Assignment, runtime: f64| {
        (one.end_s - one.start_s - runtime).abs() > 1e-6 + 1e-9 * one.end_s.abs() + 1e-5
    };
    for (one, task) in runs().filter(|(one, task)| wrong(one, task.runtime_s)).take(MOST_OF_A_KIND) {
        errors.push(format!("task {} ran {} s, runtime is {}", task.id, one.end_s - one.start_s, task.runtime_s));
    }
}

fn capacity(workload: &Workload, placed: &[Option<Assignment>], errors: &mut Errors) {
    let placed: Vec<Assignment> = placed.iter().flatten().copied().collect();
    for (worker, runs) in workload.workers.iter().zip(by_worker(workload, &placed)) {
        let sweep = Sweep::of(workload, &runs);
        let over = sweep.times.iter().zip(&sweep.used).find_map(|(time, used)| {
            let most = |resource: usize| worker.capacity[resource] * (1.0 + 1e-9) + EPS;
            (0..4).find(|resource| used[*resource] > most(*resource)).map(|resource| (time, resource, used[resource]))
        });
        if let Some((time, resource, used)) = over {
            let (name, has) = (AMOUNTS[resource], worker.capacity[resource]);
            errors.push(format!("worker {} over capacity in {name} at t={time:.3}: {used} > {has}", worker.id));
        }
    }
}
