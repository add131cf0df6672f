//! Reads a log from the master and writes it out, each record once, over lost connections too.
//!
//! Bytes go out as they came: stdout's to stdout, stderr's to stderr. Words about the task
//! (where it waits, a new attempt, its end) go to stderr.

use super::Context;
use crate::client::jittered;
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render::{self, Format};
use base64::Engine;
use cloudai_core::state::Status;
use cloudai_master::http::dto::{LogDamage, LogEntry, LogLine, LogState, Task};
use jiff::Timestamp;
use std::io::Write;
use std::time::Duration;

/// What to read.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    id: String,
    /// Go on until the task ended.
    pub(super) follow: bool,
    /// Records before the end to begin with.
    pub(super) tail: Option<u64>,
    /// Only this attempt.
    pub(super) attempt: Option<u32>,
    /// Nothing written before.
    pub(super) since: Option<Timestamp>,
    /// A regular expression that lines must have.
    pub(super) grep: Option<String>,
    /// `stdout` or `stderr` alone.
    pub(super) stream: Option<&'static str>,
    /// Times before lines.
    pub(super) timestamps: bool,
}

/// How a reading ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The task ended; this is it.
    Task(Box<Task>),
    /// The log was printed to its present end.
    Printed,
    /// The user left; the task goes on.
    Detached,
}

/// How one connection ended.
enum Part {
    /// The log is complete; with `follow` the task is at this end.
    Whole(Option<LogState>),
    /// The connection was lost on the way.
    Cut(Option<Failure>),
}

/// Lost connections in a row, without a record between, until the master is given up.
pub(super) const LOST: u32 = 20;
/// Lost connections until a master that never answered is given up.
const NEVER_ANSWERED: u32 = 3;

impl Follow {
    /// The whole log of the latest attempt, followed to the end of the task.
    pub(super) fn whole(id: &str) -> Self {
        Self {
            id: id.into(),
            follow: true,
            tail: None,
            attempt: None,
            since: None,
            grep: None,
            stream: None,
            timestamps: false,
        }
    }

    /// Reads to the end, or until Ctrl-C.
    /// # Errors
    /// The master's problem, or that it could not be reached any more.
    pub(super) async fn run(&self, cx: &Context) -> Result<Ended, Failure> {
        let mut reading = Reading::new(self, cx);
        if !self.follow {
            reading.finish(cx).await?;
            // The log was printed: what else is to be said of it is no reason to fail.
            if let Ok(task) = self.task(cx).await {
                self.tell_cuts(reading.first, &task, cx);
            }
            return Ok(Ended::Printed);
        }
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                detached(&self.id, "logs {} --follow", cx);
                Ok(Ended::Detached)
            }
            ended = reading.finish(cx) => {
                let state = ended?;
                self.conclude(state, reading.first, cx).await
            }
        }
    }

    async fn task(&self, cx: &Context) -> Result<Task, Failure> {
        cx.client.get(&["api", "v1", "tasks", &self.id], &[]).await
    }

    /// Says what of the logs that were printed, from this attempt on, was not kept.
    fn tell_cuts(&self, first: Option<u32>, task: &Task, cx: &Context) {
        let last = self.attempt.or_else(|| first.filter(|_| !self.follow)).unwrap_or(task.attempt);
        let first = self.attempt.or(first).unwrap_or(last);
        let printed = task.attempts.iter().filter(|attempt| (first..=last).contains(&attempt.attempt));
        printed.filter_map(|attempt| render::task::log_cut(attempt, task)).for_each(|note| cx.screen.note(&note));
    }

    /// Tells on one line what the task came to.
    async fn conclude(&self, state: Option<LogState>, first: Option<u32>, cx: &Context) -> Result<Ended, Failure> {
        let task = self.task(cx).await?;
        self.tell_cuts(first, &task, cx);
        let ended = task.status.parse::<Status>().is_ok_and(Status::is_final);
        cx.screen.note(&render::task::outcome(&task, &cx.screen));
        if ended && task.status != Status::Completed.word() {
            cx.screen.hint(&format!("Next: cloudai task info {}", short(&self.id)));
        }
        match state {
            Some(_) if ended => Ok(Ended::Task(Box::new(task))),
            // One attempt was asked for, and the task goes on with another.
            _ => Ok(Ended::Printed),
        }
    }
}

/// Says how to come back to a task that was left by Ctrl-C.
pub(super) fn detached(id: &str, resume: &str, cx: &Context) {
    let id = short(id);
    let resume = resume.replace("{}", &id);
    cx.screen
        .note(&format!("\nDetached, the task goes on. Resume: cloudai task {resume}. Stop: cloudai task cancel {id}"));
}

