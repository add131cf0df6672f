//! The log of master and worker: lines for people on stderr.

use anyhow::Context;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Sends log lines that pass `filter` to stderr from now on; `filter` is a level or directives.
/// # Errors
/// A filter that is not understood, or a log that is set up already.
pub(super) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(filter).context("the log level was not understood")?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init()
        .map_err(|error| anyhow::anyhow!("the log could not be started: {error}"))
}
