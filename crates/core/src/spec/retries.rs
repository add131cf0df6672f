//! Which failures a task is tried again after, how often and when (`retries` of SPEC 3.1).

use super::read::{MAX_ITEMS, Reader};
use super::{MAX_DURATION, Value};
use crate::resources::WHOLE;
use crate::retry::Budget;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The most retries of one cause.
pub const MAX_RETRIES: u32 = 100;
/// Retries of a named cause when `max` is not given; those of lost workers and pulls when nothing is.
pub const DEFAULT_RETRIES: u32 = 3;
const DEFAULT_INITIAL: Duration = Duration::from_secs(1);
const DEFAULT_FACTOR_MILLI: u64 = 2000;
const DEFAULT_LONGEST: Duration = Duration::from_secs(60);

/// A task's own policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// Retries of each cause in `on`; the others keep their defaults.
    pub max: u32,
    /// The causes that it is about.
    pub on: RetryOn,
    /// Before the first retry of a cause.
    #[serde(with = "super::as_millis")]
    pub initial: Duration,
    /// Each retry waits so many times longer than the one before, in thousandths.
    pub factor_milli: u64,
    /// No retry waits longer.
    #[serde(with = "super::as_millis")]
    pub longest: Duration,
}

/// Causes of failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryOn {
    /// Lost workers and failures of engines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub worker_lost: bool,
    /// Pulls that failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub image_pull: bool,
    /// Killed for its memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oom: bool,
    /// The program ended with any code but 0.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_exit: bool,
    /// The program ended with one of these codes.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exit_codes: BTreeSet<u8>,
}

impl Default for Retries {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Retries {
    /// What holds for a task that says nothing of it.
    pub const DEFAULT: Self = Self {
        max: DEFAULT_RETRIES,
        on: RetryOn { worker_lost: false, image_pull: false, oom: false, any_exit: false, exit_codes: BTreeSet::new() },
        initial: DEFAULT_INITIAL,
        factor_milli: DEFAULT_FACTOR_MILLI,
        longest: DEFAULT_LONGEST,
    };

    /// How often an attempt that failed so is followed by another.
    #[must_use]
    pub fn most(&self, budget: Budget) -> u32 {
        let (named, otherwise) = match budget {
            Budget::WorkerLost => (self.on.worker_lost, DEFAULT_RETRIES),
            Budget::ImagePull => (self.on.image_pull, DEFAULT_RETRIES),
            Budget::Oom => (self.on.oom, 0),
            Budget::ExitCode => (self.on.any_exit || !self.on.exit_codes.is_empty(), 0),
        };
        if named { self.max } else { otherwise }
    }

    /// Whether a program that ended with this code is tried again.
    #[must_use]
    pub fn covers_exit(&self, code: i32) -> bool {
        code != 0 && (self.on.any_exit || u8::try_from(code).is_ok_and(|code| self.on.exit_codes.contains(&code)))
    }
}

const FIELDS: [&str; 5] = ["max", "on", "initial_s", "factor", "max_s"];
const CAUSES: &str = "is no cause: one of oom, worker_lost, image_pull, exit_code, or {\"exit_code\": [1, 2]}";

/// Reads the field of a task.
pub(super) fn read(task: &mut Reader<'_>) -> Option<Retries> {
    let mut reader = task.inner("retries", &FIELDS)?;
    let any = Duration::ZERO..=MAX_DURATION;
    let initial = reader.seconds("initial_s", any.clone()).unwrap_or(DEFAULT_INITIAL);
    let longest = reader.seconds("max_s", any);
    if longest.is_some_and(|longest| longest < initial) {
        reader.wrong("max_s", "is shorter than initial_s");
    }
    let retries = Retries {
        max: reader.whole("max", 0..=MAX_RETRIES).unwrap_or(DEFAULT_RETRIES),
        on: on(&mut reader),
        initial,
        factor_milli: reader.amount("factor", 2 * WHOLE, WHOLE, WHOLE..=100 * WHOLE, "1 to 100"),
        longest: longest.unwrap_or_else(|| initial.max(DEFAULT_LONGEST)),
    };
    task.take_errors("retries", reader);
    Some(retries)
}

/// The named causes; without any the program's own failures.
fn on(reader: &mut Reader<'_>) -> RetryOn {
    let mut on = RetryOn::default();
    let items = match reader.get("on") {
        None => return RetryOn { oom: true, any_exit: true, ..on },
        Some(Value::List(items)) if (1..=MAX_ITEMS).contains(&items.len()) => items,
        Some(_) => {
            reader.wrong("on", "must be a list of causes, as [\"oom\", \"worker_lost\"]");
            return on;
        }
    };
    for (index, item) in items.iter().enumerate() {
        match item {
            Value::Text(word) => match word.as_str() {
                "worker_lost" => on.worker_lost = true,
                "image_pull" => on.image_pull = true,
                "oom" => on.oom = true,
                "exit_code" => on.any_exit = true,
                _ => reader.error(format!("on[{index}]"), Some(item.to_string()), CAUSES.into()),
            },
            Value::Map(entries) => match entries.as_slice() {
                [(name, Value::List(codes))] if name == "exit_code" && !codes.is_empty() => {
                    exit_codes(reader, &format!("on[{index}].exit_code"), codes, &mut on.exit_codes);
                }
                _ => reader.error(format!("on[{index}]"), Some(item.to_string()), CAUSES.into()),
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => {
                reader.error(format!("on[{index}]"), Some(item.to_string()), CAUSES.into());
            }
        }
    }
    on
}

fn exit_codes(reader: &mut Reader<'_>, path: &str, codes: &[Value], into: &mut BTreeSet<u8>) {
    for (index, code) in codes.iter().enumerate() {
        let number = if let Value::Int(code) = code { u8::try_from(*code).ok() } else { None };
        match number.filter(|code| *code > 0) {
            Some(code) => drop(into.insert(code)),
            None => {
                let problem = "must be a whole number from 1 to 255";
                reader.error(format!("{path}[{index}]"), Some(code.to_string()), problem.into());
            }
        }
    }
}

/// The document that [`read`] reads back.
pub(super) fn write(retries: &Retries, seconds: fn(Duration) -> Value, decimal: fn(u64, u64) -> Value) -> Value {
    let on = &retries.on;
    let words =
        [(on.worker_lost, "worker_lost"), (on.image_pull, "image_pull"), (on.oom, "oom"), (on.any_exit, "exit_code")];
    let mut causes: Vec<Value> =
        words.into_iter().filter(|(named, _)| *named).map(|(_, word)| Value::Text(word.into())).collect();
    if !on.exit_codes.is_empty() {
        let codes = on.exit_codes.iter().map(|code| Value::Int((*code).into())).collect();
        causes.push(Value::Map(vec![("exit_code".into(), Value::List(codes))]));
    }
    Value::Map(vec![
        ("max".into(), Value::Int(retries.max.into())),
        ("on".into(), Value::List(causes)),
        ("initial_s".into(), seconds(retries.initial)),
        ("factor".into(), decimal(retries.factor_milli, WHOLE)),
        ("max_s".into(), seconds(retries.longest)),
    ])
}
