//! `cloudai audit`: who did what, and whether the log of that is whole.

use super::Context;
use super::when::{When, when};
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_master::http::dto::List;
use cloudai_master::http::dto::audit::{Row, Verdict};

/// Where the API has it.
const PATH: [&str; 3] = ["api", "v1", "audit"];
/// How many rows without `--limit`.
const ROWS: u32 = 50;
/// How many rows one answer may have.
const PAGE: u32 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists what was done and what was refused, the latest first
    #[command(before_help = "  cloudai audit list --since 1h\n  \
                             cloudai audit list --user ann --action 'POST /api/v1/jobs'\n  \
                             cloudai audit list --object TASK -o wide")]
    List(ListArgs),
    /// Looks at every row: whether one was changed, removed, put in, moved or cut off; exit 1 when it was
    #[command(before_help = "  cloudai audit verify                         prints the head: keep it elsewhere\n  \
                             cloudai audit verify --expect-head 57:3f...  the one that you kept")]
    Verify(Verify),
    /// Prints all rows, one JSON a line, the latest first
    #[command(before_help = "  cloudai audit export > audit.jsonl\n  cloudai audit export --since 2026-01-01")]
    Export(Asked),
}

/// Which rows.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// Only what was since then, as 1h, 2026-01-31 or 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Only what was before then
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
    /// Only what this user did; - is nobody who is known
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    user: Option<String>,
    /// Only what begins so, as POST or 'DELETE /api/v1/workers'
    #[arg(long, value_name = "BEGINNING")]
    action: Option<String>,
    /// Only what was done to this: an id or a name, whole; not with --user or --action
    #[arg(long, value_name = "ID", conflicts_with_all = ["user", "action"])]
    object: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    asked: Asked,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// A head that was kept elsewhere: it must still be in the log
    #[arg(long, value_name = "SEQ:MAC")]
    expect_head: Option<String>,
}

pub(super) async fn run(command: &Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::List(args) => list(args, cx).await,
        Command::Verify(args) => verify(args, cx).await,
        Command::Export(asked) => export(asked, cx).await,
    }
}

impl Asked {
    fn query(&self, cx: &Context) -> Vec<(&'static str, String)> {
        let time = |when: Option<When>| when.map(|when| when.at(cx.client.now()).to_string());
        let given = [
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("user", self.user.clone()),
            ("action", self.action.clone()),
            ("object", self.object.clone()),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// One page of rows, and where the next begins.
async fn page(asked: &Asked, limit: u32, cursor: Option<String>, cx: &Context) -> Result<List<Row>, Failure> {
    let mut query = asked.query(cx);
    query.push(("limit", limit.to_string()));
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    cx.client.get(&PATH, &query).await
}

async fn list(args: &ListArgs, cx: &Context) -> Result<Exit, Failure> {
    let wanted = args.limit.unwrap_or(ROWS);
    let mut found = List { items: Vec::new(), next_cursor: None };
    loop {
        let rest = wanted.saturating_sub(u32::try_from(found.items.len()).unwrap_or(u32::MAX));
        if rest == 0 {
            break;
        }
        let more = page(&args.asked, rest.min(PAGE), found.next_cursor.take(), cx).await?;
        found.items.extend(more.items);
        found.next_cursor = more.next_cursor;
        if found.next_cursor.is_none() {
            break;
        }
    }
    if found.items.is_empty() && cx.screen.for_people() {
        cx.screen.note("Nothing was written down that is like this.");
        return Ok(Exit::Ok);
    }
    cx.screen.list(
        &found,
        |row| row.seq.to_string(),
        || render::audit::list(&found.items, cx.client.now(), &cx.screen),
    )?;
    if found.next_cursor.is_some() && cx.screen.for_people() {
        cx.screen.note("There are more: --limit N, or cloudai audit export");
    }
    Ok(Exit::Ok)
}

async fn export(asked: &Asked, cx: &Context) -> Result<Exit, Failure> {
    let mut cursor = None;
    loop {
        let rows = page(asked, PAGE, cursor, cx).await?;
        for row in &rows.items {
            let line = serde_json::to_string(row).map_err(|error| Failure::error(error.to_string()))?;
            cx.screen.line(&line)?;
        }
        cursor = rows.next_cursor;
        if cursor.is_none() {
            return Ok(Exit::Ok);
        }
    }
}

async fn verify(args: &Verify, cx: &Context) -> Result<Exit, Failure> {
    let query: Vec<_> = args.expect_head.iter().map(|head| ("expect_head", head.clone())).collect();
    let path = [&PATH[..], &["verify"]].concat();
    let verdict: Verdict = cx.client.get(&path, &query).await?;
    let head = verdict.head.as_ref().map(|head| head.keep.clone()).unwrap_or_default();
    let Some(broken) = &verdict.broken else {
        let line = || format!("the audit log is whole: {} rows, head {head}", verdict.rows);
        cx.screen.one(&verdict, &head, line)?;
        cx.screen
            .hint("Keep the head elsewhere: `cloudai audit verify --expect-head SEQ:MAC` finds rows cut off with it.");
        return Ok(Exit::Ok);
    };
    if !cx.screen.for_people() && !cx.screen.quiet() {
        cx.screen.one(&verdict, &head, String::new)?;
    }
    Err(Failure::new(Exit::Error, "audit_broken", format!("the audit log is not whole: {}", broken.message))
        .why(format!("{} rows in front of it were looked at and fit together", verdict.rows))
        .next("docs/audit.md: what to do when a log is broken"))
}
