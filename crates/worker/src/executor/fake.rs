//! Attempts as nothing but time: for tests of everything else, and for thousands of them a second.
//!
//! An image `fake:ANYTHING` does what its environment says; any other is a start error.
//!
//! | variable | meaning |
//! |---|---|
//! | `FAKE_DURATION_MS` | how long it runs (0); `forever` until it is stopped |
//! | `FAKE_EXIT` | its exit code (0) |
//! | `FAKE_STDOUT`, `FAKE_STDERR` | its output, one record a line |
//! | `FAKE_IGNORE_TERM` | when `1`, only SIGKILL ends it early |
//! | `FAKE_OOM` | when `1`, a process of it was killed for its memory |
//! | `FAKE_PULL_MS` | how long its image is pulled; without it there is no pull |
//! | `FAKE_FAIL` | `pull`, `start` or `engine`: what fails |
//! | `FAKE_DISK_BYTES` | how much of the disk it takes from its start on (0); too much ends it |
//! | `FAKE_MEMORY_BYTES` | the most memory that it is said to have needed; without it that is not known |
//! | `FAKE_CPU_MS` | the time of processors that it is said to have taken; without it that is not known |
//! | `FAKE_LOG_BYTES` | so many bytes more of output, in lines of 100 |
//! | `FAKE_PRINT_SECRETS` | when `1`, it prints each secret that it is given, a line each |
//! | `FAKE_OUT` | `NAME=CONTENT`: a file that it leaves in `/out` |
//!
//! With [`FakeOptions::host`] the files `WORKER.broken` and `WORKER.disk` in that folder say that its engine fails
//! whatever is begun, and how many percent of its disk are used.
//!
//! The images that it has are those of what it began.
//!
//! Its containers live in the executor: they run on while nobody watches, and are gone with it.

mod exec;

use super::exec::{ExecError, ExecWish, Execution};
use super::{EngineError, Executor, Job, JobIo, LogRecord, Stop};
use crate::clock::Clock;
use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, Incarnation};
use cloudai_core::images::MOST;
use cloudai_core::resources::{Bytes as Size, GIB};
use cloudai_core::task::{Cause, LogEnd, Outcome, Step, Used};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::future::pending;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What every image of this executor is called.
const IMAGE: &str = "fake:";
/// Bytes of a line of `FAKE_LOG_BYTES`.
const LINE: u64 = 100;

/// Pretends to run attempts; see the module.
#[derive(Debug)]
pub struct FakeExecutor {
    containers: Mutex<BTreeMap<(Attempt, Incarnation), Container>>,
    journal: Option<Journal>,
    host: Option<PathBuf>,
    worker: String,
    /// The names of the images that were used last, the last first.
    images: Mutex<Vec<String>>,
    /// Another image was used.
    moved: Notify,
}

/// What tests may want of a fake executor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeOptions {
    /// Starts and ends are noted in this file.
    pub journal: Option<PathBuf>,
    /// A folder whose files say what is wrong with the host.
    pub host: Option<PathBuf>,
    /// The worker's name, which begins the names of those files.
    pub worker: String,
}

/// A container that is only remembered.
#[derive(Clone, Debug)]
struct Container {
    started: Instant,
    /// How it ended and how long it ran, once it did.
    end: Option<(End, Duration)>,
    /// It ended, or was removed: so do programs beside its own.
    gone: CancellationToken,
}

#[derive(Clone, Copy, Debug)]
struct End {
    cause: Cause,
    code: i32,
}

impl FakeExecutor {
    /// An executor without containers.
    ///
    /// A journal that can not be written costs a warning, never an attempt.
    #[must_use]
    pub fn new(options: FakeOptions) -> Self {
        let FakeOptions { journal, host, worker } = options;
        let journal = journal.map(Journal::new);
        let (containers, images, moved) = (Mutex::default(), Mutex::default(), Notify::new());
        Self { containers, journal, host, worker, images, moved }
    }

