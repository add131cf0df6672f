//! What of an attempt's log is kept when there is a limit: the records from the first on, until one does not fit.
//! Master and worker count alike, so that each may cut where the other would.

/// How much of a log is kept, and how much may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRoom {
    /// Records that are kept.
    pub records: u64,
    /// Bytes of output in them.
    pub bytes: u64,
    /// The most bytes of output that are kept; 0 for any number.
    pub max_bytes: u64,
}

impl LogRoom {
    /// How many of some records are kept, given the number of the first of them and their sizes in bytes.
    ///
    /// What is kept already is, whatever its size. The first other record with which the log would be larger than it
    /// may be is not kept, and none after it is, however small.
    #[must_use]
    pub fn fitting(self, first: u64, sizes: impl IntoIterator<Item = u64>) -> usize {
        let (mut number, mut bytes) = (first, self.bytes);
        let fits = |size: &u64| {
            let known = number < self.records;
            number = number.saturating_add(1);
            if !known {
                bytes = bytes.saturating_add(*size);
            }
            known || self.max_bytes == 0 || bytes <= self.max_bytes
        };
        sizes.into_iter().take_while(fits).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_kept_up_to_the_first_record_that_does_not_fit() {
        let room = |records, bytes, max_bytes| LogRoom { records, bytes, max_bytes };
        let rows: [(&str, LogRoom, u64, &[u64], usize); 11] = [
            ("no limit", room(0, 0, 0), 0, &[1, u64::MAX, 1], 3),
            ("less than the limit", room(0, 0, 10), 0, &[3, 3, 3], 3),
            ("exactly the limit", room(0, 0, 10), 0, &[3, 3, 4], 3),
            ("one byte more", room(0, 0, 10), 0, &[3, 3, 5], 2),
            ("what comes later is cut though it would fit", room(0, 0, 10), 0, &[3, 9, 1], 1),
            ("the first is too large", room(0, 0, 10), 0, &[11, 1], 0),
            ("it goes on behind what is kept", room(2, 6, 10), 2, &[4, 1], 1),
            ("it was full before", room(3, 10, 10), 3, &[1, 1], 0),
            ("what is kept is told again", room(3, 10, 10), 1, &[3, 4, 1], 2),
            ("the limit is lower than it was", room(3, 10, 5), 1, &[3, 4, 1], 2),
            ("sizes that no number holds", room(0, 0, u64::MAX - 1), 0, &[u64::MAX - 1, 5], 1),
        ];
        for (row, room, first, sizes, kept) in rows {
            assert_eq!(room.fitting(first, sizes.iter().copied()), kept, "{row}");
        }
    }
}
