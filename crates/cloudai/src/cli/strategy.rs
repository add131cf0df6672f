//! `cloudai strategy`: what places tasks, and what it is told of run times.

use super::Context;
use crate::config::key_value;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::strategy::EXTERNAL;
use cloudai_master::http::dto::{Predictions, Strategies};
use serde_json::{Map, Value, json};

/// Where the API has it.
const PATH: [&str; 3] = ["api", "v1", "strategies"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the strategies, the current one marked, and with -o wide the knobs
    #[command(before_help = "  cloudai strategy list\n  cloudai strategy list -o wide               with all knobs")]
    List,
    /// Lets another strategy place tasks from now on, without a restart
    ///
    /// It holds after a restart too, unless the configuration says master.strategy or a knob itself.
    /// Knobs that are not named stay as they are.
    #[command(before_help = "  cloudai strategy set balanced_skip\n  \
                             cloudai strategy set ai --knob patience=5 --knob urgency=0.2\n  \
                             cloudai strategy set ai --knob patience=     the default again")]
    Set(Set),
    /// Shows how long tasks ran, what is predicted for the next, and how good predictions were
    #[command(before_help = "  cloudai strategy predictions\n  cloudai strategy predictions --limit 1000 --json")]
    Predictions(Limit),
}

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// Its name: `cloudai strategy list` shows all
    name: String,
    /// What can be set of it; empty for the default; may be repeated
    #[arg(long = "knob", value_name = "K=V", value_parser = key_value)]
    knobs: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Limit {
    /// How many kinds of tasks, those that ended last first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

impl Set {
    fn document(&self) -> Value {
        // The master reads numbers in quotes too, and names what is wrong with them.
        let knob = |(name, text): &(String, String)| {
            let value = if text.is_empty() { Value::Null } else { Value::String(text.clone()) };
            (name.replace('-', "_"), value)
        };
        let knobs: Map<_, _> = self.knobs.iter().map(knob).collect();
        json!({ "name": self.name.to_ascii_lowercase().replace('-', "_"), "knobs": knobs })
    }
}

/// Who places from now on, for people.
fn placing(current: &str) -> String {
    match current {
        EXTERNAL => "Your program places tasks now, as samples/agent-python shows. Whenever it says nothing for \
                     master.external_timeout_ms while a task has room, master.external_fallback places."
            .to_owned(),
        other => format!("{other} places tasks now."),
    }
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            let known: Strategies = cx.client.get(&PATH, &[]).await?;
            cx.screen.one(&known, &known.current, || render::strategy::list(&known, &cx.screen))?;
        }
        Command::Set(args) => {
            let path: Vec<_> = PATH.into_iter().chain(["current"]).collect();
            let known: Strategies = cx.client.put(&path, &args.document()).await.map_err(|failure| {
                if failure.next.is_empty() { failure.next("cloudai strategy list -o wide") } else { failure }
            })?;
            cx.screen.one(&known, &known.current, || placing(&known.current))?;
        }
        Command::Predictions(args) => {
            let path: Vec<_> = PATH.into_iter().chain(["predictions"]).collect();
            let known: Predictions = cx.client.get(&path, &[("limit", args.limit.to_string())]).await?;
            let ids: Vec<_> = known.list.items.iter().filter_map(|kind| kind.image.as_deref()).collect();
            cx.screen.one(&known, &ids.join("\n"), || render::strategy::predictions(&known, &cx.screen))?;
        }
    }
    Ok(Exit::Ok)
}
