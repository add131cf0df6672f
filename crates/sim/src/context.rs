//! What every simulated part is given: the clock, the events to come, randomness, the trace and
//! the rules.

use crate::check::Check;
use crate::client::ClientEvent;
use crate::faults::{Fault, FaultPlan};
use crate::master::MasterEvent;
use crate::network::Message;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::worker::WorkerEvent;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// When every world begins, by the master's clock.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Deliver(Message),
    Master(MasterEvent),
    Worker(usize, WorkerEvent),
    Client(ClientEvent),
    Fault(Fault),
}

/// The surroundings of a part while it handles an event.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: Timestamp,
    pub(crate) rng: Rng,
    pub(crate) plan: FaultPlan,
    pub(crate) trace: Trace,
    pub(crate) check: Check,
    /// How often each thing happened that must not be missing in the seeds.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    queue: BTreeMap<(Timestamp, u64), What>,
    sequence: u64,
    ids: u128,
}

impl Context {
    pub(crate) fn new(rng: Rng, plan: FaultPlan, check: Check, echo: bool) -> Self {
        let trace = Trace::new(START, echo);
        Self {
            now: START,
            rng,
            plan,
            trace,
            check,
            counts: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            ids: 0,
        }
    }

    /// Milliseconds since the start.
    pub(crate) fn elapsed(&self) -> u64 {
        self.now.as_millis() - START.as_millis()
    }

    pub(crate) fn at(&mut self, when: Timestamp, what: What) {
        self.sequence += 1;
        self.queue.insert((when.max(self.now), self.sequence), what);
    }

    pub(crate) fn after(&mut self, millis: u64, what: What) {
        self.at(self.now + Duration::from_millis(millis), what);
    }

    /// Moves the clock to the next event and takes it out.
    pub(crate) fn pop(&mut self) -> Option<What> {
        let ((when, _), what) = self.queue.pop_first()?;
        self.now = when;
        Some(what)
    }

    /// Notes that something happened once more.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn next_id(&mut self) -> TaskId {
        self.ids += 1;
        TaskId::new(self.ids)
    }

    /// The id of a job with so many groups, whose ids follow.
    pub(crate) fn next_job(&mut self, groups: usize) -> JobId {
        let job = JobId::new(self.ids + 1);
        self.ids += 1 + groups as u128;
        job
    }

    pub(crate) fn say(&mut self, text: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, text);
    }
}

/// Writes a line of the trace.
macro_rules! say {
    ($context:expr, $($text:tt)+) => { $context.say(format_args!($($text)+)) };
}
pub(crate) use say;

/// A task's short name in traces.
#[derive(Clone, Copy)]
pub(crate) struct Short(pub(crate) TaskId);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t{}", self.0.ulid())?;
        self.0.index().map_or(Ok(()), |index| write!(f, ".{index}"))
    }
}
