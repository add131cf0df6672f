//! `--array` and `--after`: what makes a submission a job of one task.

use super::Context;
use super::limits::Field;
use crate::exit::Failure;
use crate::id;
use cloudai_core::ids::TaskId;
use cloudai_core::spec::Value;

/// The fields that name tasks to wait for.
const LISTS: [&str; 2] = ["depends_on", "needs"];
/// The list that flags add to.
pub(super) const AFTER: &str = LISTS[0];
/// Which ends may be waited for.
const ENDS: [&str; 3] = ["success", "failure", "any"];
/// Characters of an id that are worth looking for.
const LEAST: usize = 4;

/// How many tasks it is, and what they wait for.
#[derive(Debug, Default, clap::Args)]
pub(super) struct OfJob {
    /// A task for each index: 100, 0-99 or 0-99:2; %8 behind it runs 8 at a time; they see CLOUDAI_ARRAY_INDEX
    #[arg(long, value_name = "INDEXES")]
    array: Option<String>,
    /// No start before this task completed, or ended as said: success, failure or any; may be repeated
    #[arg(long, value_name = "TASK[:END]", value_parser = after)]
    after: Vec<Value>,
}

impl OfJob {
    /// The field that has one value.
    pub(super) fn field(&self) -> Field {
        let read = |text: &String| text.parse().map_or_else(|_| Value::Text(text.clone()), Value::Int);
        ("array", self.array.as_ref().map(read))
    }

    /// What is added to [`AFTER`].
    pub(super) fn needs(&self) -> &[Value] {
        &self.after
    }
}

/// The entry of `depends_on` that `TASK[:END]` means.
fn after(text: &str) -> Result<Value, String> {
    let (task, when) = text.split_once(':').map_or((text, None), |(task, when)| (task, Some(when)));
    if task.is_empty() {
        return Err(format!("{text:?} names no task: expected TASK or TASK:any"));
    }
    let mut fields = vec![("task".to_owned(), Value::Text(task.into()))];
    if let Some(when) = when {
        if !ENDS.contains(&when) {
            return Err(format!("{when:?} is no end that is waited for: there are {}", ENDS.join(", ")));
        }
        fields.push(("when".into(), Value::Text(when.into())));
    }
    Ok(Value::Map(fields))
}

/// Completes the ids of tasks that are waited for: a part of an id is enough, as everywhere on the command line.
/// # Errors
/// A part that means no task, or several.
pub(super) async fn complete(document: &mut Value, cx: &Context) -> Result<(), Failure> {
    for task in named(document).into_iter().filter(|task| is_part(task)) {
        *task = id::resolve(&cx.client, task).await?;
    }
    Ok(())
}

/// The tasks that a document waits for.
fn named(document: &mut Value) -> Vec<&mut String> {
    let Value::Map(fields) = document else { return Vec::new() };
    let lists = fields.iter_mut().filter(|(name, _)| LISTS.contains(&name.as_str())).map(|(_, value)| value);
    lists.flat_map(entries).filter_map(task_of).collect()
}

/// One, or those of a list.
fn entries(value: &mut Value) -> &mut [Value] {
    match value {
        Value::List(entries) => entries,
        one => std::slice::from_mut(one),
    }
}

fn task_of(entry: &mut Value) -> Option<&mut String> {
    match entry {
        Value::Text(task) => Some(task),
        Value::Map(fields) => fields.iter_mut().find_map(|(name, value)| match (name.as_str(), value) {
            ("task", Value::Text(task)) => Some(task),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether a text may be a part of an id; what can be none is left to the rules of the field.
fn is_part(text: &str) -> bool {
    let bare = text.strip_prefix(TaskId::PREFIX).unwrap_or(text);
    let part = bare.len() >= LEAST && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    part && text.parse::<TaskId>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_waited_for_by_itself_or_by_one_of_its_ends() {
        let rows = [
            ("9QZD", r#"{"task": "9QZD"}"#),
            ("last:any", r#"{"task": "last", "when": "any"}"#),
            ("9QZD:failure", r#"{"task": "9QZD", "when": "failure"}"#),
        ];
        for (text, expected) in rows {
            assert_eq!(after(text).unwrap(), serde_json::from_str::<Value>(expected).unwrap(), "{text}");
        }
        for bad in ["", ":any", "9QZD:", "9QZD:ok"] {
            assert!(after(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_array_is_a_number_or_ranges() {
        let field = |text: &str| OfJob { array: Some(text.into()), after: Vec::new() }.field().1.unwrap();
        assert_eq!((field("100"), field("0-9%2")), (Value::Int(100), Value::Text("0-9%2".into())));
    }

    #[test]
    fn parts_of_ids_are_found_in_every_form_and_whole_ids_stay() {
        let whole = TaskId::new(7).to_string();
        let text = format!(
            r#"{{"depends_on": ["9QZD", {{"task": "last", "when": "any"}}, "{whole}", "ab"], "needs": "1B8W", "name": "abcd"}}"#
        );
        let mut document: Value = serde_json::from_str(&text).unwrap();
        let parts: Vec<String> =
            named(&mut document).into_iter().filter(|task| is_part(task)).map(|task| task.clone()).collect();
        assert_eq!(parts, ["9QZD", "last", "1B8W"]);
    }
}
