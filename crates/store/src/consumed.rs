//! What attempts took of the cluster, in sums of an hour: what a report over a month is added up from.
//!
//! An attempt counts when it has ended, with what it was given for as long as its container ran: in each hour of that
//! time
//! its share. The count of it, of its task, and the processor time that was measured belong to the hour of the end.

use cloudai_core::spec::TaskSpec;
use cloudai_core::task::{AttemptRecord, TaskRecord};
use cloudai_core::time::{Timestamp, millis};
use std::collections::BTreeMap;

/// Milliseconds of an hour.
pub const HOUR: u64 = 3_600_000;

/// The longest that is told apart by hours: a year, which is the longest that a task may run.
const MOST_HOURS: u64 = 366 * 24;
/// Bytes of a mebibyte, and thousandths of a whole.
const MIB: u128 = 1 << 20;
const WHOLE: u128 = 1000;

/// What attempts took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Tasks that ended.
    pub tasks: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// What they were given of processors: milliseconds of a core.
    pub cpu_ms: u64,
    /// What they were given of memory: mebibytes times milliseconds.
    pub memory_mib_ms: u64,
    /// What they were given of GPUs: milliseconds of a whole one.
    pub gpu_ms: u64,
    /// What of the processors was measured to be used: milliseconds of a core.
    pub used_cpu_ms: u64,
}

impl Consumed {
    /// Both together, no more than numbers hold.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            tasks: self.tasks.saturating_add(other.tasks),
            attempts: self.attempts.saturating_add(other.attempts),
            cpu_ms: self.cpu_ms.saturating_add(other.cpu_ms),
            memory_mib_ms: self.memory_mib_ms.saturating_add(other.memory_mib_ms),
            gpu_ms: self.gpu_ms.saturating_add(other.gpu_ms),
            used_cpu_ms: self.used_cpu_ms.saturating_add(other.used_cpu_ms),
        }
    }

    /// What a task took between two times, with all of its attempts that have ended.
    #[must_use]
    pub fn of_task(task: &TaskRecord, from: Timestamp, until: Timestamp) -> Self {
        let within = |at: Option<Timestamp>| at.is_some_and(|at| from <= at && at < until);
        let own = Self { tasks: u64::from(within(task.finished_at)), ..Self::default() };
        task.attempts.iter().fold(own, |sum, attempt| sum.plus(Self::of_attempt(&task.spec, attempt, from, until)))
    }

    /// What an attempt took between two times; nothing where it has not ended.
    fn of_attempt(spec: &TaskSpec, attempt: &AttemptRecord, from: Timestamp, until: Timestamp) -> Self {
        let Some(ended) = attempt.ended_at else { return Self::default() };
        let ran = attempt.started_at.map_or(0, |started| millis(ended.min(until).since(started.max(from))));
        let demand = spec.request(attempt.request);
        let given = |amount: u64, one: u128| whole(u128::from(amount) * u128::from(ran) / one);
        let ends_here = from <= ended && ended < until;
        let used = attempt.end.as_ref().and_then(|end| end.used.cpu).filter(|_| ends_here);
        Self {
            tasks: 0,
            attempts: u64::from(ends_here),
            cpu_ms: given(demand.cpu_milli, WHOLE),
            memory_mib_ms: given(demand.memory, MIB),
            gpu_ms: given(demand.gpu_milli, WHOLE),
            used_cpu_ms: used.map_or(0, millis),
        }
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The hour of a time, counted from the epoch.
#[must_use]
pub const fn hour_of(at: Timestamp) -> u64 {
    at.as_millis() / HOUR
}

/// How many attempts of a task have ended: those in front, since the next begins after the end of the last.
pub(crate) fn ended(task: &TaskRecord) -> usize {
    task.attempts.iter().take_while(|attempt| attempt.ended_at.is_some()).count()
}

/// What a version of a task adds to its owner's hours, where so many attempts of it were counted before, and the task
/// or
/// not.
pub(crate) fn added(task: &TaskRecord, counted: usize, task_counted: bool) -> BTreeMap<u64, Consumed> {
    let mut hours: BTreeMap<u64, Consumed> = BTreeMap::new();
    let mut add = |hour: u64, more: Consumed| {
        if more != Consumed::default() {
            let sum = hours.entry(hour).or_default();
            *sum = sum.plus(more);
        }
    };
    if let Some(at) = task.finished_at.filter(|_| !task_counted) {
        add(hour_of(at), Consumed { tasks: 1, ..Consumed::default() });
    }
    let ended = ended(task);
    for attempt in task.attempts.iter().take(ended).skip(counted) {
        let Some(last) = attempt.ended_at else { continue };
        let first = attempt.started_at.unwrap_or(last).min(last);
        let last = hour_of(last);
        for hour in hour_of(first).max(last.saturating_sub(MOST_HOURS))..=last {
            let (from, until) = (hour.saturating_mul(HOUR), hour.saturating_add(1).saturating_mul(HOUR));
            let of =
                Consumed::of_attempt(&task.spec, attempt, Timestamp::from_millis(from), Timestamp::from_millis(until));
            add(hour, of);
        }
    }
    hours
}
