//! Where a setting's value comes from: flag, environment, `.env`, file, default; in that order.
//!
//! `known.rs` is the table of all settings, `setting.rs` says what one is; `sources.rs` reads the
//! places, [`Resolver`] finds a setting's text in them and remembers where it stood; `parse.rs`
//! and `values.rs` read texts; `validate.rs` looks at everything at once; `master.rs`, `worker.rs`
//! and `up.rs` make the plain structs that `serve` starts from.

mod declared;
mod files;
mod https;
mod known;
mod log;
mod master;
mod parse;
mod problem;
mod setting;
mod sources;
#[cfg(test)]
mod tests;
mod up;
mod validate;
mod values;
mod worker;

pub(crate) use files::Sourced;
pub(crate) use https::HttpsSettings;
pub(crate) use known::{ADDR, CA, DATA_DIR, ENGINE, KNOWN, LOG_FILE, TOKEN};
pub(crate) use log::LogSettings;
pub(crate) use master::{MasterFlags, MasterSettings};
pub(crate) use parse::{cores, duration, gigabytes, key_value, with_unit};
pub(crate) use problem::{Problem, Severity};
pub(crate) use setting::{Facts, Setting, User};
pub(crate) use sources::{DOTENV, FileAlone, Form, Layer, Process, Source, Surroundings};
pub(crate) use up::{UpFlags, UpSettings};
pub(crate) use values::{Delivery, Executor, LogFormat, Store};
pub(crate) use worker::{ListenAt, USUAL_PORT, WorkerFlags, WorkerSettings};

use crate::exit::Failure;
use known::EXECUTOR;
use sources::Texts;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A setting's text and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it was written.
    pub(crate) text: String,
    /// In which type of TOML.
    pub(crate) form: Form,
    /// Where.
    pub(crate) source: Source,
}

/// Texts that were given on the command line, by the keys of their settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    /// Adds what a flag was given, if anything.
    #[must_use]
    pub(crate) fn with<T>(mut self, setting: &'static Setting<T>, text: Option<&String>) -> Self {
        if let Some(text) = text {
            self.0.insert(setting.facts.key, text.clone());
        }
        self
    }
}

/// Finds the values of settings.
#[derive(Clone)]
pub(crate) struct Resolver<'a> {
    surroundings: &'a dyn Surroundings,
    flags: Flags,
    dotenv: Option<Texts>,
    file: Option<Texts>,
    /// The file that `--config` named.
    named: Option<PathBuf>,
    /// What is wrong with the files and the names in them.
    problems: Vec<Problem>,
}

impl fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("file", &self.file.as_ref().map(Texts::path)).finish_non_exhaustive()
    }
}

/// The file of settings in a folder.
pub(crate) const FILE: &str = "cloudai.toml";

impl<'a> Resolver<'a> {
    /// Reads `.env` and the configuration file: the one that is named, else `cloudai.toml` here,
    /// else the user's. What is wrong in them is told by whoever reads a setting.
    /// # Errors
    /// A file that can not be read, or a named one that is not there.
    pub(crate) fn open(surroundings: &'a dyn Surroundings, named: Option<&Path>) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let dotenv = read(surroundings, Path::new(DOTENV))?;
        let dotenv = dotenv.map(|text| sources::read_dotenv(&text, &mut problems));
        let mut file = None;
        for path in file_candidates(surroundings, named) {
            if let Some(text) = read(surroundings, &path)? {
                file = Some(sources::read_toml(&path, &text, &mut problems));
                break;
            }
        }
        if let (Some(path), None) = (named, &file) {
            return Err(Failure::usage(format!("there is no configuration file {}", path.display()))
                .next("name one that is there"));
        }
        problems.extend(file.iter().flat_map(validate::unknown_keys));
        let named = named.map(Path::to_owned);
        Ok(Self { surroundings, flags: Flags::default(), dotenv, file, named, problems })
    }

    /// The same with what was given on the command line.
    #[must_use]
    pub(crate) fn given(&self, flags: Flags) -> Self {
        Self { flags, ..self.clone() }
    }

