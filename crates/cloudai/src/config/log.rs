//! The settings of the log, which master, worker and `up` share.

use super::known::{LOG_FILE, LOG_FORMAT, LOG_LEVEL};
use super::{Flags, LogFormat, Resolver};
use crate::exit::Failure;
use std::path::PathBuf;

/// What is said of the log on the command line.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogFlags {
    /// How much is logged: trace, debug, info, warn, error, off, or by module as info,cloudai_master=debug
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Append the log to this file; SIGHUP opens it again
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<String>,
    /// Lines for people (text), or one JSON object a line (json)
    #[arg(long, value_name = "FORM")]
    pub(crate) log_format: Option<String>,
}

impl LogFlags {
    /// Adds what was given.
    pub(super) fn add_to(&self, flags: Flags) -> Flags {
        flags
            .with(&LOG_LEVEL, self.log_level.as_ref())
            .with(&LOG_FILE, self.log_file.as_ref())
            .with(&LOG_FORMAT, self.log_format.as_ref())
    }
}

/// How a process logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// A level, or directives by module.
    pub(crate) filter: String,
    /// Where to, instead of stderr.
    pub(crate) file: Option<PathBuf>,
    /// The form of a line.
    pub(crate) format: LogFormat,
}

impl LogSettings {
    pub(super) fn resolve(resolver: &Resolver<'_>) -> Result<Self, Failure> {
        Ok(Self {
            filter: resolver.required(&LOG_LEVEL)?,
            file: resolver.value(&LOG_FILE)?,
            format: resolver.required(&LOG_FORMAT)?,
        })
    }
}
