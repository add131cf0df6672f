//! Where a setting's value comes from: flag, environment, `.env`, file, default; in that order.
//!
//! [`Resolver`] finds the text of a setting and remembers its source; `parse.rs` reads texts;
//! `master.rs`, `worker.rs` and `up.rs` make the plain structs that `serve` starts from.

mod known;
mod master;
mod parse;
mod up;
mod worker;

pub(crate) use known::ADDR;
pub(crate) use known::{KNOWN, Setting};
pub(crate) use master::{MasterFlags, MasterSettings, Store};
pub(crate) use parse::{cores, duration, gigabytes, key_value, with_unit};
pub(crate) use up::{UpFlags, UpSettings};
pub(crate) use worker::{Executor, WorkerFlags, WorkerSettings};

use crate::exit::Failure;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a process is given by its surroundings; tests give their own.
pub(crate) trait Surroundings {
    /// An environment variable that is set and not empty.
    fn var(&self, name: &str) -> Option<String>;
    /// The text of a file, none when it is not there.
    /// # Errors
    /// When it is there and can not be read.
    fn read(&self, path: &Path) -> std::io::Result<Option<String>>;
    /// Whether the user is root.
    fn is_root(&self) -> bool;
    /// The machine's name.
    fn hostname(&self) -> String;
}

/// The surroundings of this very process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process;

impl Surroundings for Process {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }
    fn hostname(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// On the command line.
    Flag(&'static str),
    /// In the environment, under this name.
    Environment(&'static str),
    /// In the file `.env`, under this name.
    DotEnv(&'static str),
    /// In a configuration file.
    File(PathBuf, &'static str),
    /// Nowhere.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::DotEnv(name) => write!(f, ".env {name}"),
            Self::File(path, key) => write!(f, "{} {key}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting's text and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it was written.
    pub(crate) text: String,
    /// Where.
    pub(crate) source: Source,
}

/// Finds the values of settings.
pub(crate) struct Resolver<'a> {
    surroundings: &'a dyn Surroundings,
    dotenv: BTreeMap<String, String>,
    file: Option<(PathBuf, BTreeMap<String, String>)>,
}

impl fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("file", &self.file.as_ref().map(|(path, _)| path)).finish_non_exhaustive()
    }
}

/// The file of settings in a folder.
const FILE: &str = "cloudai.toml";

impl<'a> Resolver<'a> {
    /// Reads `.env` and the configuration file: the one that is named, else `cloudai.toml` here,
    /// else the user's.
    /// # Errors
    /// A file that can not be read or understood, or that holds an unknown key.
    pub(crate) fn open(surroundings: &'a dyn Surroundings, named: Option<&Path>) -> Result<Self, Failure> {
        let dotenv = match read(surroundings, Path::new(".env"))? {
            Some(text) => parse_dotenv(&text)?,
            None => BTreeMap::new(),
        };
        let mut file = None;
        for path in file_candidates(surroundings, named) {
            if let Some(text) = read(surroundings, &path)? {
                let values = parse_file(&path, &text)?;
                file = Some((path, values));
                break;
            }
        }
        if let (Some(path), None) = (named, &file) {
            return Err(
                Failure::usage(format!("there is no configuration file {}", path.display())).next("check --config")
            );
        }
        Ok(Self { surroundings, dotenv, file })
    }

    /// The configuration file in use.
    #[must_use]
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// The text of a setting; none when it stands nowhere and has no default.
    #[must_use]
    pub(crate) fn find(&self, setting: &'static Setting, flag: Option<&str>) -> Option<Found> {
        self.find_given(setting, flag).or_else(|| {
            let text = (setting.default)(self.surroundings)?;
            Some(Found { text, source: Source::Default })
        })
    }

    /// The text of a setting that somebody gave.
    #[must_use]
    pub(crate) fn find_given(&self, setting: &'static Setting, flag: Option<&str>) -> Option<Found> {
        if let Some(text) = flag {
            return Some(Found { text: text.into(), source: Source::Flag(setting.flag) });
        }
        let set = |name: &&'static str| Some((*name, self.surroundings.var(name)?));
        if let Some((name, text)) = setting.variables.iter().find_map(set) {
            return Some(Found { text, source: Source::Environment(name) });
        }
        let set = |name: &&'static str| Some((*name, self.dotenv.get(*name).filter(|text| !text.is_empty())?));
        if let Some((name, text)) = setting.variables.iter().find_map(set) {
            return Some(Found { text: text.clone(), source: Source::DotEnv(name) });
        }
        let (path, values) = self.file.as_ref()?;
        let text = values.get(setting.key).cloned()?;
        Some(Found { text, source: Source::File(path.clone(), setting.key) })
    }

    /// A setting's value, read by `parse`.
    /// # Errors
    /// Names the place, the value and what is allowed.
    pub(crate) fn value<T>(
        &self,
        setting: &'static Setting,
        flag: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some(found) = self.find(setting, flag) else { return Ok(None) };
        parse(found.text.trim()).map(Some).map_err(|problem| bad(setting, &found, &problem))
    }

    /// A setting that has a default.
    /// # Errors
    /// As [`Resolver::value`].
    pub(crate) fn required<T>(
        &self,
        setting: &'static Setting,
        flag: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.value(setting, flag, parse)?.ok_or_else(|| {
            let names = setting.variables.first().copied().unwrap_or(setting.key);
            Failure::usage(format!("{} is not set", setting.key))
                .why(setting.allowed)
                .next(format!("{} or {names}", setting.flag))
        })
    }
}

/// The failure of a value that is not allowed. Secrets are not repeated.
fn bad(setting: &Setting, found: &Found, problem: &str) -> Failure {
    let place = match &found.source {
        Source::Flag(name) | Source::Environment(name) => (*name).to_owned(),
        Source::DotEnv(name) => format!("{name} in .env"),
        Source::File(path, key) => format!("{key} in {}", path.display()),
        Source::Default => setting.key.to_owned(),
    };
    let what = if setting.secret { format!("{place} can not be used") } else { format!("{place} is {:?}", found.text) };
    let name = if setting.flag == "-" { setting.variables[0] } else { setting.flag };
    Failure::usage(what).why(problem).next(format!("{name}: {}", setting.allowed))
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

fn parse_dotenv(text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let pairs: Result<_, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
    pairs.map_err(|error| Failure::usage(".env was not understood").why(error.to_string()))
}

/// The values of a TOML file by their dotted keys, as texts.
fn parse_file(path: &Path, text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |problem: String| Failure::usage(format!("{} was not understood", path.display())).why(problem);
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values).map_err(&wrong)?;
    match values.keys().find(|key| !KNOWN.iter().any(|setting| setting.key == *key)) {
        Some(unknown) => Err(wrong(unknown_key(unknown)).next("cloudai config show lists all keys")),
        None => Ok(values),
    }
}

fn unknown_key(key: &str) -> String {
    let near = KNOWN.iter().map(|setting| (cloudai_core::text::distance(key, setting.key), setting.key)).min();
    match near.filter(|(distance, name)| *distance <= 2.max(name.len() / 3)) {
        Some((_, near)) => format!("{key} is no setting: did you mean {near}?"),
        None => format!("{key} is no setting"),
    }
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&key, inner, into)?;
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
                texts.ok_or_else(|| format!("{key} must be a list of texts"))?.join(",")
            }
            toml::Value::Datetime(_) => return Err(format!("{key} must be a text or a number")),
        };
        into.insert(key, text);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
