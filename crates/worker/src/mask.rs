//! Takes secrets out of a log before it is numbered: what the master keeps never had them.
//!
//! A record stays a record, so that numbers and lines are what they were. What an engine cut into pieces (a line beyond
//! 16 KiB) is looked through as one; a piece waits for what follows it only as long as a secret may reach into that.

use crate::executor::LogRecord;
use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use tokio::sync::mpsc;

/// Values below this are not looked for: they would be found everywhere.
const LEAST: usize = 8;
/// What stands in the place of a secret.
const MASK: &[u8] = b"***";

/// Looks for some values in one attempt's log.
#[derive(Debug)]
pub(crate) struct Masker {
    finder: AhoCorasick,
    longest: usize,
    /// Records in their order, from the first on that is not decided.
    queue: VecDeque<(LogRecord, bool)>,
    /// The number of the first of them.
    first: u64,
    /// Standard output and standard error: what of each is not decided.
    open: [Open; 2],
}

/// The pieces of a line of which the rest is to come.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// Of each record its number and its length.
    pieces: VecDeque<(u64, usize)>,
    /// So many of the bytes are of a secret that began before them.
    masked: usize,
}

impl Masker {
    /// For these values, each of its longer lines, and nothing where all are too short.
    /// # Errors
    /// They are more than can be looked for.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, BuildError> {
        let mut patterns = BTreeSet::new();
        for value in values {
            let whole = value.trim_ascii_end();
            let lines = whole.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
            patterns.extend(lines.chain([whole]).filter(|part| part.len() >= LEAST).map(<[u8]>::to_vec));
        }
        if patterns.is_empty() {
            return Ok(None);
        }
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns)?;
        Ok(Some(Self { finder, longest, queue: VecDeque::new(), first: 0, open: Default::default() }))
    }

    /// Takes a record in; answers those that are decided, in their order.
    fn take(&mut self, record: LogRecord) -> Vec<LogRecord> {
        let number = self.first + self.queue.len() as u64;
        let stream = usize::from(record.stderr);
        let ended = record.data.ends_with(b"\n");
        let open = &mut self.open[stream];
        open.bytes.extend_from_slice(&record.data);
        open.pieces.push_back((number, record.data.len()));
        self.queue.push_back((record, false));
        self.decide(stream, ended);
        self.decided()
    }

    /// No more comes: all are decided.
    fn end(&mut self) -> Vec<LogRecord> {
        (0..2).for_each(|stream| self.decide(stream, true));
        self.decided()
    }

    fn decided(&mut self) -> Vec<LogRecord> {
        let mut records = Vec::new();
        while self.queue.front().is_some_and(|(_, decided)| *decided) {
            records.extend(self.queue.pop_front().map(|(record, _)| record));
            self.first += 1;
        }
        records
    }

    /// Masks the pieces into which no secret can reach from what is still to come.
    fn decide(&mut self, stream: usize, ended: bool) {
        let Open { bytes, pieces, masked } = &mut self.open[stream];
        // A secret that begins before this is whole.
        let sure = if ended { bytes.len() } else { bytes.len().saturating_sub(self.longest - 1) };
        let mut found = vec![(0, *masked)];
        let rest = aho_corasick::Input::new(&bytes[..]).range(*masked..);
        found.extend(self.finder.find_iter(rest).map(|found| (found.start(), found.end())));
        let mut at = 0;
        while let Some((number, length)) = pieces.front().copied().filter(|(_, length)| at + length <= sure) {
            pieces.pop_front();
            let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
            if let Some((record, decided)) = self.queue.get_mut(place) {
                if let Some(data) = without(bytes, at..at + length, &found) {
                    record.data = data;
                }
                *decided = true;
            }
            at += length;
        }
        *masked =
            found.iter().filter(|(start, _)| *start < at).map(|(_, end)| end.saturating_sub(at)).max().unwrap_or(0);
        bytes.drain(..at);
    }
}

/// A part of some bytes without what was found: the mask stands where that begins. None where there is nothing of it.
fn without(bytes: &[u8], part: std::ops::Range<usize>, found: &[(usize, usize)]) -> Option<Bytes> {
    let mut here = found.iter().filter(|(start, end)| *start < part.end && *end > part.start).peekable();
    here.peek()?;
    let (mut left, mut at) = (Vec::new(), part.start);
    for (start, end) in here {
        if *start >= part.start && start < end {
            left.extend_from_slice(&bytes[at..*start]);
            // The part of one that began earlier has its mask there.
            left.extend_from_slice(if *start == 0 && part.start == 0 && found[0] == (0, *end) { b"" } else { MASK });
        }
        at = (*end).min(part.end).max(at);
    }
    left.extend_from_slice(&bytes[at..part.end]);
    Some(left.into())
}

