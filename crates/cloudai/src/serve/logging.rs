//! The log of master and worker: lines for people or JSON for programs, on stderr or in a file.

use crate::config::{LogFormat, LogSettings};
use crate::exit::Failure;
use anyhow::Context;
use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// The log of this process, once it has begun.
#[derive(Clone, Debug)]
pub(super) struct Log {
    file: Option<Arc<LogFile>>,
}

impl Log {
    /// Opens the file again by its name, as after `logrotate` has moved it; whether there is one.
    ///
    /// When that fails the old file goes on: a log in a wrong place is better than none.
    pub(super) fn reopen(&self) -> bool {
        let Some(log) = &self.file else { return false };
        match append(&log.path) {
            Ok(fresh) => {
                *log.file.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                info!(file = %log.path.display(), "log file opened again");
            }
            Err(error) => error!(file = %log.path.display(), %error, "log file could not be opened again"),
        }
        true
    }
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// Held while it is cloned or replaced, never while it is written.
    file: Mutex<Arc<File>>,
}

impl LogFile {
    fn open(path: PathBuf) -> Result<Self, Failure> {
        let file = append(&path).map_err(|error| {
            Failure::usage(format!("the log file {} can not be written", path.display()))
                .why(error.to_string())
                .next("--log-file: a file in a folder that is there and that this user may write to")
        })?;
        Ok(Self { path, file: Mutex::new(Arc::new(file)) })
    }

    fn current(&self) -> Arc<File> {
        Arc::clone(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Appending: each event is one write, so lines of several writers stay whole.
fn append(path: &PathBuf) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Logs as the settings say from now on.
/// # Errors
/// A file that can not be written, or a log that has begun already.
pub(super) fn start(settings: &LogSettings) -> anyhow::Result<Log> {
    let filter = EnvFilter::builder().parse(&settings.filter).context("the log level was not understood")?;
    let file = settings.file.clone().map(LogFile::open).transpose()?.map(Arc::new);
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = file.is_none() && std::io::stderr().is_terminal() && !no_colour;
    let writer = match file.clone() {
        Some(file) => BoxMakeWriter::new(move || file.current()),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colour);
    let begun = match settings.format {
        LogFormat::Text => log.try_init(),
        // Fields stand beside `message`; `spans` has those of the task, the attempt, the request.
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(true).try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("the log could not be started: {error}"))?;
    Ok(Log { file })
}
