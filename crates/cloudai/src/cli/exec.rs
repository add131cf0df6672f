//! `cloudai task exec`: a program in the container of a running task, on this terminal or with these streams.

mod input;
mod output;
mod relay;
mod terminal;

use super::Context;
use crate::exit::{Exit, Failure};
use crate::id;
use cloudai_master::http::dto::ExecEnd;
use std::io::IsTerminal;
use terminal::{Raw, Resized};

/// The variable that names the kind of a terminal.
const TERM: &str = "TERM";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "ID")]
    id: String,
    /// Pass standard input on; with a terminal it always is
    #[arg(long, short = 'i')]
    interactive: bool,
    /// On a terminal [default: when stdin and stdout are terminals]
    #[arg(long, short = 't')]
    tty: bool,
    /// Without a terminal: stdout and stderr apart
    #[arg(long, short = 'T', conflicts_with = "tty")]
    no_tty: bool,
    /// As this user, as app, 1000 or 1000:100 [default: the container's own]
    #[arg(long, short = 'u', value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// In this folder of the container
    #[arg(long, short = 'w', value_name = "DIR", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    workdir: Option<String>,
    /// A variable for it; K alone takes its value from here; may be repeated
    #[arg(long, short = 'e', value_name = "K=V", value_parser = variable)]
    env: Vec<String>,
    /// Words where nothing belongs
    #[arg(hide = true, value_name = "WORD")]
    misplaced: Vec<String>,
    /// The program and its words [default: a shell]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `NAME=VALUE`, or `NAME` with the value that it has here.
fn variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        None if !text.is_empty() => match std::env::var(text) {
            Ok(value) => Ok(format!("{text}={value}")),
            Err(_) => Err("without = its value is taken from here, where it has none: expected NAME=VALUE".into()),
        },
        Some(_) | None => Err("expected NAME=VALUE".into()),
    }
}

impl Args {
    /// Whether it gets a terminal.
    fn wants_tty(&self) -> Result<bool, Failure> {
        let (stdin, stdout) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
        if self.tty && !stdin {
            return Err(Failure::usage("-t wants a terminal, and standard input is none")
                .why("what comes from a pipe or a file is passed on without a terminal")
                .next("leave -t out; -i passes standard input on"));
        }
        Ok(self.tty || (!self.no_tty && stdin && stdout))
    }

    fn query(&self, tty: bool, stdin: bool) -> Vec<(&'static str, String)> {
        let mut query: Vec<_> = self.command.iter().map(|word| ("command", word.clone())).collect();
        query.extend(self.env.iter().map(|variable| ("env", variable.clone())));
        let named =
            |name: &str| self.env.iter().any(|variable| variable.split_once('=').is_some_and(|(k, _)| k == name));
        if tty {
            if let Ok(term) = std::env::var(TERM)
                && !named(TERM)
            {
                query.push(("env", format!("{TERM}={term}")));
            }
            if let Some((cols, rows)) = terminal::size() {
                query.extend([("cols", cols.to_string()), ("rows", rows.to_string())]);
            }
        }
        query.extend([("tty", tty.to_string()), ("stdin", stdin.to_string())]);
        query.extend(self.user.iter().map(|user| ("user", user.clone())));
        query.extend(self.workdir.iter().map(|workdir| ("workdir", workdir.clone())));
        query
    }
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    if !args.misplaced.is_empty() {
        let words = [&args.misplaced[..], &args.command].concat().join(" ");
        return Err(Failure::usage("one task was expected, and more words came")
            .why("the program and its words go after --")
            .next(format!("cloudai task exec {} -- {words}", args.id)));
    }
    if args.command.first().is_some_and(String::is_empty) {
        return Err(Failure::usage("the command is empty").next("leave it out for a shell, or name a program"));
    }
    let tty = args.wants_tty()?;
    let stdin = tty || args.interactive;
    let id = id::resolve(&cx.client, &args.id).await?;
    // Heard from before the size is read on, so that none is missed.
    let resized = if tty { Some(Resized::listen()?) } else { None };
    let path = ["api", "v1", "tasks", &id, "exec"];
    let socket = cx.client.web_socket(&path, &args.query(tty, stdin)).await?;
    let raw = if tty { Some(Raw::enter()?) } else { None };
    let ended = relay::Relay { socket, stdin, resized }.run().await;
    // Before anything is told.
    drop(raw);
    match ended? {
        relay::Ended::Said(end) => told(end, &id, args.command.is_empty()),
        relay::Ended::Signal(number) => Ok(Exit::Signal(number)),
        relay::Ended::Lost(why) => Err(lost("the connection to the master was lost", &id).why(why)),
    }
}

/// What the end means for whoever called.
fn told(end: ExecEnd, id: &str, shell: bool) -> Result<Exit, Failure> {
    match end {
        ExecEnd::Exit { code, message } => {
            let exit = Exit::Container(u8::try_from(code).unwrap_or(1));
            let Some(why) = message else { return Ok(exit) };
            let next = if shell {
                format!("name a program that its image has: cloudai task exec {} -- PROGRAM", id::short(id))
            } else {
                "look at the names of program, user and folder".into()
            };
            Err(Failure::new(exit, "not_started", "it could not be run in the container").why(why).next(next))
        }
        ExecEnd::Error { code, message, next } => Err(match code.as_str() {
            "task_ended" => Failure::new(Exit::Conflict, &code, message).next(next),
            "worker_lost" | "worker_stopped" | "stopping" => lost(&message, id),
            _ => Failure::new(Exit::Error, &code, message).next(next),
        }),
    }
}

fn lost(what: &str, id: &str) -> Failure {
    Failure::new(Exit::Unreachable, "lost", what)
        .why("the program is ended without its terminal; the task goes on")
        .next(format!("cloudai task info {0}, and cloudai task exec {0} to begin another", id::short(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_value_has_that_of_here() {
        assert_eq!(variable("A=b=c").unwrap(), "A=b=c");
        assert_eq!(variable("A=").unwrap(), "A=");
        let path = std::env::var("PATH").unwrap();
        assert_eq!(variable("PATH").unwrap(), format!("PATH={path}"));
        for bad in ["", "=x", "CLOUDAI_NO_SUCH_VARIABLE"] {
            assert!(variable(bad).unwrap_err().contains("expected NAME=VALUE"), "{bad}");
        }
    }

    #[test]
    fn every_end_has_its_exit_code() {
        let exit = |end| match told(end, "task-01JD000000000000007K3M9QZD", false) {
            Ok(exit) => exit.code(),
            Err(failure) => failure.exit.code(),
        };
        for code in [0, 7, 137, 255] {
            assert_eq!(i32::from(exit(ExecEnd::Exit { code, message: None })), code);
        }
        assert_eq!(exit(ExecEnd::Exit { code: 127, message: Some("no such program".into()) }), 127);
        let rows = [("task_ended", 7), ("worker_lost", 8), ("worker_stopped", 8), ("stopping", 8), ("engine", 1)];
        for (code, expected) in rows {
            let end = ExecEnd::Error { code: code.into(), message: "x".into(), next: "y".into() };
            assert_eq!(exit(end), expected, "{code}");
        }
    }
}
