//! `cloudai event stream`: what changes, as it changes, over lost connections too.

use super::Context;
use super::follow::{LOST, pause};
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render::{Format, Screen};
use clap::Subcommand;
use cloudai_master::http::dto::events::Event;
use reqwest::Response;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows what changes as it changes: tasks, jobs, workers, the strategy
    #[command(
        before_help = "  cloudai event stream                              all that you may see, until Ctrl-C\n  \
                             cloudai event stream --types task --task 9QZD     one task\n  \
                             cloudai event stream -o jsonl | your-program      for programs, an event a line"
    )]
    Stream(Stream),
}

#[derive(Debug, clap::Args)]
pub(super) struct Stream {
    /// Only events of these kinds, with commas between them
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = ["task", "job", "worker", "strategy"])]
    types: Vec<String>,
    /// Only of this task, or of the elements of this array
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Only of this job and of its tasks
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only what belongs to this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// From this event on, by its `id`
    #[arg(long, value_name = "EVENT")]
    from: Option<String>,
    /// Ends after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    let Command::Stream(args) = command;
    let mut query = Vec::new();
    if !args.types.is_empty() {
        query.push(("types", args.types.join(",")));
    }
    if let Some(typed) = &args.task {
        query.push(("task", id::resolve(&cx.client, typed).await?));
    }
    if let Some(typed) = &args.job {
        query.push(("job", id::resolve_job(&cx.client, typed).await?));
    }
    query.extend(args.user.map(|user| ("user", user)));
    let mut reading = Reading { query, next: args.from, left: args.limit, answered: false, rest: Vec::new() };
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {}
        ended = reading.finish(cx) => return ended.map(|()| Exit::Ok),
    }
    if let Some(next) = &reading.next {
        cx.screen.note(&format!("\nResume: cloudai event stream --from {next}"));
    }
    Ok(Exit::Ok)
}

/// A reading on its way.
struct Reading {
    query: Vec<(&'static str, String)>,
    /// The id of the event that comes next.
    next: Option<String>,
    /// How many events are still wanted.
    left: Option<u64>,
    /// The master answered at least once.
    answered: bool,
    /// What came of a block that is not whole.
    rest: Vec<u8>,
}

impl Reading {
    /// Reads until all that is wanted has come.
    async fn finish(&mut self, cx: &Context) -> Result<(), Failure> {
        let mut lost = 0;
        loop {
            let before = self.next.clone();
            let failure = match self.open(cx).await {
                Ok(response) => {
                    self.answered = true;
                    let failure = self.read(response, cx).await?;
                    if self.left == Some(0) {
                        return Ok(());
                    }
                    failure
                }
                // The master began anew, or this came too late: what was is lost, what comes is not.
                Err(failure) if failure.code == "gone" && self.answered => {
                    cx.screen.note(&format!("events were lost: {}", failure.what));
                    self.next = None;
                    Some(failure)
                }
                Err(failure) if failure.is_passing() && self.answered => Some(failure),
                Err(failure) => return Err(failure),
            };
            lost = if self.next == before { lost + 1 } else { 1 };
            if lost > LOST {
                let silent =
                    || Failure::new(Exit::Unreachable, "unreachable", format!("{} is silent", cx.client.addr()));
                return Err(failure.unwrap_or_else(silent));
            }
            if lost == 2 {
                cx.screen.note("connection lost, trying again");
            }
            tokio::time::sleep(pause(lost)).await;
        }
    }

    async fn open(&mut self, cx: &Context) -> Result<Response, Failure> {
        self.rest.clear();
        let mut query = self.query.clone();
        query.extend(self.next.clone().map(|next| ("from_seq", next)));
        cx.client.stream_once(&["api", "v1", "events"], &query).await
    }

    /// Shows what one connection brings; answers why it broke off, where that is known.
    async fn read(&mut self, mut response: Response, cx: &Context) -> Result<Option<Failure>, Failure> {
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(cx.client.unreachable(&error))),
            };
            self.rest.extend_from_slice(&chunk);
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..end + 2).collect();
                self.block(&block, cx)?;
                if self.left == Some(0) {
                    return Ok(None);
                }
            }
        }
    }

    /// Takes one block of the stream: an id, and perhaps an event.
    fn block(&mut self, block: &[u8], cx: &Context) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(block);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        if let Some(id) = field("id: ") {
            self.next = Some(behind(id));
        }
        let Some(data) = field("data: ") else { return Ok(()) };
        let event: Event = serde_json::from_str(data).map_err(|error| {
            Failure::error("an event was not understood")
                .why(error.to_string())
                .next("cloudai version, and cloudai cluster status -o wide for the master's")
        })?;
        match event.kind.as_str() {
            "start" => Ok(()),
            "reset" => {
                cx.screen.note(&format!("events were lost: {}", event.message.as_deref().unwrap_or_default()));
                self.next = None;
                Ok(())
            }
            _ => {
                self.left = self.left.map(|left| left.saturating_sub(1));
                show(&event, data, &cx.screen)
            }
        }
    }
}

/// The id of the event behind one.
fn behind(id: &str) -> String {
    let (life, number) = id.rsplit_once('.').map_or((None, id), |(life, number)| (Some(life), number));
    let next = number.parse::<u64>().map_or_else(|_| number.to_owned(), |number| (number + 1).to_string());
    match life {
        Some(life) => format!("{life}.{next}"),
        None => next,
    }
}

fn show(event: &Event, data: &str, screen: &Screen) -> Result<(), Failure> {
    match screen.format {
        Format::Table | Format::Wide => screen.line(&line(event)),
        Format::Quiet => screen.line(subject(event)),
        Format::Json | Format::Jsonl => screen.line(data),
        Format::Yaml => {
            screen.line("---")?;
            screen.one(event, subject(event), String::new)
        }
    }
}

/// What an event is about.
fn subject(event: &Event) -> &str {
    let about = match event.kind.as_str() {
        "task" => &event.task_id,
        "job" => &event.job_id,
        "worker" => &event.worker_id,
        _ => &event.strategy,
    };
    about.as_deref().unwrap_or_default()
}

/// An event for people: when, what, where it stands.
fn line(event: &Event) -> String {
    let about = match event.kind.as_str() {
        "task" | "job" => short(subject(event)),
        _ => subject(event).to_owned(),
    };
    let time = event.at.get(11..19).unwrap_or(&event.at);
    let status = event.status.as_deref().unwrap_or("places tasks now");
    let mut line = format!("{time}  {:<8}  {about:<12}  {status}", event.kind);
    let phase = event.phase.as_deref().filter(|phase| *phase != status);
    for word in [phase, event.reason.as_deref(), event.duty.as_deref()].into_iter().flatten() {
        line.push_str(&format!("  {word}"));
    }
    if let Some(code) = event.exit_code {
        line.push_str(&format!("  exit code {code}"));
    }
    if let (Some(attempt @ 1..), Some(worker), "task") = (event.attempt, &event.worker_id, event.kind.as_str()) {
        line.push_str(&format!("  attempt {attempt} on {worker}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_an_event_is_the_next_of_its_life() {
        for (id, next) in [("1.3.17", "1.3.18"), ("17", "18"), ("x", "x")] {
            assert_eq!(behind(id), next);
        }
    }
}
