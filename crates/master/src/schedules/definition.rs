//! What a schedule is: when, what, and what if its times come too fast or are missed. Read from a document, every wrong
//! field named at once.

use super::times::{self, Times};
use crate::handle::templates::TemplateUse;
use cloudai_core::ids::{ScheduleName, TemplateName};
use cloudai_core::spec::{SpecError, Value};
use cloudai_core::template::{Fields, Makes, Wrong};
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 2000;
/// The zone of schedules that name none.
const UTC: &str = "UTC";
/// A time from which on one comes of every expression that ever comes: 2023-11-14.
const SOME_TIME: Timestamp = Timestamp::from_millis(1_700_000_000_000);

const FIELDS: [&str; 10] =
    ["name", "description", "cron", "time_zone", "overlap", "catch_up", "paused", "task", "job", "template"];

/// A schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) cron: String,
    /// A name of the IANA database.
    pub(crate) time_zone: String,
    pub(crate) overlap: Overlap,
    pub(crate) catch_up: CatchUp,
    pub(crate) what: What,
}

/// What is submitted when a time comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Task(Value),
    Job(Value),
    Template(TemplateUse),
}

/// What happens when a time comes and the last run has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overlap {
    /// The time is left out.
    #[default]
    Skip,
    /// It waits for that end; one at most.
    Queue,
    /// The last run is cancelled.
    Replace,
}

/// What happens to times that were missed while the master was away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CatchUp {
    /// Nothing.
    None,
    /// The last of them is run.
    #[default]
    Last,
    /// All are run, one after the other.
    All,
}

impl Overlap {
    const WORDS: [(&str, Self); 3] = [("skip", Self::Skip), ("queue", Self::Queue), ("replace", Self::Replace)];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Replace => "replace",
        }
    }
}

impl CatchUp {
    const WORDS: [(&str, Self); 3] = [("none", Self::None), ("last", Self::Last), ("all", Self::All)];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Last => "last",
            Self::All => "all",
        }
    }
}

impl What {
    /// The word of it, and the field that has it.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Job(_) => "job",
            Self::Template(_) => "template",
        }
    }
}

/// A schedule as it is put: what it is, and what is not kept with that.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) name: Option<ScheduleName>,
    pub(crate) definition: Definition,
    pub(crate) times: Times,
    /// None: it stays as it was.
    pub(crate) paused: Option<bool>,
}

/// Reads a document.
/// # Errors
/// All wrong fields at once.
pub(crate) fn read(document: &Value) -> Result<Given, SpecError> {
    let mut wrong = Wrong::default();
    let Value::Map(entries) = document else {
        let expected = "expected a map of fields, as {\"cron\": \"@daily\", \"task\": {\"image\": \"busybox\"}}";
        wrong.add("schedule", None, format!("is {}: {expected}", document.kind()));
        return Err(wrong.into_error());
    };
    let fields = wrong.fields("", entries, &FIELDS, "a schedule");
    let name = parsed::<ScheduleName>("name", fields.get("name").copied(), &mut wrong);
    let description = description(&fields, &mut wrong);
    let when = when(&fields, &mut wrong);
    let overlap = choice("overlap", &Overlap::WORDS, &fields, &mut wrong);
    let catch_up = choice("catch_up", &CatchUp::WORDS, &fields, &mut wrong);
    if overlap == Overlap::Replace && catch_up == CatchUp::All {
        let problem = "can not be all with overlap replace: each run would cancel the one before";
        wrong.add("catch_up", fields.get("catch_up").copied(), problem);
    }
    let paused = truth("paused", &fields, &mut wrong);
    let what = what(&fields, &mut wrong);
    match (when, what) {
        (Some((cron, time_zone, times)), Some(what)) if wrong.is_none() => {
            let definition = Definition { description, cron, time_zone, overlap, catch_up, what };
            Ok(Given { name, definition, times, paused })
        }
        (_, _) => Err(wrong.into_error()),
    }
}

fn description(fields: &Fields<'_>, wrong: &mut Wrong) -> Option<String> {
    let given = fields.get("description").copied()?;
    match given {
        Value::Text(text) if text.len() <= MAX_DESCRIPTION => return Some(text.clone()),
        _ => wrong.add("description", Some(given), format!("must be a text of {MAX_DESCRIPTION} bytes at most")),
    }
    None
}

