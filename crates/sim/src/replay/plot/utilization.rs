//! How much of the cluster was in use, over time.

use super::axis::TimeAxis;
use super::{Anchor, RESOURCES, Svg, WIDTH, number};
use crate::replay::run::Assignment;
use crate::replay::stats::whole;
use crate::replay::workload::Workload;
use std::fmt::Write;

/// As many steps as can be seen.
const BUCKETS: usize = 320;
const LEFT: f64 = 60.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 232.0;

/// A line for each resource that tasks ask for, over `span` seconds from `from`.
pub(crate) fn utilization(workload: &Workload, assignments: &[Assignment], (from, span): (f64, f64)) -> Svg {
    let about = "Each line is the part of one resource, of all workers together, that was in use.";
    let mut svg = Svg::new("Utilization over time", about, BOTTOM + 42.0);
    let axis = TimeAxis::new(from, span, LEFT, WIDTH - LEFT - 16.0);
    axis.draw(&mut svg, TOP, BOTTOM);
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let y = height(percent / 100.0);
        svg.line((LEFT, y), (WIDTH - 16.0, y), "c-grid");
        svg.text((LEFT - 6.0, y + 4.0), "c-dim", Anchor::End, &format!("{percent}%"));
    }
    let mut legend = LEFT;
    for (resource, name) in RESOURCES.iter().enumerate() {
        let capacity: f64 = workload.workers.iter().map(|worker| worker.capacity[resource]).sum();
        if capacity <= 0.0 || workload.tasks.iter().all(|task| task.demand[resource] <= 0.0) {
            continue;
        }
        let used = buckets(workload, assignments, resource, (from, span));
        let mut d = String::new();
        for (at, used) in used.iter().enumerate() {
            let share = height(used / capacity);
            let x = |at: usize| axis.at(from + span * at as f64 / BUCKETS as f64);
            if at == 0 {
                let _ = write!(d, "M{} {}", number(x(0)), number(share));
            } else {
                let _ = write!(d, "V{}", number(share));
            }
            let _ = write!(d, "H{}", number(x(at + 1)));
        }
        let class = format!("c-line c-r{resource}");
        svg.path(&d, &class);
        svg.line((legend, 38.0), (legend + 28.0, 38.0), &class);
        svg.text((legend + 34.0, 42.0), "c-dim", Anchor::Start, name);
        legend += 110.0;
    }
    svg
}

fn height(share: f64) -> f64 {
    BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
}

/// The mean amount in use in each of the equal parts of the time.
fn buckets(workload: &Workload, assignments: &[Assignment], resource: usize, (from, span): (f64, f64)) -> Vec<f64> {
    let mut used = vec![0.0; BUCKETS];
    let wide = span / BUCKETS as f64;
    if wide <= 0.0 {
        return used;
    }
    for one in assignments {
        let demand = workload.tasks[one.task].demand[resource];
        if demand <= 0.0 {
            continue;
        }
        let (start, end) = ((one.start_s - from) / wide, (one.end_s - from) / wide);
        let last = whole(end.ceil()).min(BUCKETS);
        for (at, used) in used.iter_mut().enumerate().take(last).skip(whole(start.floor())) {
            let within = end.min(at as f64 + 1.0) - start.max(at as f64);
            *used += demand * within.max(0.0);
        }
    }
    used
}
