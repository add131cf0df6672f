//! What is wrong with a setting, and how that is told.

use super::setting::Facts;
use super::sources::{Layer, Source};
use crate::addresses::without_passwords;
use crate::exit::Failure;
use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Whoever uses the setting does not start.
    Error,
    /// Probably not what was meant.
    Warning,
}

/// Something wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// The setting; none where a file was not understood.
    pub(crate) key: Option<String>,
    /// Where.
    #[serde(flatten)]
    pub(crate) at: Source,
    /// The text that was given; none of a secret.
    pub(crate) value: Option<String>,
    /// What is wrong.
    pub(crate) problem: String,
    /// What is allowed, or what to do.
    pub(crate) next: String,
}

impl Problem {
    /// A text that its setting does not take.
    pub(super) fn of_value(facts: &Facts, at: Source, text: &str, problem: String) -> Self {
        let name = at.name.as_deref().unwrap_or(facts.key);
        let next = match (facts.allowed, at.source) {
            ("", Layer::Flag | Layer::Default) => format!("leave {} out", facts.name()),
            ("", Layer::Environment) => format!("unset {name}"),
            ("", Layer::Dotenv | Layer::File) => format!("take {name} out"),
            (allowed, Layer::Flag | Layer::Default) => format!("{}: {allowed}", facts.name()),
            (allowed, Layer::Environment | Layer::Dotenv | Layer::File) => format!("{name}: {allowed}"),
        };
        let value = (!facts.secret).then(|| without_passwords(text));
        // The value is told beside it, what is allowed behind it.
        let problem = match problem.strip_prefix(&format!("{:?} ", text.trim())) {
            Some(rest) => format!("it {}", rest.split(": expected ").next().unwrap_or(rest)),
            None => problem,
        };
        Self { severity: Severity::Error, key: Some(facts.key.into()), at, value, problem, next }
    }

    /// A name that is none of ours.
    pub(super) fn of_name(severity: Severity, at: Source, near: Option<&str>) -> Self {
        let next = near.map_or_else(|| "cloudai config show lists all".into(), |near| format!("did you mean {near}?"));
        let problem = "there is no such setting".into();
        Self { severity, key: at.name.clone(), at, value: None, problem, next }
    }

    /// A file, or a line of it, that was not understood.
    pub(super) fn of_file(at: Source, problem: &str, next: &str) -> Self {
        let (key, problem) = (at.name.clone(), problem.to_owned());
        Self { severity: Severity::Error, key, at, value: None, problem, next: next.into() }
    }

    /// What it is about: `HTTP_PORT is "eighty"`.
    fn what(&self) -> String {
        match &self.value {
            Some(value) => format!("{} is {value:?}", self.at.place()),
            None => format!("{} can not be used", self.at.place()),
        }
    }
}

impl fmt::Display for Problem {
    /// One line, as compilers tell: `cloudai.toml:3: master.http is "eighty": ...; --http: ip:port ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.at.file_and_line();
        let name = self.at.name.as_deref().or(self.key.as_deref());
        for part in place.iter().map(String::as_str).chain(name.filter(|_| self.value.is_none())) {
            write!(f, "{part}: ")?;
        }
        if let (Some(name), Some(value)) = (name, &self.value) {
            write!(f, "{name} is {value:?}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.next)
    }
}

/// Nothing, or the failure that tells of all errors; `validation` is the command that lists them.
/// # Errors
/// When one of the problems is an error.
pub(super) fn none_of(problems: &[Problem], validation: impl FnOnce() -> String) -> Result<(), Failure> {
    let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    match (errors.next(), errors.clone().count()) {
        (None, _) => Ok(()),
        (Some(one), 0) => Err(Failure::usage(one.what()).why(&one.problem).next(&one.next)),
        (Some(first), more) => {
            let failure = Failure::usage(format!("{} settings can not be used", more + 1));
            let failure = std::iter::once(first).chain(errors).fold(failure, |all, one| all.why(one.to_string()));
            Err(failure.next(validation()))
        }
    }
}
