//! `cloudai project`: users who see each other's tasks.

use super::plan::{self, Would};
use super::several::{self, Refused};
use super::{Context, named};
use crate::account::Project;
use crate::context::name as plain;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::ids::UserId;
use cloudai_master::http::dto::List;

/// Where the API has them.
const PATH: [&str; 3] = ["api", "v1", "projects"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists your projects, or as an administrator all
    List,
    /// Makes a project, or gives one other members
    #[command(
        before_help = "  cloudai project set vision ann bob           they see each other's tasks, files and logs"
    )]
    Set(Set),
    /// Removes projects: their members see only their own tasks again
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// The name
    #[arg(value_parser = plain)]
    name: String,
    /// All of its members, in the place of those before
    #[arg(value_name = "USER", value_parser = named::<UserId>)]
    members: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Which
    #[arg(value_name = "NAME", required = true, value_parser = plain)]
    names: Vec<String>,
    /// Only tell which would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            let list = stored(cx).await?;
            let people = || render::account::projects(&list.items, &cx.screen);
            cx.screen.list(&list, |project| project.name.clone(), people)?;
        }
        Command::Set(args) => {
            let body = serde_json::json!({ "members": args.members });
            let project: Project = cx.client.put(&[&PATH[..], &[&args.name]].concat(), &body).await?;
            let line = || format!("{}  {}", project.name, project.members.join(", "));
            cx.screen.one(&project, &project.name, line)?;
        }
        Command::Remove(args) => return remove(&args, cx).await,
    }
    Ok(Exit::Ok)
}

async fn stored(cx: &Context) -> Result<List<Project>, Failure> {
    cx.client.get(&PATH, &[]).await
}

/// Removes each that is there, whatever the others are.
async fn remove(args: &Remove, cx: &Context) -> Result<Exit, Failure> {
    let names = several::each_once(&args.names);
    let mut refused = Refused::none(names.len(), "removed");
    if !args.dry_run {
        return refused.remove(&PATH, &names, cx).await;
    }
    let stored = stored(cx).await?.items;
    let mut plans = Vec::new();
    for name in names {
        let absent = || Failure::not_found(format!("there is no project {name}")).next("cloudai project list");
        let found = stored.iter().find(|project| project.name == name).cloned().ok_or_else(absent);
        let means = format!("remove {name}: its members see only their own tasks again");
        plans.extend(refused.sort(name, found).map(|project| Would::of(project, "remove", means)));
    }
    let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|project| project.name.clone()).collect();
    if !plans.is_empty() {
        plan::tell(plans, |project| project.name.clone(), &lines, cx)?;
    }
    refused.end()
}
