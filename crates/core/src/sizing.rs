//! What tasks should ask for, by what others of the same name took. Arithmetic over records; the words are its callers'.

use crate::resources::{GIB, MIB, Thousandths, WHOLE};
use crate::spec::MAX_DURATION;
use crate::state::{Reason, Status};
use crate::task::{AttemptRecord, TaskRecord};
use crate::text::{typed_size, typed_time};
use crate::time::millis;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of fewer measured attempts nothing is proposed: the next may be unlike all of them.
pub const LEAST: usize = 5;
/// Proposed memory is a multiple of this.
const MEMORY_STEP: u64 = 16 * MIB;
/// Proposed cores are a multiple of this, in thousandths.
const CPU_STEP: u64 = 100;
/// A task can not ask for more memory.
const MOST_MEMORY: u64 = 64 * 1024 * GIB;
/// Nor for more cores.
const MOST_CPU: u64 = 4096 * WHOLE;

/// What one attempt asked for and took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    /// Thousandths of a core.
    asked_cpu: u64,
    /// Bytes.
    asked_memory: u64,
    /// The most memory that it needed at once.
    memory: Option<u64>,
    /// Thousandths of a core, in the mean over its run.
    cores: Option<u64>,
    /// How long it ran, in milliseconds; never 0.
    run: Option<u64>,
    /// Killed for its memory, so that nobody knows how long it would have run.
    killed: bool,
    /// Some process of it was.
    oom: bool,
}

impl Sample {
    /// None of an attempt whose end tells nothing of what such tasks need: it neither completed nor was killed for its
    /// memory.
    fn of(task: &TaskRecord, attempt: &AttemptRecord) -> Option<Self> {
        let end = attempt.end.as_ref()?;
        let killed = end.reason == Some(Reason::OomKilled);
        if end.status != Status::Completed && !killed {
            return None;
        }
        let child = end.accepted && task.finished().is_some_and(|finished| finished.oom_killed);
        let demand = task.spec.request(attempt.request);
        let run = end.run.map(millis).filter(|run| *run > 0);
        let cores = end.used.cpu.zip(run).map(|(cpu, run)| millis(cpu).saturating_mul(WHOLE).div_ceil(run));
        Some(Self {
            asked_cpu: demand.cpu_milli,
            asked_memory: demand.memory,
            memory: end.used.peak_memory,
            // The kernel gives no more over a time: what is above is the making of the container, in a short run.
            cores: cores.map(|cores| cores.min(demand.cpu_milli)),
            run,
            killed,
            oom: killed || child,
        })
    }

    fn is_measured(&self) -> bool {
        self.memory.is_some() && self.cores.is_some()
    }

    /// Whether it used nearly all the cores that it asked for.
    fn is_bound(&self) -> bool {
        self.cores.is_some_and(|cores| cores.saturating_mul(20) >= self.asked_cpu.saturating_mul(19))
    }
}

/// How an amount lies over attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// What half of them did not exceed.
    pub middle: u64,
    /// What the share of them did not exceed for which a proposal is to be enough.
    pub high: u64,
    /// What none of them exceeded.
    pub most: u64,
}

impl Spread {
    /// None of nothing.
    fn of(amounts: impl Iterator<Item = u64>, permille: u16) -> Option<Self> {
        let mut sorted: Vec<u64> = amounts.collect();
        sorted.sort_unstable();
        let most = *sorted.last()?;
        let rank = |permille: usize| (sorted.len() * permille).div_ceil(1000).clamp(1, sorted.len());
        let at = |permille| sorted.get(rank(permille) - 1).copied().unwrap_or(most);
        Some(Self { middle: at(500), high: at(usize::from(permille)), most })
    }
}

/// What tasks of one name took, and what the next should ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// How many attempts count: those that completed or were killed for their memory.
    pub attempts: usize,
    /// Of how many of them memory and cores are known.
    pub measured: usize,
    /// In how many of them a process was killed for its memory.
    pub oom: usize,
    /// Thousandths of a core that the latest asked for.
    pub asked_cpu: u64,
    /// Bytes of memory that it asked for.
    pub asked_memory: u64,
    /// The most memory that they needed at once, in bytes.
    pub memory: Option<Spread>,
    /// The cores that they used in the mean over their run, in thousandths.
    pub cpu: Option<Spread>,
    /// How long they ran, in milliseconds; without those that were killed.
    pub run: Option<Spread>,
    /// How much of the memory that they asked for they never needed, over all of their runs, in thousandths.
    pub wasted_memory: Option<u64>,
    /// The same of the cores.
    pub wasted_cpu: Option<u64>,
    /// Whether most of them used nearly all the cores that they asked for: with more they may be faster.
    pub bound: bool,
    /// None while too few were measured.
    pub proposed: Option<Proposal>,
}

/// What the next task should ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// The longest run; none while none of them completed.
    pub timeout: Option<Duration>,
}

