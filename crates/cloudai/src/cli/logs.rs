//! `cloudai task logs`: its flags; the reading is `follow.rs`'s.

use super::Context;
use super::follow::Follow;
use super::when::{When, when};
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
    /// Only what it wrote since then: how long ago, as 10m, or a time, as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Only lines in which this regular expression is found; the master looks
    #[arg(long, value_name = "PATTERN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    grep: Option<String>,
    /// Of the pattern, letters of either case
    #[arg(long, short = 'i', requires = "grep")]
    ignore_case: bool,
    /// Only what it wrote to stdout or to stderr
    #[arg(long, value_name = "NAME", value_parser = ["stdout", "stderr"], conflicts_with_all = ["stdout", "stderr"])]
    stream: Option<String>,
    /// The same as --stream stdout
    #[arg(long)]
    stdout: bool,
    /// The same as --stream stderr
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
    reading.since = args.since.map(|since| since.at(cx.client.now()));
    reading.grep = args.grep.as_ref().map(|grep| if args.ignore_case { format!("(?i){grep}") } else { grep.clone() });
    reading.stream = match (args.stream.as_deref(), args.stdout, args.stderr) {
        (Some("stdout"), ..) | (None, true, false) => Some("stdout"),
        (Some(_), ..) | (None, false, true) => Some("stderr"),
        (None, ..) => None,
    };
    // Whatever the task came to: its log was printed.
    reading.run(cx).await.map(|_| Exit::Ok)
}