/// Masks what comes through a channel; ends with it.
pub(crate) async fn through(mut masker: Masker, mut from: mpsc::Receiver<LogRecord>, to: mpsc::Sender<LogRecord>) {
    while let Some(record) = from.recv().await {
        for record in masker.take(record) {
            if to.send(record).await.is_err() {
                return;
            }
        }
    }
    for record in masker.end() {
        if to.send(record).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stderr: bool, data: &[u8]) -> LogRecord {
        LogRecord { time_ns: 0, stderr, data: Bytes::copy_from_slice(data) }
    }

    fn masker(values: &[&str]) -> Masker {
        Masker::of(values.iter().map(|value| value.as_bytes())).unwrap().unwrap()
    }

    /// What comes out of what goes in, as text.
    fn masked(values: &[&str], records: &[(bool, &str)]) -> Vec<String> {
        let mut masker = masker(values);
        let mut out: Vec<LogRecord> = Vec::new();
        for (stderr, data) in records {
            out.extend(masker.take(record(*stderr, data.as_bytes())));
        }
        out.extend(masker.end());
        assert_eq!(
            out.iter().map(|record| record.stderr).collect::<Vec<_>>(),
            records.iter().map(|(stderr, _)| *stderr).collect::<Vec<_>>()
        );
        out.into_iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_secret_is_masked_wherever_it_stands_and_all_else_stays() {
        let secret = "s3cret-value";
        for (line, expected) in [
            ("s3cret-value\n", "***\n"),
            ("a s3cret-value b s3cret-value\n", "a *** b ***\n"),
            ("s3cret-values3cret-value", "******"),
            ("s3cret-valu\n", "s3cret-valu\n"),
            ("\n", "\n"),
            ("", ""),
        ] {
            assert_eq!(masked(&[secret], &[(false, line)]), [expected], "{line}");
        }
        // The line end that a file has is no part of it; each line of a key is looked for.
        assert_eq!(masked(&["tokentoken\n"], &[(false, "=tokentoken=\n")]), ["=***=\n"]);
        assert_eq!(masked(&["first-line\nsecond-line\r\nx"], &[(false, "second-line\n")]), ["***\n"]);
        // The longest of several.
        assert_eq!(masked(&["password", "password123"], &[(true, "password123 password\n")]), ["*** ***\n"]);
        assert!(Masker::of([b"short".as_slice()].into_iter()).unwrap().is_none(), "too short to be looked for");
    }

    #[test]
    fn a_secret_across_the_pieces_of_a_line_is_masked_and_streams_are_apart() {
        type Row<'a> = (&'a [(bool, &'a str)], &'a [&'a str]);
        let rows: [Row<'_>; 5] = [
            (&[(false, "ab s3cret-"), (false, "value cd\n")], &["ab ***", " cd\n"]),
            (&[(false, "s3cret-"), (false, "val"), (false, "ue\n")], &["***", "", "\n"]),
            (&[(false, "s3cret-"), (true, "value\n"), (false, "value")], &["***", "value\n", ""]),
            (&[(false, "s3cret-"), (false, "other\n")], &["s3cret-", "other\n"]),
            (
                &[(false, "s3cret-"), (true, "s3cret-"), (true, "value\n"), (false, "x\n")],
                &["s3cret-", "***", "\n", "x\n"],
            ),
        ];
        for (records, expected) in rows {
            assert_eq!(masked(&["s3cret-value"], records), expected, "{records:?}");
        }
        // A line's end parts what is printed: that is no piece of one line.
        assert_eq!(masked(&["s3cret-value"], &[(false, "s3cret-\n"), (false, "value\n")]), ["s3cret-\n", "value\n"]);
    }

    #[test]
    fn however_a_text_is_cut_nothing_of_a_secret_is_left_and_nothing_waits_longer_than_it_must() {
        let text = "xx s3cret-value yy s3cret-values3cret-value s3cret-valu zz\n";
        let expected = "xx *** yy ****** s3cret-valu zz\n";
        for size in 1..text.len() {
            let pieces: Vec<_> =
                text.as_bytes().chunks(size).map(|piece| (false, std::str::from_utf8(piece).unwrap())).collect();
            assert_eq!(masked(&["s3cret-value"], &pieces).concat(), expected, "{size}");
        }
        let mut masker = masker(&["s3cret-value"]);
        let whole = vec![b'a'; 16 << 10];
        let mut out = 0;
        for _ in 0..1000 {
            out += masker.take(record(false, &whole)).len();
            assert!(masker.queue.len() <= 1 && masker.open[0].bytes.len() <= 32 << 10);
        }
        assert_eq!(out, 999);
    }
}