impl Proposal {
    /// The same as flags of `task submit`.
    #[must_use]
    pub fn flags(&self) -> String {
        let flags = format!("--mem {} --cpus {}", typed_size(self.memory), Thousandths(self.cpu_milli));
        match self.timeout {
            Some(timeout) => format!("{flags} --timeout {}", typed_time(timeout)),
            None => flags,
        }
    }
}

/// What tasks of each name should ask for, in the order of the names. `tasks` come the latest first, and of each name the
/// first `last` attempts count; a proposal is to be enough for so many of a thousand runs.
#[must_use]
pub fn by_name<'a>(
    tasks: impl IntoIterator<Item = &'a TaskRecord>,
    last: usize,
    permille: u16,
) -> Vec<(String, Advice)> {
    let mut names: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for task in tasks {
        let Some(name) = &task.spec.name else { continue };
        let samples = names.entry(name).or_default();
        let room = last.saturating_sub(samples.len());
        samples.extend(task.attempts.iter().rev().filter_map(|attempt| Sample::of(task, attempt)).take(room));
    }
    let advised = |(name, samples): (&str, Vec<Sample>)| Some((name.to_owned(), advise(&samples, permille)?));
    names.into_iter().filter_map(advised).collect()
}

/// None of nothing; the latest sample is the first.
fn advise(samples: &[Sample], permille: u16) -> Option<Advice> {
    let latest = samples.first()?;
    let measured = samples.iter().filter(|sample| sample.is_measured()).count();
    let bound = samples.iter().filter(|sample| sample.is_bound()).count();
    let memory = Spread::of(samples.iter().filter_map(|sample| sample.memory), permille);
    let cpu = Spread::of(samples.iter().filter_map(|sample| sample.cores), permille);
    let run = Spread::of(samples.iter().filter(|sample| !sample.killed).filter_map(|sample| sample.run), permille);
    let too_little = samples.iter().filter(|sample| sample.oom).map(|sample| sample.asked_memory).max();
    let enough = memory.zip(cpu).filter(|_| measured >= LEAST);
    Some(Advice {
        attempts: samples.len(),
        measured,
        oom: samples.iter().filter(|sample| sample.oom).count(),
        asked_cpu: latest.asked_cpu,
        asked_memory: latest.asked_memory,
        memory,
        cpu,
        run,
        wasted_memory: wasted(samples.iter().map(|sample| (sample.memory, sample.asked_memory, sample.run))),
        wasted_cpu: wasted(samples.iter().map(|sample| (sample.cores, sample.asked_cpu, sample.run))),
        bound: bound * 2 > measured,
        proposed: enough.map(|(memory, cpu)| Proposal {
            cpu_milli: cores_for(cpu.high),
            memory: memory_for(memory.high, too_little),
            timeout: run.map(|run| time_for(run.high)),
        }),
    })
}

/// A fifth more than was needed, and half more than was too little.
fn memory_for(needed: u64, too_little: Option<u64>) -> u64 {
    let more = needed.saturating_add(needed.div_ceil(5));
    let most = more.max(too_little.map_or(0, |limit| limit.saturating_add(limit.div_ceil(2))));
    most.min(MOST_MEMORY).div_ceil(MEMORY_STEP).max(1) * MEMORY_STEP
}

fn cores_for(used: u64) -> u64 {
    used.min(MOST_CPU).div_ceil(CPU_STEP).max(1) * CPU_STEP
}

/// Twice as long as they ran, in whole seconds.
fn time_for(run: u64) -> Duration {
    let seconds = run.saturating_mul(2).div_ceil(1000).max(1);
    Duration::from_secs(seconds).min(MAX_DURATION)
}

