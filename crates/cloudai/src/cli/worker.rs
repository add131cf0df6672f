//! `cloudai worker`: everything about workers but running one.

use super::cancel::confirm;
use super::plan::{NOTHING, Would};
use super::several::Refused;
use super::{Context, duty, label, plan, token};
use crate::config::WorkerFlags;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::ids::WorkerId;
use cloudai_core::text::distance;
use cloudai_master::http::dto::{List, Worker};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Starts a worker: runs the tasks that its master gives it
    #[command(before_help = "  export CLOUDAI_JOIN_TOKEN=$(cloudai worker token)\n  \
                       cloudai worker start --master 127.0.0.1:50051 --id w1\n  \
                       cloudai worker start --master gpu-01:50051 --cpus 8 --mem 32g --label zone=a\n  \
                       cloudai worker start --id w4                 waits for: cloudai worker register w4 IP:50052")]
    Start(Box<WorkerFlags>),
    /// Prints the token that a worker shows to join; makes others, lists them, takes them back
    #[command(before_help = "  cloudai worker token                         on the master's machine\n  \
                             cloudai worker token --new --single-use --expires 1h\n  \
                             cloudai worker token --list\n  cloudai worker token --revoke 1f00ba12")]
    Token(token::Token),
    /// Lists workers
    #[command(before_help = "  cloudai worker list -o wide")]
    List,
    /// Shows one worker: what it offers and holds, and what keeps it from work
    #[command(before_help = "  cloudai worker info w4\n  cloudai worker info w4 -o json")]
    Info(Info),
    /// Keeps new work from workers; what runs goes on
    #[command(before_help = "  cloudai worker cordon w4 --reason 'new disk at noon'\n  \
                             cloudai worker cordon w4 w5 --dry-run")]
    Cordon(duty::Cordon),
    /// Keeps new work from workers and empties them
    #[command(
        before_help = "  cloudai worker drain w4 --deadline 10m       then what runs is queued again, uncounted\n  \
                             cloudai worker drain w4 w5 --wait            what runs is waited for: returns when both are empty"
    )]
    Drain(duty::Drain),
    /// Gives workers work again: ends a cordon, a drain or a quarantine
    #[command(visible_alias = "uncordon", before_help = "  cloudai worker undrain w4 w5")]
    Undrain(duty::Undrain),
    /// Gives a worker labels and takes others away, which holds whatever it tells when it starts again
    #[command(
        before_help = "  cloudai worker label w4 zone=eu disk=ssd     tasks with --constraint 'zone = eu' may go there\n  \
                             cloudai worker label w4 disk-                it has no label disk any more"
    )]
    Label(label::Label),
    /// Makes a worker known before it comes; one with an address is called there until it comes
    #[command(before_help = "  cloudai worker register w4 10.0.0.7:50052")]
    Register(Register),
    /// Forgets workers; refused of one that has work, unless forced
    #[command(before_help = "  cloudai worker remove w4 w5\n  cloudai worker remove w4 --force --dry-run")]
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Info {
    /// Its name
    #[arg(value_parser = worker_id)]
    id: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Register {
    /// Its name
    #[arg(value_parser = worker_id)]
    id: String,
    /// Where it can be reached: the master says there where it is
    #[arg(value_name = "IP:PORT")]
    address: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Their names
    #[arg(value_name = "ID", required = true, value_parser = worker_id)]
    ids: Vec<String>,
    /// Although they have work: their tasks are queued again
    #[arg(long)]
    force: bool,
    /// Do not ask before --force
    #[arg(long)]
    yes: bool,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

/// A worker's name as it is typed: what can be none is a slip, not a worker that is not there.
pub(super) fn worker_id(text: &str) -> Result<String, String> {
    text.parse::<WorkerId>().map(|id| id.to_string()).map_err(|error| error.to_string())
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        // Needs no master to talk to: `cli::run` starts it.
        Command::Start(_) => Ok(Exit::Ok),
        Command::Token(args) => token::run(&args, cx).await,
        Command::List => list(cx, false).await,
        Command::Info(args) => info(&args.id, cx).await,
        Command::Cordon(args) => duty::cordon(&args, cx).await,
        Command::Drain(args) => duty::drain(&args, cx).await,
        Command::Undrain(args) => duty::undrain(&args, cx).await,
        Command::Label(args) => label::run(&args, cx).await,
        Command::Register(args) => register(&args, cx).await,
        Command::Remove(args) => remove(&args, cx).await,
    }
}

/// The workers; as the reference's box where that is wanted and seen by people.
pub(super) async fn list(cx: &Context, as_box: bool) -> Result<Exit, Failure> {
    let list: List<Worker> = cx.client.get(&["api", "v1", "workers"], &[]).await?;
    let boxed = as_box && cx.screen.terminal && !cx.screen.format_given;
    if list.items.is_empty() && cx.screen.for_people() && !boxed {
        cx.screen.note("No workers. `cloudai worker token` says how to add one.");
        return Ok(Exit::Ok);
    }
    cx.screen.list(
        &list,
        |worker| worker.id.clone(),
        || {
            let now = cx.client.now();
            if boxed {
                render::reference::workers(&list.items, now)
            } else {
                render::worker::list(&list.items, now, &cx.screen)
            }
        },
    )?;
    if cx.screen.for_people() && !cx.screen.wide() {
        let why =
            |worker: &Worker| render::worker::why_idle(worker).map(|why| format!("{} gets no work: {why}", worker.id));
        list.items.iter().filter_map(why).for_each(|line| cx.screen.note(&line));
    }
    Ok(Exit::Ok)
}

/// The worker of this name.
pub(super) async fn one(id: &str, cx: &Context) -> Result<Worker, Failure> {
    match cx.client.get(&["api", "v1", "workers", id], &[]).await {
        Err(failure) if failure.exit == Exit::NotFound => Err(near(failure, id, cx).await),
        answer => answer,
    }
}

async fn info(id: &str, cx: &Context) -> Result<Exit, Failure> {
    let worker = one(id, cx).await?;
    cx.screen.one(&worker, &worker.id, || render::worker::card(&worker, cx.client.now()))?;
    Ok(Exit::Ok)
}

async fn register(args: &Register, cx: &Context) -> Result<Exit, Failure> {
    let body = serde_json::json!({ "id": args.id, "address": args.address });
    let (_, worker): (_, Worker) = cx.client.post(&["api", "v1", "workers"], Some(&body), None).await?;
    cx.screen.one(&worker, &worker.id, || format!("{}  {}", worker.id, worker.status))?;
    Ok(Exit::Ok)
}

/// Registers a worker under the reference's word.
pub(super) async fn register_as(id: String, address: Option<String>, cx: &Context) -> Result<Exit, Failure> {
    register(&Register { id, address }, cx).await
}

/// Removes a worker under the reference's word.
pub(super) async fn remove_as(id: String, cx: &Context) -> Result<Exit, Failure> {
    remove(&Remove { ids: vec![id], force: false, yes: false, dry_run: false }, cx).await
}

/// What a removal would do to a worker.
fn would_remove(worker: Worker, force: bool) -> Would<Worker> {
    let (id, tasks) = (worker.id.clone(), worker.tasks);
    let held = if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
    match (tasks, force) {
        (0, _) => Would::of(worker, "remove", format!("remove {id}, which holds nothing")),
        (_, true) => Would::of(worker, "remove", format!("remove {id}; its {held} would be queued again")),
        (_, false) => Would::of(worker, NOTHING, format!("be refused: {id} holds {held}, which takes --force")),
    }
}

async fn remove(args: &Remove, cx: &Context) -> Result<Exit, Failure> {
    let mut ids: Vec<String> = Vec::new();
    for id in &args.ids {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    if args.dry_run {
        let workers = duty::workers(&ids, cx).await?;
        let plans = workers.into_iter().map(|worker| would_remove(worker, args.force)).collect();
        return plan::tell(plans, |worker: &Worker| worker.id.clone(), &[], cx);
    }
    if args.force && !args.yes {
        let what = match ids.len() {
            1 => "remove a worker with its work".to_owned(),
            several => format!("remove {several} workers with their work"),
        };
        confirm(&what, &ids, &cx.screen)?;
    }
    let mut refused = Refused::none(ids.len(), "removed");
    for id in &ids {
        let answer = remove_one(id, args.force, cx).await;
        refused.sort(id.as_str(), answer);
        if !refused.goes_on() {
            break;
        }
    }
    refused.end()
}

async fn remove_one(id: &str, force: bool, cx: &Context) -> Result<(), Failure> {
    // What is not there is told by the removal itself.
    let known = cx.client.get::<Worker>(&["api", "v1", "workers", id], &[]).await;
    let connected = known.is_ok_and(|worker| matches!(worker.status.as_str(), "active" | "draining"));
    let query = if force { vec![("force", "true".to_owned())] } else { Vec::new() };
    if let Err(failure) = cx.client.delete(&["api", "v1", "workers", id], &query).await {
        return Err(if failure.exit == Exit::NotFound { near(failure, id, cx).await } else { failure });
    }
    cx.screen.note(&format!("{id} is removed"));
    if connected {
        cx.screen.note(&format!(
            "Its certificate is revoked and its process ends; one of a master with --insecure joins again within seconds: \
             stop it there, then cloudai worker remove {id}"
        ));
    } else if force {
        cx.screen.note(
            "Its certificate is revoked. With --insecure it comes back with its token if its process still runs: stop it \
             there, then remove it.",
        );
    }
    Ok(())
}

/// A failure about a worker, with the known names that come close to the one that was typed.
pub(super) async fn near(failure: Failure, typed: &str, cx: &Context) -> Failure {
    let Ok(list) = cx.client.get::<List<Worker>>(&["api", "v1", "workers"], &[]).await else { return failure };
    let close = |id: &str| distance(id, typed) <= 2.max(typed.len() / 4);
    let names: Vec<_> = list.items.into_iter().map(|worker| worker.id).filter(|id| id != typed && close(id)).collect();
    let failure = if names.is_empty() { failure } else { failure.why(format!("close: {}", names.join(", "))) };
    if failure.next.is_empty() { failure.next("cloudai worker list") } else { failure }
}
