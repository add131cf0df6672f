//! How good a schedule is. Every number has one definition, given with its name in `super::meaning`.

use super::bounds::Bounds;
use super::csv::AMOUNTS;
use super::feasible;
use super::run::Assignment;
use super::stats::{deviation, mean, percentile, sorted};
use super::sweep::{Sweep, by_worker};
use super::workload::Workload;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// A task starved when it waited longer than this and than `STARVED_RUNS` run times, its own or the median one.
const STARVED_S: f64 = 60.0;
const STARVED_RUNS: f64 = 5.0;
/// Bounded slowdown counts shorter runs as this long.
const SHORTEST_RUN_S: f64 = 10.0;
const EPS: f64 = 1e-6;

/// A schedule in numbers. Of one that is not feasible only the first four are known; of one that was made on other
/// workers than the workload's only times are, the numbers about workers are NaN.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "what each means stands in `super::meaning`")]
pub struct Metrics {
    /// Whether it is a schedule at all.
    pub feasible: bool,
    /// Why not.
    pub errors: Vec<String>,
    pub times_only: bool,
    pub tasks: usize,
    pub workers: usize,
    pub makespan_s: f64,
    pub wait_mean_s: f64,
    pub wait_p50_s: f64,
    pub wait_p95_s: f64,
    pub wait_p99_s: f64,
    pub wait_max_s: f64,
    pub bsld_mean: f64,
    pub bsld_p95: f64,
    pub turnaround_mean_s: f64,
    /// In the order of [`AMOUNTS`].
    pub util: [f64; 4],
    /// None where there is nothing of it, and all of them when every task came at once.
    pub util_busy: [Option<f64>; 4],
    pub util_main: f64,
    pub util_mean: f64,
    pub load_std: f64,
    pub load_var: f64,
    pub load_std_avg: f64,
    pub starved: usize,
    pub throughput_per_s: f64,
    pub deadlines: usize,
    pub deadline_misses: usize,
    pub bounds: Bounds,
    pub gap: f64,
}

/// Judges a schedule.
#[must_use]
pub fn judge(workload: &Workload, assignments: &[Assignment]) -> Metrics {
    let (placed, errors) = feasible::check(workload, assignments);
    let placed: Vec<Assignment> = placed.into_iter().flatten().collect();
    let (tasks, workers) = (workload.tasks.len(), workload.workers.len());
    let mut metrics = Metrics { feasible: errors.is_empty(), errors, tasks, workers, ..Metrics::default() };
    if !metrics.feasible || placed.is_empty() {
        return metrics;
    }
    let span = times(&mut metrics, workload, &placed);
    utilization(&mut metrics, workload, &placed, span);
    load(&mut metrics, workload, &placed);
    metrics.bounds = Bounds::of(workload);
    let bound = metrics.bounds.lower_bound;
    metrics.gap = if bound > 0.0 { metrics.makespan_s / bound - 1.0 } else { 0.0 };
    metrics
}

/// Judges the times alone of a schedule that was made on other workers: one entry for each task, in their order.
pub(super) fn judge_times(workload: &Workload, placed: &[Assignment]) -> Metrics {
    let mut metrics = Metrics { feasible: true, times_only: true, tasks: workload.tasks.len(), ..Metrics::default() };
    if !placed.is_empty() {
        times(&mut metrics, workload, placed);
    }
    (metrics.util, metrics.util_main, metrics.util_mean) = ([f64::NAN; 4], f64::NAN, f64::NAN);
    (metrics.load_std, metrics.load_var, metrics.load_std_avg) = (f64::NAN, f64::NAN, f64::NAN);
    metrics.gap = f64::NAN;
    metrics
}

/// What needs no workers; answers the first and the last arrival.
fn times(metrics: &mut Metrics, workload: &Workload, placed: &[Assignment]) -> (f64, f64) {
    let arrivals = || workload.tasks.iter().map(|task| task.arrival_s);
    let first = arrivals().fold(f64::INFINITY, f64::min);
    metrics.makespan_s = placed.iter().map(|one| one.end_s).fold(f64::NEG_INFINITY, f64::max) - first;
    waits(metrics, workload, placed);
    metrics.throughput_per_s = placed.len() as f64 / metrics.makespan_s;
    let due = placed.iter().filter_map(|one| Some((one.end_s, workload.tasks[one.task].deadline_s?)));
    let late: Vec<bool> = due.map(|(end, deadline)| end > deadline + EPS).collect();
    metrics.deadlines = late.len();
    metrics.deadline_misses = late.iter().filter(|late| **late).count();
    (first, arrivals().fold(f64::NEG_INFINITY, f64::max))
}

/// How long each task of a schedule waited.
#[must_use]
pub fn waits_of(workload: &Workload, assignments: &[Assignment]) -> Vec<f64> {
    let known = assignments.iter().filter_map(|one| Some((one, workload.tasks.get(one.task)?)));
    known.map(|(one, task)| one.start_s - task.arrival_s).collect()
}

