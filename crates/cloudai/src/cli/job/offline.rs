//! What can be done with a job file without a master.

use super::{Command, file, graph};
use crate::cli::forms;
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use cloudai_core::job::{self, JobFile};
use cloudai_core::resources::Bytes;
use serde::Serialize;
use std::path::Path;

/// A job file that is right.
#[derive(Serialize)]
struct Valid<'a> {
    valid: bool,
    name: Option<&'a str>,
    /// Those of the file.
    tasks: usize,
    /// With the elements of arrays.
    tasks_in_all: u64,
    levels: u32,
    /// Contents of this machine that are sent before it, if the master has none of them.
    contents: usize,
    bytes: u64,
}

/// Carries out what needs no master; none of what does.
pub(in crate::cli) fn run(command: &Command, screen: &Screen) -> Option<Result<Exit, Failure>> {
    match command {
        Command::Validate { file } => Some(validate(file, screen)),
        Command::Graph(args) => args.file().map(|file| graph::run(args, file, screen)),
        Command::Schema => Some(schema(screen)),
        Command::Run(_)
        | Command::Plan(_)
        | Command::List(_)
        | Command::Info(_)
        | Command::Tasks(_)
        | Command::Logs(_)
        | Command::Wait(_)
        | Command::Cancel(_)
        | Command::Hold(_)
        | Command::Release(_)
        | Command::Retry(_) => None,
    }
}

fn schema(screen: &Screen) -> Result<Exit, Failure> {
    let schema = job::schema();
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::error(error.to_string()))?;
    screen.one(&schema, &text, || text.clone()).map(|()| Exit::Ok)
}

fn validate(path: &Path, screen: &Screen) -> Result<Exit, Failure> {
    let (_, JobFile { plan, .. }, shipment) = file::pack(path)?;
    shipment.notes().iter().for_each(|note| screen.note(&format!("note: {note}")));
    let valid = Valid {
        valid: true,
        name: plan.name.as_deref(),
        tasks: plan.groups.len(),
        tasks_in_all: plan.tasks(),
        levels: job::graph::levels(&plan).into_iter().max().map_or(0, |last| last + 1),
        contents: shipment.contents.len(),
        bytes: shipment.contents.values().map(|content| content.size()).sum(),
    };
    screen.one(&valid, "ok", || told(&valid, path)).map(|()| Exit::Ok)
}

/// A right job in one line.
fn told(valid: &Valid<'_>, path: &Path) -> String {
    let name = valid.name.map_or_else(|| forms::name_of(path), str::to_owned);
    let tasks = counted(valid.tasks as u64, "task");
    let all = if valid.tasks_in_all == valid.tasks as u64 {
        String::new()
    } else {
        format!(" of {} in all", valid.tasks_in_all)
    };
    let sent = match valid.contents {
        0 => String::new(),
        count => format!(", {} of this machine ({})", counted(count as u64, "content"), Bytes(valid.bytes)),
    };
    format!("ok: {name}: {tasks}{all}, {}{sent}", counted(valid.levels.into(), "level"))
}

pub(super) fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
