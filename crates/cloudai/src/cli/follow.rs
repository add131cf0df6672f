//! Reads a log from the master and writes it out, each record once, over lost connections too.
//!
//! Of one task bytes go out as they came: stdout's to stdout, stderr's to stderr. Words about the task
//! (where it waits, a new attempt, its end) go to stderr. Where else a log may go is a [`Sink`].

use super::Context;
use crate::client::jittered;
use crate::exit::{Exit, Failure};
use crate::id::short;
use crate::render::{self, Format, Screen};
use base64::Engine;
use cloudai_core::state::Status;
use cloudai_master::http::dto::{LogDamage, LogEntry, LogLine, LogState, Task};
use jiff::Timestamp;
use reqwest::Response;
use std::fmt;
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

/// Where a log goes, and what is said of it while it is read.
pub(super) trait Sink {
    /// Takes a record; `line` is what it came in.
    fn record(&mut self, entry: &LogEntry, line: &[u8]) -> Result<(), Failure>;
    /// Takes a line that is no record.
    fn other(&mut self, line: &[u8]) -> Result<(), Failure>;
    /// What was taken may be seen now.
    fn flush(&mut self) -> Result<(), Failure>;
    /// Takes a word about the reading or the task.
    fn tell(&mut self, news: &News<'_>) -> Result<(), Failure>;
}

/// What there is to say while a log is read.
pub(super) enum News<'a> {
    /// The connection was lost and is not back at once.
    Lost,
    /// What comes next is another attempt's.
    Attempt(u32),
    /// Some of it can not be read any more.
    Damaged(&'a LogDamage),
    /// Where the task stands, in words.
    Stands(&'a str),
}

impl fmt::Display for News<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("connection lost, trying again"),
            Self::Attempt(number) => write!(f, "attempt {number}"),
            Self::Damaged(LogDamage { attempt, first, last }) => {
                write!(f, "records {first} to {last} of attempt {attempt} are damaged on the master's disk")
            }
            Self::Stands(words) => f.write_str(words),
        }
    }
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
        let mut out = Output::new(self, cx);
        let mut reading = Reading::new(self, None, &mut out);
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
                detached("task", &self.id, "logs {} --follow", cx);
                Ok(Ended::Detached)
            }
            ended = reading.finish(cx) => {
                let state = ended?;
                self.conclude(state, reading.first, cx).await
            }
        }
    }

    /// Reads to the end into a sink, beginning with what was [opened](Self::open) before; answers where the task stands
    /// then, with `follow`.
    /// # Errors
    /// As of [`Self::run`].
    pub(super) async fn pour<S: Sink>(
        &self,
        opened: Option<Response>,
        out: &mut S,
        cx: &Context,
    ) -> Result<Option<LogState>, Failure> {
        Reading::new(self, opened, out).finish(cx).await
    }

    /// Asks for the log, from this record of this attempt on where one is named. Nothing of the answer is read.
    /// # Errors
    /// The master's problem, or that it could not be reached; tried once.
    pub(super) async fn open(&self, next: Option<(u32, u64)>, cx: &Context) -> Result<Response, Failure> {
        cx.client.stream_once(&["api", "v1", "tasks", &self.id, "logs"], &self.query(next)).await
    }

    fn query(&self, next: Option<(u32, u64)>) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        let attempt = next.map(|(attempt, _)| attempt).or(self.attempt);
        query.extend(attempt.map(|attempt| ("attempt", attempt.to_string())));
        match next {
            Some((_, record)) => query.push(("from", record.to_string())),
            None => query.extend(self.tail.map(|tail| ("tail", tail.to_string()))),
        }
        query.extend(self.since.map(|since| ("since", since.to_string())));
        query.extend(self.grep.clone().map(|grep| ("grep", grep)));
        query.extend(self.stream.map(|stream| ("stream", stream.to_owned())));
        if self.follow {
            query.push(("follow", "true".to_owned()));
        }
        query
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

/// Says how to come back to a task or a job that was left by Ctrl-C.
pub(super) fn detached(noun: &str, id: &str, resume: &str, cx: &Context) {
    let id = short(id);
    let resume = resume.replace("{}", &id);
    cx.screen.note(&format!(
        "\nDetached, the {noun} goes on. Resume: cloudai {noun} {resume}. Stop: cloudai {noun} cancel {id}"
    ));
}

