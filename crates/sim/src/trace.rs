//! What happened, line by line: the last lines for a failure, a hash of all for determinism.

use cloudai_core::time::Timestamp;
use std::collections::VecDeque;
use std::fmt;

/// Lines kept for the report of a failure.
const KEPT: usize = 40;

/// The story of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    last: VecDeque<String>,
    hash: u64,
    echo: bool,
    start: Timestamp,
}

impl Trace {
    /// An empty story that begins at `start`; with `echo` each line goes to standard error too.
    pub(crate) const fn new(start: Timestamp, echo: bool) -> Self {
        // FNV-1a, offset basis (Fowler, Noll, Vo).
        Self { last: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325, echo, start }
    }

    pub(crate) fn line(&mut self, now: Timestamp, text: fmt::Arguments<'_>) {
        let line = format!("{:>12} {text}", Seconds(now.since(self.start).as_millis()));
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.echo {
            eprintln!("{line}");
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

/// Milliseconds printed as seconds.
struct Seconds(u128);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1000, self.0 % 1000))
    }
}
