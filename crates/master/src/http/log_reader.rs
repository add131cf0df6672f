//! What is wanted of a log, and reading it piece by piece.

use super::dto::{LogDamage, LogLine};
use super::log_pattern::Pattern;
use super::query::Parameters;
use super::view;
use crate::logs::Logs;
use bytes::{BufMut, Bytes, BytesMut};
use cloudai_core::ids::Attempt;
use cloudai_store::bulk::{BulkError, LogRecord, LogStream};
use std::collections::VecDeque;
use std::sync::Arc;
use tracing::error;

/// Bytes of output read from a log at a time: what one slow reader holds in memory.
const PIECE: usize = 256 * 1024;
/// The longest tail: where not all records are wanted they have to be counted one by one.
const MAX_TAIL: u64 = 1_000_000;

/// The form of a log in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// One `LogLine` a line.
    #[default]
    JsonLines,
    /// The bytes alone.
    Raw,
}

impl Format {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/x-ndjson",
            Self::Raw => "application/octet-stream",
        }
    }
}

/// What of a log is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) format: Format,
    /// Both when absent.
    pub(super) stream: Option<LogStream>,
    /// The latest when absent.
    pub(super) attempt: Option<u32>,
    pub(super) from: Option<u64>,
    pub(super) tail: Option<u64>,
    /// What was written then or later: nanoseconds since the epoch.
    pub(super) since: Option<u64>,
    pub(super) grep: Option<Pattern>,
    pub(super) follow: bool,
}

impl Wanted {
    pub(super) fn read(query: &mut Parameters) -> Self {
        let format = query.parsed("format", |text| match text {
            "jsonl" => Ok(Format::JsonLines),
            "raw" => Ok(Format::Raw),
            _ => Err("takes jsonl or raw".into()),
        });
        let stream = query.parsed("stream", |text| match text {
            "stdout" => Ok(LogStream::Stdout),
            "stderr" => Ok(LogStream::Stderr),
            _ => Err("takes stdout or stderr".into()),
        });
        let attempt = query.whole("attempt", 1..=u64::from(u32::MAX));
        let wanted = Self {
            format: format.unwrap_or_default(),
            stream,
            attempt: attempt.and_then(|number| u32::try_from(number).ok()),
            from: query.whole("from", 0..=u64::MAX),
            tail: query.whole("tail", 0..=MAX_TAIL),
            since: query.parsed("since", moment),
            grep: query.parsed("grep", Pattern::read),
            follow: query.flag("follow"),
        };
        if wanted.from.is_some() && wanted.tail.is_some() {
            query.wrong("tail", None, "can not be given together with from");
        }
        wanted
    }

    /// Whether every record is.
    const fn is_all(&self) -> bool {
        self.stream.is_none() && self.grep.is_none()
    }

    fn has(&self, record: &LogRecord) -> bool {
        self.stream.is_none_or(|stream| stream == record.stream)
            && self.grep.as_ref().is_none_or(|pattern| pattern.is_in(record))
    }
}

/// A moment in nanoseconds since the epoch; before it is at it.
fn moment(text: &str) -> Result<u64, String> {
    let moment = text.parse::<jiff::Timestamp>().map_err(|_| "takes a time, as 2026-01-31T08:00:00Z".to_owned())?;
    Ok(u64::try_from(moment.as_nanosecond().max(0)).unwrap_or(u64::MAX))
}

/// Reads one attempt's log in order, as it is wanted.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) logs: Arc<Logs>,
    pub(super) attempt: Attempt,
    /// The number of the record after the last one read.
    pub(super) next: u64,
    wanted: Wanted,
}

impl Reader {
    /// A reader that begins where the request says.
    pub(super) async fn open(logs: &Arc<Logs>, attempt: Attempt, wanted: Wanted) -> Result<Self, BulkError> {
        let mut reader = Self::at_start(Arc::clone(logs), attempt, wanted);
        let wanted = &reader.wanted;
        let since = match wanted.since {
            Some(since) => logs.bulk().log_since(attempt, since).await?,
            None => 0,
        };
        let start = match (wanted.from, wanted.tail) {
            (Some(from), _) => from,
            (None, None) => 0,
            (None, Some(count)) if wanted.is_all() => logs.bulk().log_tail(attempt, count).await?,
            (None, Some(count)) => tail_of(logs, attempt, wanted, since, count).await?,
        };
        reader.next = start.max(since);
        Ok(reader)
    }