/// A reading on its way.
struct Reading<'a> {
    what: &'a Follow,
    out: Output,
    /// The attempt and the record that come next.
    next: Option<(u32, u64)>,
    /// The attempt of the first record that was written out.
    first: Option<u32>,
    /// That of the last.
    shown: Option<u32>,
    /// What was last told about the task.
    told: Option<String>,
    /// The master answered at least once.
    answered: bool,
}

impl<'a> Reading<'a> {
    fn new(what: &'a Follow, cx: &Context) -> Self {
        let out = Output::new(what, cx);
        Self { what, out, next: None, first: None, shown: None, told: None, answered: false }
    }

    async fn finish(&mut self, cx: &Context) -> Result<Option<LogState>, Failure> {
        let mut lost = 0;
        loop {
            let before = self.next;
            let part = match cx.client.stream_once(&["api", "v1", "tasks", &self.what.id, "logs"], &self.query()).await
            {
                Ok(response) => {
                    self.answered = true;
                    self.read(response, cx).await?
                }
                Err(failure) if failure.is_passing() => Part::Cut(Some(failure)),
                Err(failure) => return Err(failure),
            };
            let failure = match part {
                Part::Whole(state) if !self.goes_on(state.as_ref()) => return Ok(state),
                Part::Whole(_) => None,
                Part::Cut(failure) => failure,
            };
            lost = if self.next == before { lost + 1 } else { 1 };
            if lost > if self.answered { LOST } else { NEVER_ANSWERED } {
                return Err(failure.unwrap_or_else(|| self.given_up(cx)));
            }
            if lost == 2 && self.answered {
                cx.screen.note("-- connection lost, trying again --");
            }
            tokio::time::sleep(pause(lost)).await;
        }
    }

    fn given_up(&self, cx: &Context) -> Failure {
        Failure::new(Exit::Unreachable, "unreachable", format!("{} ends the log before its end", cx.client.addr()))
            .next(format!("cloudai task logs {} --follow", short(&self.what.id)))
    }

    /// Whether the task has more attempts than the one whose log ended here.
    fn goes_on(&mut self, state: Option<&LogState>) -> bool {
        let Some(state) = state.filter(|_| self.what.follow && self.what.attempt.is_none()) else { return false };
        if self.next.is_none_or(|(attempt, _)| state.attempt > attempt) && state.attempt > 0 && !is_final(state) {
            self.next = Some((state.attempt, 0));
        }
        !is_final(state)
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        let attempt = self.next.map(|(attempt, _)| attempt).or(self.what.attempt);
        query.extend(attempt.map(|attempt| ("attempt", attempt.to_string())));
        match self.next {
            Some((_, record)) => query.push(("from", record.to_string())),
            None => query.extend(self.what.tail.map(|tail| ("tail", tail.to_string()))),
        }
        query.extend(self.what.since.map(|since| ("since", since.to_string())));
        query.extend(self.what.grep.clone().map(|grep| ("grep", grep)));
        query.extend(self.what.stream.map(|stream| ("stream", stream.to_owned())));
        if self.what.follow {
            query.push(("follow", "true".to_owned()));
        }
        query
    }

