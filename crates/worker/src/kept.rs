//! How much of one attempt's log the master keeps, and how much is cut because the log is larger than it may be. No IO.
//!
//! A new life of the worker reads on behind what the master keeps, so it meets the records again that an earlier life
//! has cut: the count is that of the whole log, whoever counts.

use crate::executor::LogRecord;
use cloudai_core::log_room::LogRoom;
use cloudai_core::task::{LogCut, LogEnd};
use cloudai_proto::v1 as pb;

/// The log of an attempt as it goes to the master.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// As the master told it last.
    room: LogRoom,
    /// The number of the record that is sent next.
    next: u64,
    /// The number of the first record that is cut: none from there on is sent.
    first_cut: Option<u64>,
    cut: LogCut,
}

impl Kept {
    /// A log that goes on behind what the master keeps.
    pub(crate) fn of(ack: &pb::LogAck) -> Self {
        Self { room: room(ack), next: ack.records, first_cut: None, cut: LogCut::default() }
    }

    /// The number of the record that is sent next.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether something of it was cut.
    pub(crate) const fn is_cut(&self) -> bool {
        self.first_cut.is_some()
    }

    /// Of the next records leaves those that the master keeps, and counts the others.
    pub(crate) fn cut(&mut self, records: &mut Vec<LogRecord>) {
        let left = self.first_cut.map(|first| first.saturating_sub(self.next));
        let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let fitting = self.room.fitting(self.next, records.iter().map(size)).min(most);
        let cut = records.get(fitting..).unwrap_or_default();
        if cut.is_empty() {
            return;
        }
        self.first_cut = Some(self.next.saturating_add(fitting as u64));
        self.cut.records += cut.len() as u64;
        self.cut.bytes += cut.iter().map(size).sum::<u64>();
        records.truncate(fitting);
    }

    /// The master answered a call that brought so many records.
    pub(crate) fn heard(&mut self, sent: usize, ack: &pb::LogAck) {
        // What an unheard call of an earlier life still brought is counted there, not here.
        self.next = self.next.saturating_add(sent as u64);
        self.room = room(ack);
    }

    /// The master was asked what it keeps.
    pub(crate) const fn learn(&mut self, ack: &pb::LogAck) {
        self.room = room(ack);
    }

    /// Its end; `whole` says whether every record of it was looked at.
    pub(crate) fn end(&self, whole: bool) -> LogEnd {
        let cut = self.first_cut.filter(|_| whole).map(|_| self.cut);
        LogEnd { records: self.next, bytes: self.room.bytes, complete: whole && cut.is_none(), cut }
    }
}

const fn room(ack: &pb::LogAck) -> LogRoom {
    LogRoom { records: ack.records, bytes: ack.bytes, max_bytes: ack.max_bytes }
}

/// Bytes of output in a record.
pub(crate) fn size(record: &LogRecord) -> u64 {
    record.data.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(sizes: &[usize]) -> Vec<LogRecord> {
        let record = |size: &usize| LogRecord { time_ns: 0, stderr: false, data: vec![b'x'; *size].into() };
        sizes.iter().map(record).collect()
    }

    fn ack(records: u64, bytes: u64, max_bytes: u64) -> pb::LogAck {
        pb::LogAck { records, bytes, max_bytes }
    }

    /// How many of the next records are left.
    fn left(kept: &mut Kept, sizes: &[usize]) -> usize {
        let mut next = records(sizes);
        kept.cut(&mut next);
        next.len()
    }

    fn end(records: u64, bytes: u64, cut: (u64, u64)) -> LogEnd {
        LogEnd { records, bytes, complete: false, cut: Some(LogCut { records: cut.0, bytes: cut.1 }) }
    }

    #[test]
    fn from_the_first_record_over_the_limit_on_nothing_is_sent_and_all_is_counted() {
        let mut kept = Kept::of(&ack(0, 0, 10));
        assert_eq!((left(&mut kept, &[4, 4, 4, 1]), kept.is_cut()), (2, true));
        kept.heard(2, &ack(2, 8, 10));
        assert_eq!(left(&mut kept, &[1, 1]), 0, "they would fit, but come later");
        assert_eq!(kept.end(true), end(2, 8, (4, 7)));
        assert_eq!(kept.end(false), LogEnd { records: 2, bytes: 8, complete: false, cut: None }, "nobody knows");
    }

    #[test]
    fn a_log_of_exactly_the_limit_is_complete() {
        let mut kept = Kept::of(&ack(0, 0, 8));
        assert_eq!(left(&mut kept, &[4, 4]), 2);
        kept.heard(2, &ack(2, 8, 8));
        assert_eq!(kept.end(true), LogEnd { records: 2, bytes: 8, complete: true, cut: None });
        assert_eq!(left(&mut kept, &[1]), 0);
        assert_eq!(kept.end(true), end(2, 8, (1, 1)));
    }

    #[test]
    fn a_worker_that_comes_back_after_the_limit_was_reached_counts_all_that_is_cut() {
        let mut kept = Kept::of(&ack(2, 8, 10));
        assert_eq!([left(&mut kept, &[4, 1]), left(&mut kept, &[1, 1])], [0, 0]);
        assert_eq!(kept.end(true), end(2, 8, (4, 7)));
    }

    #[test]
    fn what_fits_is_sent_in_parts_also_when_it_is_known_that_the_rest_is_cut() {
        let mut kept = Kept::of(&ack(0, 0, 10));
        assert_eq!(left(&mut kept, &[4, 4, 4]), 2);
        kept.heard(1, &ack(1, 4, 10));
        assert_eq!(left(&mut kept, &[4]), 1);
        kept.heard(1, &ack(2, 8, 10));
        assert_eq!(left(&mut kept, &[4]), 0);
        assert_eq!(kept.end(true), end(2, 8, (2, 8)));
    }

    #[test]
    fn a_limit_that_was_not_known_cuts_what_the_master_did_not_keep() {
        let mut kept = Kept::of(&ack(0, 0, 0));
        let mut sent = records(&[4, 4, 4]);
        kept.cut(&mut sent);
        assert_eq!(sent.len(), 3);
        // The call failed; what fits is kept all the same, and is sent again.
        kept.learn(&ack(2, 8, 10));
        kept.cut(&mut sent);
        assert_eq!((sent.len(), kept.next()), (2, 0));
        kept.heard(2, &ack(2, 8, 10));
        assert_eq!(left(&mut kept, &[1]), 0);
        assert_eq!(kept.end(true), end(2, 8, (2, 5)));
    }

    #[test]
    fn what_an_earlier_life_brought_late_is_no_reason_to_cut() {
        let mut kept = Kept::of(&ack(1, 4, 12));
        // Meanwhile the master got two more of them.
        kept.learn(&ack(3, 12, 12));
        assert_eq!(left(&mut kept, &[4, 4, 4]), 2, "those that are there already, and not the next");
    }
}
