//! `cloudai registry`: credentials by which images are pulled.

use super::Context;
use super::hidden::Hidden;
use super::named;
use super::plan::{self, Would};
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::spec::RegistryName;
use cloudai_master::http::dto::{List, Registry};
use std::path::PathBuf;

/// Where the API has them.
const PATH: [&str; 3] = ["api", "v1", "registries"];
/// The longest password, which the master says too.
const MOST: u64 = 16 << 10;
/// How a password is read.
const HIDDEN: Hidden = Hidden {
    what: "password",
    most: MOST,
    help: "cloudai registry login --help",
    otherwise: "cloudai registry login HOST --username NAME --password-file FILE, or < FILE",
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Keeps credentials, in the place of earlier ones; the password comes from stdin or a file, never as a word
    #[command(before_help = "  cloudai registry login ghcr.io --username ann < token.txt\n  \
                             cloudai registry login docker.io --username ann       asks for the password; Docker Hub\n  \
                             cloudai registry login registry.example:5000 --username ci --password-file pw --cluster")]
    Login(Login),
    /// Lists your credentials and the cluster's, without their passwords, which nobody is shown
    List,
    /// Removes credentials: images are pulled without them from then on
    Logout(Logout),
}

#[derive(Debug, clap::Args)]
pub(super) struct Login {
    /// The host that image names begin with, as ghcr.io or registry.example:5000; docker.io is Docker Hub
    #[arg(value_parser = named::<RegistryName>)]
    host: String,
    /// Under which name
    #[arg(short, long, value_name = "NAME")]
    username: String,
    /// A file with the password, instead of stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// For the tasks of all who have none of their own, instead of yours alone
    #[arg(long)]
    cluster: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Logout {
    /// The host that image names begin with; docker.io is Docker Hub
    #[arg(value_parser = named::<RegistryName>)]
    host: String,
    /// The cluster's, instead of your own
    #[arg(long)]
    cluster: bool,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Login(args) => login(&args, cx).await?,
        Command::List => {
            let list: List<Registry> = cx.client.get(&PATH, &[]).await?;
            cx.screen.list(
                &list,
                |registry| registry.host.clone(),
                || render::registry::list(&list.items, &cx.screen),
            )?;
        }
        Command::Logout(args) if args.dry_run => return would_remove(&args, cx).await,
        Command::Logout(args) => {
            let query = [("scope", scope(args.cluster).to_owned())];
            cx.client.delete(&[&PATH[..], &[&args.host]].concat(), &query).await?;
            cx.screen.note(&format!("{}  removed", args.host));
        }
    }
    Ok(Exit::Ok)
}

async fn would_remove(args: &Logout, cx: &Context) -> Result<Exit, Failure> {
    let list: List<Registry> = cx.client.get(&PATH, &[]).await?;
    let host = args.host.clone();
    let is_meant = |registry: &Registry| registry.host == host && registry.scope == scope(args.cluster);
    let Some(found) = list.items.into_iter().find(is_meant) else {
        let whom = if args.cluster { "the cluster" } else { "you" };
        return Err(
            Failure::not_found(format!("no credentials of {host} are stored for {whom}")).next("cloudai registry list")
        );
    };
    let means = format!("remove {host}: its images are pulled without them from then on");
    let plans = vec![Would::of(found, "remove", means)];
    plan::tell(plans, |registry| registry.host.clone(), &[host], cx)
}

async fn login(args: &Login, cx: &Context) -> Result<(), Failure> {
    let password = HIDDEN.read(args.password_file.as_deref(), cx).await?;
    if password.len() as u64 > MOST {
        return Err(Failure::usage("the password is larger than 16 KiB, the most there may be")
            .next("cloudai registry login --help"));
    }
    let password = String::from_utf8(password).map_err(|_| {
        Failure::usage("the password is no text").why("it is not UTF-8").next("cloudai registry login --help")
    })?;
    // What a file or a pipe ends with is no part of it.
    let password = password.strip_suffix('\n').unwrap_or(&password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Failure::usage("the password is empty").why("nothing came").next("cloudai registry login --help"));
    }
    let body = serde_json::json!({ "username": args.username, "password": password, "scope": scope(args.cluster) });
    let kept: Registry = cx.client.put(&[&PATH[..], &[&args.host]].concat(), &body).await?;
    let whom = if args.cluster { "for the cluster" } else { "for you" };
    cx.screen.one(&kept, &kept.host, || {
        format!("{}  kept {whom}, as {}; not tried: the next pull shows them", kept.host, args.username)
    })
}

const fn scope(cluster: bool) -> &'static str {
    if cluster { "cluster" } else { "own" }
}