/// The expression, the zone as its database writes it, and the times of both.
fn when(fields: &Fields<'_>, wrong: &mut Wrong) -> Option<(String, String, Times)> {
    let cron = fields.get("cron").copied();
    let pattern = match cron {
        None => {
            wrong.add("cron", None, "is missing: say when, as \"*/5 * * * *\" or \"@daily\"");
            None
        }
        Some(Value::Text(text)) => {
            times::pattern(text).map_err(|why| wrong.add("cron", cron, why)).ok().map(|pattern| (text, pattern))
        }
        Some(_) => {
            wrong.add("cron", cron, "must be a text, as \"*/5 * * * *\" or \"@daily\"");
            None
        }
    };
    let given = fields.get("time_zone").copied();
    let zone = match given {
        None => times::zone(UTC).ok(),
        Some(Value::Text(text)) => times::zone(text).map_err(|why| wrong.add("time_zone", given, why)).ok(),
        Some(_) => {
            wrong.add("time_zone", given, "must be a text, as \"Europe/Berlin\"");
            None
        }
    };
    let ((text, pattern), zone) = (pattern?, zone?);
    let name = zone.iana_name().unwrap_or(UTC).to_owned();
    let times = Times::new(pattern, zone);
    if times.next_after(SOME_TIME).is_none() {
        wrong.add("cron", cron, "never comes: no year has such a day");
        return None;
    }
    Some((text.split_ascii_whitespace().collect::<Vec<_>>().join(" "), name, times))
}

/// What is submitted. Whether a template is there is not known here.
fn what(fields: &Fields<'_>, wrong: &mut Wrong) -> Option<What> {
    let given: Vec<_> = ["task", "job", "template"].into_iter().filter(|word| fields.contains_key(word)).collect();
    let (word, document) = match given.as_slice() {
        [word] => (*word, fields.get(word).copied()?),
        [] => {
            wrong.add("task", None, "is missing: a schedule has a task, a job or a template");
            return None;
        }
        [first, others @ ..] => {
            let others = others.join(" and ");
            wrong.add(others, None, format!("can not be beside {first}: a schedule has one of task, job, template"));
            return None;
        }
    };
    let Value::Map(entries) = document else {
        wrong.add(word, Some(document), "must be a map of fields");
        return None;
    };
    match word {
        "template" => template(entries, wrong).map(What::Template),
        "job" => checked(Makes::Job, document, entries, wrong).map(What::Job),
        _ => checked(Makes::Task, document, entries, wrong).map(What::Task),
    }
}

/// The document of a task or a job, where it is valid.
fn checked(makes: Makes, document: &Value, entries: &[(String, Value)], wrong: &mut Wrong) -> Option<Value> {
    let before = wrong.count();
    if entries.iter().any(|(name, value)| name == "idempotency_key" && *value != Value::Null) {
        let path = format!("{}.idempotency_key", makes.word());
        wrong.add(path, None, "would make every run the first one again: a schedule gives each its own, leave it out");
    }
    if let Err(error) = makes.check_within(document) {
        wrong.take(error);
    }
    (wrong.count() == before).then(|| document.clone())
}

fn template(entries: &[(String, Value)], wrong: &mut Wrong) -> Option<TemplateUse> {
    let fields = wrong.fields("template", entries, &["name", "version", "params"], "a template's use");
    let before = wrong.count();
    if !fields.contains_key("name") {
        wrong.add("template.name", None, "is missing: cloudai template list shows what there is");
    }
    let name = parsed::<TemplateName>("template.name", fields.get("name").copied(), wrong);
    let version = fields.get("version").copied().and_then(|given| {
        let number = if let Value::Int(number) = given { u32::try_from(*number).ok() } else { None };
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            wrong.add(
                "template.version",
                Some(given),
                "must be the number of a version, from 1 on; the latest without one",
            );
        }
        number
    });
    let params = match fields.get("params").copied() {
        None => Value::Null,
        Some(params @ Value::Map(_)) => params.clone(),
        given => {
            wrong.add("template.params", given, "must be a map of parameters to values, as {\"lr\": 0.1}");
            Value::Null
        }
    };
    name.filter(|_| wrong.count() == before).map(|name| TemplateUse { name, version, params })
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(path: &str, given: Option<&Value>, wrong: &mut Wrong) -> Option<T> {
    match given? {
        Value::Text(text) => text.parse().map_err(|why: T::Err| wrong.add(path, None, why.to_string())).ok(),
        _ => {
            wrong.add(path, given, "must be a text");
            None
        }
    }
}

fn choice<T: Copy + Default>(name: &str, words: &[(&str, T)], fields: &Fields<'_>, wrong: &mut Wrong) -> T {
    let Some(given) = fields.get(name).copied() else { return T::default() };
    let found = words.iter().find(|(word, _)| matches!(given, Value::Text(text) if text == word));
    if let Some((_, choice)) = found {
        return *choice;
    }
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    wrong.add(name, Some(given), format!("is not one of {}", words.join(", ")));
    T::default()
}

