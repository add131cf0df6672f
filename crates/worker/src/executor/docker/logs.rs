//! A container's output through the engine's log API: every record once, in order, to the last.
//!
//! Each reading begins at the first byte and skips what was handed over already, counted in
//! records, so that a broken stream or a new life of the worker loses and repeats nothing.

use super::error::{Backoff, Fault};
use super::stamp;
use crate::executor::LogRecord;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use cloudai_core::task::LogEnd;
use futures::{Stream, StreamExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::warn;

/// How long a followed log may be silent after its container ended; a stream that the engine
/// forgot to end is then replaced by a reading of what is there.
const QUIET: Duration = Duration::from_secs(5);
/// Readings after the end that may disagree with the last record before the log counts as broken.
const MAX_LAST_READINGS: u32 = 3;

/// Between two readings of a log that can not be followed: soon enough for people who watch,
const LOOK: Duration = Duration::from_millis(250);
/// and so many times what a reading takes, so that a long log costs a twentieth of the time.
const REST: u32 = 20;

/// How a log is read while its container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// By one stream that goes on.
    Follow,
    /// By whole readings, again and again. Podman drops lines at random from a stream that is
    /// behind when its container ends (4.3.1: its follower throws away what it has not sent yet).
    Repeat,
}

/// What was read of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Handed {
    /// Records and bytes, earlier lives of the worker included.
    pub(super) log: LogEnd,
    /// What the init process said about a program that it could not start.
    pub(super) init_says: Option<String>,
}

/// Hands a container's output over until its end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    docker: &'a Docker,
    id: &'a str,
    sink: &'a mpsc::Sender<LogRecord>,
    ended: watch::Receiver<bool>,
    manner: Manner,
    /// The last record of the last reading and its place, when it was kept back.
    kept_back: Option<(u64, LogRecord)>,
    patience: Duration,
    /// Records that the caller has.
    handed: u64,
    /// The newest record that was read, to compare with the engine's last.
    newest: Option<LogRecord>,
    bytes: &'a AtomicU64,
    /// Its first line when that is an error: perhaps the complaint of the init process.
    head: Vec<u8>,
}

/// How far a reading is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    records: u64,
    bytes: u64,
}

/// Why a reading ended.
enum Stopped {
    /// The engine said that there is no more, or fell silent after the container's end.
    AtEnd,
    /// The stream broke.
    Broken(Fault),
    /// Nobody takes records any more.
    Unwanted,
}

impl<'a> Reader<'a> {
    /// A reader that counts the bytes of the log in `bytes`, earlier lives of the worker included.
    pub(super) fn new(
        docker: &'a Docker,
        id: &'a str,
        sink: &'a mpsc::Sender<LogRecord>,
        bytes: &'a AtomicU64,
    ) -> Self {
        let (_, ended) = watch::channel(true);
        let patience = super::error::PATIENCE;
        let (manner, kept_back) = (Manner::Follow, None);
        Self { docker, id, sink, ended, manner, kept_back, patience, handed: 0, newest: None, bytes, head: Vec::new() }
    }

    /// Skips the records that an earlier life of the worker handed over.
    pub(super) fn skipping(self, records: u64) -> Self {
        Self { handed: records, ..self }
    }

    /// Reads along with a running container until `ended` says that it is none.
    pub(super) fn until(self, ended: watch::Receiver<bool>, manner: Manner, patience: Duration) -> Self {
        Self { ended, manner, patience, ..self }
    }

    /// Reads to the end; returns after the last record was handed over.
    pub(super) async fn run(mut self) -> Handed {
        let mut backoff = Backoff::new();
        let (mut progress, mut since) = (self.handed, Instant::now());
        let mut last_readings = 0;
        let complete = loop {
            let over = *self.ended.borrow();
            let began = Instant::now();
            let stopped = self.read().await;
            if self.handed > progress {
                (progress, since, backoff) = (self.handed, Instant::now(), Backoff::new());
            }
            match stopped {
                Stopped::Unwanted => break false,
                Stopped::AtEnd if over && self.is_whole().await => break true,
                Stopped::AtEnd if over => last_readings += 1,
                Stopped::AtEnd => self.pause(began.elapsed()).await,
                Stopped::Broken(fault) => {
                    warn!(container = self.id, why = fault.text(), "log broke off");
                    if !fault.may_pass() || since.elapsed() > self.patience {
                        break false;
                    }
                    backoff.pause().await;
                }
            }
            if last_readings == MAX_LAST_READINGS {
                warn!(container = self.id, records = self.handed, "log stayed incomplete");
                break false;
            }
        };
        let log = LogEnd { records: self.handed, bytes: self.bytes.load(Ordering::Relaxed), complete, cut: None };
        Handed { log, init_says: init_complaint(&self.head) }
    }

