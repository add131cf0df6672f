//! How data is shown: the format that was asked for, and what the terminal can do.
//!
//! Data goes to stdout, messages to stderr. Nothing here talks to a master.

pub(crate) mod account;
pub(crate) mod advice;
mod array;
pub(crate) mod audit;
pub(crate) mod explain;
pub(crate) mod files;
pub(crate) mod job;
pub(crate) mod quantity;
pub(crate) mod reference;
pub(crate) mod registry;
pub(crate) mod schedule;
pub(crate) mod secret;
pub(crate) mod strategy;
pub(crate) mod table;
pub(crate) mod task;
pub(crate) mod template;
pub(crate) mod token;
pub(crate) mod usage;
mod used;
pub(crate) mod worker;

use crate::exit::Failure;
use cloudai_master::http::dto::List;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// The form of the data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// More columns, never cut.
    Wide,
    /// One JSON value: what the REST API answers.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// The same as YAML.
    Yaml,
    /// Ids alone, one a line.
    Quiet,
}

/// Where output goes and what may stand in it.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    /// What was asked for.
    pub(crate) format: Format,
    /// Whether somebody asked for it, or it is the default.
    pub(crate) format_given: bool,
    /// stdout is a terminal.
    pub(crate) terminal: bool,
    /// stderr is a terminal.
    pub(crate) messages_terminal: bool,
    /// Columns of the terminal; none when nothing may be cut.
    pub(crate) width: Option<usize>,
    /// Colours may be used.
    pub(crate) colour: bool,
}

impl Screen {
    /// The screen of this process.
    #[must_use]
    pub(crate) fn of_process(format: Option<Format>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
        Self {
            format: format.unwrap_or_default(),
            format_given: format.is_some(),
            terminal,
            messages_terminal: std::io::stderr().is_terminal(),
            width: width.filter(|width| terminal && *width > 0),
            colour: terminal && !dumb && !set("NO_COLOR"),
        }
    }

    /// Whether data is shown to people.
    #[must_use]
    pub(crate) fn for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Whether only ids were asked for.
    #[must_use]
    pub(crate) fn quiet(&self) -> bool {
        self.format == Format::Quiet
    }

    /// Whether the wide table was asked for.
    #[must_use]
    pub(crate) fn wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Writes data and a line end.
    /// # Errors
    /// When stdout is closed or full.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.trim_end_matches('\n').as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()?;
        Ok(())
    }

    /// Writes a message for people.
    pub(crate) fn note(&self, text: &str) {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Writes a part of a line of messages, as it is.
    pub(crate) fn draw(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // As of a note.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes a message that only helps people in front of a terminal.
    pub(crate) fn hint(&self, text: &str) {
        if self.messages_terminal && self.for_people() {
            self.note(text);
        }
    }

    /// Writes one object: as data, as its id, or as `people` show it.
    /// # Errors
    /// When stdout is closed or full.
    pub(crate) fn one<T: Serialize>(
        &self,
        value: &T,
        id: &str,
        people: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.line(&people()),
            Format::Quiet => self.line(id),
            Format::Json => self.line(&pretty(value)?),
            Format::Jsonl => self.line(&compact(value)?),
            Format::Yaml => self.line(&yaml(value)?),
        }
    }

    /// Writes a list: as the API answers it, as ids, or as `people` show it.
    /// # Errors
    /// When stdout is closed or full.
    pub(crate) fn list<T: Serialize>(
        &self,
        list: &List<T>,
        id: impl Fn(&T) -> String,
        people: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.list_of(list, list, id, people)
    }

    /// Prints a list that is a part of an answer, which is told as a whole where all is one document.
    /// # Errors
    /// As of [`Self::list`].
    pub(crate) fn list_of<W: Serialize, T: Serialize>(
        &self,
        whole: &W,
        list: &List<T>,
        id: impl Fn(&T) -> String,
        people: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table | Format::Wide => self.line(&people()),
            Format::Json => self.line(&pretty(whole)?),
            Format::Yaml => self.line(&yaml(whole)?),
            Format::Quiet => self.lines(list.items.iter().map(id)),
            Format::Jsonl => self.lines(list.items.iter().map(compact).collect::<Result<Vec<_>, _>>()?),
        }
    }

    fn lines(&self, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(())
    }
}

fn unshowable(error: &dyn std::error::Error) -> Failure {
    Failure::error("the answer can not be shown").why(error.to_string())
}

fn pretty<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| unshowable(&error))
}

fn compact<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| unshowable(&error))
}

fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_yaml_ng::to_string(value).map_err(|error| unshowable(&error))
}
