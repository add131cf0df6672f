//! Schedules for people: when each comes, and what became of its last run.

use super::Screen;
use super::quantity::{NOTHING, age, moment, until};
use super::table::{Cell, Column, Table, printable};
use crate::id::short;
use cloudai_master::http::dto::{Schedule, ScheduleRun};
use jiff::Timestamp;

/// The table of `schedule list`.
#[must_use]
pub(crate) fn list(schedules: &[Schedule], now: Timestamp, screen: &Screen) -> String {
    let columns = [
        Column::name("SCHEDULE", 0),
        Column::text("CRON", 1),
        Column::name("ZONE", 4),
        Column::name("MAKES", 3),
        Column::text("NEXT", 0),
        Column::text("LAST", 0),
        Column::number("RUNS", 5),
        Column::sentence("WHY"),
    ];
    let mut table = Table::new(&columns);
    for schedule in schedules {
        let last = schedule.last.as_ref().map_or_else(|| NOTHING.into(), |last| last_run(last, now));
        table.row(vec![
            Cell::coloured(schedule.name.as_str(), "1"),
            schedule.cron.as_str().into(),
            schedule.time_zone.as_str().into(),
            what(schedule).into(),
            next(schedule, now).into(),
            last.into(),
            schedule.runs.to_string().into(),
            why(schedule).unwrap_or_else(|| NOTHING.into()).into(),
        ]);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

/// One line that says where a schedule stands: `nightly  30 2 * * * Europe/Berlin  template train  in 3h05m`.
#[must_use]
pub(crate) fn line(schedule: &Schedule, now: Timestamp) -> String {
    let when = format!("{} {}", schedule.cron, schedule.time_zone);
    let mut parts = vec![schedule.name.clone(), when, what(schedule), next(schedule, now)];
    parts.extend(why(schedule));
    parts.join("  ")
}

/// The card of `schedule show`.
#[must_use]
pub(crate) fn card(schedule: &Schedule, now: Timestamp) -> String {
    let mut lines = vec![line(schedule, now)];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10}{value}"));
        }
    };
    field("about", schedule.description.as_deref().map(printable).unwrap_or_default());
    for (place, time) in schedule.next.iter().enumerate() {
        field(if place == 0 { "comes" } else { "" }, moment(time, now));
    }
    field("overlap", meaning_of_overlap(&schedule.overlap).into());
    field("missed", meaning_of_catch_up(&schedule.catch_up).into());
    if let Some(last) = &schedule.last {
        let of = last.time.as_deref().map_or_else(|| "asked for by hand".into(), |time| format!("for {time}"));
        field("last", format!("{}  {of}", last_run(last, now)));
    }
    field("waits", schedule.waiting.join(" "));
    field("runs", format!("{}, {} times left out", schedule.runs, schedule.skipped));
    if let Some(error) = &schedule.last_error {
        let again = if error.again { "tried again" } else { "not tried again" };
        field("error", format!("{} ({}, {again})", printable(&error.message), moment(&error.at, now)));
    }
    for (place, next) in next_commands(schedule).into_iter().enumerate() {
        field(if place == 0 { "next" } else { "" }, next);
    }
    lines.join("\n")
}

/// When it comes, or that it does not.
fn next(schedule: &Schedule, now: Timestamp) -> String {
    match schedule.next.first() {
        _ if schedule.paused => "paused".into(),
        Some(time) => until(time, now),
        None => "never".into(),
    }
}

/// What it submits.
fn what(schedule: &Schedule) -> String {
    match &schedule.template {
        Some(used) => match used.version {
            Some(version) => format!("template {} version {version}", used.name),
            None => format!("template {}", used.name),
        },
        None => schedule.what.clone(),
    }
}

/// The last run: `7K3M9QZD completed 6m12s ago`.
fn last_run(last: &ScheduleRun, now: Timestamp) -> String {
    let id = last.task_id.as_deref().or(last.job_id.as_deref()).map_or_else(|| NOTHING.into(), short);
    let status = last.status.as_deref().unwrap_or("gone");
    format!("{id} {status} {} ago", age(&last.submitted_at, now))
}

/// Why the last time came to nothing.
fn why(schedule: &Schedule) -> Option<String> {
    schedule.last_error.as_ref().map(|error| printable(&error.message))
}

fn meaning_of_overlap(word: &str) -> &str {
    match word {
        "skip" => "skip: while the last run goes on a time is left out",
        "queue" => "queue: while the last run goes on one time waits for its end",
        "replace" => "replace: a time cancels the last run",
        other => other,
    }
}

fn meaning_of_catch_up(word: &str) -> &str {
    match word {
        "none" => "none: what the master missed is left out",
        "last" => "last: of what the master missed the last time is run",
        "all" => "all: what the master missed is run, one after the other",
        other => other,
    }
}

fn next_commands(schedule: &Schedule) -> Vec<String> {
    let of = |verb: &str| format!("cloudai schedule {verb} {}", schedule.name);
    let last = schedule.last.as_ref().and_then(|last| {
        let task = last.task_id.as_deref().map(|id| format!("cloudai task info {}", short(id)));
        task.or_else(|| last.job_id.as_deref().map(|id| format!("cloudai job info {}", short(id))))
    });
    let verb = if schedule.paused { "resume" } else { "pause" };
    last.into_iter().chain([of("run"), of(verb)]).collect()
}