    /// Writes what one connection brings.
    async fn read(&mut self, mut response: reqwest::Response, cx: &Context) -> Result<Part, Failure> {
        let mut rest: Vec<u8> = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) if self.what.follow => return Ok(Part::Cut(None)),
                Ok(None) => return Ok(Part::Whole(None)),
                Err(error) => return Ok(Part::Cut(Some(cx.client.unreachable(&error)))),
            };
            rest.extend_from_slice(&chunk);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let lines: Vec<u8> = rest.drain(..=end).collect();
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if let Some(state) = self.line(line, cx)? {
                    self.out.flush()?;
                    return Ok(Part::Whole(Some(state)));
                }
            }
            self.out.flush()?;
        }
    }

    /// Takes one line; answers the state at which the log ended.
    fn line(&mut self, line: &[u8], cx: &Context) -> Result<Option<LogState>, Failure> {
        let parsed: LogLine = serde_json::from_slice(line).map_err(|error| {
            Failure::error("a line of the log was not understood")
                .why(error.to_string())
                .next("cloudai version, and cloudai cluster status -o wide for the master's")
        })?;
        match &parsed {
            LogLine::Log(entry) => {
                let came = (entry.attempt, entry.n);
                if self.next.is_some_and(|next| came < next) {
                    return Ok(None);
                }
                self.new_attempt(entry, cx);
                self.out.record(entry, line)?;
                self.next = Some((entry.attempt, entry.n + 1));
                Ok(None)
            }
            LogLine::State(state) => {
                self.tell(state, cx);
                self.out.other(line)?;
                Ok(None)
            }
            LogLine::End(state) => {
                self.out.other(line)?;
                Ok(Some(state.clone()))
            }
            LogLine::Damaged(lost) => {
                let LogDamage { attempt, first, last } = lost;
                cx.screen.note(&format!(
                    "-- records {first} to {last} of attempt {attempt} are damaged on the master's disk --"
                ));
                self.out.other(line)?;
                self.next = Some((*attempt, last + 1));
                Ok(None)
            }
        }
    }

    /// Marks where the log of another attempt begins, also when the news of it were missed.
    fn new_attempt(&mut self, entry: &LogEntry, cx: &Context) {
        self.first.get_or_insert(entry.attempt);
        let before = self.shown.replace(entry.attempt);
        if self.what.follow && before.is_some_and(|before| before != entry.attempt) {
            cx.screen.note(&format!("-- attempt {} --", entry.attempt));
        }
    }

    /// Says where the task stands, when that is news.
    fn tell(&mut self, state: &LogState, cx: &Context) {
        let word = state.phase.as_deref().unwrap_or(&state.status);
        let mut text = word.to_owned();
        if let Some(reason) = state.reason.as_deref().filter(|reason| *reason != word) {
            text.push_str(&format!(", {reason}"));
        }
        if let (Some(worker), true) = (&state.worker_id, state.attempt > 0) {
            text.push_str(&format!(", attempt {} on {worker}", state.attempt));
        }
        if !state.message.is_empty() {
            text.push_str(&format!(": {}", render::table::printable(&state.message)));
        }
        if self.told.as_ref() != Some(&text) {
            cx.screen.note(&format!("-- {text} --"));
            self.told = Some(text);
        }
    }
}

fn is_final(state: &LogState) -> bool {
    state.status.parse::<Status>().is_ok_and(Status::is_final)
}

/// The pause after so many lost connections in a row: 50 ms to 5 s.
pub(super) fn pause(lost: u32) -> Duration {
    let longest = Duration::from_millis(100).saturating_mul(1 << lost.saturating_sub(1).min(6));
    jittered(longest.min(Duration::from_secs(5)))
}

/// Where records go, and whether the next begins a line.
struct Output {
    lines: bool,
    timestamps: bool,
    /// For stdout and stderr: the last byte ended a line.
    at_line_start: [bool; 2],
}

impl Output {
    fn new(what: &Follow, cx: &Context) -> Self {
        let lines = match cx.screen.format {
            Format::Json | Format::Jsonl => true,
            Format::Table | Format::Wide | Format::Yaml | Format::Quiet => false,
        };
        Self { lines, timestamps: what.timestamps, at_line_start: [true; 2] }
    }

    /// Writes a record: its bytes, or `line` as it came where JSON lines are wanted.
    fn record(&mut self, entry: &LogEntry, line: &[u8]) -> Result<(), Failure> {
        if self.lines {
            return self.other(line);
        }
        let bytes = match (&entry.text, &entry.base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
                Failure::error(format!("record {} of the log is damaged", entry.n)).why(error.to_string())
            })?,
            (None, None) => Vec::new(),
        };
        let to_stderr = entry.stream == "stderr";
        let at_start = std::mem::replace(
            &mut self.at_line_start[usize::from(to_stderr)],
            bytes.last().is_none_or(|last| *last == b'\n'),
        );
        let time = if self.timestamps && at_start { format!("{} ", entry.time) } else { String::new() };
        if to_stderr {
            let mut out = std::io::stderr().lock();
            out.write_all(time.as_bytes())?;
            out.write_all(&bytes)?;
        } else {
            let mut out = std::io::stdout().lock();
            out.write_all(time.as_bytes())?;
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    fn other(&self, line: &[u8]) -> Result<(), Failure> {
        if self.lines {
            let mut out = std::io::stdout().lock();
            out.write_all(line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Failure> {
        std::io::stdout().lock().flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::pause;
    use std::time::Duration;

    #[test]
    fn pauses_grow_to_five_seconds() {
        assert!(pause(1) <= Duration::from_millis(100) && pause(1) >= Duration::from_millis(50));
        assert!(pause(4) > pause(1));
        for lost in 7..100 {
            assert!((2..=5).contains(&pause(lost).as_secs()), "{lost}");
        }
    }
}
