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
use tokio::signal::unix::{SignalKind, signal};

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
        None => of_stdin(cx).await?,
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
async fn of_stdin(cx: &Context) -> Result<Vec<u8>, Failure> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return typed(cx).await;
    }
    let mut value = Vec::new();
    (&mut stdin).take(MOST + 1).read_to_end(&mut value)?;
    Ok(value)
}

/// One line of the terminal. Whatever ends the waiting, the terminal shows again what is typed.
async fn typed(cx: &Context) -> Result<Vec<u8>, Failure> {
    let ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut ends = ends.map(signal).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut resumed = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let prompt = || cx.screen.note("type the secret, one line, and Enter; it is not shown:");
    prompt();
    let quiet = Quiet::begin()?;
    // A thread that nobody waits for: the process may end while it reads.
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|_| line);
        drop(tell.send(read));
    });
    let mut told = std::pin::pin!(told);
    let line = loop {
        let ended = futures::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv())));
        tokio::select! {
            line = &mut told => break line,
            _ = resumed.recv() => {
                // The shell that had the terminal meanwhile set it as it likes it.
                quiet.again()?;
                prompt();
            }
            _ = ended => {
                drop(quiet);
                return Err(Failure::error("interrupted: nothing was kept"));
            }
        }
    };
    let line = line.map_err(|_| Failure::error("nothing could be read"))??;
    if quiet.more_waits() {
        return Err(Failure::usage("more than one line came: nothing was kept, and the rest was thrown away")
            .why("a terminal gives one line")
            .next("cloudai secret put NAME --from-file FILE, or < FILE"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).as_bytes().to_vec())
}

/// While it lives the terminal does not show what is typed. What was typed beyond what was read is thrown away at its end.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> std::io::Result<Self> {
        let quiet = Self(tcgetattr(std::io::stdin())?);
        quiet.again()?;
        Ok(quiet)
    }

    fn again(&self) -> std::io::Result<()> {
        let mut quiet = self.0.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        Ok(tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet)?)
    }

    /// Whether more was typed, or pasted, than one line.
    fn more_waits(&self) -> bool {
        rustix::io::ioctl_fionread(std::io::stdin()).is_ok_and(|waiting| waiting > 0)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
