//! Whether the log is whole: every row walked, in slices, and held against the one in front of it and the head.
//!
//! Who cuts rows off together with the head, and has an older head to put in its place, is found by nobody who knows
//! the
//! file alone: that takes a head that was kept elsewhere ([`Expected`]).

use super::chain::{Era, Head, NOTHING, era_of};
use crate::mailbox::AskError;
use cloudai_store::Store;
use cloudai_store::audit::AuditRow;
use std::fmt;
use std::str::FromStr;

/// Rows read at a time: some hundred kilobytes.
const SLICE: usize = 1000;

/// A head that was kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) seq: u64,
    pub(crate) mac: String,
}

impl FromStr for Expected {
    type Err = String;

    /// As `cloudai audit verify` prints it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is no head: expected SEQ:MAC as cloudai audit verify prints it".to_owned();
        let (seq, mac) = text.split_once(':').ok_or_else(wrong)?;
        let digits = mac.len() == 64 && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
        let seq = seq.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        Ok(Self { seq, mac: mac.to_ascii_lowercase() })
    }
}

/// What is wrong with a log, the first of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// There is none in its place.
    Missing { seq: u64, next: u64 },
    /// It is not what was written there.
    Changed { seq: u64 },
    /// The head tells of more.
    CutOff { seq: u64, head: u64 },
    /// The head does not know it.
    BeyondHead { seq: u64, head: u64 },
    /// There are rows, and no head that can be read.
    NoHead { seq: u64 },
    /// The head is not signed by this log's key, or not of its last row.
    WrongHead { seq: u64 },
    /// The head that was kept elsewhere is of a row that is another one here.
    NotExpected { seq: u64 },
    /// The head that was kept elsewhere is behind the end.
    BeforeExpected { seq: u64, expected: u64 },
    /// They were written under a key that is not here.
    NoKey { seq: u64, to: u64 },
}