    /// Waits until there may be more: a followed log that ended first has no more before the
    /// container's end.
    async fn pause(&mut self, took: Duration) {
        let rest = match self.manner {
            Manner::Follow => Duration::MAX,
            Manner::Repeat => LOOK.max(took * REST),
        };
        // An error says that the one who waits for the end is gone, and so is the reason to wait.
        let _ = timeout(rest, self.ended.wait_for(|ended| *ended)).await;
    }

    /// One reading from the first byte.
    async fn read(&mut self) -> Stopped {
        let runs = !*self.ended.borrow();
        let follow = runs && self.manner == Manner::Follow;
        // While somebody writes to it, a log that is read to its end may end within a record.
        let torn = runs && self.manner == Manner::Repeat;
        let options = LogsOptionsBuilder::new().follow(follow).stdout(true).stderr(true).timestamps(true).tail("all");
        let mut stream = std::pin::pin!(self.docker.logs(self.id, Some(options.build())));
        let mut place = Place::default();
        let mut last = None;
        loop {
            let item = match self.next(stream.as_mut()).await {
                Some(item) => item.and_then(record),
                None if last.is_none() => return Stopped::AtEnd,
                None => break,
            };
            let record = match item {
                Ok(record) => record,
                Err(fault) => return Stopped::Broken(fault),
            };
            let ready = if torn { last.replace(record) } else { Some(record) };
            if let Some(record) = ready
                && !self.take(&mut place, record).await
            {
                return Stopped::Unwanted;
            }
        }
        // The same at the same place in two readings: it is whole.
        let last = last.map(|record| (place.records, record));
        if last != self.kept_back {
            self.kept_back = last;
            return Stopped::AtEnd;
        }
        if let Some((_, record)) = last
            && !self.take(&mut place, record).await
        {
            return Stopped::Unwanted;
        }
        Stopped::AtEnd
    }

    /// Notes the next record of a reading, and hands it over if it is new; false when nobody takes it.
    async fn take(&mut self, place: &mut Place, record: LogRecord) -> bool {
        self.note_head(place, &record);
        place.records += 1;
        place.bytes += record.data.len() as u64;
        self.bytes.fetch_max(place.bytes, Ordering::Relaxed);
        if place.records >= self.handed {
            self.newest = Some(record.clone());
        }
        if place.records > self.handed {
            if self.sink.send(record).await.is_err() {
                return false;
            }
            self.handed = place.records;
        }
        true
    }

    /// The init process may write its line in pieces, and each may be a record.
    fn note_head(&mut self, place: &Place, record: &LogRecord) {
        const LONGEST: u64 = 1024;
        if place.records == 0 {
            self.head.clear();
        }
        let begun = place.bytes == self.head.len() as u64 && self.head.last() != Some(&b'\n');
        if record.stderr && begun && place.bytes < LONGEST {
            self.head.extend_from_slice(&record.data);
        }
    }

    /// The stream's next item; none at its end and when it stays silent after the container's.
    async fn next<S>(&mut self, mut stream: std::pin::Pin<&mut S>) -> Option<Result<LogOutput, Fault>>
    where
        S: Stream<Item = Result<LogOutput, bollard::errors::Error>>,
    {
        if !*self.ended.borrow() {
            tokio::select! {
                biased;
                item = stream.next() => return item.map(|item| item.map_err(Fault::from)),
                _ = self.ended.wait_for(|ended| *ended) => {}
            }
        }
        let item = timeout(QUIET, stream.next()).await.ok()?;
        item.map(|item| item.map_err(Fault::from))
    }

