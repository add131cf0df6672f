//! `cloudai files`: what all of a user's tasks left.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::{id, render};
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::Files;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose; yours when nobody is named
    #[arg(value_name = "USER", conflicts_with = "task")]
    user: Option<String>,
    /// Only those of this task: its id, the last 4 characters of it or more, or `last`
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// How many rows without `--limit`.
const ROWS: u32 = 50;
/// How many rows one answer may have.
const PAGE: u32 = 1000;

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let mut query = Vec::new();
    query.extend(args.user.clone().map(|user| ("user", user)));
    if let Some(task) = &args.task {
        query.push(("task", id::resolve(&cx.client, task).await?));
    }
    let whole = fetch(&query, args.limit.unwrap_or(ROWS), cx).await?;
    let Files { files, bytes, list } = &whole;
    let (shown, more) = (list.items.len(), list.next_cursor.is_some());
    if shown > 0 || !cx.screen.for_people() {
        let people = || render::files::kept(&list.items, cx.client.now(), &cx.screen);
        cx.screen.list_of(&whole, list, |kept| format!("{}/{}", kept.task_id, kept.file.path), people)?;
    }
    if cx.screen.for_people() {
        let all = format!("{files} file{}, {}", if *files == 1 { "" } else { "s" }, Bytes(*bytes));
        match (shown, more) {
            (0, false) => cx.screen.note("No files."),
            (shown, true) => cx.screen.note(&format!("The first {shown} of {all}; more: --limit N")),
            (_, false) => cx.screen.note(&format!("{all}.")),
        }
    }
    Ok(Exit::Ok)
}

/// As many as are wanted. A page may be empty and have more behind it: most tasks leave nothing.
async fn fetch(query: &[(&'static str, String)], limit: u32, cx: &Context) -> Result<Files, Failure> {
    let mut left = limit;
    let mut all: Option<Files> = None;
    loop {
        let mut page_query = query.to_vec();
        page_query.push(("limit", left.min(PAGE).to_string()));
        let cursor = all.as_ref().and_then(|all| all.list.next_cursor.clone());
        page_query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page: Files = cx.client.get(&["api", "v1", "files"], &page_query).await?;
        left = left.saturating_sub(u32::try_from(page.list.items.len()).unwrap_or(u32::MAX));
        let mut so_far = match all.take() {
            None => page,
            Some(mut so_far) => {
                so_far.list.items.extend(page.list.items);
                so_far.list.next_cursor = page.list.next_cursor;
                so_far
            }
        };
        if so_far.list.items.len() as u64 >= so_far.files {
            // Only tasks without files are left to look at.
            so_far.list.next_cursor = None;
        }
        if left == 0 || so_far.list.next_cursor.is_none() {
            return Ok(so_far);
        }
        all = Some(so_far);
    }
}
