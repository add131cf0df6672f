//! `cloudai template`: documents with places for parameters, kept by the master.

use super::Context;
use super::document::to_json;
use super::forms::Kind;
use super::plan::{self, Would};
use super::several::{self, Refused};
use super::{brought, made, named, submit};
use crate::config::key_value;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::ids::TemplateName;
use cloudai_core::spec::{SpecError, Value};
use cloudai_core::template::{OF_TEMPLATE, OF_VERSION, Template as Read, files_of, with_labels};
use cloudai_master::http::dto::{List, Template};
use std::path::PathBuf;

/// Where the API has them.
const PATH: [&str; 3] = ["api", "v1", "templates"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Keeps a template; another content of the same name becomes its next version
    #[command(before_help = "  cloudai template put train train.toml        TOML, YAML or JSON; - is stdin\n  \
                             cloudai template run train -p lr=0.1         what it makes")]
    Put(Put),
    /// Lists your templates
    List,
    /// Shows a template: its parameters, its versions; with -o yaml also the document
    #[command(before_help = "  cloudai template show train\n  cloudai template show train --version 2 -o yaml")]
    Show(Show),
    /// Removes templates with all of their versions: schedules that name them make nothing any more
    Remove(Remove),
    /// Fills a template and submits the task or the job that it makes
    #[command(before_help = "  cloudai template run train -p lr=0.1 -p epochs=3\n  \
                             cloudai template run train -p lr=0.1 --dry-run     only prints what would be submitted\n  \
                             cloudai template run train -p lr=0.1 --wait        exit 0 when it completed, 3 when not")]
    Run(Run),
}

#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// What it is called: 1 to 63 of a-z A-Z 0-9 . _ -
    #[arg(value_parser = named::<TemplateName>)]
    name: String,
    /// The template: TOML, YAML or JSON by its ending; - is stdin
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Which
    #[arg(value_parser = named::<TemplateName>)]
    name: String,
    /// In this version, not the latest
    #[arg(long, value_name = "N")]
    version: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Which
    #[arg(value_name = "NAME", required = true, value_parser = named::<TemplateName>)]
    names: Vec<String>,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// Which
    #[arg(value_parser = named::<TemplateName>)]
    name: String,
    /// The value of a parameter; may be repeated
    #[arg(short, long = "param", value_name = "K=V", value_parser = key_value)]
    params: Vec<(String, String)>,
    /// In this version, not the latest
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// Print the document that would be submitted, and stop
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until it ended: exit 0 completed, 3 not
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Put(args) => put(&args, cx).await?,
        Command::List => {
            let list: List<Template> = cx.client.get(&PATH, &[]).await?;
            let table = || render::template::list(&list.items, cx.client.now(), &cx.screen);
            cx.screen.list(&list, |template| template.name.clone(), table)?;
        }
        Command::Show(args) => {
            let template = stored(&args.name, args.version, cx).await?;
            let card = || render::template::card(&template, cx.client.now(), &cx.screen);
            cx.screen.one(&template, &template.name, card)?;
        }
        Command::Remove(args) => return remove(&args, cx).await,
        Command::Run(args) => return submit_filled(&args, cx).await,
    }
    Ok(Exit::Ok)
}

async fn stored(name: &str, version: Option<u32>, cx: &Context) -> Result<Template, Failure> {
    cx.client.get(&[&PATH[..], &[name]].concat(), &query(version)).await
}

fn query(version: Option<u32>) -> Vec<(&'static str, String)> {
    version.map(|version| ("version", version.to_string())).into_iter().collect()
}

async fn put(args: &Put, cx: &Context) -> Result<(), Failure> {
    let document = Kind::TEMPLATE.read(&args.file)?;
    Read::from_value(&document).map_err(|error| not_valid(&error))?;
    let path = [&PATH[..], &[&args.name]].concat();
    let kept: Template = cx.client.put(&path, &to_json(&document)).await?;
    cx.screen.one(&kept, &kept.name, || format!("{}  kept as version {}", kept.name, kept.version))?;
    cx.screen.hint(&format!("Run it: cloudai template run {}{}", kept.name, places(&kept.params)));
    Ok(())
}

