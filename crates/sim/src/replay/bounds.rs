//! Lower bounds on the makespan: no schedule that never stops a task and runs it on one worker is shorter.

use super::stats::sorted;
use super::workload::Workload;

/// Differences that are rounding, not amounts.
const EPS: f64 = 1e-6;
/// More kinds of workers or of sizes than this do not make the bound better.
const MOST_CLASSES: usize = 64;
const MOST_SIZES: usize = 200;

/// The bounds of a workload, in seconds from the first arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Each by its name.
    pub each: Vec<(&'static str, f64)>,
    /// The highest of them.
    pub lower_bound: f64,
}

impl Bounds {
    /// Computes them all; nothing for a workload without tasks or workers.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        if workload.tasks.is_empty() || workload.workers.is_empty() {
            return Self::default();
        }
        let area = Area::new(workload);
        let mut each = vec![("lb_long", area.longest())];
        for (resource, name) in AREAS.into_iter().enumerate() {
            if area.total(resource, |_| true) > 0.0 {
                each.push((name, area.of(|_| true, |_| true, resource)));
            }
        }
        each.push(("lb_class", area.classes()));
        each.push(("lb_dff", area.dual_feasible()));
        each.push(("lb_excl", area.exclusive()));
        let lower_bound = each.iter().map(|(_, bound)| *bound).fold(f64::NEG_INFINITY, f64::max);
        Self { each, lower_bound }
    }

    /// The name of the highest.
    #[must_use]
    pub fn binding(&self) -> &'static str {
        self.each.iter().find(|(_, bound)| *bound >= self.lower_bound).map_or("", |(name, _)| name)
    }
}

const AREAS: [&str; 4] = ["lb_area_cpu", "lb_area_mem_gb", "lb_area_storage_gb", "lb_area_gpu"];

/// A workload whose tasks are known in the order of their arrival.
struct Area<'a> {
    workload: &'a Workload,
    by_arrival: Vec<usize>,
    first: f64,
}

impl<'a> Area<'a> {
    fn new(workload: &'a Workload) -> Self {
        let mut by_arrival: Vec<usize> = (0..workload.tasks.len()).collect();
        by_arrival.sort_by(|a, b| workload.tasks[*a].arrival_s.total_cmp(&workload.tasks[*b].arrival_s));
        let first = workload.tasks[by_arrival[0]].arrival_s;
        Self { workload, by_arrival, first }
    }

    /// All start when they arrive.
    fn longest(&self) -> f64 {
        let ends = self.workload.tasks.iter().map(|task| task.arrival_s + task.runtime_s);
        ends.fold(f64::NEG_INFINITY, f64::max) - self.first
    }

    fn capacities(&self, resource: usize) -> Vec<f64> {
        self.workload.workers.iter().map(|worker| worker.capacity[resource]).collect()
    }

    fn total(&self, resource: usize, worker: impl Fn(usize) -> bool) -> f64 {
        let all = self.capacities(resource).into_iter().enumerate();
        all.filter(|(at, _)| worker(*at)).map(|(_, capacity)| capacity).sum()
    }

    /// The work of some tasks on a resource, spread over all that some workers have of it.
    fn of(&self, task: impl Fn(usize) -> bool, worker: impl Fn(usize) -> bool, resource: usize) -> f64 {
        let work = |at: usize| self.workload.tasks[at].demand[resource] * self.workload.tasks[at].runtime_s;
        self.released(task, work, self.total(resource, worker), true)
    }

    /// Over all moments: the time until then, and the work that arrives then or later on what there is for it.
    /// From the first arrival of all tasks, or of those that count.
    fn released(
        &self,
        task: impl Fn(usize) -> bool,
        work: impl Fn(usize) -> f64,
        capacity: f64,
        from_the_first_of_all: bool,
    ) -> f64 {
        let counted: Vec<usize> = self.by_arrival.iter().copied().filter(|at| task(*at)).collect();
        let Some(first) = counted.first().map(|at| self.workload.tasks[*at].arrival_s) else { return 0.0 };
        let mut left = 0.0;
        let mut most = f64::NEG_INFINITY;
        for at in counted.iter().rev() {
            left += work(*at);
            most = most.max(self.workload.tasks[*at].arrival_s - first + left / capacity);
        }
        let released = if capacity <= 0.0 || left <= 0.0 { 0.0 } else { most };
        if from_the_first_of_all { released + first - self.first } else { released }
    }

    /// Tasks that fit only on the larger workers share those.
    fn classes(&self) -> f64 {
        let mut best = 0.0_f64;
        for resource in 0..4 {
            let capacities = self.capacities(resource);
            let mut kinds = sorted(capacities.iter().copied());
            kinds.dedup();
            for pair in kinds.windows(2).take(MOST_CLASSES - 1) {
                let (smaller, kind) = (pair[0], pair[1]);
                let task = |at: usize| self.workload.tasks[at].demand[resource] > smaller + EPS;
                let worker = |at: usize| capacities[at] >= kind;
                for needed in 0..4 {
                    if self.total(needed, worker) > 0.0 {
                        best = best.max(self.of(task, worker, needed));
                    }
                }
            }
        }
        best
    }

    /// The area after each dual feasible function of the sizes, where all workers are of one size.
    fn dual_feasible(&self) -> f64 {
        let mut best = 0.0_f64;
        for resource in 0..4 {
            let sizes: Vec<f64> = self.capacities(resource).into_iter().filter(|size| *size > 0.0).collect();
            let Some(&size) = sizes.first() else { continue };
            if sizes.iter().any(|other| (other - size).abs() > 1e-8 + 1e-5 * size.abs()) {
                continue;
            }
            let share = |at: usize| self.workload.tasks[at].demand[resource] / size;
            let shares = (0..self.workload.tasks.len()).map(share);
            let mut limits =
                sorted(shares.filter(|x| *x > 0.0 && *x <= 0.5).map(|x| (x * 1e6).round_ties_even() / 1e6));
            limits.dedup();
            for limit in limits.into_iter().take(MOST_SIZES) {
                let counted = |at: usize| match share(at) {
                    x if x > 1.0 - limit + EPS => 1.0,
                    x if x < limit - EPS => 0.0,
                    x => x,
                };
                let work = |at: usize| counted(at) * self.workload.tasks[at].runtime_s;
                best = best.max(self.released(|_| true, work, sizes.len() as f64, false));
            }
        }
        best
    }

    /// Tasks that need more than half of any worker have one for themselves.
    fn exclusive(&self) -> f64 {
        let mut best = 0.0_f64;
        for resource in 0..4 {
            let capacities = self.capacities(resource);
            let largest = capacities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if largest <= 0.0 {
                continue;
            }
            let demand = |at: usize| self.workload.tasks[at].demand[resource];
            let large = |at: usize| demand(at) > largest / 2.0 + EPS;
            let smallest = (0..self.workload.tasks.len()).filter(|at| large(*at)).map(demand).reduce(f64::min);
            let Some(smallest) = smallest else { continue };
            let workers = capacities.iter().filter(|capacity| **capacity >= smallest - EPS).count().max(1);
            let bound = self.released(large, |at| self.workload.tasks[at].runtime_s, workers as f64, true);
            best = best.max(bound);
        }
        best
    }
}