/// The part, in thousandths, of what was asked for that was not used; a long run counts for more than a short one.
/// Each is told as what was used, asked for, and how long.
fn wasted(of: impl Iterator<Item = (Option<u64>, u64, Option<u64>)>) -> Option<u64> {
    let (mut used, mut asked) = (0_u128, 0_u128);
    for (took, held, run) in of {
        let (Some(took), Some(run)) = (took, run) else { continue };
        used = used.saturating_add(u128::from(took.min(held)) * u128::from(run));
        asked = asked.saturating_add(u128::from(held) * u128::from(run));
    }
    let left = (asked - used).saturating_mul(1000).checked_div(asked)?;
    u64::try_from(left).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second with 2 cores and 1 GiB, of which it used so much.
    fn sample(cores: u64, memory: u64) -> Sample {
        Sample {
            asked_cpu: 2000,
            asked_memory: GIB,
            memory: Some(memory),
            cores: Some(cores),
            run: Some(1000),
            killed: false,
            oom: false,
        }
    }

    fn proposed(samples: &[Sample]) -> Option<String> {
        advise(samples, 950)?.proposed.map(|proposal| proposal.flags())
    }

    /// Samples, a share in thousandths, and the median, that share and the largest.
    type Row<'a> = (&'a [u64], u16, (u64, u64, u64));

    #[test]
    fn a_share_is_what_so_many_of_all_do_not_exceed() {
        let rows: [Row<'_>; 6] = [
            (&[7], 950, (7, 7, 7)),
            (&[3, 1], 950, (1, 3, 3)),
            (&[5, 4, 3, 2, 1], 800, (3, 4, 5)),
            (&[5, 4, 3, 2, 1], 801, (3, 5, 5)),
            (&[1, 1, 1, 9], 0, (1, 1, 9)),
            (&[2, 2, 2, 2], 1000, (2, 2, 2)),
        ];
        for (amounts, permille, (middle, high, most)) in rows {
            let expected = Some(Spread { middle, high, most });
            assert_eq!(Spread::of(amounts.iter().copied(), permille), expected, "{amounts:?}");
        }
        assert_eq!(Spread::of(std::iter::empty(), 950), None);
        // Of a hundred the five largest are left out.
        assert_eq!(Spread::of(1..=100, 950).unwrap().high, 95);
    }

    #[test]
    fn a_proposal_has_some_room_and_is_rounded_up() {
        let alike = |cores, memory| proposed(&[sample(cores, memory); LEAST]).unwrap();
        let rows = [
            // 100 MiB and a fifth, in steps of 16 MiB; tenths of a core; twice the second that it ran.
            (alike(301, 100 * MIB), "--mem 128m --cpus 0.4 --timeout 2s"),
            (alike(300, 400 * MIB), "--mem 480m --cpus 0.3 --timeout 2s"),
            (alike(0, 1), "--mem 16m --cpus 0.1 --timeout 2s"),
            (alike(2000, 5 * GIB / 6), "--mem 1g --cpus 2 --timeout 2s"),
            (alike(u64::MAX, u64::MAX), "--mem 65536g --cpus 4096 --timeout 2s"),
        ];
        for (flags, expected) in rows {
            assert_eq!(flags, expected);
        }
    }

    #[test]
    fn of_fewer_than_five_measured_attempts_nothing_is_proposed() {
        let unmeasured = Sample { cores: None, ..sample(500, MIB) };
        let mut samples = vec![unmeasured; 20];
        samples.extend([sample(500, MIB); LEAST - 1]);
        let advice = advise(&samples, 950).unwrap();
        assert_eq!((advice.attempts, advice.measured, advice.proposed), (24, LEAST - 1, None));
        assert!(advice.memory.is_some() && advice.cpu.is_some(), "what there is is told: {advice:?}");
        samples.push(sample(500, MIB));
        assert!(proposed(&samples).is_some());
        assert_eq!(advise(&[], 950), None);
    }

    #[test]
    fn whoever_was_killed_is_given_half_more_than_was_too_little_and_tells_no_time() {
        let killed =
            |limit| Sample { asked_memory: limit, run: Some(3_600_000), killed: true, oom: true, ..sample(500, limit) };
        let mut samples = vec![sample(500, 10 * MIB); 40];
        samples.extend([killed(32 * MIB), killed(64 * MIB)]);
        let advice = advise(&samples, 950).unwrap();
        assert_eq!((advice.oom, advice.run.unwrap().most), (2, 1000));
        assert_eq!(advice.proposed.unwrap().flags(), "--mem 96m --cpus 0.5 --timeout 2s");
        assert_eq!(proposed(&[killed(64 * MIB); LEAST]).unwrap(), "--mem 96m --cpus 0.5");
    }

    #[test]
    fn what_was_wasted_is_weighed_by_the_length_of_runs() {
        let long = |sample: Sample| Sample { run: Some(9000), ..sample };
        let rows = [
            (vec![sample(1000, GIB / 2)], (Some(500), Some(500))),
            (vec![sample(2000, GIB)], (Some(0), Some(0))),
            (vec![sample(0, 1), long(sample(2000, GIB))], (Some(100), Some(99))),
            (vec![sample(4000, 2 * GIB)], (Some(0), Some(0))),
            (vec![Sample { run: None, ..sample(0, 1) }], (None, None)),
            (vec![Sample { memory: None, ..sample(500, 1) }], (Some(750), None)),
        ];
        for (samples, expected) in rows {
            let advice = advise(&samples, 950).unwrap();
            assert_eq!((advice.wasted_cpu, advice.wasted_memory), expected, "{samples:?}");
        }
    }

    #[test]
    fn tasks_that_use_all_their_cores_are_told_of() {
        let bound = |cores: &[u64]| {
            let samples: Vec<_> = cores.iter().map(|cores| sample(*cores, MIB)).collect();
            advise(&samples, 950).unwrap().bound
        };
        assert!(bound(&[1900, 2000, 100]));
        assert!(!bound(&[1899, 2000, 100]));
        assert!(!bound(&[100, 1950]));
    }

    #[test]
    fn a_time_is_whole_seconds_and_within_what_a_task_may_ask_for() {
        let rows = [(1, 1), (500, 1), (501, 2), (90_000, 180)];
        for (run, seconds) in rows {
            assert_eq!(time_for(run), Duration::from_secs(seconds), "{run}");
        }
        assert_eq!(time_for(u64::MAX), MAX_DURATION);
    }
}