    /// An attempt is about an image: it is there now.
    fn brought(&self, image: &str) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        match images.iter().position(|known| known == image) {
            Some(at) => images[..=at].rotate_right(1),
            None => {
                images.insert(0, image.to_owned());
                images.truncate(MOST);
                self.moved.notify_one();
            }
        }
    }

    /// What a file of this host says; none where it is not there.
    fn told(&self, what: &str) -> Option<String> {
        std::fs::read_to_string(self.host.as_ref()?.join(format!("{}.{what}", self.worker))).ok()
    }

    /// Takes the times of its journal from this clock.
    #[must_use]
    pub fn timed_by(self, clock: Clock) -> Self {
        Self { journal: self.journal.map(|journal| Journal { clock, ..journal }), ..self }
    }

    fn containers(&self) -> MutexGuard<'_, BTreeMap<(Attempt, Incarnation), Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drive(&self, job: &Job, io: &mut JobIo) -> Result<Outcome, Outcome> {
        let program = Program::of(job)?;
        let found = self.containers().get(&job.key()).cloned();
        let mut pulled = None;
        let container = match found {
            Some(container) => container,
            None if job.resume => return Err(nothing(Cause::Vanished, "the fake container is not there any more")),
            None => {
                pulled = program.pull(job, io).await?;
                self.start(&program, job, io).await?
            }
        };
        io.steps.step(Step::Running).await;
        let log = program.hand_over(job, io).await;
        let (end, run) = match container.end {
            Some(end) => end,
            None => self.end(&program, job, io, container.started).await,
        };
        let used = Used { peak_memory: program.memory, cpu: program.cpu, pulled };
        Ok(Outcome { run: Some(run), log, used, ..program.outcome(end) })
    }

    async fn start(&self, program: &Program, job: &Job, io: &mut JobIo) -> Result<Container, Outcome> {
        not_stopped(io)?;
        io.steps.step(Step::Starting).await;
        not_stopped(io)?;
        program.may_start()?;
        if self.told("broken").is_some() {
            return Err(nothing(Cause::EngineError, "the engine failed: its host is broken"));
        }
        program.leave_file(&job.out_dir)?;
        self.brought(&job.spec.image);
        let container = Container { started: Instant::now(), end: None, gone: CancellationToken::new() };
        self.containers().insert(job.key(), container.clone());
        self.note(job, "start", None);
        Ok(container)
    }

    async fn end(&self, program: &Program, job: &Job, io: &mut JobIo, started: Instant) -> (End, Duration) {
        let (end, at) = program.wait(job, &mut io.stop, started).await;
        let run = at.saturating_duration_since(started);
        if let Some(container) = self.containers().get_mut(&job.key()) {
            container.end = Some((end, run));
            container.gone.cancel();
        }
        self.note(job, "end", Some(end.code));
        (end, run)
    }

    fn note(&self, job: &Job, event: &'static str, exit: Option<i32>) {
        if let Some(journal) = &self.journal {
            journal.append(job, event, exit);
        }
    }
}