/// The parameters as they are typed, for a hint.
fn places(params: &[String]) -> String {
    params.iter().map(|name| format!(" -p {name}=...")).collect()
}

fn not_valid(error: &SpecError) -> Failure {
    let failure = Failure { code: "invalid".into(), ..Failure::usage("the template is not valid") };
    let failure = error.0.iter().fold(failure, |failure, field| failure.why(field.to_string()));
    failure.next("mend the file; its fields: docs/templates.md")
}

/// Removes each that is there, whatever the others are.
async fn remove(args: &Remove, cx: &Context) -> Result<Exit, Failure> {
    let names = several::each_once(&args.names);
    let mut refused = Refused::none(names.len(), "removed");
    if args.dry_run {
        let mut plans = Vec::new();
        for name in names {
            let means = format!("remove {name} with all of its versions: schedules that name it make nothing any more");
            let found = refused.sort(name, stored(name, None, cx).await);
            plans.extend(found.map(|template| Would::of(template, "remove", means)));
        }
        let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|template| template.name.clone()).collect();
        if !plans.is_empty() {
            plan::tell(plans, |template| template.name.clone(), &lines, cx)?;
        }
        return refused.end();
    }
    refused.remove(&PATH, &names, cx).await
}

async fn submit_filled(args: &Run, cx: &Context) -> Result<Exit, Failure> {
    let params = params(&args.params)?;
    if args.dry_run {
        let template = stored(&args.name, args.version, cx).await?;
        let template = read(&template)?;
        let filled = template.fill(&params).map_err(|error| not_filled(&args.name, &error))?;
        let (filled, _) = brought::bring(template.makes, filled)?;
        template.makes.check(&filled).map_err(|error| not_filled(&args.name, &error))?;
        return submit::show(&to_json(&filled), cx);
    }
    // What can not be looked at here, or not be filled, the master says best.
    if let Ok(found) = stored(&args.name, args.version, cx).await
        && let Ok(template) = read(&found)
        && let Ok(filled) = template.fill(&params)
        && !files_of(template.makes, &filled).is_empty()
    {
        let made_by = [(OF_TEMPLATE, found.name.clone()), (OF_VERSION, found.version.to_string())];
        let answer = brought::submit(template.makes, with_labels(filled, &made_by), cx).await?;
        return made::tell(answer, args.wait, cx).await;
    }
    let path = [&PATH[..], &[&args.name, "run"]].concat();
    let body = serde_json::json!({ "params": to_json(&params) });
    let key = submit::new_key();
    let (_, answer) = cx.client.post_with(&path, &query(args.version), Some(&body), Some(&key)).await?;
    made::tell(answer, args.wait, cx).await
}

/// The template that an answer holds.
fn read(template: &Template) -> Result<Read, Failure> {
    let document = template.document.clone().unwrap_or_default();
    let document = serde_json::from_value::<Value>(document).map_err(|error| Failure::error(error.to_string()))?;
    Read::from_value(&document).map_err(|error| not_valid(&error))
}

/// The parameters that were typed, as a map of texts.
pub(super) fn params(typed: &[(String, String)]) -> Result<Value, Failure> {
    let mut params: Vec<(String, Value)> = Vec::new();
    for (name, value) in typed {
        if params.iter().any(|(known, _)| known == name) {
            return Err(Failure::usage(format!("-p gives {name} twice")).why("a parameter has one value"));
        }
        params.push((name.clone(), Value::Text(value.clone())));
    }
    Ok(Value::Map(params))
}

fn not_filled(name: &str, error: &SpecError) -> Failure {
    let failure = Failure { code: "invalid".into(), ..Failure::usage(format!("{name} can not be run so")) };
    let failure = error.0.iter().fold(failure, |failure, field| failure.why(field.to_string()));
    failure.next(format!("cloudai template show {name}"))
}
