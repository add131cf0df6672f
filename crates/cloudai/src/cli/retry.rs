//! `cloudai task retry` and `dead`: ended tasks that are submitted again.

use super::cancel::confirm;
use super::document::{not_valid, to_json};
use super::limits::{Amounts, Limits};
use super::plan::{NOTHING, Would};
use super::several::Refused;
use super::task::has_ended;
use super::{Context, hold, list};
use crate::exit::{Exit, Failure};
use crate::id;
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_master::http::dto::Task;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which: ids, the last 4 characters of them or more, or `last`
    #[arg(value_name = "ID", required_unless_present = "dead")]
    ids: Vec<String>,
    /// Every dead letter: what failed with its retries used up
    #[arg(long, conflicts_with = "ids")]
    dead: bool,
    /// Do not ask before several tasks are submitted again
    #[arg(long)]
    yes: bool,
    /// Only tell what would be submitted again
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    changes: Changes,
}

/// What may differ from the task that ended.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Instead of what the task had")]
struct Changes {
    #[command(flatten)]
    amounts: Amounts,
    #[command(flatten)]
    limits: Limits,
}

impl Changes {
    /// The body of the request; none where nothing is to be another.
    /// # Errors
    /// Every value that no task may have, under its flag.
    fn body(&self) -> Result<Option<serde_json::Value>, Failure> {
        let fields = self.amounts.fields().into_iter().chain(self.limits.fields());
        let given = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let given: Vec<_> = given.collect();
        if given.is_empty() {
            return Ok(None);
        }
        let changes = Value::Map(given);
        // Of any task: the ranges are the same for all.
        let any = TaskSpec::of_image("any").and_then(|spec| spec.run_again_with(&changes));
        any.map_err(|error| not_valid(&error, &changes).next("cloudai task retry --help"))?;
        Ok(Some(to_json(&changes)))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct DeadArgs {
    /// How many at most [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let changes = args.changes.body()?;
    let ids = if args.dead { dead_letters(cx).await? } else { hold::distinct(&args.ids, cx).await? };
    if ids.is_empty() && cx.screen.for_people() {
        cx.screen.note("There are no dead letters.");
        return Ok(Exit::Ok);
    }
    if args.dry_run {
        let tasks = hold::whole(&ids, cx).await?;
        return hold::plan(tasks, |task| would_retry(task, changes.as_ref()), cx);
    }
    if ids.len() > 1 && !args.yes {
        let names: Vec<_> = ids.iter().map(|id| id::short(id)).collect();
        confirm(&format!("submit {} tasks again", ids.len()), &names, &cx.screen)?;
    }
    let (mut tasks, mut refused) = (Vec::new(), Refused::none(ids.len(), "submitted again"));
    for id in &ids {
        if !refused.goes_on() {
            break;
        }
        let answer = cx.client.post(&["api", "v1", "tasks", id, "retry"], changes.as_ref(), None).await;
        let answer: Option<(_, Task)> = refused.sort(id::short(id), answer);
        let Some((status, task)) = answer else { continue };
        if status != reqwest::StatusCode::CREATED {
            let (old, new) = (id::short(id), id::short(&task.id));
            cx.screen
                .note(&format!("{old} was submitted again before, as {new}; that one again: cloudai task retry {new}"));
        }
        tasks.push(task);
    }
    hold::tell(tasks, refused, cx)
}

fn would_retry(task: Task, changes: Option<&serde_json::Value>) -> Would<Task> {
    let id = id::short(&task.id);
    if !has_ended(&task) {
        let status = task.status.clone();
        return Would::of(task, NOTHING, format!("be refused: {id} is {status}, and only what has ended is run again"));
    }
    match task.retried_by.as_deref().map(id::short) {
        Some(new) => {
            let unless = changes.map_or("", |_| "; with other values it would be refused");
            let means = format!("change nothing: {id} was submitted again before, as {new}{unless}");
            Would::of(task, NOTHING, means)
        }
        None => {
            let with = changes.map(|changes| format!(" with {changes}")).unwrap_or_default();
            Would::of(task, "retry", format!("submit {id} again, as a new task{with}"))
        }
    }
}

/// The ids of all dead letters, the oldest first.
async fn dead_letters(cx: &Context) -> Result<Vec<String>, Failure> {
    let all = list::fetch(&list::Args::dead(Some(u32::MAX), Some("created")), cx).await?;
    Ok(all.items.into_iter().map(|task| task.id).collect())
}

/// `cloudai task dead`.
pub(super) async fn dead(args: &DeadArgs, cx: &Context) -> Result<Exit, Failure> {
    list::run(&list::Args::dead(args.limit, None), cx).await
}
