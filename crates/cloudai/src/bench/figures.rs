//! Figures of a run: amounts with units, shares of a sample, what a process has used.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// One measured amount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured, as `rate`.
    pub(crate) name: String,
    /// In what, as `tasks/s`.
    pub(crate) unit: Cow<'static, str>,
    /// How much.
    pub(crate) value: f64,
    /// What to know before believing it, continuing its name; none when it is to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caution: Option<String>,
}

impl Figure {
    /// An amount with its unit.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { name: name.into(), unit: unit.into(), value, caution: None }
    }

    /// The same with something to know before believing it.
    #[must_use]
    pub(crate) fn with_caution(self, caution: impl Into<String>) -> Self {
        Self { caution: Some(caution.into()), ..self }
    }

    /// A time in milliseconds.
    #[must_use]
    pub(crate) fn ms(name: impl Into<String>, time: Duration) -> Self {
        Self::new(name, "ms", time.as_secs_f64() * 1e3)
    }

    /// A time in seconds.
    #[must_use]
    pub(crate) fn seconds(name: impl Into<String>, time: Duration) -> Self {
        Self::new(name, "s", time.as_secs_f64())
    }

    /// Processor time for each of so many, in microseconds.
    #[must_use]
    pub(crate) fn cpu(name: impl Into<String>, time: Duration, count: u64) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / as_f64(count.max(1));
        let figure = Self::new(name, "us", each(time));
        // Time as user and time as system, each counted in whole ticks.
        let error = tick() * 2;
        if time >= error * 20 {
            return figure;
        }
        let (whole, part) = (error.as_millis(), Shown(each(error)));
        figure.with_caution(format!("known to {whole} ms, which is {part} us for each here; more of them tell more"))
    }

    /// So many in a time.
    #[must_use]
    pub(crate) fn rate(name: impl Into<String>, unit: &'static str, count: u64, time: Duration) -> Self {
        Self::new(name, unit, as_f64(count) / time.as_secs_f64().max(1e-9))
    }

    /// Bytes, in megabytes of a million.
    #[must_use]
    pub(crate) fn megabytes(name: impl Into<String>, bytes: u64) -> Self {
        Self::new(name, "MB", as_f64(bytes) / 1e6)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, Shown(self.value), self.unit)
    }
}

/// A number with as many digits as it is worth: three, all before the point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown(pub(crate) f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            value if value >= 1.0 => 2,
            _ => 3,
        };
        f.pad(&format!("{:.digits$}", self.0))
    }
}

/// Counts in benchmarks are far below 2^52.
#[allow(clippy::cast_precision_loss)]
#[must_use]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// In what steps the system tells processor time.
fn tick() -> Duration {
    Duration::from_secs_f64(1.0 / as_f64(rustix::param::clock_ticks_per_second().max(1)))
}

/// Times of single things, for their shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    times: Vec<Duration>,
}

impl Sample {
    /// Takes one in.
    pub(crate) fn add(&mut self, time: Duration) {
        self.times.push(time);
    }

    /// Takes all of another in.
    pub(crate) fn join(&mut self, other: Self) {
        self.times.extend(other.times);
    }

    /// The median, the 99th percentile and the longest, in milliseconds.
    #[must_use]
    pub(crate) fn figures(&self, of: &str) -> Vec<Figure> {
        let shares = [("p50", 50), ("p99", 99), ("max", 100)];
        shares.map(|(name, share)| Figure::ms(format!("{of} {name}"), self.share(share))).into()
    }

    /// The smallest time that so many of a hundred do not exceed (nearest rank).
    #[must_use]
    pub(crate) fn share(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100);
        times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Processor time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it had resident at once, in bytes.
    pub(crate) peak: u64,
    /// What it has resident now, in bytes.
    pub(crate) resident: u64,
}

impl Used {
    /// What a process has used, from `/proc`; none when it is gone.
    #[must_use]
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        Some(Self {
            cpu: tick().mul_f64(as_f64(user + system)),
            peak: kib("VmHWM:")? * 1024,
            resident: kib("VmRSS:")? * 1024,
        })
    }

    /// The processor time since an earlier look.
    #[must_use]
    pub(crate) fn cpu_since(&self, earlier: Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_sample_are_its_nearest_ranks() {
        let mut sample = Sample::default();
        for time in (1..=200).rev() {
            sample.add(Duration::from_millis(time));
        }
        let shown: Vec<_> = sample.figures("wait").iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["wait p50 100 ms", "wait p99 198 ms", "wait max 200 ms"]);
    }

    #[test]
    fn a_number_is_shown_with_what_it_is_worth() {
        for (value, text) in [(12345.6, "12346"), (12.345, "12.3"), (1.2345, "1.23"), (0.0123, "0.012")] {
            assert_eq!(Shown(value).to_string(), text);
        }
    }

    #[test]
    fn processor_time_of_few_ticks_is_marked_with_what_a_tick_is_worth() {
        let many = Figure::cpu("cpu", Duration::from_secs(10), 1000);
        assert_eq!((many.to_string(), many.caution), ("cpu 10000 us".into(), None));
        let few = Figure::cpu("cpu", tick(), 100);
        let caution = few.caution.unwrap();
        assert!(
            caution.contains(&format!("{} us for each", Shown(tick().as_secs_f64() * 1e6 * 2.0 / 100.0))),
            "{caution}"
        );
    }

    #[test]
    fn this_process_has_used_memory_and_one_that_is_not_there_nothing() {
        let used = Used::of(std::process::id()).unwrap();
        assert!(used.resident > 0 && used.peak >= used.resident);
        assert!(Used::of(u32::MAX).is_none());
    }
}
