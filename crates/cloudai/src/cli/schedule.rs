//! `cloudai schedule`: what is submitted again and again, when its time comes.

use super::Context;
use super::document::to_json;
use super::forms::{Kind, folder_of, name_of};
use super::local::{self, Shipment};
use super::plan::{self, Would};
use super::several::{self, Refused};
use super::{job, made, named, submit, template};
use crate::config::key_value;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::ids::{ScheduleName, TemplateName};
use cloudai_core::spec::Value;
use cloudai_master::http::dto::{List, Schedule};
use std::path::{Path, PathBuf};

/// Where the API has them.
const PATH: [&str; 3] = ["api", "v1", "schedules"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Keeps a schedule, in the place of an earlier one of the name
    #[command(before_help = "  cloudai schedule put nightly nightly.toml    a file has all fields; - is stdin\n  \
                             cloudai schedule put nightly --cron '30 2 * * *' --time-zone Europe/Berlin --template train -p lr=0.1\n  \
                             cloudai schedule put report --cron @daily --file report.toml      a job file")]
    Put(Box<Put>),
    /// Lists your schedules: when each comes next, and what became of the last run
    List,
    /// Shows one schedule: its next times, its last run, why nothing came of the last time
    #[command(before_help = "  cloudai schedule show nightly\n  cloudai schedule show nightly -o yaml")]
    Show(One),
    /// Keeps the times of a schedule from coming, until it is resumed
    Pause(One),
    /// Lets the times of a paused schedule come again, from now on
    Resume(One),
    /// Submits now what a schedule is of
    #[command(before_help = "  cloudai schedule run nightly\n  \
                             cloudai schedule run nightly --wait          exit 0 when it completed, 3 when not")]
    Run(Run),
    /// Removes schedules; what they made goes on
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Which
    #[arg(value_parser = named::<ScheduleName>)]
    name: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// Which
    #[arg(value_parser = named::<ScheduleName>)]
    name: String,
    /// Wait until it ended: exit 0 completed, 3 not
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Which
    #[arg(value_name = "NAME", required = true, value_parser = named::<ScheduleName>)]
    names: Vec<String>,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// What it is called: 1 to 63 of a-z A-Z 0-9 . _ -
    #[arg(value_parser = named::<ScheduleName>)]
    name: String,
    /// A file with all fields, instead of the flags: TOML, YAML or JSON by its ending; - is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["cron", "time_zone", "overlap", "catch_up", "paused", "template", "job", "task"])]
    whole: Option<PathBuf>,
    /// When: minute, hour, day of the month, month and day of the week, or @hourly, @daily, @weekly, @monthly
    #[arg(long, value_name = "EXPRESSION", required_unless_present = "whole")]
    cron: Option<String>,
    /// In whose time, as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// When a time comes and the last run has not ended: skip it, let it wait, or cancel that run [default: skip]
    #[arg(long, value_name = "WHAT", value_parser = ["skip", "queue", "replace"])]
    overlap: Option<String>,
    /// Which times are run that were missed while the master was away [default: last]
    #[arg(long, value_name = "WHICH", value_parser = ["none", "last", "all"])]
    catch_up: Option<String>,
    /// No time comes before `schedule resume`
    #[arg(long)]
    paused: bool,
    /// What is submitted: what this stored template makes
    #[arg(long, value_name = "NAME", value_parser = named::<TemplateName>)]
    template: Option<String>,
    /// The template in this version, not in its latest
    #[arg(long, value_name = "N", requires = "template")]
    version: Option<u32>,
    /// The value of a parameter of the template; may be repeated
    #[arg(short, long = "param", value_name = "K=V", value_parser = key_value, requires = "template")]
    params: Vec<(String, String)>,
    /// What is submitted: the job of this file
    #[arg(long = "file", value_name = "JOBFILE", conflicts_with = "template")]
    job: Option<PathBuf>,
    /// What is submitted: the task of this file
    #[arg(long = "task-file", value_name = "FILE", conflicts_with_all = ["template", "job"])]
    task: Option<PathBuf>,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Put(args) => {
            let schedule: Schedule = cx.client.put(&path(&args.name, &[]), &to_json(&args.document()?)).await?;
            tell(&schedule, cx)?;
        }
        Command::List => {
            let list: List<Schedule> = cx.client.get(&PATH, &[]).await?;
            let table = || render::schedule::list(&list.items, cx.client.now(), &cx.screen);
            cx.screen.list(&list, |schedule| schedule.name.clone(), table)?;
        }
        Command::Show(one) => {
            let schedule = stored(&one.name, cx).await?;
            let card = || render::schedule::card(&schedule, cx.client.now());
            cx.screen.one(&schedule, &schedule.name, card)?;
        }
        Command::Pause(one) => order(&one.name, "pause", cx).await?,
        Command::Resume(one) => order(&one.name, "resume", cx).await?,
        Command::Run(args) => {
            let key = submit::new_key();
            let (_, answer) = cx.client.post(&path(&args.name, &["run"]), None, Some(&key)).await?;
            return made::tell(answer, args.wait, cx).await;
        }
        Command::Remove(args) => return remove(&args, cx).await,
    }
    Ok(Exit::Ok)
}

