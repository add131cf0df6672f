//! `cloudai job graph`: what runs when.

use super::file;
use crate::cli::Context;
use crate::cli::forms::name_of;
use crate::exit::{Exit, Failure};
use crate::id;
use crate::render::Screen;
use cloudai_core::job::{JobPlan, Need, On, graph};
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A job file, as train.toml, or - for stdin; or a job by its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "FILE|JOB")]
    what: String,
    /// Lines, the language of Graphviz, or a drawing
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    format: Form,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Form {
    #[default]
    Text,
    Dot,
    Svg,
}

impl Args {
    /// The file that is meant; none where it is a job.
    pub(super) fn file(&self) -> Option<&Path> {
        let path = Path::new(&self.what);
        (self.what == "-" || self.what.contains(['.', '/']) || path.exists()).then_some(path)
    }
}

impl Form {
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Dot => "dot",
            Self::Svg => "svg",
        }
    }
}

/// A job as its master draws it, with what became of its tasks.
pub(super) async fn of_job(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.what).await?;
    if !cx.screen.for_people() {
        let job = super::whole(&id, cx).await?;
        let names: Vec<&str> = job.parts.iter().map(|part| part.name.as_str()).collect();
        return cx.screen.one(&job, &names.join("\n"), String::new).map(|()| Exit::Ok);
    }
    let form = [("format", args.format.word().to_owned())];
    let drawing = cx.client.stream(&["api", "v1", "jobs", &id, "graph"], &form).await?;
    let drawing =
        drawing.text().await.map_err(|error| Failure::error("the drawing did not come").why(error.to_string()))?;
    cx.screen.one(&Value::Null, "", || drawing).map(|()| Exit::Ok)
}

pub(super) fn run(args: &Args, path: &Path, screen: &Screen) -> Result<Exit, Failure> {
    let plan = file::look(path)?.plan;
    let shown = if screen.for_people() { drawn(&plan, args.format, path)? } else { String::new() };
    let names: Vec<&str> = plan.groups.iter().map(|group| &*group.name).collect();
    screen.one(&as_data(&plan), &names.join("\n"), || shown).map(|()| Exit::Ok)
}

fn drawn(plan: &JobPlan, form: Form, path: &Path) -> Result<String, Failure> {
    match form {
        Form::Text => Ok(graph::text(plan, None)),
        Form::Dot => Ok(graph::dot(plan, None)),
        Form::Svg => graph::svg(plan, None).map_err(|error| {
            let next = format!("cloudai job graph {} --format dot > job.dot, for Graphviz", path.display());
            Failure::error(format!("{} can not be drawn", name_of(path))).why(error.to_string()).next(next)
        }),
    }
}

/// The graph for programs.
fn as_data(plan: &JobPlan) -> Value {
    let need = |need: &Need| {
        let task = match need.on {
            On::Group(number) => plan.group(number).map(|group| group.name.to_string()),
            On::Task(id) => Some(id.to_string()),
        };
        json!({ "task": task, "when": need.when.word() })
    };
    let groups = plan.groups.iter().zip(graph::levels(plan)).map(|(group, level)| {
        let needs: Vec<Value> = group.needs.iter().map(need).collect();
        json!({ "name": group.name, "count": group.count(), "level": level + 1, "needs": needs })
    });
    json!({ "name": plan.name, "tasks": groups.collect::<Vec<_>>() })
}
