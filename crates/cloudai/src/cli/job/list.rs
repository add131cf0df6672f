//! `cloudai job list`.

use crate::cli::Context;
use crate::cli::list::{ROWS, pages};
use crate::exit::{Exit, Failure};
use crate::render;
use cloudai_core::job::JobStatus;
use cloudai_master::http::dto::{Job, List};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Ended jobs too
    #[arg(long, conflicts_with = "status")]
    all: bool,
    /// Only these; several with commas
    #[arg(long, value_delimiter = ',', value_parser = JobStatus::ALL.map(JobStatus::word))]
    status: Vec<String>,
    /// Only those of this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those whose name begins so
    #[arg(long, value_name = "BEGINNING")]
    name: Option<String>,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let (query, limit) = (args.query(), args.limit.unwrap_or(ROWS));
    let list: List<Job> = pages(cx, &["api", "v1", "jobs"], &query, limit).await?;
    if !list.items.is_empty() || !cx.screen.for_people() {
        let people = || render::job::list(&list.items, cx.client.now(), &cx.screen);
        cx.screen.list(&list, |job| job.id.clone(), people)?;
    }
    if cx.screen.for_people() {
        args.sum_up(list.items.len(), list.next_cursor.is_some(), cx);
    }
    Ok(Exit::Ok)
}

impl Args {
    fn is_of_active(&self) -> bool {
        !self.all && self.status.is_empty()
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let going = || JobStatus::ALL.into_iter().filter(|status| !status.is_final());
        let status = if self.is_of_active() {
            Some(going().map(JobStatus::word).collect::<Vec<_>>().join(","))
        } else {
            Some(self.status.join(",")).filter(|words| !words.is_empty())
        };
        let all = [("status", status), ("user", self.user.clone()), ("name", self.name.clone())];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// What the rows are, and how to see more; a list that was cut always says so.
    fn sum_up(&self, shown: usize, more: bool, cx: &Context) {
        let (kind, ended) = if self.is_of_active() { ("active ", " Ended ones too: --all") } else { ("", "") };
        match (shown, more) {
            (shown, true) => {
                cx.screen.note(&format!("The first {shown} {kind}jobs; there are more: --limit N.{ended}"));
            }
            (0, false) => cx.screen.note(&format!("No {kind}jobs.{ended}")),
            (1, false) => cx.screen.hint(&format!("1 {kind}job.{ended}")),
            (shown, false) => cx.screen.hint(&format!("{shown} {kind}jobs.{ended}")),
        }
    }
}
