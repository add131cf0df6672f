//! The readers of the command line that need nothing of it: the binary has no library, so they are compiled here as
//! well.

#[path = "../../cloudai/src/config/parse.rs"]
#[allow(dead_code, reason = "the binary reads more with it")]
mod parse;
#[path = "../../cloudai/src/cli/job/rows/table.rs"]
mod table;
#[path = "../../cloudai/src/cli/forms/text.rs"]
mod text;

use cloudai_core::spec::Value;
use std::time::Duration;

/// A document by the ending of its file; by a guess where that tells nothing.
pub(crate) fn document(ending: &str, words: &str) -> Result<Value, String> {
    text::parse(ending, words)
}

/// The rows of a table.
pub(crate) fn rows(words: &str) -> Result<Vec<Value>, String> {
    table::rows(words)
}

/// The lines of a text.
pub(crate) fn lines(words: &str) -> Result<Vec<Value>, String> {
    table::lines(words)
}

/// A time.
pub(crate) fn duration(words: &str) -> Result<Duration, String> {
    parse::duration(words)
}

/// A size in GiB.
pub(crate) fn gigabytes(words: &str) -> Result<f64, String> {
    parse::gigabytes(words)
}

/// A size in bytes.
pub(crate) fn bytes(words: &str) -> Result<u64, String> {
    parse::bytes(words)
}

/// Thousandths of a core.
pub(crate) fn thousandths(words: &str) -> Result<u64, String> {
    parse::thousandths(words)
}
