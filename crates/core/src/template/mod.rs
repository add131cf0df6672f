//! Templates: documents of tasks and jobs with places for typed parameters.
//!
//! A text of the document may have places, `${param.NAME}`: [`Template::fill`] puts values there, after every value was
//! held against its parameter. What a filled document means [`crate::spec`] and [`crate::job`] know.

mod files;
mod fill;
mod marks;
mod named;
mod param;
mod read;
#[cfg(test)]
mod tests;
mod wrong;

pub use files::files_of;
pub use marks::{MADE_AT, MADE_BY, OF_TEMPLATE, OF_VERSION, with_field, with_labels};
pub use named::Named;
pub use param::{Bounds, Kind, Param};
pub use read::MAX_PARAMS;
pub use wrong::{Fields, Wrong};

use crate::ids::TemplateName;
use crate::job::{JobFile, TaskFile};
use crate::spec::{FieldError, SpecError, Value};
use serde::{Deserialize, Serialize};

/// A document with places for parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// What it is called, where the document says so.
    pub name: Option<TemplateName>,
    /// For people.
    pub description: Option<String>,
    /// In the order of the document, with different names; each has a place.
    pub params: Vec<Param>,
    /// What a filled document is.
    pub makes: Makes,
    /// The document with its places, each of a parameter that there is.
    pub document: Value,
}

/// What a document is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Makes {
    /// One task, or a job of one.
    Task,
    /// A job.
    Job,
}

impl Makes {
    /// The word for people and APIs, and the field that has the document.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Job => "job",
        }
    }

    /// Whether a document is valid.
    /// # Errors
    /// Every wrong field of it.
    pub fn check(self, document: &Value) -> Result<(), SpecError> {
        match self {
            Self::Task => TaskFile::from_value(document).map(drop),
            Self::Job => JobFile::from_value(document).map(drop),
        }
    }

    /// The same for a document that is a field of another: `task.image`.
    /// # Errors
    /// Every wrong field of it.
    pub fn check_within(self, document: &Value) -> Result<(), SpecError> {
        let word = self.word();
        let within = |error: FieldError| {
            let path = if error.path == word { error.path } else { format!("{word}.{}", error.path) };
            FieldError { path, ..error }
        };
        self.check(document).map_err(|error| SpecError(error.0.into_iter().map(within).collect()))
    }
}

impl Template {
    /// Reads a document, checking every field, and with the defaults in their places, where every parameter has one, also
    /// what it makes, as far as that does not depend on files of whoever runs it.
    /// # Errors
    /// All wrong fields at once.
    pub fn from_value(document: &Value) -> Result<Self, SpecError> {
        let template = read::template(document)?;
        if template.params.iter().all(|param| param.default.is_some())
            && let Some(document) = files::with_stand_ins(template.makes, template.fill(&Value::Null)?)
        {
            template.makes.check_within(&document)?;
        }
        Ok(template)
    }

    /// The document with values in its places: those that are given, else the defaults. A number or a truth value may be
    /// given as a text, as a command line has it.
    /// # Errors
    /// Every parameter that is unknown, missing, of another type or out of range, as `params.lr`.
    pub fn fill(&self, params: &Value) -> Result<Value, SpecError> {
        let values = fill::values(&self.params, params)?;
        Ok(fill::filled(&self.document, &values))
    }
}