#[async_trait]
impl Executor for FakeExecutor {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn engine(&self) -> Result<String, EngineError> {
        Ok("fake".into())
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn run(&self, job: &Job, mut io: JobIo) -> Outcome {
        match self.drive(job, &mut io).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn remove(&self, attempt: Attempt, incarnation: Incarnation) -> Result<(), EngineError> {
        if let Some(container) = self.containers().remove(&(attempt, incarnation)) {
            container.gone.cancel();
        }
        Ok(())
    }

    async fn exec(&self, attempt: Attempt, incarnation: Incarnation, wish: &ExecWish) -> Result<Execution, ExecError> {
        self.begin(attempt, incarnation, wish)
    }

    async fn images(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.images.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn images_moved(&self) {
        self.moved.notified().await;
    }

    async fn disk(&self) -> Option<(f64, String)> {
        Some((self.told("disk")?.trim().parse().ok()?, "the fake disk".into()))
    }

    async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError> {
        Ok(self.containers().keys().copied().collect())
    }
}

/// What a fake container does, read from its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Program {
    /// None: until it is stopped.
    duration: Option<Duration>,
    exit: i32,
    ignore_term: bool,
    oom: bool,
    disk: u64,
    memory: Option<u64>,
    cpu: Option<Duration>,
    pull: Option<Duration>,
    fail: Option<String>,
    lines: Vec<(bool, Bytes)>,
    /// Bytes of more lines.
    more: u64,
    out: Option<(String, String)>,
}

impl Program {
    /// # Errors
    /// The outcome of a program that makes no sense: a start error that names the variable.
    fn of(job: &Job) -> Result<Self, Outcome> {
        let image = &job.spec.image;
        if !image.starts_with(IMAGE) {
            let text = format!("the fake executor runs no image {image}: use one named {IMAGE}*, or another executor");
            return Err(nothing(Cause::StartError, &text));
        }
        let env = &job.spec.container.env;
        let get = |name: &str| env.get(name).map(String::as_str);
        let bad = |name: &str, allowed: &str| {
            let value = get(name).unwrap_or_default();
            nothing(Cause::StartError, &format!("{name}={value:?}: expected {allowed}"))
        };
        let millis = |name: &str| {
            let parse = |text: &str| text.parse().map(Duration::from_millis).map_err(|_| bad(name, "milliseconds"));
            get(name).map(parse).transpose()
        };
        let duration = match get("FAKE_DURATION_MS") {
            Some("forever") => None,
            _ => Some(millis("FAKE_DURATION_MS")?.unwrap_or_default()),
        };
        let exit = get("FAKE_EXIT").map(|code| code.parse::<u8>().map_err(|_| bad("FAKE_EXIT", "0 to 255")));
        let bytes = |name: &str| get(name).map(|text| text.parse::<u64>().map_err(|_| bad(name, "bytes"))).transpose();
        let out = get("FAKE_OUT").map(|text| file(text).ok_or_else(|| bad("FAKE_OUT", "NAME=CONTENT")));
        let fail = get("FAKE_FAIL").filter(|what| !what.is_empty());
        if fail.is_some_and(|what| !["pull", "start", "engine"].contains(&what)) {
            return Err(bad("FAKE_FAIL", "pull, start or engine"));
        }
        let told = get("FAKE_PRINT_SECRETS") == Some("1");
        let secrets = job.secrets.iter().filter(|_| told).map(|secret| {
            let line = [b"it is ", secret.value.0.as_slice(), b"\n"].concat();
            (false, Bytes::from(line))
        });
        let lines = |name, stderr| get(name).into_iter().flat_map(move |text| lines(text, stderr));
        Ok(Self {
            duration,
            exit: exit.transpose()?.unwrap_or(0).into(),
            ignore_term: get("FAKE_IGNORE_TERM") == Some("1"),
            oom: get("FAKE_OOM") == Some("1"),
            disk: bytes("FAKE_DISK_BYTES")?.unwrap_or(0),
            memory: bytes("FAKE_MEMORY_BYTES")?,
            cpu: millis("FAKE_CPU_MS")?,
            pull: millis("FAKE_PULL_MS")?,
            fail: fail.map(ToOwned::to_owned),
            lines: lines("FAKE_STDOUT", false).chain(lines("FAKE_STDERR", true)).chain(secrets).collect(),
            more: bytes("FAKE_LOG_BYTES")?.unwrap_or(0),
            out: out.transpose()?,
        })
    }

    /// Answers how long that took; none when its image was there already.
    async fn pull(&self, job: &Job, io: &mut JobIo) -> Result<Option<Duration>, Outcome> {
        let fails = self.fail.as_deref() == Some("pull");
        not_stopped(io)?;
        if self.pull.is_none() && !fails {
            return Ok(None);
        }
        io.steps.step(Step::Pulling).await;
        let (takes, limit) = (self.pull.unwrap_or_default(), job.spec.limits.pull);
        tokio::select! {
            biased;
            stop = wish(&mut io.stop, None) => return Err(nothing(stop.cause, "stopped while its image was pulled")),
            () = sleep(takes.min(limit)) => {}
        }
        let image = &job.spec.image;
        if takes > limit {
            let text = format!("image {image} was not pulled within {} s: raise pull_timeout_s", limit.as_secs_f64());
            return Err(nothing(Cause::ImagePull, &text));
        }
        if fails {
            return Err(nothing(Cause::ImagePull, &format!("image {image} could not be pulled: FAKE_FAIL says so")));
        }
        Ok(Some(takes))
    }

