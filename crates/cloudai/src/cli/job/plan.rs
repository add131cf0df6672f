//! `cloudai job plan`: what would run where and when, and what never could.

use super::file;
use super::offline::counted;
use crate::cli::Context;
use crate::cli::document::to_json;
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::quantity::{NOTHING, duration};
use crate::render::table::{Cell, Column, Table, printable};
use cloudai_master::http::dto::{JobForecast, PartForecast};
use std::path::PathBuf;
use std::time::Duration;

/// So many names are told of a longer list.
const NAMED: usize = 3;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The job file: TOML, YAML or JSON by its ending; - is stdin
    file: PathBuf,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let (document, _) = file::sketch(&args.file)?;
    let query = [("dry_run", "true".to_owned())];
    let forecast: JobForecast = cx.client.post_asking(&["api", "v1", "jobs"], &query, &to_json(&document)).await?;
    let names: Vec<&str> = forecast.parts.iter().map(|part| part.name.as_str()).collect();
    cx.screen.one(&forecast, &names.join("\n"), || shown(&forecast, &cx.screen))?;
    cx.screen.hint(&format!("assumed: {}", printable(&forecast.assumed)));
    let possible = forecast.parts.iter().all(|part| part.never.is_none());
    Ok(if possible { Exit::Ok } else { Exit::Unsatisfiable })
}

/// What never could run, the table, and the whole in a line.
fn shown(forecast: &JobForecast, screen: &Screen) -> String {
    let never = |part: &PartForecast| {
        let why = part.never.as_ref()?;
        Some(format!("{} can never run: {}", printable(&part.name), printable(why)))
    };
    let mut lines: Vec<String> = forecast.parts.iter().filter_map(never).collect();
    lines.push(table(forecast, screen));
    lines.push(whole(forecast));
    let held = forecast.not_counted.held;
    lines.extend((held > 0).then(|| format!("not counted: {}", counted(held, "held task"))));
    lines.join("\n")
}

fn table(forecast: &JobForecast, screen: &Screen) -> String {
    let mut table = Table::new(&[
        Column::name("TASK", 0),
        Column::text("N", 0),
        Column::number("LEVEL", 3),
        Column::number("CAN", 1),
        Column::number("NOW", 2),
        Column::text("STARTS", 0),
        Column::text("ENDS", 0),
        Column::name("ON", 0),
    ]);
    for part in &forecast.parts {
        let starts = if part.skipped { Cell::from("skipped") } else { ahead(part.first_start_s).into() };
        table.row(vec![
            part.name.as_str().into(),
            if part.tasks > 1 { format!("x{}", part.tasks) } else { String::new() }.into(),
            (part.level + 1).to_string().into(),
            part.workers_able.to_string().into(),
            part.workers_now.to_string().into(),
            starts,
            ahead(part.last_end_s).into(),
            on(part).into(),
        ]);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

fn ahead(seconds: Option<f64>) -> String {
    match seconds {
        None => NOTHING.into(),
        Some(seconds) if seconds < 0.1 => "now".into(),
        Some(seconds) => format!("in {}", time(seconds)),
    }
}

fn time(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn on(part: &PartForecast) -> String {
    let more = part.workers.saturating_sub(part.on.len());
    match (part.on.is_empty(), more) {
        (true, _) => NOTHING.into(),
        (false, 0) => part.on.join(", "),
        (false, more) => format!("{} and {more} more", part.on.join(", ")),
    }
}

fn whole(forecast: &JobForecast) -> String {
    if let Some(seconds) = forecast.ends_in_s {
        let workers = counted(forecast.workers as u64, "worker");
        let tasks = counted(forecast.at_most_at_once, "task");
        let way = printable(&forecast.critical.join(", "));
        return format!(
            "would take about {} on {workers} ({tasks} at once at most); the longest way: {way}",
            time(seconds)
        );
    }
    if forecast.cut {
        return "would go on beyond what was looked at: an end is not foreseen".into();
    }
    let waits = |part: &&PartForecast| part.first_start_s.is_none() && !part.skipped && part.never.is_none();
    let never = forecast.parts.iter().filter(|part| part.never.is_some());
    let names: Vec<&str> = never.map(|part| part.name.as_str()).collect();
    if !names.is_empty() {
        return format!("would not end: no worker could ever run {}", listed(&names));
    }
    let names: Vec<&str> = forecast.parts.iter().filter(waits).map(|part| part.name.as_str()).collect();
    format!("would not end: no worker that takes work now would run {}; see: cloudai worker list", listed(&names))
}

/// The first of some names, and how many more there are.
fn listed(names: &[&str]) -> String {
    let first = printable(&names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "));
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
