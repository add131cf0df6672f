//! `cloudai secret`: values that go in and never come out.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render;
use bytes::Bytes;
use clap::Subcommand;
use cloudai_core::resources;
use cloudai_master::http::dto::{List, Rotated, Secret};
use reqwest::Method;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Where the API has them.
const PATH: [&str; 3] = ["api", "v1", "secrets"];
/// The largest, which the master says too.
const MOST: u64 = 64 << 10;

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
    Rotate,
}

#[derive(Debug, clap::Args)]
pub(super) struct Put {
    /// What it is called: 1 to 63 of a-z A-Z 0-9 . _ -
    name: String,
    /// A file with the value, to the last byte, instead of stdin
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Which
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Put(args) => put(&args, cx).await?,
        Command::List => {
            let list: List<Secret> = cx.client.get(&PATH, &[]).await?;
            cx.screen.list(&list, |secret| secret.name.clone(), || render::secret::list(&list.items, &cx.screen))?;
        }
        Command::Remove(args) => {
            for name in &args.names {
                cx.client.delete(&[&PATH[..], &[name]].concat(), &[]).await?;
                cx.screen.note(&format!("{name}  removed"));
            }
        }
        Command::Rotate => {
            let path = [&PATH[..], &["rotate"]].concat();
            let (_, rotated): (_, Rotated) = cx.client.post(&path, None, None).await?;
            let count = rotated.secrets;
            let line = || format!("{count} secret{} sealed with a new key", if count == 1 { "" } else { "s" });
            cx.screen.one(&rotated, &count.to_string(), line)?;
        }
    }
    Ok(Exit::Ok)
}

async fn put(args: &Put, cx: &Context) -> Result<(), Failure> {
    let value = match &args.from_file {
        Some(path) => of_file(path)?,
        None => of_stdin(cx)?,
    };
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

fn of_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |why: std::io::Error| {
        Failure::usage(format!("{} can not be read", path.display()))
            .why(why.to_string())
            .next("cloudai secret put --help")
    };
    let mut value = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut value)).map_err(unreadable)?;
    Ok(value)
}

/// All of stdin; from a terminal one line, which is not shown.
fn of_stdin(cx: &Context) -> Result<Vec<u8>, Failure> {
    let mut stdin = std::io::stdin().lock();
    if !stdin.is_terminal() {
        let mut value = Vec::new();
        stdin.take(MOST + 1).read_to_end(&mut value)?;
        return Ok(value);
    }
    cx.screen.note("type the secret and Enter; it is not shown:");
    let mut line = String::new();
    {
        let _quiet = Quiet::begin()?;
        stdin.read_line(&mut line)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).as_bytes().to_vec())
}

/// While it lives the terminal does not show what is typed.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
