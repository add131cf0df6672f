//! `cloudai task logs`: its flags; the reading is `follow.rs`'s.

use super::Context;
use super::follow::Follow;
use crate::exit::{Exit, Failure};
use crate::id;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "ID")]
    id: String,
    /// Go on until it ended, through queue, pull and new attempts
    #[arg(long, short = 'F')]
    follow: bool,
    /// Begin this many records before the end
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Of this attempt [default: the latest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Only what it wrote to stdout
    #[arg(long)]
    stdout: bool,
    /// Only what it wrote to stderr
    #[arg(long)]
    stderr: bool,
    /// Put the time before each line
    #[arg(long)]
    timestamps: bool,
}

impl Args {
    /// The command that follows one task.
    pub(super) fn following(id: String) -> Self {
        Self { id, follow: true, ..Self::default() }
    }
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, &args.id).await?;
    let mut reading = Follow::whole(&id);
    reading.follow = args.follow;
    reading.tail = args.tail;
    reading.attempt = args.attempt;
    reading.timestamps = args.timestamps;
    reading.stream = match (args.stdout, args.stderr) {
        (true, false) => Some("stdout"),
        (false, true) => Some("stderr"),
        (true, true) | (false, false) => None,
    };
    // Whatever the task came to: its log was printed.
    reading.run(cx).await.map(|_| Exit::Ok)
}
