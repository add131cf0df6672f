//! From what is foreseen of a job to the JSON of `dto/job_forecast.rs`.

use super::dto::{JobForecast, NotCounted, PartForecast};
use crate::handle::foresee::Foreseen;
use cloudai_core::job::graph;
use std::time::Duration;

/// What would become of a job.
pub(super) fn forecast(foreseen: &Foreseen) -> JobForecast {
    let Foreseen { plan, able, forecast, strategy, held } = foreseen;
    let levels = graph::levels(plan);
    let groups = plan.groups.iter().zip(&levels).zip(able).zip(&forecast.groups);
    let parts = groups.map(|(((group, level), able), seen)| PartForecast {
        name: group.name.to_string(),
        tasks: group.count(),
        level: *level,
        workers_able: able.ever,
        workers_now: able.now,
        never: able.never.clone(),
        skipped: seen.skipped,
        first_start_s: seen.first_start.map(seconds),
        last_end_s: seen.last_end.map(seconds),
        workers: seen.workers,
        on: seen.on.iter().map(ToString::to_string).collect(),
    });
    let name = |number: &u32| plan.group(*number).map(|group| group.name.to_string());
    JobForecast {
        tasks: plan.tasks(),
        groups: plan.groups.len(),
        levels: levels.iter().max().map_or(0, |last| last + 1),
        parts: parts.collect(),
        ends_in_s: forecast.ends_in.map(seconds),
        at_most_at_once: forecast.most_at_once,
        workers: forecast.workers,
        critical: forecast.critical.iter().filter_map(name).collect(),
        not_counted: NotCounted { held: *held },
        assumed: assumed(strategy),
        cut: forecast.cut,
    }
}

fn assumed(strategy: &str) -> String {
    format!(
        "every task completes after its estimate_s, else as long as such tasks ran before, else 1m, its image and inputs \
         are there at once, nothing else is submitted, what is held stays so, no worker comes or goes, and {strategy} places"
    )
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
