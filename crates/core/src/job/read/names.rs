//! The names of a job's tasks, and which task each is.

use super::wrong::Wrong;
use crate::spec::{Value, is_task_name, task_or_element};
use crate::text::distance;
use std::collections::BTreeMap;

/// Among so many names one is looked for that was meant: enough for jobs that people write by hand.
const LOOKED_AT: usize = 1000;

/// Names with their places in the file.
pub(super) struct Names<'a> {
    /// The word before the numbers: `tasks`.
    word: &'static str,
    in_order: Vec<&'a str>,
    numbers: BTreeMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    /// Reads the name of each task.
    pub(super) fn of(word: &'static str, items: &'a [Value], wrong: &mut Wrong) -> Self {
        let mut names = Self { word, in_order: Vec::with_capacity(items.len()), numbers: BTreeMap::new() };
        for (number, item) in (0_u32..).zip(items) {
            let name = names.read(number, item, wrong).unwrap_or_default();
            names.in_order.push(name);
        }
        names
    }

    fn read(&mut self, number: u32, item: &'a Value, wrong: &mut Wrong) -> Option<&'a str> {
        // What is no map is told where the task is read.
        let Value::Map(entries) = item else { return None };
        let mut given = entries.iter().filter(|(field, value)| field == "name" && *value != Value::Null);
        let path = || format!("{}.name", self.place(number));
        let Some((_, value)) = given.next() else {
            wrong.add(path(), None, "is missing: tasks of a job have names, by which others need them");
            return None;
        };
        let Value::Text(name) = value else {
            wrong.add(path(), Some(value.to_string()), "must be a text");
            return None;
        };
        if let Err(problem) = is_task_name(name) {
            wrong.add(path(), Some(value.to_string()), problem);
            return None;
        }
        if let Some(other) = self.numbers.get(name.as_str()) {
            let problem = format!("is the name of {} already: each task has its own", self.place(*other));
            wrong.add(path(), Some(value.to_string()), problem);
            return None;
        }
        self.numbers.insert(name, number);
        Some(name)
    }

    /// The name of a task; empty where it was refused.
    pub(super) fn name(&self, number: u32) -> &'a str {
        self.in_order.get(number as usize).copied().unwrap_or_default()
    }

    /// Which task has a name.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// Where a task stands: `tasks[3]`.
    pub(super) fn place(&self, number: u32) -> String {
        format!("{}[{number}]", self.word)
    }

    /// What is wrong with a name that no task has.
    pub(super) fn unknown(&self, name: &str) -> String {
        if let Ok((array, Some(_))) = task_or_element(name)
            && self.numbers.contains_key(array)
        {
            return format!("is one element, and a whole array is waited for: write {array}");
        }
        let near = self.in_order.iter().take(LOOKED_AT).filter(|known| !known.is_empty());
        let near = near.map(|known| (distance(name, known), *known)).min();
        match near.filter(|(distance, known)| *distance <= 2.max(known.len() / 3)) {
            Some((_, near)) => format!("is no task of this job: did you mean {near}?"),
            None => "is no task of this job; one outside of it is named by its id, task-...".into(),
        }
    }
}
