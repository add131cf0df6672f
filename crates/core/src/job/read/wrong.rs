//! What is wrong with a job so far.

use crate::spec::{FieldError, SpecError};
use std::collections::BTreeSet;

/// After so many errors no more tasks are read: whoever mends a hundred tries again anyway.
const MOST: usize = 100;

/// Nothing came of a field; why was noted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

/// Errors, each place told once: what is wrong with a default is wrong in every task.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    errors: Vec<FieldError>,
    told: BTreeSet<(String, String)>,
}

impl Wrong {
    /// Notes that a field is wrong, with its value where that helps.
    pub(super) fn add(&mut self, path: impl Into<String>, value: Option<String>, problem: impl Into<String>) {
        let (path, problem) = (path.into(), problem.into());
        if !self.is_full() && self.told.insert((path.clone(), problem.clone())) {
            self.errors.push(FieldError { path, value, problem });
        }
    }

    /// The same, where nothing comes of the field.
    pub(super) fn refuse(&mut self, path: String, value: Option<String>, problem: impl Into<String>) -> Refused {
        self.add(path, value, problem);
        Refused
    }

    /// Takes over errors as they are.
    pub(super) fn take(&mut self, errors: Vec<FieldError>) {
        errors.into_iter().for_each(|error| self.add(error.path, error.value, error.problem));
    }

    /// Whether more would not be told.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= MOST
    }

    /// Whether nothing is wrong.
    pub(super) fn is_none(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn into_error(self) -> SpecError {
        SpecError(self.errors)
    }

    /// What was made, if nothing was wrong.
    pub(super) fn end<T>(self, made: T) -> Result<T, SpecError> {
        if self.is_none() { Ok(made) } else { Err(self.into_error()) }
    }
}