    fn may_start(&self) -> Result<(), Outcome> {
        match self.fail.as_deref() {
            Some("start") => {
                let refused = nothing(Cause::StartError, "the engine refused to start it: FAKE_FAIL says so");
                Err(Outcome { exit_code: Some(125), ..refused })
            }
            Some("engine") => Err(nothing(Cause::EngineError, "the engine failed: FAKE_FAIL says so")),
            _ => Ok(()),
        }
    }

    fn leave_file(&self, dir: &Path) -> Result<(), Outcome> {
        let Some((name, content)) = &self.out else { return Ok(()) };
        let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(dir.join(name), content));
        written.map_err(|why| nothing(Cause::OutputError, &format!("{name}: {why}")))
    }

    /// All of its output is there from its start; the caller's share of it was counted before.
    async fn hand_over(&self, job: &Job, io: &JobIo) -> LogEnd {
        let skip = usize::try_from(job.skip().await).unwrap_or(usize::MAX);
        let mut complete = true;
        let given = self.lines.iter().cloned();
        for (stderr, data) in given.chain((0..self.more_lines()).map(|n| (false, self.line(n)))).skip(skip) {
            let record = LogRecord { time_ns: now_ns(), stderr, data };
            complete &= io.logs.send(record).await.is_ok();
        }
        let bytes = self.lines.iter().map(|(_, data)| data.len() as u64).sum::<u64>() + self.more;
        LogEnd { records: self.lines.len() as u64 + self.more_lines(), bytes, complete, cut: None }
    }

    fn more_lines(&self) -> u64 {
        self.more.div_ceil(LINE)
    }

    /// A line as programs print them: a counter, some numbers that differ, words that do not.
    fn line(&self, number: u64) -> Bytes {
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let text =
            format!("step {number:>12} loss {noise:>20} lr 0.00031 tokens {:>20} of the run, went on", noise >> 7);
        let length = usize::try_from((self.more - number * LINE).min(LINE)).unwrap_or(0);
        let mut line = text.into_bytes();
        line.resize(length, b' ');
        if let Some(last) = line.last_mut() {
            *last = b'\n';
        }
        line.into()
    }

    /// Waits for the end, as an engine would: the first wish gives the cause, later ones only
    /// shorten the grace.
    async fn wait(&self, job: &Job, wishes: &mut watch::Receiver<Option<Stop>>, started: Instant) -> (End, Instant) {
        let by_itself = self.duration.map(|duration| started + duration);
        let limit = job.spec.limits.run.map(|limit| started + limit);
        let excess = (self.disk > job.allocation.storage).then_some(started);
        let mut asked: Option<(Cause, Instant)> = None;
        loop {
            let kill_at = asked.map(|(_, kill_at)| kill_at);
            let stop = tokio::select! {
                biased;
                _ = moment(excess), if asked.is_none() => {
                    Stop { grace: job.spec.limits.kill_after, cause: Cause::StorageExceeded }
                }
                at = moment(by_itself) => {
                    let cause = asked.map_or(Cause::Exited, |(cause, _)| cause);
                    return (End { cause, code: self.exit }, at);
                }
                at = moment(kill_at) => {
                    let cause = asked.map_or(Cause::Stopped, |(cause, _)| cause);
                    return (End { cause, code: 137 }, at);
                }
                stop = wish(wishes, kill_at) => stop,
                _ = moment(limit), if asked.is_none() => {
                    Stop { grace: job.spec.limits.kill_after, cause: Cause::TimedOut }
                }
            };
            let cause = asked.map_or(stop.cause, |(cause, _)| cause);
            if !self.ignore_term {
                return (End { cause, code: 143 }, Instant::now());
            }
            asked = Some((cause, Instant::now() + stop.grace));
        }
    }