fn path<'a>(name: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&PATH[..], &[name], rest].concat()
}

async fn stored(name: &str, cx: &Context) -> Result<Schedule, Failure> {
    cx.client.get(&path(name, &[]), &[]).await
}

async fn order(name: &str, verb: &str, cx: &Context) -> Result<(), Failure> {
    let (_, schedule): (_, Schedule) = cx.client.post(&path(name, &[verb]), None, None).await?;
    tell(&schedule, cx)
}

/// Where it stands now, in a line.
fn tell(schedule: &Schedule, cx: &Context) -> Result<(), Failure> {
    cx.screen.one(schedule, &schedule.name, || render::schedule::line(schedule, cx.client.now()))
}

/// Removes each that is there, whatever the others are.
async fn remove(args: &Remove, cx: &Context) -> Result<Exit, Failure> {
    let names = several::each_once(&args.names);
    let mut refused = Refused::none(names.len(), "removed");
    if args.dry_run {
        let mut plans = Vec::new();
        for name in names {
            let found = refused.sort(name, stored(name, cx).await);
            let means = format!("remove {name}: no time of it comes any more, what it made goes on");
            plans.extend(found.map(|schedule| Would::of(schedule, "remove", means)));
        }
        let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|schedule| schedule.name.clone()).collect();
        if !plans.is_empty() {
            plan::tell(plans, |schedule| schedule.name.clone(), &lines, cx)?;
        }
        return refused.end();
    }
    refused.remove(&PATH, &names, cx).await
}

impl Put {
    /// The document of the file, or of the flags; its rules are the master's.
    fn document(&self) -> Result<Value, Failure> {
        if let Some(whole) = &self.whole {
            return Kind::SCHEDULE.read(whole);
        }
        let texts = [
            ("cron", &self.cron),
            ("time_zone", &self.time_zone),
            ("overlap", &self.overlap),
            ("catch_up", &self.catch_up),
        ];
        let mut fields: Vec<(String, Value)> = Vec::new();
        for (name, text) in texts {
            fields.extend(text.as_ref().map(|text| (name.to_owned(), Value::Text(text.clone()))));
        }
        fields.extend(self.paused.then(|| ("paused".to_owned(), Value::Bool(true))));
        fields.push(self.what()?);
        Ok(Value::Map(fields))
    }

    /// What is submitted, with the field that has it.
    fn what(&self) -> Result<(String, Value), Failure> {
        // Beside a file, with which no template can be, the parser asks for none.
        if self.template.is_none() && (self.version.is_some() || !self.params.is_empty()) {
            let failure = Failure::usage("--param and --version are those of a template");
            return Err(failure.next("name it: --template NAME"));
        }
        match (&self.template, &self.job, &self.task) {
            (Some(name), _, _) => {
                let mut used = vec![("name".to_owned(), Value::Text(name.clone()))];
                used.extend(self.version.map(|version| ("version".to_owned(), Value::Int(version.into()))));
                if !self.params.is_empty() {
                    used.push(("params".to_owned(), template::params(&self.params)?));
                }
                Ok(("template".into(), Value::Map(used)))
            }
            (None, Some(file), _) => {
                let (document, _, shipment) = job::pack(file)?;
                lasting(&shipment, file)?;
                Ok(("job".into(), document))
            }
            (None, None, Some(file)) => {
                let mut document = Kind::TASK.read(file)?;
                let unclear = |why| Failure::usage(format!("{} was not understood", name_of(file))).why(why);
                local::begin_at(&mut document, folder_of(file)).map_err(unclear)?;
                lasting(&local::take(&mut document)?, file)?;
                Ok(("task".into(), document))
            }
            (None, None, None) => Err(Failure::usage("nothing was said of what is to be submitted")
                .why("a schedule has a template, a job or a task")
                .next("add --template NAME, --file JOBFILE or --task-file FILE")),
        }
    }
}

/// Refuses contents of this machine: those that no task has are let go after a day.
fn lasting(shipment: &Shipment, file: &Path) -> Result<(), Failure> {
    if shipment.contents.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!("{} has inputs of this machine", file.display()))
        .why("the master keeps them for a day, and then no run of the schedule would find them")
        .next("name an address (https://, s3://), a volume, or put them into the image"))
}
