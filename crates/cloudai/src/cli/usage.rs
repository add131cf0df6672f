//! `cloudai cluster usage`: what attempts took, in sums.

use super::Context;
use super::when::{When, when};
use crate::exit::{Exit, Failure};
use crate::render;
use cloudai_master::http::dto::List;
use cloudai_master::http::dto::consumed::Report;

/// Where the API has it.
const PATH: [&str; 3] = ["api", "v1", "usage"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// From when on, as 30d, 2026-01-31 or 2026-01-31T08:00:00Z [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
    /// What it is added up by: user, project, name or label:KEY
    #[arg(long, value_name = "WHAT", default_value = "user")]
    by: String,
    /// As lines of values with commas, for spreadsheets
    #[arg(long)]
    csv: bool,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let time = |when: Option<When>| when.map(|when| when.at(cx.client.now()).to_string());
    let given = [("since", time(args.since)), ("until", time(args.until)), ("by", Some(args.by.clone()))];
    let mut query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if args.csv {
        query.push(("format", "csv".to_owned()));
        let answer = cx.client.stream(&PATH, &query).await?;
        let text = answer.text().await.map_err(|error| cx.client.unreachable(&error))?;
        cx.screen.line(&text)?;
        return Ok(Exit::Ok);
    }
    let report: Report = cx.client.get(&PATH, &query).await?;
    let list = List { items: report.items.clone(), next_cursor: None };
    let people = || render::usage::table(&report, &cx.screen);
    if list.items.is_empty() && cx.screen.for_people() {
        cx.screen.note("No attempt ended in that time.");
        return Ok(Exit::Ok);
    }
    cx.screen.list_of(&report, &list, |row| row.key.clone().unwrap_or_default(), people)?;
    if cx.screen.for_people() {
        cx.screen.note(&format!("of {} to {}", report.since, report.until));
        if report.cut {
            cx.screen
                .note("There were more tasks than one report looks at: the earliest are left out; --by user has all.");
        }
    }
    Ok(Exit::Ok)
}
