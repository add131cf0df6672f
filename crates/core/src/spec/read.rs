//! From a document to a [`TaskSpec`]: every rule of SPEC 3.1, every wrong field named at once.

use super::fields::{LIVE, refusal};
use super::names::is_env_name;
use super::places::Places;
use super::{
    ContainerSpec, DEFAULT_KILL_AFTER, DEFAULT_PULL, FieldError, Limits, MAX_DURATION, MAX_SPEC_BYTES, Network,
    OnDisconnect, PullPolicy, SpecError, TaskSpec, Value, When, image, inputs, outputs, placement, requests, retries,
    secrets, size, volumes,
};
use crate::label;
use crate::resources::GIB;
use crate::rfc3339::{self, NoTime};
use crate::text::parse_size;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

pub(super) const TIB: u64 = GIB << 10;
/// The largest list or map inside a spec.
pub(crate) const MAX_ITEMS: usize = 4096;

pub(super) fn spec(document: &Value) -> Result<TaskSpec, SpecError> {
    of_reader(Reader::open(document)?)
}

/// Reads fields that a task has, whichever documents they come from.
pub(crate) fn of_fields(fields: BTreeMap<&str, &Value>) -> Result<TaskSpec, SpecError> {
    of_reader(Reader { fields, errors: Vec::new() })
}

fn of_reader(mut reader: Reader<'_>) -> Result<TaskSpec, SpecError> {
    let image = reader.image();
    let (demand, alternatives) = requests::read(&mut reader);
    let spec = TaskSpec {
        image,
        name: reader.text("name", 200, Form::Line),
        container: container(&mut reader),
        demand,
        alternatives,
        priority: reader.priority(),
        limits: limits(&mut reader),
        not_before: reader.when("not_before", Duration::ZERO),
        estimate: reader.seconds("estimate_s", Duration::from_millis(1)..=MAX_DURATION),
        deadline: reader.when("deadline", Duration::from_millis(1)),
        hold: reader.truth("hold"),
        on_disconnect: reader.choice("on_disconnect", &[("stop", OnDisconnect::Stop), ("keep", OnDisconnect::Keep)]),
        retries: retries::read(&mut reader),
        worker_id: reader.parsed("worker_id"),
        constraints: placement::constraints(&mut reader),
        affinity: placement::affinity(&mut reader),
        anti_affinity: placement::anti_affinity(&mut reader),
        spread: placement::spread(&mut reader),
        allow_pending: reader.truth("allow_pending"),
        idempotency_key: reader.text("idempotency_key", 200, Form::Line).map(Into::into),
        labels: reader.texts_by_name("labels", label::check_key),
    };
    reader.close(spec)
}

fn container(reader: &mut Reader<'_>) -> ContainerSpec {
    let tmpfs = reader.tmpfs();
    let mut places = Places::default();
    let inputs = inputs::read(reader, tmpfs.keys(), &mut places);
    tmpfs.keys().for_each(|path| places.take(format!("tmpfs.{path}"), path));
    let volumes = volumes::read(reader, &mut places);
    let env = reader.texts_by_name("env", is_env_name);
    let secrets = secrets::read(reader, (&mut places, &env), is_env_name);
    ContainerSpec {
        command: reader.texts("command").unwrap_or_default(),
        args: reader.texts("args").unwrap_or_default(),
        entrypoint: reader.texts("entrypoint"),
        env,
        workdir: reader.text("workdir", 4096, Form::AbsolutePath),
        user: reader.text("user", 200, Form::Line),
        network: reader.choice("network", &[("none", Network::None), ("bridge", Network::Bridge)]),
        pull_policy: reader.choice(
            "pull_policy",
            &[("missing", PullPolicy::Missing), ("always", PullPolicy::Always), ("never", PullPolicy::Never)],
        ),
        shm_size: reader.size("shm_size"),
        read_only_root: reader.truth("read_only_root"),
        outputs: reader.outputs(),
        inputs,
        secrets,
        volumes,
        tmpfs,
    }
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    let any = Duration::from_millis(1)..=MAX_DURATION;
    Limits {
        run: reader.seconds("timeout_s", any.clone()),
        queue: reader.seconds("queue_timeout_s", any.clone()),
        total: reader.seconds("total_timeout_s", any.clone()),
        pull: reader.seconds("pull_timeout_s", any).unwrap_or(DEFAULT_PULL),
        kill_after: reader
            .seconds("kill_after_s", Duration::ZERO..=Duration::from_secs(60))
            .unwrap_or(DEFAULT_KILL_AFTER),
    }
}

