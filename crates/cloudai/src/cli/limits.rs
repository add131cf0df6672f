//! The flags that `task submit` and `task retry` share: what a task may use, and when and for how long.

use super::document::seconds;
use crate::config::{cores, duration, gigabytes};
use cloudai_core::spec::Value;
use std::time::Duration;

/// A field of a task's document, with its value where its flag was given.
pub(super) type Field = (&'static str, Option<Value>);

/// What a task may use.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Amounts {
    /// Cores, as 2 or 0.5
    #[arg(long, value_name = "N", visible_alias = "cpu-cores", value_parser = cores, allow_negative_numbers = true)]
    pub(super) cpus: Option<f64>,
    /// Memory, as 512m or 4g; a plain number is GB
    #[arg(long, value_name = "SIZE", alias = "memory", value_parser = gigabytes, allow_negative_numbers = true)]
    pub(super) mem: Option<f64>,
    /// Disk, as 10g; a plain number is GB
    #[arg(long, value_name = "SIZE", visible_alias = "storage", value_parser = gigabytes, allow_negative_numbers = true)]
    pub(super) disk: Option<f64>,
    /// GPUs: whole devices, or a fraction of one
    #[arg(long, value_name = "N", visible_alias = "gpu-cores", value_parser = cores, allow_negative_numbers = true)]
    pub(super) gpus: Option<f64>,
}

impl Amounts {
    /// The fields, in the order of the flags.
    pub(super) fn fields(&self) -> [Field; 4] {
        [
            ("cpu_cores", self.cpus.map(Value::Float)),
            ("memory_gb", self.mem.map(Value::Float)),
            ("storage_gb", self.disk.map(Value::Float)),
            ("gpu_cores", self.gpus.map(Value::Float)),
        ]
    }
}

/// How early it comes, and how long it may take. Apart from [`Amounts`] for the order of a help.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Limits {
    /// -100 to 100, higher goes earlier; how much it counts is the strategy's (knob urgency)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) priority: Option<i64>,
    /// How long it may run, as 90s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// How long it may wait for a place
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) queue_timeout: Option<Duration>,
    /// How long all of it may take, its own retries included
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) total_timeout: Option<Duration>,
}

impl Limits {
    /// The fields, in the order of the flags.
    pub(super) fn fields(&self) -> [Field; 4] {
        [
            ("priority", self.priority.map(Value::Int)),
            ("timeout_s", self.timeout.map(seconds)),
            ("queue_timeout_s", self.queue_timeout.map(seconds)),
            ("total_timeout_s", self.total_timeout.map(seconds)),
        ]
    }
}

/// What stands in the help of a flag of these where none of them is what the task had before.
const DEFAULTS: [(&str, &str); 8] = [
    ("cpus", "1"),
    ("mem", "0.5"),
    ("disk", "1"),
    ("gpus", "0"),
    ("priority", "0"),
    ("timeout", "without end"),
    ("queue_timeout", "without end"),
    ("total_timeout", "without end"),
];

/// The flag, with its default in its help if it is one of these.
pub(super) fn with_default(arg: clap::Arg) -> clap::Arg {
    let default = DEFAULTS.iter().find(|(id, _)| arg.get_id() == id).map(|(_, default)| default);
    match (default, arg.get_help().map(ToString::to_string)) {
        (Some(default), Some(help)) => arg.help(format!("{help} [default: {default}]")),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, Command};

    #[test]
    fn only_a_task_without_a_past_is_told_the_defaults() {
        let help = |command: Command| {
            let command = command.disable_help_flag(true);
            command.get_arguments().map(|arg| (arg.get_id().to_string(), arg.get_help().unwrap().to_string())).collect()
        };
        let submit: Vec<(String, String)> = help(super::super::document::Fields::augment_args(Command::new("submit")));
        let bare: Vec<(String, String)> = help(Limits::augment_args(Amounts::augment_args(Command::new("retry"))));
        assert_eq!(bare.len(), DEFAULTS.len());
        for ((id, text), (known, default)) in bare.into_iter().zip(DEFAULTS) {
            assert_eq!(id, known);
            assert!(submit.contains(&(id, format!("{text} [default: {default}]"))), "{known}: {submit:?}");
        }
    }
}
