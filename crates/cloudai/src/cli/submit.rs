//! `cloudai task submit`, and the reference's `dispatch`.

use super::document::{Fields, Typed, to_json};
use super::follow::{self, Ended};
use super::local::{self, Shipment};
use super::made::{self, Made};
use super::wait::Waited;
use super::{Context, send, wait, waits, worker};
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::render;
use crate::render::Format;
use cloudai_core::spec::Value;
use cloudai_master::http::dto::{Task, Worker};
use reqwest::StatusCode;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const EXAMPLES: &str = "  cloudai task submit cloudai/busybox -- echo hello\n  \
     cloudai task submit python:3.12 -- python -c 'print(1)'\n  \
     cloudai task submit train:2.1 --cpus 4 --mem 8g --gpus 1 --env EPOCHS=3 --follow\n  \
     cloudai task submit python:3.12 --workdir . --input data.csv --follow -- python train.py /in/data.csv\n  \
     cloudai task submit train:2.1 --array 0-99%8 -- train --part     an array, a job of its own\n  \
     cloudai task submit report:1 --after 9QZD --after 1B8W:any       once others have ended\n  \
     cloudai task submit --file task.yaml --wait --wait-timeout 1h";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to run, as python:3.12 (the reference's old form, WORKER IMAGE, works too)
    #[arg(value_name = "IMAGE")]
    words: Vec<String>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    after: After,
    /// The program and its arguments, instead of the image's
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Dispatch {
    /// The worker
    #[arg(value_name = "WORKER")]
    on: String,
    /// What to run, as python:3.12
    image: String,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    after: After,
    /// The program and its arguments, instead of the image's
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What happens after the task is stored.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Afterwards")]
struct After {
    /// Return as soon as it is stored; this is the default
    #[arg(long, conflicts_with_all = ["wait", "follow"])]
    detach: bool,
    /// Wait until it ended: exit 0 completed, 3 not
    #[arg(long)]
    wait: bool,
    /// Print its output until it ended: exit 0 completed, 3 not
    #[arg(long)]
    follow: bool,
    /// Wait no longer than this: exit 4, and the task goes on
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait_timeout: Option<Duration>,
    /// With --wait or --follow: exit with the container's code when it ended with one
    #[arg(long)]
    propagate_exit: bool,
    /// Print the document that would be posted, and stop
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(mut args: Args, cx: &Context) -> Result<Exit, Failure> {
    let image = match args.words.as_slice() {
        [] => None,
        [image] => Some(image.clone()),
        [on, image] if args.fields.placement.worker.is_none() => {
            let image = image.clone();
            old_form(on, &image, cx).await?;
            args.fields.placement.worker = Some(on.clone());
            Some(image)
        }
        [image, rest @ ..] => {
            return Err(Failure::usage("more than one image was given")
                .why("the container's command goes after --")
                .next(format!("cloudai task submit {image} -- {}", rest.join(" "))));
        }
    };
    make(&args.fields, (image.as_deref(), &args.command), &args.after, cx).await
}

pub(super) async fn dispatch(mut args: Dispatch, cx: &Context) -> Result<Exit, Failure> {
    if let Some(other) = args.fields.placement.worker.filter(|other| *other != args.on) {
        return Err(Failure::usage(format!("--worker {other} and the worker {} can not both be meant", args.on))
            .next(format!("cloudai dispatch {} {}", args.on, args.image)));
    }
    args.fields.placement.worker = Some(args.on);
    make(&args.fields, (Some(&args.image), &args.command), &args.after, cx).await
}

/// Makes the document and submits it.
async fn make(fields: &Fields, typed: Typed<'_>, after: &After, cx: &Context) -> Result<Exit, Failure> {
    let mut draft = fields.draft(typed)?;
    local::complete(&mut draft, cx).await?;
    waits::complete(&mut draft, cx).await?;
    let (document, shipment) = fields.check(draft, typed)?;
    submit(&document, &shipment, after, cx).await
}

/// `task WORKER IMAGE`: only where the first word is a worker; otherwise the second was to be a command.
async fn old_form(on: &str, image: &str, cx: &Context) -> Result<(), Failure> {
    match cx.client.get::<Worker>(&["api", "v1", "workers", on], &[]).await {
        Ok(_) => {
            cx.screen.note(&format!("note: read as `cloudai dispatch {on} {image}`, because {on} is a worker"));
            Ok(())
        }
        Err(failure) if failure.exit == Exit::NotFound => {
            let failure = Failure::usage(format!("{on:?} is no registered worker"))
                .why("two words are read as WORKER IMAGE; a container's command goes after --")
                .next(format!("cloudai task submit {on} -- {image}"));
            Err(worker::near(failure, on, cx).await)
        }
        Err(failure) => Err(failure),
    }
}

async fn submit(document: &Value, shipment: &Shipment, after: &After, cx: &Context) -> Result<Exit, Failure> {
    let waits = after.wait || after.wait_timeout.is_some();
    if after.propagate_exit && !waits && !after.follow {
        return Err(Failure::usage("--propagate-exit needs the end of the task")
            .why("without --wait or --follow the command returns before it has run")
            .next("add --wait or --follow"));
    }
    if after.follow && makes_array(document) {
        return Err(Failure::usage("--follow prints what one task prints, and this is an array")
            .why("what many print together is its job's")
            .next("submit it without --follow, then: cloudai job logs last --follow"));
    }
    let body = to_json(document);
    if after.dry_run {
        return show(&body, cx);
    }
    send::send(shipment, cx).await?;
    let deadline = after.wait_timeout.map(|limit| Instant::now() + limit);
    let task = match post(&body, cx).await? {
        Made::Task(task) => *task,
        // Only a template makes what nobody knew before: its end is waited for in any case.
        Made::Array(array) => return made::of_array(*array, waits || after.follow, deadline, cx).await,
        Made::Job(job) => return made::of_job(*job, waits || after.follow, deadline, cx).await,
    };
    if after.follow {
        return follow_task(&task, after, cx).await;
    }
    if waits {
        return wait_for(&task, after, cx).await;
    }
    cx.screen.one(&task, &task.id, || render::task::outcome(&task, &cx.screen))?;
    cx.screen.hint(&format!("Follow it: cloudai task logs {} --follow", crate::id::short(&task.id)));
    Ok(Exit::Ok)
}

/// Whether a document says by itself that it is an array.
fn makes_array(document: &Value) -> bool {
    let Value::Map(fields) = document else { return false };
    fields.iter().any(|(name, value)| matches!(name.as_str(), "array" | "each") && *value != Value::Null)
}

/// The document that would be posted.
pub(super) fn show(body: &serde_json::Value, cx: &Context) -> Result<Exit, Failure> {
    let text = match cx.screen.format {
        Format::Yaml => serde_yaml_ng::to_string(body).map_err(|error| Failure::error(error.to_string()))?,
        Format::Jsonl => body.to_string(),
        Format::Table | Format::Wide | Format::Json | Format::Quiet => format!("{body:#}"),
    };
    cx.screen.line(&text).map(|()| Exit::Ok)
}

/// Posts under a key, so that a second try after a lost connection finds the first one's task.
async fn post(body: &serde_json::Value, cx: &Context) -> Result<Made, Failure> {
    let given = body.get("idempotency_key").and_then(|key| key.as_str());
    let key = given.map_or_else(new_key, str::to_owned);
    let posted = cx.client.post::<serde_json::Value>(&["api", "v1", "tasks"], Some(body), Some(&key)).await;
    match posted {
        Ok((status, answer)) => {
            if given.is_some() && status == StatusCode::OK {
                cx.screen.note(&format!("note: the key {key:?} was used before; this is its task"));
            }
            Made::read(answer)
        }
        Err(failure) => match body.get("worker_id").and_then(|id| id.as_str()) {
            Some(on) if matches!(failure.exit, Exit::NotFound | Exit::Unsatisfiable) => {
                Err(worker::near(failure, on, cx).await)
            }
            _ => Err(failure),
        },
    }
}

/// The key of a submission without one, made once for all of its tries.
pub(super) fn new_key() -> String {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    format!("cli-{}", ulid::Ulid::from_parts(now, rand::random()))
}

async fn wait_for(task: &Task, after: &After, cx: &Context) -> Result<Exit, Failure> {
    let deadline = after.wait_timeout.map(|limit| Instant::now() + limit);
    cx.screen.note(&render::task::outcome(task, &cx.screen));
    match wait::until_final(cx, &task.id, deadline).await? {
        Waited::Left => Ok(Exit::Interrupted),
        Waited::Ended(task) => {
            cx.screen.one(&*task, &task.id, || render::task::outcome(&task, &cx.screen))?;
            Ok(wait::exit_of(&task, after.propagate_exit))
        }
        Waited::TooLong => {
            cx.screen.one(task, &task.id, || crate::id::short(&task.id))?;
            Err(wait::still_going(std::slice::from_ref(&task.id)))
        }
    }
}

async fn follow_task(task: &Task, after: &After, cx: &Context) -> Result<Exit, Failure> {
    cx.screen.note(&render::task::outcome(task, &cx.screen));
    let following = follow::Follow::whole(&task.id);
    let ended = match after.wait_timeout {
        Some(limit) => match tokio::time::timeout(limit, following.run(cx)).await {
            Ok(ended) => ended?,
            Err(_) => return Err(wait::still_going(std::slice::from_ref(&task.id))),
        },
        None => following.run(cx).await?,
    };
    match ended {
        Ended::Task(task) => Ok(wait::exit_of(&task, after.propagate_exit)),
        Ended::Printed => Ok(Exit::Ok),
        Ended::Detached => Ok(Exit::Interrupted),
    }
}
