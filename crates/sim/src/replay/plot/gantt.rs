//! Who ran where: a row for each worker, a bar for each task.

use super::axis::TimeAxis;
use super::{Anchor, RESOURCES, Svg, WIDTH, fitting, number};
use crate::replay::figure::{amount, rough_seconds};
use crate::replay::run::Assignment;
use crate::replay::sweep::{Sweep, by_worker, dominant_share};
use crate::replay::workload::{Task, Workload};
use std::fmt::Write;

/// So many workers fit on a page.
const MOST_ROWS: usize = 40;
/// So many bars can be told apart; with more, a row shows how full its worker is.
const MOST_BARS: usize = 3_000;
/// So many tasks say what they are when they are pointed at.
const MOST_HOVERS: usize = 400;

const LEFT: f64 = 130.0;
const TOP: f64 = 52.0;

/// The schedule by worker, over `span` seconds from `from`.
pub(crate) fn gantt(workload: &Workload, assignments: &[Assignment], (from, span): (f64, f64)) -> Svg {
    let rows: Vec<Vec<Assignment>> = by_worker(workload, assignments).into_iter().take(MOST_ROWS).collect();
    let bars = rows.iter().map(Vec::len).sum::<usize>() <= MOST_BARS;
    let row = match rows.len() {
        0..=2 => 160.0,
        3..=6 => 70.0,
        7..=12 => 40.0,
        13..=20 => 28.0,
        _ => 18.0,
    };
    let bottom = TOP + row * rows.len() as f64;
    let mut svg = Svg::new("Schedule by worker (Gantt chart)", about(workload, assignments.len(), bars), bottom + 42.0);
    let axis = TimeAxis::new(from, span, LEFT, WIDTH - LEFT - 16.0);
    axis.draw(&mut svg, TOP, bottom);
    legend(&mut svg, bars);
    for (at, runs) in rows.iter().enumerate() {
        let top = TOP + row * at as f64;
        svg.line((LEFT, top), (WIDTH - 16.0, top), "c-grid");
        svg.text((LEFT - 8.0, top + row / 2.0 + 4.0), "c-text", Anchor::End, &fitting(&workload.workers[at].id, 16));
        let place = Place { axis, top: top + 2.0, height: row - 4.0 };
        if bars {
            place.tasks(&mut svg, workload, runs, assignments.len() <= MOST_HOVERS);
        } else {
            place.load(&mut svg, workload, at, runs);
        }
    }
    svg
}

fn about(workload: &Workload, tasks: usize, bars: bool) -> String {
    let mut about = if bars {
        "Each bar is a task from its start to its end; its colour is the resource of which it takes the largest part of \
         its worker. The height of bars only keeps those apart that run at the same time."
            .to_owned()
    } else {
        format!(
            "{} tasks are too many to draw one by one: each row shows how full its worker is, from empty at the bottom \
             to full at the top, by the resource that is used most.",
            amount(tasks as f64)
        )
    };
    let workers = workload.workers.len();
    if workers > MOST_ROWS {
        let _ = write!(about, " The first {MOST_ROWS} of {} workers are drawn.", amount(workers as f64));
    }
    about
}

fn legend(svg: &mut Svg, bars: bool) {
    if !bars {
        svg.rect((LEFT, 32.0), (12.0, 12.0), "c-bar", None);
        svg.text((LEFT + 18.0, 43.0), "c-dim", Anchor::Start, "part of the worker in use");
        return;
    }
    for (at, name) in RESOURCES.iter().enumerate() {
        let x = LEFT + 140.0 * at as f64;
        svg.rect((x, 32.0), (12.0, 12.0), &format!("c-r{at}"), None);
        svg.text((x + 18.0, 43.0), "c-dim", Anchor::Start, &format!("most of {name}"));
    }
}

/// Where a row is drawn.
struct Place {
    axis: TimeAxis,
    top: f64,
    height: f64,
}

impl Place {
    fn tasks(&self, svg: &mut Svg, workload: &Workload, runs: &[Assignment], hovers: bool) {
        let mut ordered = runs.to_vec();
        ordered.sort_by(|a, b| a.start_s.total_cmp(&b.start_s).then(b.end_s.total_cmp(&a.end_s)));
        let mut lanes: Vec<f64> = Vec::new();
        let mut placed = Vec::with_capacity(ordered.len());
        for one in &ordered {
            let free = lanes.iter().position(|until| *until <= one.start_s + 1e-9);
            let lane = free.unwrap_or(lanes.len());
            if lane == lanes.len() {
                lanes.push(one.end_s);
            }
            lanes[lane] = one.end_s;
            placed.push((one, lane));
        }
        let height = self.height / lanes.len().max(1) as f64;
        for (one, lane) in placed {
            let (task, worker) = (&workload.tasks[one.task], &workload.workers[one.worker]);
            let share = |r: usize| task.demand[r] / worker.capacity[r].max(f64::MIN_POSITIVE);
            let most = (0..4).max_by(|a, b| share(*a).total_cmp(&share(*b)).then(b.cmp(a))).unwrap_or(0);
            let (x, end) = (self.axis.at(one.start_s), self.axis.at(one.end_s));
            let corner = (x, self.top + height * lane as f64);
            let said = hovers.then(|| hover(task, one));
            svg.rect(corner, ((end - x).max(0.6), height), &format!("c-r{most} c-task"), said.as_deref());
        }
    }

    /// How full the worker is, no finer than it can be seen.
    fn load(&self, svg: &mut Svg, workload: &Workload, worker: usize, runs: &[Assignment]) {
        let sweep = Sweep::of(workload, runs);
        let capacity = workload.workers[worker].capacity;
        let bottom = self.top + self.height;
        let columns = if self.height > 60.0 {
            2.0
        } else if self.height > 20.0 {
            1.0
        } else {
            0.5
        };
        let mut d = String::new();
        let mut column = (f64::NAN, 0.0_f64);
        let (mut pen, mut level) = (f64::NAN, 0.0_f64);
        let mut step = |x: f64, share: f64| {
            if d.is_empty() {
                let _ = write!(d, "M{} {}", number(x), number(bottom));
            }
            if pen.is_nan() || (x - pen).abs() >= 0.05 || (share - level).abs() >= 0.005 {
                let _ = write!(d, "H{}V{}", number(x), number(bottom - share.clamp(0.0, 1.0) * self.height));
                (pen, level) = (x, share);
            }
        };
        for (time, used) in sweep.times.iter().zip(&sweep.used) {
            let (x, share) = ((self.axis.at(*time) * columns).round() / columns, dominant_share(*used, capacity));
            if x > column.0 || column.0.is_nan() {
                if !column.0.is_nan() {
                    step(column.0, column.1);
                }
                column = (x, share);
            } else {
                // Within a column the last state counts: what follows begins there.
                column.1 = share;
            }
        }
        if !column.0.is_nan() {
            step(column.0, column.1);
            let _ = write!(d, "V{}Z", number(bottom));
            svg.path(&d, "c-bar");
        }
    }
}

fn hover(task: &Task, one: &Assignment) -> String {
    let units = ["cores", "GB of memory", "GB of disk", "GPUs"];
    let asks: Vec<String> = (0..4)
        .filter(|at| task.demand[*at] > 0.0)
        .map(|at| format!("{} {}", amount(task.demand[at]), units[at]))
        .collect();
    let (waited, ran) = (rough_seconds(one.start_s - task.arrival_s), rough_seconds(task.runtime_s));
    format!("{}: waited {waited}, ran {ran}, {}", task.id, asks.join(", "))
}
