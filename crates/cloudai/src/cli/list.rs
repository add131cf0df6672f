//! `cloudai task list`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render;
use cloudai_core::state::Status;
use cloudai_master::http::dto::{List, Task};
use serde::de::DeserializeOwned;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Finished tasks too
    #[arg(long, conflicts_with = "status")]
    all: bool,
    /// Only these: queued, pending, running, completed, failed, cancelled; several with commas
    #[arg(long, value_delimiter = ',')]
    status: Vec<Status>,
    /// Only those of this worker
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// Only those whose name begins so
    #[arg(long, value_name = "BEGINNING")]
    name: Option<String>,
    /// Each element of an array that had its turn by itself, instead of a row for all of them
    #[arg(long)]
    expand: bool,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,
    /// -created (newest first) or created [default: -created]
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true, value_parser = ["created", "-created"])]
    sort: Option<String>,
    /// Only dead letters: `task dead`
    #[arg(skip)]
    dead: bool,
}

impl Args {
    /// The tasks of one status, or all of them.
    pub(super) fn of_status(status: Option<Status>) -> Self {
        Self { all: status.is_none(), status: status.into_iter().collect(), ..Self::default() }
    }
}

impl Args {
    /// What failed with its retries used up and was not submitted again.
    pub(super) fn dead(limit: Option<u32>, sort: Option<&str>) -> Self {
        Self { dead: true, limit, sort: sort.map(ToOwned::to_owned), ..Self::default() }
    }
}

/// How many rows without `--limit`.
pub(super) const ROWS: u32 = 50;
/// How many rows one answer may have.
const PAGE: u32 = 1000;
/// What waits or runs.
const ACTIVE: [Status; 3] = [Status::Queued, Status::Pending, Status::Running];

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let list = fetch(args, cx).await?;
    let shown = list.items.len();
    let people = || {
        if list.items.is_empty() { String::new() } else { render::task::list(&list.items, cx.client.now(), &cx.screen) }
    };
    if shown > 0 || !cx.screen.for_people() {
        cx.screen.list(&list, |task| task.id.clone(), people)?;
    }
    if cx.screen.for_people() {
        summary(args, shown, list.next_cursor.is_some(), cx);
    }
    Ok(Exit::Ok)
}

/// What the rows are, and how to see more; a list that was cut always says so.
fn summary(args: &Args, shown: usize, more: bool, cx: &Context) {
    let (kind, finished) = if args.dead {
        ("dead ", if shown > 0 { " Once mended: cloudai task retry ID, or --dead for all" } else { "" })
    } else if !args.all && args.status.is_empty() {
        ("active ", " Finished too: --all")
    } else {
        ("", "")
    };
    match (shown, more) {
        (shown, true) => {
            cx.screen.note(&format!("The first {shown} {kind}tasks; there are more: --limit N.{finished}"))
        }
        (0, false) => cx.screen.note(&format!("No {kind}tasks.{finished}")),
        (1, false) => cx.screen.hint(&format!("1 {kind}task.{finished}")),
        (shown, false) => cx.screen.hint(&format!("{shown} {kind}tasks.{finished}")),
    }
}

pub(super) async fn fetch(args: &Args, cx: &Context) -> Result<List<Task>, Failure> {
    let mut query = Vec::new();
    let wanted: &[Status] = if args.all || args.dead {
        &[]
    } else if args.status.is_empty() {
        &ACTIVE
    } else {
        &args.status
    };
    if !wanted.is_empty() {
        query.push(("status", wanted.iter().map(|status| status.word()).collect::<Vec<_>>().join(",")));
    }
    query.extend(args.expand.then(|| ("expand", "true".to_owned())));
    query.extend(args.dead.then(|| ("dead", "true".to_owned())));
    query.extend(args.worker.clone().map(|worker| ("worker", worker)));
    query.extend(args.name.clone().map(|name| ("name", name)));
    query.extend(args.sort.clone().map(|sort| ("sort", sort)));
    pages(cx, &["api", "v1", "tasks"], &query, args.limit.unwrap_or(ROWS)).await
}

/// As many of a list as are wanted, put together from its pages.
pub(super) async fn pages<T: DeserializeOwned>(
    cx: &Context,
    path: &[&str],
    query: &[(&'static str, String)],
    limit: u32,
) -> Result<List<T>, Failure> {
    let mut left = limit;
    let mut all: List<T> = List { items: Vec::new(), next_cursor: None };
    loop {
        let sent = all.next_cursor.take();
        let mut page_query = query.to_vec();
        page_query.push(("limit", left.min(PAGE).to_string()));
        page_query.extend(sent.clone().map(|cursor| ("cursor", cursor)));
        let page: List<T> = cx.client.get(path, &page_query).await?;
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        // A page may be empty and have more behind it; one that leads to itself has not.
        let last = page.next_cursor.is_none() || page.next_cursor == sent;
        all.items.extend(page.items);
        all.next_cursor = page.next_cursor;
        if left == 0 || last {
            return Ok(all);
        }
    }
}