/// The form a text must have.
pub(crate) enum Form {
    /// Not empty, no control characters.
    Line,
    /// Begins with `/`.
    AbsolutePath,
}

/// The fields of a document, and what is wrong with them so far.
pub(crate) struct Reader<'a> {
    pub(crate) fields: BTreeMap<&'a str, &'a Value>,
    pub(crate) errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    fn open(document: &'a Value) -> Result<Self, SpecError> {
        let Value::Map(entries) = document else {
            let problem = format!("is {}: expected a map of fields, as {{\"image\": \"busybox\"}}", document.kind());
            return Err(SpecError(vec![FieldError { path: "task".into(), value: None, problem }]));
        };
        let mut reader = Self { fields: BTreeMap::new(), errors: Vec::new() };
        for (name, value) in entries {
            if LIVE.contains(&name.as_str()) {
                if reader.fields.insert(name, value).is_some() {
                    reader.error(name.clone(), None, "is given twice".into());
                }
            } else {
                reader.refuse(name);
            }
        }
        Ok(reader)
    }

    /// The fields of a map within; its errors go back by [`Self::take_errors`].
    pub(super) fn inner(&mut self, name: &str, known: &[&str]) -> Option<Self> {
        let Value::Map(entries) = self.get(name)? else {
            self.wrong(name, &format!("must be a map with any of {}", known.join(", ")));
            return None;
        };
        Some(Self::within(entries, name, known))
    }

    /// The fields of each map of a list of at most so many, by its place; its errors go back by [`Self::take_errors`].
    pub(super) fn maps(&mut self, name: &str, most: usize, expected: &str, known: &[&str]) -> Vec<(usize, Self)> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Value::List(items) = value else {
            self.wrong(name, expected);
            return Vec::new();
        };
        if items.len() > most {
            self.wrong(name, &format!("has more than {most} entries"));
        }
        let mut maps = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate().take(most) {
            match item {
                Value::Map(entries) => maps.push((index, Self::within(entries, name, known))),
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                    let problem = format!("must be a map with any of {}", known.join(", "));
                    self.error(format!("{name}[{index}]"), Some(item.to_string()), problem);
                }
            }
        }
        maps
    }

    /// The known fields of a map, and what is wrong with the others.
    pub(super) fn within(entries: &'a [(String, Value)], name: &str, known: &[&str]) -> Self {
        let mut inner = Self { fields: BTreeMap::new(), errors: Vec::new() };
        for (field, value) in entries {
            if !known.contains(&field.as_str()) {
                let shown = field.chars().take(80).collect();
                inner.error(shown, None, format!("is no field of {name}: there are {}", known.join(", ")));
            } else if inner.fields.insert(field, value).is_some() {
                inner.error(field.clone(), None, "is given twice".into());
            }
        }
        inner
    }

    /// Takes over what is wrong within a field.
    pub(super) fn take_errors(&mut self, name: &str, inner: Self) {
        let within = |error: FieldError| FieldError { path: format!("{name}.{}", error.path), ..error };
        self.errors.extend(inner.errors.into_iter().map(within));
    }

    fn close(self, spec: TaskSpec) -> Result<TaskSpec, SpecError> {
        let mut errors = self.errors;
        let size = size::of(&spec);
        if size > MAX_SPEC_BYTES {
            let problem = format!("has {size} bytes of text: at most {MAX_SPEC_BYTES} are allowed");
            errors.push(FieldError { path: "task".into(), value: None, problem });
        }
        if errors.is_empty() { Ok(spec) } else { Err(SpecError(errors)) }
    }

    fn refuse(&mut self, name: &str) {
        self.error(name.chars().take(80).collect(), None, refusal(name));
    }

    pub(crate) fn error(&mut self, path: String, value: Option<String>, problem: String) {
        self.errors.push(FieldError { path, value, problem });
    }

    /// Notes that a given field is wrong.
    pub(crate) fn wrong(&mut self, name: &str, problem: &str) {
        let value = self.fields.get(name).map(ToString::to_string);
        self.error(name.into(), value, problem.into());
    }

    /// A field's value; `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).copied().filter(|value| **value != Value::Null)
    }

    fn image(&mut self) -> String {
        match self.get("image") {
            Some(Value::Text(reference)) => {
                if let Err(problem) = image::check(reference) {
                    self.wrong("image", problem);
                }
                reference.clone()
            }
            Some(_) => {
                self.wrong("image", "must be a text, as python:3.12");
                String::new()
            }
            None => {
                self.error("image".into(), None, "is missing: name the image to run, as python:3.12".into());
                String::new()
            }
        }
    }

    pub(crate) fn text(&mut self, name: &str, longest: usize, form: Form) -> Option<String> {
        let Value::Text(text) = self.get(name)? else {
            self.wrong(name, "must be a text");
            return None;
        };
        let problem = match form {
            Form::Line if text.is_empty() || text.chars().any(char::is_control) => {
                Some("must not be empty nor hold control characters")
            }
            Form::AbsolutePath if !is_absolute(text) => Some("must be an absolute path, as /data"),
            Form::Line | Form::AbsolutePath => None,
        };
        if let Some(problem) = problem {
            self.wrong(name, problem);
        } else if text.len() > longest {
            self.wrong(name, &format!("is longer than {longest} bytes"));
        }
        Some(text.clone())
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let Value::Text(text) = self.get(name)? else {
            self.wrong(name, "must be a text");
            return None;
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(name.into(), None, error.to_string());
                None
            }
        }
    }

    /// A text that must be there and be read by its own rules; its problem follows the value.
    pub(super) fn parsed_text<T: FromStr<Err = String>>(&mut self, name: &str, missing: &str) -> Option<T> {
        match self.get(name) {
            None => self.error(name.into(), None, missing.into()),
            Some(Value::Text(text)) => match text.parse() {
                Ok(value) => return Some(value),
                Err(problem) => self.wrong(name, &problem),
            },
            Some(_) => self.wrong(name, "must be a text"),
        }
        None
    }

    /// A path of the container at which something is put.
    pub(super) fn mount_point(&mut self, name: &str) -> Option<String> {
        if self.get(name).is_none() {
            self.error(name.into(), None, "is missing: name where the container finds it, as /data/a.csv".into());
        }
        self.checked(name, |path| inputs::check_path(path).map(ToOwned::to_owned))
    }

    /// A text, where there is one, by its own rule.
    pub(super) fn checked<T>(&mut self, name: &str, rule: impl Fn(&str) -> Result<T, &'static str>) -> Option<T> {
        match self.get(name)? {
            Value::Text(text) => match rule(text) {
                Ok(value) => return Some(value),
                Err(problem) => self.wrong(name, problem),
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
                self.wrong(name, "must be a text");
            }
        }
        None
    }

    pub(crate) fn truth(&mut self, name: &str) -> bool {
        self.truth_or(name, false)
    }

    /// Whether it is so, where it is said.
    pub(super) fn truth_or(&mut self, name: &str, unsaid: bool) -> bool {
        match self.get(name) {
            None => unsaid,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                self.wrong(name, "must be true or false");
                unsaid
            }
        }
    }

    fn choice<T: Copy + Default>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let Some(value) = self.get(name) else { return T::default() };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *value == Value::Text((*word).into())) {
            return *choice;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.wrong(name, &format!("is not one of {}", words.join(", ")));
        T::default()
    }

    /// A whole number between -100 and 100.
    fn priority(&mut self) -> i32 {
        match self.get("priority") {
            None => 0,
            Some(Value::Int(value)) if (-100..=100).contains(value) => i32::try_from(*value).unwrap_or(0),
            Some(_) => {
                self.wrong("priority", "must be a whole number from -100 to 100");
                0
            }
        }
    }

    /// A whole number of a range.
    pub(crate) fn whole(&mut self, name: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = if let Value::Int(number) = self.get(name)? { u32::try_from(*number).ok() } else { None };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.wrong(name, &format!("must be a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.get(name)?;
        let number = as_number(value);
        if number.is_none() {
            self.wrong(name, "must be a number");
        }
        number
    }

    /// A decimal amount as an integer of its smallest unit; rounded up, so that no demand is lost. `unsaid` is of that unit.
    pub(super) fn amount(
        &mut self,
        name: &str,
        unsaid: u64,
        unit: u64,
        range: RangeInclusive<u64>,
        allowed: &str,
    ) -> u64 {
        let Some(given) = self.number(name) else { return unsaid };
        match to_units(given, unit).filter(|amount| range.contains(amount)) {
            Some(amount) => amount,
            None => {
                self.wrong(name, &format!("is out of range: allowed are {allowed}"));
                *range.start()
            }
        }
    }

    pub(super) fn seconds(&mut self, name: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let millis = self.number(name).map(|seconds| to_units(seconds, 1000))?;
        let duration = millis.map(Duration::from_millis).filter(|duration| range.contains(duration));
        if duration.is_none() {
            let (least, most) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            self.wrong(name, &format!("is out of range: allowed are {least} to {most} seconds"));
        }
        duration
    }

    /// A time with its zone, or seconds from the submission on, at least so many.
    fn when(&mut self, name: &str, least: Duration) -> Option<When> {
        match self.get(name)? {
            Value::Text(text) => {
                let at = rfc3339::parse(text);
                if let Err(why) = at {
                    self.wrong(name, no_time(why));
                }
                at.ok().map(When::At)
            }
            Value::Int(_) | Value::Float(_) => self.seconds(name, least..=MAX_DURATION).map(When::After),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
                self.wrong(name, NO_TIME);
                None
            }
        }
    }

    /// A list of texts without NUL bytes.
    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let Value::List(items) = self.get(name)? else {
            self.wrong(name, "must be a list of texts, as [\"sh\", \"-c\", \"date\"]");
            return None;
        };
        self.count(name, items.len());
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let Value::Text(text) = item else {
                self.error(format!("{name}[{index}]"), Some(item.to_string()), "must be a text".into());
                continue;
            };
            if text.contains('\0') {
                self.error(format!("{name}[{index}]"), None, "must not hold a NUL byte".into());
            } else {
                texts.push(text.clone());
            }
        }
        Some(texts)
    }

    /// A map of texts; numbers and truth values are taken as they are written.
    fn texts_by_name(&mut self, name: &str, is_name: fn(&str) -> Result<(), &'static str>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in self.entries(name) {
            let path = format!("{name}.{}", key.chars().take(80).collect::<String>());
            let text = match value {
                Value::Text(text) => Some(text.clone()),
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => Some(value.to_string()),
                Value::Null | Value::List(_) | Value::Map(_) => None,
            };
            match (is_name(key), text) {
                (Err(problem), _) => self.error(path, None, problem.into()),
                (Ok(()), None) => self.error(path, Some(value.to_string()), "must be a text".into()),
                (Ok(()), Some(text)) if text.contains('\0') => {
                    self.error(path, None, "must not hold a NUL byte".into());
                }
                (Ok(()), Some(text)) => {
                    texts.insert(key.clone(), text);
                }
            }
        }
        texts
    }

    /// A list of patterns.
    fn outputs(&mut self) -> Option<Vec<String>> {
        let patterns = self.texts("outputs")?;
        if patterns.len() > outputs::MOST {
            self.wrong("outputs", &format!("has more than {} patterns", outputs::MOST));
        }
        for (index, pattern) in patterns.iter().enumerate() {
            if let Err(problem) = outputs::check(pattern) {
                let shown = pattern.chars().take(80).collect();
                self.error(format!("outputs[{index}]"), Some(Value::Text(shown).to_string()), problem);
            }
        }
        Some(patterns)
    }

    fn tmpfs(&mut self) -> BTreeMap<String, u64> {
        let mut mounts = BTreeMap::new();
        for (path, value) in self.entries("tmpfs") {
            let at = format!("tmpfs.{path}");
            if !is_absolute(path) || path == "/" || path == "/out" {
                self.error(at, None, "must be an absolute path, and neither / nor /out".into());
                continue;
            }
            match as_size(value) {
                Some(size) => drop(mounts.insert(path.clone(), size)),
                None => self.error(at, Some(value.to_string()), SIZE.into()),
            }
        }
        mounts
    }

    fn size(&mut self, name: &str) -> Option<u64> {
        let size = as_size(self.get(name)?);
        if size.is_none() {
            self.wrong(name, SIZE);
        }
        size
    }

    fn entries(&mut self, name: &str) -> &'a [(String, Value)] {
        match self.get(name) {
            None => &[],
            Some(Value::Map(entries)) => {
                self.count(name, entries.len());
                entries
            }
            Some(_) => {
                self.wrong(name, "must be a map");
                &[]
            }
        }
    }

    fn count(&mut self, name: &str, items: usize) {
        if items > MAX_ITEMS {
            self.wrong(name, &format!("has more than {MAX_ITEMS} entries"));
        }
    }
}