fn truth(name: &str, fields: &Fields<'_>, wrong: &mut Wrong) -> Option<bool> {
    match fields.get(name).copied()? {
        Value::Bool(value) => Some(*value),
        other => {
            wrong.add(name, Some(other), "must be true or false");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_schedule_is_read_with_its_defaults() {
        let given = read(&value(r#"{"cron": " 0  7 * * * ", "task": {"image": "a"}}"#)).unwrap();
        let definition = &given.definition;
        assert_eq!((definition.cron.as_str(), definition.time_zone.as_str()), ("0 7 * * *", "UTC"));
        assert_eq!((definition.overlap, definition.catch_up, given.paused), (Overlap::Skip, CatchUp::Last, None));
        let whole = r#"{"name": "n", "description": "d", "cron": "@daily", "time_zone": "europe/berlin",
            "overlap": "queue", "catch_up": "all", "paused": true,
            "template": {"name": "t", "version": 2, "params": {"lr": 0.1}}}"#;
        let given = read(&value(whole)).unwrap();
        assert_eq!((given.definition.time_zone.as_str(), given.paused), ("Europe/Berlin", Some(true)));
        let used = TemplateUse { name: "t".parse().unwrap(), version: Some(2), params: value(r#"{"lr": 0.1}"#) };
        assert_eq!(given.definition.what, What::Template(used));
        let text = serde_json::to_string(&given.definition).unwrap();
        assert_eq!(serde_json::from_str::<Definition>(&text).unwrap(), given.definition);
    }

    #[test]
    fn every_wrong_field_of_a_schedule_is_named() {
        let task = r#""task": {"image": "a"}"#;
        let rows = [
            ("[]", "schedule", "is a list"),
            (&format!("{{{task}}}"), "cron", "is missing"),
            (&format!(r#"{{"cron": "* * * *", {task}}}"#), "cron", "has 4 fields"),
            (&format!(r#"{{"cron": 5, {task}}}"#), "cron", "must be a text"),
            (&format!(r#"{{"cron": "0 0 30 2 *", {task}}}"#), "cron", "never comes"),
            (&format!(r#"{{"cron": "@daily", "time_zone": "CEST+1", {task}}}"#), "time_zone", "is no time zone"),
            (&format!(r#"{{"cron": "@daily", "overlap": "wait", {task}}}"#), "overlap", "one of skip, queue, replace"),
            (&format!(r#"{{"cron": "@daily", "catch_up": "first", {task}}}"#), "catch_up", "one of none, last, all"),
            (
                &format!(r#"{{"cron": "@daily", "catch_up": "all", "overlap": "replace", {task}}}"#),
                "catch_up",
                "each run would cancel the one before",
            ),
            (&format!(r#"{{"cron": "@daily", "paused": "yes", {task}}}"#), "paused", "true or false"),
            (&format!(r#"{{"cron": "@daily", "timezone": "UTC", {task}}}"#), "timezone", "did you mean time_zone?"),
            (r#"{"cron": "@daily"}"#, "task", "is missing: a schedule has a task, a job or a template"),
            (&format!(r#"{{"cron": "@daily", "job": {{}}, {task}}}"#), "job", "can not be beside task"),
            (r#"{"cron": "@daily", "task": {"image": "A B"}}"#, "task.image", ""),
            (
                r#"{"cron": "@daily", "task": {"image": "a", "idempotency_key": "k"}}"#,
                "task.idempotency_key",
                "leave it out",
            ),
            (r#"{"cron": "@daily", "template": {}}"#, "template.name", "is missing"),
            (r#"{"cron": "@daily", "template": {"name": "a b"}}"#, "template.name", "is no template's name"),
            (r#"{"cron": "@daily", "template": {"name": "t", "version": 0}}"#, "template.version", "from 1 on"),
            (r#"{"cron": "@daily", "template": {"name": "t", "params": []}}"#, "template.params", "must be a map"),
        ];
        for (text, path, part) in rows {
            let wrong = read(&value(text)).unwrap_err();
            assert!(
                wrong.0.len() == 1 && wrong.0[0].path == path && wrong.0[0].problem.contains(part),
                "{text}: {wrong}"
            );
        }
        let wrong = read(&value(r#"{"overlap": 1, "catch_up": 1}"#)).unwrap_err();
        let paths: Vec<_> = wrong.0.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["cron", "overlap", "catch_up", "task"]);
    }
}
