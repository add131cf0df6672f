//! `cloudai debug`: a look into a running master.

mod bundle;
mod secrets;
mod tar;

use super::Context;
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render::Screen;
use crate::render::table::{Column, Table};
use clap::Subcommand;
use cloudai_master::http::dto::{Difference, Reconciled};
use serde_json::Value;

pub(super) use bundle::bundle;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows what the master's core knows at one moment, as JSON: for whoever looks for a fault
    #[command(before_help = "  cloudai debug state\n  cloudai debug state --limit 10")]
    State(State),
    /// Compares what is booked, what is active and what workers say, and mends what differs
    ///
    /// Every heartbeat does the most of it: this tells, and finds what no heartbeat looks at. It
    /// looks at every live task once.
    #[command(before_help = "  cloudai debug reconcile --dry-run     only tells\n  cloudai debug reconcile")]
    Reconcile(Reconcile),
    /// Writes state, last events, versions, settings and log lines to a file; no secrets, no specs
    ///
    /// Settings and log are those of this machine: run it where the master runs, with its
    /// configuration. What can not be had is left out and named in `missing.txt`.
    #[command(before_help = "  cloudai debug bundle cloudai-debug.tar.gz")]
    Bundle(bundle::Args),
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct State {
    /// Lines of each kind: tasks, workers, alarms; the totals are always told
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Reconcile {
    /// Mends nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::State(args) => state(&args, cx).await,
        Command::Reconcile(args) => reconcile(&args, cx).await,
        // Needs the settings as well: `cli::run` does it.
        Command::Bundle(_) => Ok(Exit::Ok),
    }
}

pub(super) async fn state(args: &State, cx: &Context) -> Result<Exit, Failure> {
    let query: Vec<_> = args.limit.iter().map(|limit| ("limit", limit.to_string())).collect();
    let state: Value = cx.client.get(&["api", "v1", "debug", "state"], &query).await?;
    let total = |kind: &str| state[kind]["total"].to_string();
    let id = format!("tasks={} workers={}", total("tasks"), total("workers"));
    cx.screen.one(&state, &id, || format!("{state:#}"))?;
    Ok(Exit::Ok)
}

pub(super) async fn reconcile(args: &Reconcile, cx: &Context) -> Result<Exit, Failure> {
    let query: Vec<_> = args.dry_run.then(|| ("dry_run", "true".to_owned())).into_iter().collect();
    let found: Reconciled = cx.client.post_query(&["api", "v1", "debug", "reconcile"], &query).await?;
    cx.screen.one(&found, &found.differences.len().to_string(), || told(&found, &cx.screen))?;
    if !found.unheard.is_empty() && cx.screen.for_people() {
        cx.screen.note(&format!("Not heard yet, only their books were compared: {}", found.unheard.join(", ")));
    }
    if found.more && cx.screen.for_people() {
        cx.screen.note("There is more: run it again.");
    }
    Ok(Exit::Ok)
}

fn told(found: &Reconciled, screen: &Screen) -> String {
    let workers = found.workers;
    let of_workers = format!("{workers} worker{}", if workers == 1 { "" } else { "s" });
    if found.differences.is_empty() {
        return format!("Nothing is wrong: the books of {of_workers}, active tasks and what workers say agree.");
    }
    let done = if found.dry_run { "WOULD" } else { "DONE" };
    let mut table = Table::new(&[
        Column::text("WORKER", 0),
        Column::text("TASK", 0),
        Column::number("ATTEMPT", 2),
        Column::text("WHAT", 0),
        Column::text(done, 1),
        Column::name("MEANS", 3),
    ]);
    for Difference { worker_id, task_id, attempt, what, message, mend } in &found.differences {
        table.row(vec![
            worker_id.as_str().into(),
            task_id.as_deref().map_or_else(|| "-".into(), short).into(),
            attempt.map_or_else(|| "-".to_owned(), |number| number.to_string()).into(),
            what.as_str().into(),
            mend.as_str().into(),
            message.as_str().into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}