/// A reading on its way.
struct Reading<'a, S> {
    what: &'a Follow,
    /// The first answer, where it was asked for before.
    opened: Option<Response>,
    out: &'a mut S,
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

impl<'a, S: Sink> Reading<'a, S> {
    fn new(what: &'a Follow, opened: Option<Response>, out: &'a mut S) -> Self {
        Self { what, opened, out, next: None, first: None, shown: None, told: None, answered: false }
    }

    async fn finish(&mut self, cx: &Context) -> Result<Option<LogState>, Failure> {
        let mut lost = 0;
        loop {
            let before = self.next;
            let opened = match self.opened.take() {
                Some(response) => Ok(response),
                None => self.what.open(self.next, cx).await,
            };
            let part = match opened {
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
                self.out.tell(&News::Lost)?;
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

    /// Writes what one connection brings.
    async fn read(&mut self, mut response: Response, cx: &Context) -> Result<Part, Failure> {
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
                if let Some(state) = self.line(line)? {
                    self.out.flush()?;
                    return Ok(Part::Whole(Some(state)));
                }
            }
            self.out.flush()?;
        }
    }

    /// Takes one line; answers the state at which the log ended.
    fn line(&mut self, line: &[u8]) -> Result<Option<LogState>, Failure> {
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
                self.new_attempt(entry)?;
                self.out.record(entry, line)?;
                self.next = Some((entry.attempt, entry.n + 1));
                Ok(None)
            }
            LogLine::State(state) => {
                self.tell(state)?;
                self.out.other(line)?;
                Ok(None)
            }
            LogLine::End(state) => {
                self.out.other(line)?;
                Ok(Some(state.clone()))
            }
            LogLine::Damaged(lost) => {
                self.out.tell(&News::Damaged(lost))?;
                self.out.other(line)?;
                self.next = Some((lost.attempt, lost.last + 1));
                Ok(None)
            }
        }
    }

    /// Marks where the log of another attempt begins, also when the news of it were missed.
    fn new_attempt(&mut self, entry: &LogEntry) -> Result<(), Failure> {
        self.first.get_or_insert(entry.attempt);
        let before = self.shown.replace(entry.attempt);
        if self.what.follow && before.is_some_and(|before| before != entry.attempt) {
            self.out.tell(&News::Attempt(entry.attempt))?;
        }
        Ok(())
    }

    /// Says where the task stands, when that is news.
    fn tell(&mut self, state: &LogState) -> Result<(), Failure> {
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
            self.out.tell(&News::Stands(&text))?;
            self.told = Some(text);
        }
        Ok(())
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

/// The bytes of a record.
/// # Errors
/// They came in a form that is none.
pub(super) fn bytes_of(entry: &LogEntry) -> Result<Vec<u8>, Failure> {
    match (&entry.text, &entry.base64) {
        (Some(text), _) => Ok(text.clone().into_bytes()),
        (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
            Failure::error(format!("record {} of the log is damaged", entry.n)).why(error.to_string())
        }),
        (None, None) => Ok(Vec::new()),
    }
}

/// Whether the lines of a log are wanted as they come, not what they say.
pub(super) fn as_lines(screen: &Screen) -> bool {
    match screen.format {
        Format::Json | Format::Jsonl => true,
        Format::Table | Format::Wide | Format::Yaml | Format::Quiet => false,
    }
}

/// Where records go, and whether the next begins a line.
struct Output<'a> {
    screen: &'a Screen,
    timestamps: bool,
    /// For stdout and stderr: the last byte ended a line.
    at_line_start: [bool; 2],
}

impl<'a> Output<'a> {
    fn new(what: &Follow, cx: &'a Context) -> Self {
        Self { screen: &cx.screen, timestamps: what.timestamps, at_line_start: [true; 2] }
    }
}

impl Sink for Output<'_> {
    /// Writes a record: its bytes, or `line` as it came where JSON lines are wanted.
    fn record(&mut self, entry: &LogEntry, line: &[u8]) -> Result<(), Failure> {
        if as_lines(self.screen) {
            return self.other(line);
        }
        let bytes = bytes_of(entry)?;
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

    fn other(&mut self, line: &[u8]) -> Result<(), Failure> {
        if as_lines(self.screen) {
            let mut out = std::io::stdout().lock();
            out.write_all(line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        std::io::stdout().lock().flush()?;
        Ok(())
    }

    fn tell(&mut self, news: &News<'_>) -> Result<(), Failure> {
        self.screen.note(&format!("-- {news} --"));
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
