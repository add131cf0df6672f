//! What became of a schedule's times, and what is to be done next. Pure: nothing here looks at a clock or submits.

use super::definition::{CatchUp, Definition, Overlap};
use super::times::Times;
use crate::handle::made::Made;
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The most missed times that are caught up with.
pub(crate) const MOST_MISSED: usize = 100;
/// What is looked at later than this was missed: the shortest distance of two times.
const ON_TIME: Duration = Duration::from_secs(60);
/// A clock that is set back by less than this is waited for, so that no time comes twice.
const SET_BACK: Duration = Duration::from_secs(3600);

/// Kept apart from the schedule itself, because it changes with every time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// When the schedule was made that it is of: one of the same name that is made later begins anew.
    pub(crate) of: Timestamp,
    /// Times up to this one have been taken in.
    pub(crate) since: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) paused: bool,
    /// Times that are to be run, the earliest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(crate) waiting: VecDeque<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Last>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<Failed>,
    /// How many were submitted.
    pub(crate) runs: u64,
    /// How many times were left out because a run had not ended.
    pub(crate) skipped: u64,
}

/// The last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Last {
    /// For which time; none of one that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<Timestamp>,
    /// When it was submitted.
    pub(crate) at: Timestamp,
    pub(crate) made: Made,
}

/// Why nothing was submitted the last time, where nothing was since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) time: Timestamp,
    /// When it was tried last.
    pub(crate) at: Timestamp,
    pub(crate) message: String,
    /// It is tried again.
    pub(crate) again: bool,
}

impl State {
    /// Of a schedule that was made at this time.
    pub(crate) const fn new(of: Timestamp, paused: bool) -> Self {
        let waiting = VecDeque::new();
        Self { of, since: of, paused, waiting, last: None, last_error: None, runs: 0, skipped: 0 }
    }

    /// Whether the clock was set back so far that times are taken in anew, from now on.
    pub(crate) fn is_ahead(&self, now: Timestamp) -> bool {
        self.since > now + SET_BACK
    }

    /// Takes in what has come by now; `busy` says that the last run has not ended.
    pub(crate) fn take_in(&mut self, definition: &Definition, times: &Times, now: Timestamp, busy: bool) {
        if self.is_ahead(now) {
            self.since = now;
        }
        let most = match definition.catch_up {
            CatchUp::All => MOST_MISSED,
            CatchUp::None | CatchUp::Last => 1,
        };
        for time in times.passed(self.since, now, most) {
            self.since = time;
            let missed = now.since(time) > ON_TIME;
            match definition.catch_up {
                CatchUp::None if missed => {}
                CatchUp::All if missed => self.waiting.push_back(time),
                CatchUp::None | CatchUp::Last | CatchUp::All => self.admit(definition.overlap, time, busy),
            }
        }
        let beyond = self.waiting.len().saturating_sub(MOST_MISSED);
        self.waiting.drain(..beyond);
    }

    fn admit(&mut self, overlap: Overlap, time: Timestamp, busy: bool) {
        let left_out = match overlap {
            Overlap::Skip => busy || !self.waiting.is_empty(),
            Overlap::Queue => !self.waiting.is_empty(),
            Overlap::Replace => {
                self.waiting.clear();
                false
            }
        };
        if left_out {
            self.skipped += 1;
        } else {
            self.waiting.push_back(time);
        }
    }

    /// The time that is to be run now.
    pub(crate) fn next_run(&self, overlap: Overlap, busy: bool) -> Option<Timestamp> {
        self.waiting.front().copied().filter(|_| !busy || overlap == Overlap::Replace)
    }

    /// A run was submitted.
    pub(crate) fn ran(&mut self, last: Last) {
        if last.time.is_some() && self.waiting.front().copied() == last.time {
            self.waiting.pop_front();
        }
        self.last = Some(last);
        self.last_error = None;
        self.runs += 1;
    }

    /// A run could not be submitted; one that is not tried again is over.
    pub(crate) fn failed(&mut self, failed: Failed) {
        if !failed.again && self.waiting.front() == Some(&failed.time) {
            self.waiting.pop_front();
        }
        self.last_error = Some(failed);
    }

