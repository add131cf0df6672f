//! What happens when, on a trace: ends of an instant come before its arrivals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens to a task, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Ends(usize),
    Arrives(usize),
}

/// Events by their time in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Clock(BinaryHeap<Reverse<(u64, Event)>>);

impl Clock {
    pub(super) fn add(&mut self, at: u64, event: Event) {
        self.0.push(Reverse((at, event)));
    }

    /// When something happens next.
    pub(super) fn next_instant(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// What happens at `now`, one after the other.
    pub(super) fn take(&mut self, now: u64) -> Option<Event> {
        let due = self.0.peek().is_some_and(|Reverse((at, _))| *at <= now);
        due.then(|| self.0.pop().map(|Reverse((_, event))| event)).flatten()
    }
}
