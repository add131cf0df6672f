//! What each metric means, in one plain sentence; the reports are made of it.

use super::metrics::Metrics;

/// Which way a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// A smaller number.
    Lower,
    /// A larger one.
    Higher,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Seconds.
    Seconds,
    /// A part of 1, as per cent.
    Share,
    /// A number without unit.
    Number,
    /// Whole things.
    Count,
}

/// A metric that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Meaning {
    /// Its name in `metrics.json`.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// How it is shown.
    pub form: Form,
    /// Which way it gets better.
    pub better: Better,
    /// What it says.
    pub sentence: &'static str,
    /// Its value.
    pub of: fn(&Metrics) -> f64,
}

/// The metrics that are compared, in the order in which they are shown.
pub const COMPARED: &[Meaning] = &[
    Meaning {
        key: "makespan_s",
        label: "Makespan",
        form: Form::Seconds,
        better: Better::Lower,
        sentence: "The time from the first arrival until the last task has ended.",
        of: |m| m.makespan_s,
    },
    Meaning {
        key: "gap",
        label: "Gap to the bound",
        form: Form::Share,
        better: Better::Lower,
        sentence: "How much longer the makespan is than the lower bound, which no schedule can beat; 0% is perfect.",
        of: |m| m.gap,
    },
    Meaning {
        key: "wait_mean_s",
        label: "Mean wait",
        form: Form::Seconds,
        better: Better::Lower,
        sentence: "How long a task waits between its arrival and its start, on average.",
        of: |m| m.wait_mean_s,
    },
    Meaning {
        key: "wait_p95_s",
        label: "95% wait at most",
        form: Form::Seconds,
        better: Better::Lower,
        sentence: "95 of 100 tasks wait no longer than this (the 95th percentile).",
        of: |m| m.wait_p95_s,
    },
    Meaning {
        key: "bsld_mean",
        label: "Bounded slowdown",
        form: Form::Number,
        better: Better::Lower,
        sentence: "How many times longer a task took than it ran, waiting included, on average; runs under 10 s count as \
                   10 s, so that waits of some seconds hide; 1 is the least.",
        of: |m| m.bsld_mean,
    },
    Meaning {
        key: "util_main",
        label: "Utilization",
        form: Form::Share,
        better: Better::Higher,
        sentence: "The part of the busiest resource of the cluster that was in use, averaged over the makespan.",
        of: |m| m.util_main,
    },
    Meaning {
        key: "load_std",
        label: "Load spread",
        form: Form::Number,
        better: Better::Lower,
        sentence: "How unequally the workers were loaded: the standard deviation of their loads (0 idle, 1 full), averaged \
                   over time; 0 means that all were equally busy.",
        of: |m| m.load_std,
    },
    Meaning {
        key: "starved",
        label: "Starved",
        form: Form::Count,
        better: Better::Lower,
        sentence: "Tasks that waited over a minute and over five times as long as they, or a typical task, ran.",
        of: |m| m.starved as f64,
    },
    Meaning {
        key: "deadline_misses",
        label: "Deadlines missed",
        form: Form::Count,
        better: Better::Lower,
        sentence: "Tasks that ended after their deadline.",
        of: |m| m.deadline_misses as f64,
    },
];

/// What a lower bound on the makespan says.
#[must_use]
pub fn of_bound(name: &str) -> &'static str {
    match name {
        "lb_long" => "the last end if every task started when it arrived",
        "lb_area_cpu" => "all work on cores, spread over all cores of the cluster",
        "lb_area_mem_gb" => "all use of memory, spread over all memory of the cluster",
        "lb_area_storage_gb" => "all use of disk, spread over all disk of the cluster",
        "lb_area_gpu" => "all work on GPUs, spread over all GPUs of the cluster",
        "lb_class" => "the work that fits only on the larger workers, spread over those",
        "lb_dff" => "all work, where a task that leaves no room for others counts as a whole worker",
        "lb_excl" => {
            "tasks that need more than half of any worker, one after the other on the workers that can take them"
        }
        _ => "",
    }
}

/// What another number of `metrics.json` means; empty where its name says it.
#[must_use]
pub fn of_entry(name: &str) -> &'static str {
    if let Some(known) = COMPARED.iter().find(|known| known.key == name) {
        return known.sentence;
    }
    match name {
        "tasks" => "tasks of the workload",
        "workers" => "workers of the cluster",
        "times_only" => "its workers are not those of the workload: what depends on them is left out",
        "wait_p50_s" => "half of the tasks wait no longer than this",
        "wait_p99_s" => "99 of 100 tasks wait no longer than this",
        "wait_max_s" => "the longest wait",
        "bsld_p95" => "95 of 100 tasks have no higher bounded slowdown",
        "turnaround_mean_s" => "mean time from arrival to end",
        "util_cpu" | "util_mem_gb" | "util_storage_gb" | "util_gpu" => "part in use, over the makespan",
        "util_busy_cpu" | "util_busy_mem_gb" | "util_busy_storage_gb" | "util_busy_gpu" => {
            "part in use until the last arrival"
        }
        "util_mean" => "mean of the utilization of all resources that tasks ask for",
        "load_var" => "as load_std, with the variance",
        "load_std_avg" => "standard deviation over workers of their load averaged over time",
        "throughput_per_s" => "tasks a second",
        "deadlines" => "tasks that have a deadline",
        "lower_bound" => "no schedule has a shorter makespan: the highest of the lb_ numbers, in seconds",
        other => of_bound(other),
    }
}

impl Meaning {
    /// The number as people read it; `-` for one that is not known.
    #[must_use]
    pub fn shown(&self, number: f64) -> String {
        match self.form {
            _ if number.is_nan() => "-".to_owned(),
            Form::Seconds => format!("{} s", super::figure::plain(number)),
            Form::Share => super::figure::percent(number),
            Form::Number => super::figure::plain(number),
            Form::Count => format!("{number:.0}"),
        }
    }

    /// How a number differs from the baseline's; empty where one of them is not known.
    #[must_use]
    pub fn changed(&self, from: f64, to: f64) -> String {
        match self.form {
            _ if from.is_nan() || to.is_nan() => String::new(),
            Form::Seconds | Form::Number => super::figure::change(from, to),
            Form::Share if (to - from).abs() < 0.0005 => "same".to_owned(),
            Form::Share => format!("{:+.1} points", (to - from) * 100.0),
            Form::Count if (to - from).abs() < 0.5 => "same".to_owned(),
            Form::Count => format!("{:+.0}", to - from),
        }
    }

    /// The best of some numbers; none when all that are known are equal.
    #[must_use]
    pub fn best(&self, numbers: &[f64]) -> Option<f64> {
        let (least, most) = (
            numbers.iter().copied().fold(f64::INFINITY, f64::min),
            numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        let differ = self.shown(least) != self.shown(most);
        let best = match self.better {
            Better::Lower => least,
            Better::Higher => most,
        };
        differ.then_some(best)
    }
}
