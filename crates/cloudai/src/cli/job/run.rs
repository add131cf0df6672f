//! `cloudai job run`: a job file, submitted whole.

use super::{file, wait};
use crate::cli::document::to_json;
use crate::cli::{Context, send, submit};
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render;
use cloudai_master::http::dto::Job;
use reqwest::StatusCode;
use serde_json::Value;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "  cloudai job run train.toml                   prints the job's id\n  \
     cloudai job run train.toml --wait            exit 0 when all of it completed\n  \
     cloudai job run train.toml --max-fails 0     the first failure cancels what is left\n  \
     generate.py | cloudai job run - --name sweep --hold";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The job file: TOML, YAML or JSON by its ending; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is called, instead of what the file says
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Start nothing of it before `cloudai job release`
    #[arg(long)]
    hold: bool,
    /// Cancel what is left once more than so many of its tasks have failed
    #[arg(long, value_name = "N")]
    max_fails: Option<u32>,
    /// Wait until it ended: exit 0 completed, 3 not
    #[arg(long)]
    wait: bool,
    /// Print the document that would be posted, and stop
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// A document with what the flags say in the place of what it says.
    fn put_into(&self, mut document: Value) -> Value {
        let given = [
            ("name", self.name.as_deref().map(Value::from)),
            ("hold", self.hold.then_some(Value::Bool(true))),
            ("max_fails", self.max_fails.map(Value::from)),
        ];
        if let Value::Object(fields) = &mut document {
            fields.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        document
    }
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let (document, _, shipment) = file::pack(&args.file)?;
    let body = args.put_into(to_json(&document));
    if args.dry_run {
        return submit::show(&body, cx);
    }
    send::send(&shipment, cx).await?;
    let job = post(&body, cx).await?;
    if cx.screen.for_people() {
        cx.screen.note(&render::job::accepted(&job));
    }
    if args.wait {
        return wait::until_end(&job.id, None, cx).await;
    }
    cx.screen.one(&job, &job.id, || job.id.clone())?;
    if job.status == "held" {
        cx.screen.hint(&format!("It is held. Let it go: cloudai job release {}", short(&job.id)));
    }
    Ok(Exit::Ok)
}

/// Posts under a key, so that a second try after a lost connection finds the first one's job.
async fn post(body: &Value, cx: &Context) -> Result<Job, Failure> {
    let given = body.get("idempotency_key").and_then(Value::as_str);
    let key = given.map_or_else(submit::new_key, str::to_owned);
    let (status, job): (_, Job) = cx.client.post(&["api", "v1", "jobs"], Some(body), Some(&key)).await?;
    if given.is_some() && status == StatusCode::OK {
        cx.screen.note(&format!("note: the key {key:?} was used before; this is its job"));
    }
    Ok(job)
}
