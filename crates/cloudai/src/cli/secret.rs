//! `cloudai secret`: values that go in and never come out.

use super::Context;
use super::hidden::Hidden;
use super::named;
use super::plan::{self, Would};
use super::several::{self, Refused};
use crate::exit::{Exit, Failure};
use crate::render;
use bytes::Bytes;
use clap::Subcommand;
use cloudai_core::ids::SecretName;
use cloudai_core::resources;
use cloudai_master::http::dto::{List, Rotated, Secret};
use reqwest::Method;
use std::path::PathBuf;

/// Where the API has them.
const PATH: [&str; 3] = ["api", "v1", "secrets"];
/// The largest, which the master says too.
const MOST: u64 = 64 << 10;
/// How a value is read.
const HIDDEN: Hidden = Hidden {
    what: "secret",
    most: MOST,
    help: "cloudai secret put --help",
    otherwise: "cloudai secret put NAME --from-file FILE, or < FILE",
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Keeps a secret, in the place of an earlier one of the name; its value comes from stdin or a file, never as a word
    #[command(before_help = "  cloudai secret put token < token.txt\n  \
                             pass show registry | cloudai secret put registry\n  \
                             cloudai secret put tls --from-file key.pem\n  \
                             cloudai task submit IMAGE --secret token     finds it as /run/secrets/token")]
    Put(Put),
    /// Lists your secrets, without their values, which nobody is shown
    List,
    /// Removes secrets: tasks that name them and begin later fail
    Remove(Remove),
    /// Seals all secrets of the cluster with a new key, and forgets the old one
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// What it is called: 1 to 63 of a-z A-Z 0-9 . _ -
    #[arg(value_parser = named::<SecretName>)]
    name: String,
    /// A file with the value, to the last byte, instead of stdin; - is stdin
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Which
    #[arg(value_name = "NAME", required = true, value_parser = named::<SecretName>)]
    names: Vec<String>,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// Only tell what would be sealed
    #[arg(long)]
    dry_run: bool,
}

/// What a dry run knows of what `rotate` would seal: only those of the caller.
#[derive(Debug, serde::Serialize)]
struct Yours {
    your_secrets: usize,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Put(args) => put(&args, cx).await?,
        Command::List => {
            let list = stored(cx).await?;
            cx.screen.list(&list, |secret| secret.name.clone(), || render::secret::list(&list.items, &cx.screen))?;
        }
        Command::Remove(args) => return remove(&args, cx).await,
        Command::Rotate(args) if args.dry_run => {
            let rotated = Yours { your_secrets: stored(cx).await?.items.len() };
            let means = format!(
                "seal all secrets and credentials of the cluster, {} of the secrets yours, with a new key, and forget the old one",
                rotated.your_secrets
            );
            let plans = vec![Would::of(rotated, "rotate", means)];
            return plan::tell(plans, |rotated| rotated.your_secrets.to_string(), &[], cx);
        }
        Command::Rotate(_) => {
            let path = [&PATH[..], &["rotate"]].concat();
            let (_, rotated): (_, Rotated) = cx.client.post(&path, None, None).await?;
            let count = rotated.secrets;
            let line = || format!("{count} secrets and credentials of registries sealed with a new key");
            cx.screen.one(&rotated, &count.to_string(), line)?;
        }
    }
    Ok(Exit::Ok)
}

/// Your secrets, without their values.
async fn stored(cx: &Context) -> Result<List<Secret>, Failure> {
    cx.client.get(&PATH, &[]).await
}

/// Removes each that is there, whatever the others are.
async fn remove(args: &Remove, cx: &Context) -> Result<Exit, Failure> {
    let names = several::each_once(&args.names);
    let mut refused = Refused::none(names.len(), "removed");
    if args.dry_run {
        let stored = stored(cx).await?.items;
        let mut plans = Vec::new();
        for name in names {
            let found = stored.iter().find(|secret| secret.name == name).cloned();
            let absent = || Failure::not_found(format!("no secret {name} is stored")).next("cloudai secret list");
            let means = format!("remove {name}: tasks that name it and begin later fail");
            plans.extend(refused.sort(name, found.ok_or_else(absent)).map(|it| Would::of(it, "remove", means)));
        }
        let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|secret| secret.name.clone()).collect();
        if !plans.is_empty() {
            plan::tell(plans, |secret| secret.name.clone(), &lines, cx)?;
        }
        return refused.end();
    }
    refused.remove(&PATH, &names, cx).await
}

async fn put(args: &Put, cx: &Context) -> Result<(), Failure> {
    let value = HIDDEN.read(args.from_file.as_deref(), cx).await?;
    if value.is_empty() {
        return Err(Failure::usage("the secret is empty").why("nothing came").next("cloudai secret put --help"));
    }
    if value.len() as u64 > MOST {
        let most = resources::Bytes(MOST);
        return Err(Failure::usage(format!("the secret is larger than {most}, the most there may be"))
            .next("give a large file as an input: cloudai task submit --input FILE"));
    }
    let path = [&PATH[..], &[&args.name]].concat();
    let secret: Secret = cx.client.send_bytes(Method::PUT, &path, &[], Bytes::from(value)).await?;
    cx.screen.one(&secret, &secret.name, || format!("{}  kept, {}", secret.name, resources::Bytes(secret.bytes as u64)))
}