    /// Whether the engine's last record is the newest that was read: a followed log may end
    /// before what was written in the container's last instant.
    async fn is_whole(&self) -> bool {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).tail("1").build();
        let mut stream = std::pin::pin!(self.docker.logs(self.id, Some(options)));
        let mut last = None;
        while let Some(item) = stream.next().await {
            let Ok(Ok(read)) = item.map(record) else { return false };
            last = Some(read);
        }
        last == self.newest
    }
}

/// A record of the log: a frame is 30 characters of time, a space and the bytes as written.
fn record(frame: LogOutput) -> Result<LogRecord, Fault> {
    let (stderr, message) = match frame {
        LogOutput::StdOut { message } => (false, message),
        LogOutput::StdErr { message } => (true, message),
        // Containers of ours have no terminal: so it is the engine's own complaint, or half a frame.
        LogOutput::Console { message } | LogOutput::StdIn { message } => {
            return Err(Fault::Away(String::from_utf8_lossy(&message).chars().take(200).collect()));
        }
    };
    let (time_ns, data) = split(&message).unwrap_or((0, message));
    Ok(LogRecord { time_ns, stderr, data })
}

fn split(message: &Bytes) -> Option<(u64, Bytes)> {
    let space = message.iter().take(40).position(|byte| *byte == b' ')?;
    let time = stamp::parse(&message[..space])?;
    Some((time, message.slice(space + 1..)))
}

/// The words of the init process, when a log begins with its complaint: Docker's, or Podman's.
fn init_complaint(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?;
    let (_, words) = match text.strip_prefix("[FATAL tini (") {
        Some(rest) => rest.split_once(")] ")?,
        None => text.strip_prefix("ERROR (catatonit:")?.split_once("): ")?,
    };
    Some(words.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(bytes: &'static [u8]) -> LogOutput {
        LogOutput::StdOut { message: Bytes::from_static(bytes) }
    }

    #[test]
    fn a_records_bytes_are_kept_as_they_are() {
        let read = record(out(b"1970-01-01T00:00:01.000000002Z \xff\x00 a b\r\n")).unwrap();
        assert_eq!((read.time_ns, read.stderr), (1_000_000_002, false));
        assert_eq!(&read.data[..], b"\xff\x00 a b\r\n");
    }

    #[test]
    fn what_has_no_time_is_not_lost() {
        assert_eq!(&record(out(b"no time")).unwrap().data[..], b"no time");
    }

    #[test]
    fn the_engines_own_complaint_is_no_record() {
        let complaint = LogOutput::Console { message: Bytes::from_static(b"Error grabbing logs") };
        assert!(matches!(record(complaint), Err(Fault::Away(_))));
    }

    #[test]
    fn the_init_process_is_understood_also_in_pieces() {
        let (sink, _records) = mpsc::channel(1);
        let docker = Docker::connect_with_http("tcp://127.0.0.1:1", 1, bollard::API_DEFAULT_VERSION).unwrap();
        let bytes = AtomicU64::new(0);
        let mut reader = Reader::new(&docker, "x", &sink, &bytes);
        let mut place = Place::default();
        for piece in ["ERROR (catatonit:6): ", "failed to exec pid1: No such file or directory", "\n", "more\n"] {
            let record = LogRecord { time_ns: 0, stderr: true, data: Bytes::from_static(piece.as_bytes()) };
            reader.note_head(&place, &record);
            place = Place { records: place.records + 1, bytes: place.bytes + piece.len() as u64 };
        }
        assert_eq!(init_complaint(&reader.head).unwrap(), "failed to exec pid1: No such file or directory");

        let said = init_complaint(b"[FATAL tini (7)] exec nosuch failed: No such file or directory\n");
        assert_eq!(said.unwrap(), "exec nosuch failed: No such file or directory");
        let said = init_complaint(b"ERROR (catatonit:6): failed to exec pid1: No such file or directory\n");
        assert_eq!(said.unwrap(), "failed to exec pid1: No such file or directory");
        assert_eq!(init_complaint(b"sh: nosuch: not found\n"), None);
    }
}