impl Broken {
    /// The row that it is about.
    pub(crate) const fn seq(&self) -> u64 {
        match self {
            Self::Missing { seq, .. }
            | Self::Changed { seq }
            | Self::CutOff { seq, .. }
            | Self::BeyondHead { seq, .. }
            | Self::NoHead { seq }
            | Self::WrongHead { seq }
            | Self::NotExpected { seq }
            | Self::BeforeExpected { seq, .. }
            | Self::NoKey { seq, .. } => *seq,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { seq, next } => write!(f, "row {seq} is missing: the log goes on with row {next}"),
            Self::Changed { seq } => {
                write!(f, "row {seq} was changed, or is not the one that was written in its place")
            }
            Self::CutOff { seq, head } => {
                write!(
                    f,
                    "row {seq} is missing, and all behind it: the log ends before it, its head tells of {head} rows"
                )
            }
            Self::BeyondHead { seq, head } => {
                write!(f, "row {seq} was put behind the end: the head of the log tells of {head} rows")
            }
            Self::NoHead { seq } => write!(f, "the head of the log is missing: what was behind row {seq} is not known"),
            Self::WrongHead { seq } => write!(f, "the head of the log, behind row {seq}, was changed"),
            Self::NotExpected { seq } => write!(f, "row {seq} is not the one of the head that you kept"),
            Self::BeforeExpected { seq, expected } => {
                write!(f, "row {seq} is missing, and all behind it: the head that you kept is of row {expected}")
            }
            Self::NoKey { seq, to } => {
                write!(f, "rows {seq} to {to} can not be checked: the key that they were written under is not here")
            }
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How many rows were walked.
    pub(crate) rows: u64,
    /// The head as it is stored.
    pub(crate) head: Option<Head>,
    /// The first that is wrong; none where all is whole.
    pub(crate) broken: Option<Broken>,
}

/// A walk from the first row to the last.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    eras: &'a [Era],
    cluster: &'a str,
    expected: Option<&'a Expected>,
    next: u64,
    mac: Vec<u8>,
    rows: u64,
    unknown: Option<(u64, u64)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(eras: &'a [Era], cluster: &'a str, expected: Option<&'a Expected>) -> Self {
        Self { eras, cluster, expected, next: 1, mac: NOTHING.to_vec(), rows: 0, unknown: None }
    }

    /// The last row that was walked.
    pub(super) const fn last(&self) -> u64 {
        self.next - 1
    }

    /// Looks at the next row.
    pub(super) fn row(&mut self, row: &AuditRow) -> Result<(), Broken> {
        if row.seq > self.next {
            return Err(Broken::Missing { seq: self.next, next: row.seq });
        }
        let changed = Broken::Changed { seq: row.seq };
        if row.seq < self.next {
            return Err(changed);
        }
        match era_of(self.eras, row.seq).and_then(|era| era.keys.as_ref()) {
            Some(keys) if keys.mac(&self.mac, row) != row.mac => return Err(changed),
            Some(_) => {}
            None => {
                let from = self.unknown.map_or(row.seq, |(from, _)| from);
                self.unknown = Some((from, row.seq));
            }
        }
        if self.expected.is_some_and(|expected| expected.seq == row.seq && expected.mac != hex::encode(&row.mac)) {
            return Err(Broken::NotExpected { seq: row.seq });
        }
        self.mac.clone_from(&row.mac);
        self.rows += 1;
        self.next = row.seq.saturating_add(1);
        Ok(())
    }

    /// Looks at the head, where there are no more rows.
    pub(super) fn end(&self, head: Option<&Head>) -> Result<(), Broken> {
        let last = self.last();
        let Some(head) = head else {
            // Before the first start that knows of a log there is nothing.
            return if self.eras.is_empty() && last == 0 { Ok(()) } else { Err(Broken::NoHead { seq: last }) };
        };
        let keys = self.eras.last().and_then(|era| era.keys.as_ref());
        if keys.is_some_and(|keys| !keys.signed(self.cluster, head)) {
            return Err(Broken::WrongHead { seq: head.seq });
        }
        if head.seq > last {
            return Err(Broken::CutOff { seq: last + 1, head: head.seq });
        }
        if head.seq < last {
            return Err(Broken::BeyondHead { seq: head.seq + 1, head: head.seq });
        }
        if head.mac != hex::encode(&self.mac) {
            return Err(Broken::WrongHead { seq: head.seq });
        }
        if let Some(expected) = self.expected.filter(|expected| expected.seq > last) {
            return Err(Broken::BeforeExpected { seq: last + 1, expected: expected.seq });
        }
        match self.unknown {
            Some((seq, to)) => Err(Broken::NoKey { seq, to }),
            None => Ok(()),
        }
    }
}

/// Walks the log; what is written meanwhile is walked as well.
pub(super) async fn verify(
    store: &dyn Store,
    eras: &[Era],
    cluster: &str,
    expected: Option<&Expected>,
) -> Result<Verdict, AskError> {
    let mut walk = Walk::new(eras, cluster, expected);
    let mut head = None;
    let broken = 'walk: loop {
        let rows = store.audit_after(walk.last(), SLICE).await?;
        for row in &rows {
            if let Err(broken) = walk.row(row) {
                break 'walk Some(broken);
            }
        }
        if rows.is_empty() {
            // A head is written with its rows: those of one that was read before are all there.
            if head.as_ref().is_some_and(|head: &Head| head.seq > walk.last()) {
                break walk.end(head.as_ref()).err();
            }
            head = read_head(store).await?;
            if head.as_ref().is_none_or(|head| head.seq <= walk.last()) {
                break walk.end(head.as_ref()).err();
            }
        }
    };
    if head.is_none() {
        head = read_head(store).await?;
    }
    Ok(Verdict { rows: walk.rows, head, broken })
}

/// The head as it is stored; none where it can not be read.
pub(super) async fn read_head(store: &dyn Store) -> Result<Option<Head>, AskError> {
    let text = store.audit_head().await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}