    /// A reader of a whole log.
    pub(super) fn at_start(logs: Arc<Logs>, attempt: Attempt, wanted: Wanted) -> Self {
        Self { logs, attempt, next: 0, wanted }
    }

    /// The next records that are there, written out; empty when none of them is wanted, none when
    /// there are none yet.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, BulkError> {
        let records = match self.logs.bulk().read_log(self.attempt, self.next, PIECE).await {
            Err(BulkError::Damaged { first, next: Some(next), .. }) => return Ok(Some(self.damaged(first, next))),
            read => read?,
        };
        if records.is_empty() {
            return Ok(None);
        }
        let mut piece = BytesMut::new();
        for record in &records {
            let number = self.next;
            self.next += 1;
            if !self.wanted.has(record) {
                continue;
            }
            match self.wanted.format {
                Format::Raw => piece.extend_from_slice(&record.data),
                Format::JsonLines => {
                    let entry = view::log_entry(self.attempt.number, number, record);
                    put_line(&mut piece, &LogLine::Log(entry));
                }
            }
        }
        Ok(Some(piece.freeze()))
    }

    /// Goes on behind records that can not be read, and says so.
    fn damaged(&mut self, first: u64, next: u64) -> Bytes {
        let (attempt, last) = (self.attempt, next.saturating_sub(1));
        error!(%attempt, first, last, "records of a log were damaged and left out");
        self.next = next;
        let mut piece = BytesMut::new();
        if self.wanted.format == Format::JsonLines {
            put_line(&mut piece, &LogLine::Damaged(LogDamage { attempt: attempt.number, first, last }));
        }
        piece.freeze()
    }
}

/// Writes one line of JSON.
pub(super) fn put_line(out: &mut BytesMut, line: &LogLine) {
    // Plain text fields: serialising them into memory can not fail.
    if serde_json::to_writer(out.writer(), line).is_ok() {
        out.put_u8(b'\n');
    }
}

/// The number of the first of the last `count` records that are wanted, from a record on.
async fn tail_of(logs: &Logs, attempt: Attempt, wanted: &Wanted, from: u64, count: u64) -> Result<u64, BulkError> {
    let bulk = logs.bulk();
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let (mut next, mut last) = (from, VecDeque::new());
    loop {
        let records = match bulk.read_log(attempt, next, PIECE).await {
            // Whoever reads the tail is told.
            Err(BulkError::Damaged { next: Some(after), .. }) => {
                next = after;
                continue;
            }
            read => read?,
        };
        if records.is_empty() {
            return Ok(last.front().copied().unwrap_or(next));
        }
        for record in records {
            if wanted.has(&record) {
                last.push_back(next);
            }
            if last.len() > most {
                last.pop_front();
            }
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::{of, refused};
    use super::*;

    #[test]
    fn what_is_wanted_of_a_log_is_read_from_the_query() {
        let mut query = of("format=raw&stream=stderr&attempt=2&tail=10&follow");
        let wanted = Wanted::read(&mut query);
        assert!(query.close().is_ok());
        assert_eq!((wanted.format, wanted.stream), (Format::Raw, Some(LogStream::Stderr)));
        assert_eq!((wanted.attempt, wanted.from, wanted.tail, wanted.follow), (Some(2), None, Some(10), true));
        assert!(wanted.since.is_none() && !wanted.is_all());
        let none = Wanted::read(&mut of(""));
        assert!(none.is_all() && !none.follow && none.format == Format::JsonLines);
    }

    #[tokio::test]
    async fn a_wrong_wish_for_a_log_names_what_is_possible() {
        let mut query = of("format=xml&stream=both&attempt=0&from=1&tail=1&since=2&grep=%28&until=3");
        Wanted::read(&mut query);
        let said = refused(query.close().unwrap_err()).await;
        let paths: Vec<&str> = said.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["format", "stream", "attempt", "since", "grep", "tail", "until"]);
    }
}