    /// Nothing comes any more until it is resumed; what waits is over.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
        self.waiting.clear();
    }

    /// Times come again, from now on.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        if self.paused {
            self.paused = false;
            self.since = self.since.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::TaskId;
    use cloudai_core::rfc3339;

    fn at(text: &str) -> Timestamp {
        rfc3339::parse(&format!("2026-01-31T{text}:00Z")).unwrap()
    }

    /// Every hour, with these rules.
    fn hourly(overlap: &str, catch_up: &str) -> (Definition, Times) {
        let text = format!(
            r#"{{"cron": "0 * * * *", "overlap": "{overlap}", "catch_up": "{catch_up}", "task": {{"image": "a"}}}}"#
        );
        let given = super::super::definition::read(&serde_json::from_str(&text).unwrap()).unwrap();
        (given.definition, given.times)
    }

    /// What waits after such times were looked at, each with whether the last run goes on; then what was left out.
    fn waits(overlap: &str, catch_up: &str, looks: &[(&str, bool)]) -> (Vec<Timestamp>, u64) {
        let (definition, times) = hourly(overlap, catch_up);
        let mut state = State::new(at("00:30"), false);
        for (now, busy) in looks {
            state.take_in(&definition, &times, at(now), *busy);
        }
        (state.waiting.into(), state.skipped)
    }

    /// An overlap, times and whether a run goes on then, the times that run, and how many were left out.
    type Row<'a> = (&'a str, &'a [(&'a str, bool)], &'a [&'a str], u64);

    #[test]
    fn a_time_that_comes_while_the_last_run_goes_on_is_left_out_or_waits_or_takes_its_place() {
        let once = [("01:00", false)];
        let beside = [("01:00", true)];
        let twice = [("01:00", true), ("02:00", true)];
        let rows: [Row<'_>; 8] = [
            ("skip", &once, &["01:00"], 0),
            ("skip", &beside, &[], 1),
            ("skip", &twice, &[], 2),
            ("queue", &once, &["01:00"], 0),
            ("queue", &beside, &["01:00"], 0),
            ("queue", &twice, &["01:00"], 1),
            ("replace", &beside, &["01:00"], 0),
            ("replace", &twice, &["02:00"], 0),
        ];
        for (overlap, looks, waiting, skipped) in rows {
            let expected: Vec<_> = waiting.iter().map(|time| at(time)).collect();
            assert_eq!(waits(overlap, "last", looks), (expected, skipped), "{overlap} {looks:?}");
        }
        let (definition, times) = hourly("queue", "last");
        let mut state = State::new(at("00:30"), false);
        state.take_in(&definition, &times, at("01:00"), true);
        assert_eq!(state.next_run(Overlap::Queue, true), None);
        assert_eq!(state.next_run(Overlap::Queue, false), Some(at("01:00")));
        assert_eq!(state.next_run(Overlap::Replace, true), Some(at("01:00")));
    }

    #[test]
    fn what_was_missed_is_left_out_or_its_last_or_all_of_it_is_run() {
        let rows: [(&str, &str, bool, &[&str]); 6] = [
            ("none", "05:20", false, &[]),
            ("last", "05:20", false, &["05:00"]),
            ("last", "05:20", true, &[]),
            ("all", "05:20", false, &["01:00", "02:00", "03:00", "04:00", "05:00"]),
            // They wait for each other, whatever holds for times that come.
            ("all", "05:20", true, &["01:00", "02:00", "03:00", "04:00", "05:00"]),
            // What is looked at within a minute was not missed.
            ("none", "05:00", false, &["05:00"]),
        ];
        for (catch_up, now, busy, waiting) in rows {
            let expected: Vec<_> = waiting.iter().map(|time| at(time)).collect();
            assert_eq!(waits("skip", catch_up, &[(now, busy)]).0, expected, "{catch_up} {now} {busy}");
        }
        let (definition, times) = hourly("skip", "all");
        let mut state = State::new(Timestamp::ZERO, false);
        state.take_in(&definition, &times, at("05:20"), false);
        assert_eq!((state.waiting.len(), state.waiting.back()), (MOST_MISSED, Some(&at("05:00"))));
    }

    #[test]
    fn a_time_is_taken_in_once() {
        let (definition, times) = hourly("queue", "all");
        let mut state = State::new(at("00:30"), false);
        for now in ["01:00", "01:00", "01:59", "00:10"] {
            state.take_in(&definition, &times, at(now), false);
        }
        assert_eq!(Vec::from(state.waiting), [at("01:00")]);
    }

    #[test]
    fn a_clock_that_was_set_back_by_hours_does_not_silence_a_schedule() {
        let (definition, times) = hourly("skip", "last");
        let mut state = State::new(at("20:30"), false);
        for now in ["19:45", "08:30", "09:00"] {
            state.take_in(&definition, &times, at(now), false);
        }
        assert_eq!(Vec::from(state.waiting), [at("09:00")]);
    }

    #[test]
    fn what_was_run_or_can_not_be_run_waits_no_more() {
        let made = Made::Task(TaskId::new(1));
        let mut state = State::new(at("00:30"), false);
        state.waiting = [at("01:00"), at("02:00")].into();
        let failed = |time: &str, again| Failed { time: at(time), at: at("03:00"), message: "no".into(), again };
        state.failed(failed("01:00", true));
        assert_eq!((state.waiting.len(), state.last_error.as_ref().map(|failed| failed.again)), (2, Some(true)));
        state.failed(failed("01:00", false));
        assert_eq!(state.waiting, [at("02:00")]);
        state.ran(Last { time: Some(at("02:00")), at: at("03:00"), made });
        assert_eq!((state.waiting.len(), state.runs, state.last_error.is_none()), (0, 1, true));
    }

    #[test]
    fn what_came_while_it_was_paused_is_not_caught_up_with() {
        let (definition, times) = hourly("skip", "all");
        let mut state = State::new(at("00:30"), false);
        state.waiting.push_back(at("00:00"));
        state.pause();
        assert!(state.paused && state.waiting.is_empty());
        state.resume(at("05:20"));
        state.take_in(&definition, &times, at("06:00"), false);
        assert_eq!(Vec::from(state.waiting), [at("06:00")]);
    }
}