    fn outcome(&self, end: End) -> Outcome {
        let message = match (end.cause, end.code) {
            (Cause::Exited, 0) => String::new(),
            (Cause::Exited, code) => format!("exit code {code}: its log tells more"),
            (Cause::StorageExceeded, _) => {
                format!("used {} of disk, more than its storage_gb: raise storage_gb, or write less", Size(self.disk))
            }
            (Cause::TimedOut, _) => "ran longer than its limit: raise timeout_s".into(),
            (_, 137) => "was killed after its grace".into(),
            _ => "ended after SIGTERM".into(),
        };
        Outcome { exit_code: Some(end.code), oom_killed: self.oom, ..Outcome::of(end.cause, message) }
    }
}

/// Each line a record with its line end.
fn lines(text: &str, stderr: bool) -> impl Iterator<Item = (bool, Bytes)> {
    text.lines().map(move |line| (stderr, Bytes::from(format!("{line}\n"))))
}

/// `NAME=CONTENT`, the name a plain file name.
fn file(text: &str) -> Option<(String, String)> {
    let (name, content) = text.split_once('=')?;
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    plain.then(|| (name.to_owned(), content.to_owned()))
}

/// An outcome without a container.
fn nothing(cause: Cause, message: &str) -> Outcome {
    Outcome { log: LogEnd { complete: true, ..LogEnd::default() }, ..Outcome::of(cause, message) }
}

fn not_stopped(io: &JobIo) -> Result<(), Outcome> {
    let stop = *io.stop.borrow();
    stop.map_or(Ok(()), |stop| Err(nothing(stop.cause, "stopped before its container was started")))
}

async fn moment(at: Option<Instant>) -> Instant {
    match at {
        // A timer rounds up to the next millisecond.
        Some(at) if at <= Instant::now() => at,
        Some(at) => {
            sleep_until(at).await;
            at
        }
        None => pending().await,
    }
}

/// The next wish that ends it before `kill_at`; never comes when nobody can wish.
async fn wish(wishes: &mut watch::Receiver<Option<Stop>>, kill_at: Option<Instant>) -> Stop {
    loop {
        let wish = *wishes.borrow_and_update();
        if let Some(stop) = wish
            && kill_at.is_none_or(|kill_at| Instant::now() + stop.grace < kill_at)
        {
            return stop;
        }
        if wishes.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

/// A file of starts and ends, shared by the workers of a test.
#[derive(Debug)]
struct Journal {
    clock: Clock,
    path: PathBuf,
    file: Option<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    task: String,
    attempt: u32,
    event: &'a str,
    t: f64,
    worker: &'a str,
    cpu: f64,
    mem_gb: f64,
    exit: Option<i32>,
}

impl Journal {
    fn new(path: PathBuf) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|why| warn!(path = %path.display(), %why, "fake journal was not opened")).ok();
        Self { clock: Clock::default(), path, file }
    }

    /// One write call a line: lines of several processes do not mix.
    #[allow(clippy::cast_precision_loss)] // thousandths of a core and bytes, for people and referees
    fn append(&self, job: &Job, event: &str, exit: Option<i32>) {
        let Some(mut file) = self.file.as_ref() else { return };
        let line = Line {
            task: job.attempt.task.to_string(),
            attempt: job.attempt.number,
            event,
            t: (self.clock.0)().as_secs_f64(),
            worker: job.identity.worker.as_str(),
            cpu: job.allocation.cpu_milli as f64 / 1000.0,
            mem_gb: job.allocation.memory as f64 / GIB as f64,
            exit,
        };
        let text = serde_json::to_string(&line).map(|text| text + "\n").unwrap_or_default();
        if let Err(why) = file.write_all(text.as_bytes()) {
            warn!(path = %self.path.display(), %why, "fake journal was not written");
        }
    }
}

/// Nanoseconds since the epoch.
fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
