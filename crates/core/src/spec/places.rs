//! Paths of a container that the fields of a task use, so that none lies in the way of another's.

use crate::path::overlap;

/// Used paths, each with its field.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(String, String)>);

impl Places {
    /// Notes that a field, as `inputs[0].path`, uses a path.
    pub(super) fn take(&mut self, field: String, path: &str) {
        self.0.push((field, path.to_owned()));
    }

    /// What is wrong with a path that is a used one, holds one or lies within one.
    pub(super) fn problem(&self, path: &str) -> Option<String> {
        let (field, other) = self.0.iter().find(|(_, other)| overlap(path, other))?;
        Some(in_the_way(field, other))
    }
}

/// What is wrong with a place that another field has.
pub(super) fn in_the_way(field: &str, place: &str) -> String {
    format!("lies in the way of {place:?} ({field}): each needs a place of its own")
}
