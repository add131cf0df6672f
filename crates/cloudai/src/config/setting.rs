//! What a setting is: where it may be given, how its text is read, who uses it.
//!
//! Everything that speaks of settings (flags' help, `config show`, `config validate`,
//! `docs/configuration.md`) is made of [`Facts`]; the table of them is `known.rs`.

use super::problem::Problem;
use super::{Form, Found, Surroundings};

/// Who reads a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Every command that asks a master.
    Client,
    /// `cloudai master`.
    Master,
    /// `cloudai worker start`.
    Worker,
    /// `cloudai up`.
    Up,
    /// `cloudai bench docker`.
    Bench,
}

impl User {
    /// As people type it.
    #[must_use]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Client => "clients",
            Self::Master => "master",
            Self::Worker => "worker start",
            Self::Up => "up",
            Self::Bench => "bench docker",
        }
    }
}

/// What holds when nobody gives a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fallback {
    /// This text.
    Text(&'static str),
    /// What the surroundings say, and how that is told to people.
    Found(&'static str, fn(&dyn Surroundings) -> Option<String>),
    /// No value; the words say what then happens, and may be empty.
    Nothing(&'static str),
}

impl Fallback {
    /// For people; empty when there is nothing to tell.
    #[must_use]
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Text(words) | Self::Found(words, _) | Self::Nothing(words) => words,
        }
    }
}

/// All that is known of a setting but the type of its value.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Its key in `cloudai.toml`, dots for tables.
    pub(crate) key: &'static str,
    /// What it is, one sentence.
    pub(crate) about: &'static str,
    /// Its flag, dashes included.
    pub(crate) flag: Option<&'static str>,
    /// Its variables: ours first, then the reference's.
    pub(crate) variables: &'static [&'static str],
    /// The type of TOML that it takes beside a text.
    pub(crate) takes: Form,
    /// What its value may be; empty when its feature is still to come and no value is taken.
    pub(crate) allowed: &'static str,
    /// Its value when nobody gives one.
    pub(crate) fallback: Fallback,
    /// Never shown.
    pub(crate) secret: bool,
    /// Who reads it.
    pub(crate) used_by: &'static [User],
}

impl Facts {
    /// The best way to give it: its flag, else its first variable, else its key.
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        self.flag.or_else(|| self.variables.first().copied()).unwrap_or(self.key)
    }

    /// What is wrong with a value of this type of TOML.
    #[must_use]
    pub(super) fn misfit(&self, form: Form) -> Option<String> {
        let expected = match self.takes {
            Form::Text => "a text in quotes".to_owned(),
            other => format!("{} or a text in quotes", other.words()),
        };
        let fits = form == Form::Text || form == self.takes;
        (!fits).then(|| format!("it is {}: expected {expected}", form.words()))
    }

    /// What a flag's help says of the other places: `[env: A, B] [default: x]`.
    #[must_use]
    pub(crate) fn hint(&self) -> String {
        let default = self.fallback.words();
        let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        format!("[env: {}]{default}", self.variables.join(", "))
    }
}

/// A setting whose value is a `T`.
#[derive(Debug)]
pub(crate) struct Setting<T> {
    /// All but the type.
    pub(crate) facts: Facts,
    /// Reads a text, or says what is wrong with it.
    pub(crate) parse: fn(&str) -> Result<T, String>,
}

/// A setting of any type.
pub(crate) trait Known: Sync {
    /// What is known of it.
    fn facts(&self) -> &Facts;
    /// What is wrong with a text.
    /// # Errors
    /// The problem.
    fn check(&self, text: &str) -> Result<(), String>;

    /// The problem of what was found for it, if it is one.
    fn problem(&self, found: &Found) -> Option<Problem> {
        let wrong = self.check(&found.text).err().or_else(|| self.facts().misfit(found.form))?;
        Some(Problem::of_value(self.facts(), found.source.clone(), &found.text, wrong))
    }
}

impl<T> Known for Setting<T> {
    fn facts(&self) -> &Facts {
        &self.facts
    }
    fn check(&self, text: &str) -> Result<(), String> {
        (self.parse)(text.trim()).map(drop)
    }
}