    /// The configuration file in use.
    #[must_use]
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(Texts::path)
    }

    /// The command that lists every problem of what this one reads.
    #[must_use]
    pub(crate) fn validation(&self) -> String {
        let named = self.named.as_ref().map(|file| format!(" --config {}", file.display()));
        format!("cloudai config validate{}", named.unwrap_or_default())
    }

    /// Whether `.env` is there.
    #[must_use]
    pub(crate) fn has_dotenv(&self) -> bool {
        self.dotenv.is_some()
    }

    /// The text of a setting; none when it stands nowhere and has no default.
    #[must_use]
    pub(crate) fn find(&self, facts: &Facts) -> Option<Found> {
        self.all(facts).into_iter().next().or_else(|| {
            let text = match facts.fallback {
                setting::Fallback::Text(text) => Some(text.to_owned()),
                setting::Fallback::Found(_, find) => find(self.surroundings),
                setting::Fallback::Nothing(_) => None,
            };
            Some(Found { text: text?, form: Form::Text, source: Source::plain(Layer::Default, None) })
        })
    }

    /// Every text that was given for a setting, best first.
    #[must_use]
    pub(crate) fn all(&self, facts: &Facts) -> Vec<Found> {
        let flag = self.flags.0.get(facts.key).cloned();
        let plain = |text, layer, name| Found { text, form: Form::Text, source: Source::plain(layer, name) };
        let flag = flag.map(|text| plain(text, Layer::Flag, facts.flag));
        let environment = facts
            .variables
            .iter()
            .filter_map(|name| self.surroundings.var(name).map(|text| plain(text, Layer::Environment, Some(name))));
        let found = |texts: &Texts, name: &str| {
            let (text, source) = texts.get(name)?;
            Some(Found { text: text.to_owned(), form: texts.form(name), source })
        };
        let variables = facts.variables.iter();
        let dotenv = self.dotenv.iter().flat_map(|texts| variables.clone().filter_map(move |name| found(texts, name)));
        let file = self.file.iter().filter_map(|texts| found(texts, facts.key));
        flag.into_iter().chain(environment).chain(dotenv).chain(file).collect()
    }

    /// Says all that keeps `user` from starting with these settings.
    /// # Errors
    /// Every problem of the files and of each setting that it uses.
    pub(crate) fn check(&self, user: User) -> Result<(), Failure> {
        // Without containers no engine is needed, whatever `DOCKER_HOST` says.
        let fake = matches!(self.value(&EXECUTOR), Ok(Some(Executor::Fake)));
        let unused = |facts: &Facts| fake && facts.key == ENGINE.facts.key;
        let used = KNOWN.iter().filter(|setting| setting.facts().used_by.contains(&user) && !unused(setting.facts()));
        let wrong = used.filter_map(|setting| setting.problem(&self.find(setting.facts())?));
        let problems: Vec<_> = self.problems.iter().cloned().chain(wrong).collect();
        problem::none_of(&problems, || self.validation())
    }

    /// A setting's value, if it has one.
    /// # Errors
    /// Names the place, the value and what is allowed.
    pub(crate) fn value<T>(&self, setting: &'static Setting<T>) -> Result<Option<T>, Failure> {
        let Some(found) = self.find(&setting.facts) else { return Ok(None) };
        let read = (setting.parse)(found.text.trim());
        read.map(Some).or_else(|problem| {
            let problem = Problem::of_value(&setting.facts, found.source, &found.text, problem);
            problem::none_of(&[problem], || self.validation()).map(|()| None)
        })
    }

    /// A setting that has a default.
    /// # Errors
    /// As [`Resolver::value`].
    pub(crate) fn required<T>(&self, setting: &'static Setting<T>) -> Result<T, Failure> {
        let facts = &setting.facts;
        self.value(setting)?.ok_or_else(|| {
            Failure::usage(format!("{} is not set", facts.key)).why(facts.allowed).next(format!(
                "{} or {}",
                facts.name(),
                facts.variables.first().copied().unwrap_or(facts.key)
            ))
        })
    }
}

/// The places of the configuration file, best first.
#[must_use]
pub(crate) fn file_candidates(surroundings: &dyn Surroundings, named: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = named {
        return vec![path.to_owned()];
    }
    let home = surroundings.var("HOME").map(|home| PathBuf::from(home).join(".config"));
    let user = surroundings.var("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    let mut paths = vec![PathBuf::from(FILE)];
    paths.extend(user.map(|folder| folder.join("cloudai").join("config.toml")));
    paths
}

fn read(surroundings: &dyn Surroundings, path: &Path) -> Result<Option<String>, Failure> {
    surroundings
        .read(path)
        .map_err(|error| Failure::usage(format!("{} can not be read", path.display())).why(error.to_string()))
}