fn waits(metrics: &mut Metrics, workload: &Workload, placed: &[Assignment]) {
    let waits = waits_of(workload, placed);
    let runs: Vec<f64> = workload.tasks.iter().map(|task| task.runtime_s).collect();
    let both = || waits.iter().zip(&runs);
    metrics.wait_mean_s = mean(&waits);
    let turnarounds: Vec<f64> = both().map(|(wait, run)| wait + run).collect();
    metrics.turnaround_mean_s = mean(&turnarounds);
    let median = percentile(&sorted(runs.iter().copied()), 50.0);
    let patience = |run: f64| STARVED_S.max(STARVED_RUNS * run.max(median));
    metrics.starved = both().filter(|(wait, run)| **wait > patience(**run)).count();
    let slowdowns: Vec<f64> = both().map(|(wait, run)| ((wait + run) / run.max(SHORTEST_RUN_S)).max(1.0)).collect();
    metrics.bsld_mean = mean(&slowdowns);
    metrics.bsld_p95 = percentile(&sorted(slowdowns), 95.0);
    let waits = sorted(waits);
    metrics.wait_p50_s = percentile(&waits, 50.0);
    metrics.wait_p95_s = percentile(&waits, 95.0);
    metrics.wait_p99_s = percentile(&waits, 99.0);
    metrics.wait_max_s = waits.last().copied().unwrap_or_default();
}

fn utilization(metrics: &mut Metrics, workload: &Workload, placed: &[Assignment], (first, last): (f64, f64)) {
    let span = metrics.makespan_s;
    let mut asked = Vec::new();
    for resource in 0..4 {
        let capacity: f64 = workload.workers.iter().map(|worker| worker.capacity[resource]).sum();
        if capacity <= 0.0 {
            continue;
        }
        let work: f64 = workload.tasks.iter().map(|task| task.demand[resource] * task.runtime_s).sum();
        metrics.util[resource] = if span > 0.0 { work / (span * capacity) } else { 0.0 };
        if work > 0.0 {
            asked.push(metrics.util[resource]);
        }
        if last > first {
            let until = |one: &Assignment| (one.end_s.min(last) - one.start_s).max(0.0);
            let done: f64 = placed.iter().map(|one| workload.tasks[one.task].demand[resource] * until(one)).sum();
            metrics.util_busy[resource] = Some(done / ((last - first) * capacity));
        }
    }
    metrics.util_main = asked.iter().copied().fold(0.0, f64::max);
    metrics.util_mean = mean(&asked);
}

/// How unequal the load of the workers is, over time.
fn load(metrics: &mut Metrics, workload: &Workload, placed: &[Assignment]) {
    let span = metrics.makespan_s;
    let mut changes = Vec::new();
    let mut averages = vec![0.0; workload.workers.len()];
    for (at, runs) in by_worker(workload, placed).iter().enumerate() {
        let sweep = Sweep::of(workload, runs);
        let shares = sweep.shares(workload.workers[at].capacity);
        let steps = sweep.times.windows(2).zip(&shares).map(|(pair, share)| share * (pair[1] - pair[0]));
        averages[at] = if span > 0.0 { steps.sum::<f64>() / span } else { 0.0 };
        changes.extend(sweep.times.iter().zip(&shares).map(|(time, share)| (*time, at, *share)));
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let workers = workload.workers.len() as f64;
    let mut now = vec![0.0; workload.workers.len()];
    let (mut sum, mut squares, mut deviations, mut variances) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
    for (at, (time, worker, share)) in changes.iter().enumerate() {
        let before: f64 = now[*worker];
        sum += share - before;
        squares += share * share - before * before;
        now[*worker] = *share;
        let lasts = changes.get(at + 1).map_or(0.0, |next| next.0 - time);
        let variance = (squares / workers - (sum / workers).powi(2)).max(0.0);
        deviations += variance.sqrt() * lasts;
        variances += variance * lasts;
    }
    if span > 0.0 {
        metrics.load_std = deviations / span;
        metrics.load_var = variances / span;
    }
    metrics.load_std_avg = deviation(&averages);
}

impl Metrics {
    /// Every number by its name, in the order in which it is written.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Value)> {
        let mut all: Vec<(String, Value)> = vec![
            ("feasible".into(), self.feasible.into()),
            ("errors".into(), self.errors.clone().into()),
            ("tasks".into(), self.tasks.into()),
        ];
        if self.times_only {
            all.push(("times_only".into(), true.into()));
        } else {
            all.push(("workers".into(), self.workers.into()));
        }
        if !self.feasible {
            return all;
        }
        let mut add = |name: &str, value: Value| all.push((name.to_owned(), value));
        add("makespan_s", self.makespan_s.into());
        add("wait_mean_s", self.wait_mean_s.into());
        add("wait_p50_s", self.wait_p50_s.into());
        add("wait_p95_s", self.wait_p95_s.into());
        add("wait_p99_s", self.wait_p99_s.into());
        add("wait_max_s", self.wait_max_s.into());
        add("bsld_mean", self.bsld_mean.into());
        add("bsld_p95", self.bsld_p95.into());
        add("turnaround_mean_s", self.turnaround_mean_s.into());
        if !self.times_only {
            self.of_workers(&mut add);
        }
        add("starved", self.starved.into());
        add("throughput_per_s", self.throughput_per_s.into());
        add("deadlines", self.deadlines.into());
        add("deadline_misses", self.deadline_misses.into());
        if !self.times_only {
            for (name, bound) in &self.bounds.each {
                add(name, (*bound).into());
            }
            add("lower_bound", self.bounds.lower_bound.into());
            add("gap", self.gap.into());
        }
        all
    }

    fn of_workers(&self, add: &mut impl FnMut(&str, Value)) {
        for (at, name) in AMOUNTS.iter().enumerate() {
            add(&format!("util_{name}"), self.util[at].into());
            if let Some(busy) = self.util_busy[at] {
                add(&format!("util_busy_{name}"), busy.into());
            }
        }
        add("util_main", self.util_main.into());
        add("util_mean", self.util_mean.into());
        add("load_std", self.load_std.into());
        add("load_var", self.load_var.into());
        add("load_std_avg", self.load_std_avg.into());
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.entries();
        let mut map = serializer.serialize_map(Some(entries.len()))?;
        for (name, value) in &entries {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