const NO_TIME: &str =
    "must be a time with its zone, as \"2026-01-31T08:00:00Z\", or seconds from the submission on, as 3600";

const fn no_time(why: NoTime) -> &'static str {
    match why {
        NoTime::Form => NO_TIME,
        NoTime::Day => "names a day that no calendar has: months go from 01 to 12, days from 01 to the month's last",
        NoTime::Clock => "names a time that no day has: hours go to 23, minutes and seconds to 59",
        NoTime::Zone => "must be a time with its zone at the end: Z, or the offset as +01:00",
        NoTime::TooLate => "is later than the year 9999",
    }
}

const SIZE: &str = "must be a size of 1 byte to 64 TiB, as 67108864 or \"64m\"";

fn as_size(value: &Value) -> Option<u64> {
    let size = match value {
        Value::Int(bytes) => u64::try_from(*bytes).ok(),
        Value::Text(text) => parse_size(text).ok(),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    };
    size.filter(|size| (1..=64 * TIB).contains(size))
}

#[allow(clippy::cast_precision_loss, reason = "numbers beyond 2^53 are out of every range")]
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) if number.is_finite() => Some(*number),
        Value::Float(_) | Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// A number of units as a count of the smallest ones, rounded up but for the noise of binary
/// fractions; none when negative or absurd.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "range checked"
)]
pub(crate) fn to_units(number: f64, unit: u64) -> Option<u64> {
    let exact = number * unit as f64;
    // Of large amounts the last digit of a fraction is more than that, and readers of JSON may have it wrong by one.
    let noise = (exact.abs() * 2.0 * f64::EPSILON).max(1e-6);
    let rounded = if (exact - exact.round()).abs() < noise { exact.round() } else { exact.ceil() };
    (0.0..=9e18).contains(&rounded).then_some(rounded as u64)
}

pub(super) fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.chars().any(char::is_control) && !path.split('/').any(|part| part == "..")
}
