//! The text frames of a WebSocket of `exec`; its binary frames are a byte that names the stream, and bytes.

use serde::{Deserialize, Serialize};

/// The first byte of a binary frame: to the program's standard input.
pub const STDIN: u8 = 0;
/// From its standard output, or its terminal.
pub const STDOUT: u8 = 1;
/// From its standard error.
pub const STDERR: u8 = 2;

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExecSaid {
    /// Its terminal has this size now, in characters.
    Resize {
        /// Columns, from 1.
        cols: u16,
        /// Rows, from 1.
        rows: u16,
    },
    /// Nothing more follows on standard input.
    Eof,
}

/// How it ended; the last frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExecEnd {
    /// The program ended.
    Exit {
        /// Its code; 126 or 127 with a message when it could not be begun.
        code: i32,
        /// Why it could not be begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// It was ended, or nobody knows how it ended.
    Error {
        /// `task_ended`, `worker_lost`, `worker_stopped`, `engine`, `stopping`, `bad_frame`.
        code: String,
        /// What happened.
        message: String,
        /// The command that helps.
        next: String,
    },
}
