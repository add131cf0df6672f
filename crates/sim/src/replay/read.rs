//! Files of traces: opened, unpacked, and what is said when one can not be used.

use std::fmt;
use std::io::Read;
use std::path::Path;

/// The largest trace that is read, unpacked: it is held in memory as a whole.
const MOST_BYTES: u64 = 2 << 30;

/// Why a file of a trace can not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// As it was given.
    pub file: String,
    /// From 1; none when it is about the whole file.
    pub line: Option<u64>,
    /// The column or field, in the words of its format.
    pub field: Option<String>,
    /// What is wrong, with the value.
    pub problem: String,
    /// What would be right; may be empty.
    pub allowed: String,
}

impl ReadError {
    /// A problem of a whole file.
    #[must_use]
    pub fn new(file: &Path, problem: impl Into<String>) -> Self {
        let file = file.display().to_string();
        Self { file, line: None, field: None, problem: problem.into(), allowed: String::new() }
    }

    /// Where in the file it is.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// In which column or field it is.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What would be right.
    #[must_use]
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = allowed.into();
        self
    }

    /// Where it is: `x.csv, line 7, column cpu`.
    #[must_use]
    pub fn place(&self) -> String {
        let line = self.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let field = self.field.as_ref().map(|field| format!(", {field}")).unwrap_or_default();
        format!("{}{line}{field}", self.file)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.problem)?;
        if self.allowed.is_empty() { Ok(()) } else { write!(f, "; {}", self.allowed) }
    }
}

impl std::error::Error for ReadError {}

/// The text of a file, unpacked when it is gzip.
/// # Errors
/// It can not be read or unpacked, is empty, too large or not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, ReadError> {
    let failed = |error: std::io::Error| ReadError::new(path, format!("can not be read: {error}"));
    let packed = std::fs::read(path).map_err(failed)?;
    let bytes = if packed.starts_with(&[0x1f, 0x8b]) {
        let mut bytes = Vec::new();
        let mut unpacked = flate2::read::MultiGzDecoder::new(packed.as_slice()).take(MOST_BYTES + 1);
        unpacked
            .read_to_end(&mut bytes)
            .map_err(|error| ReadError::new(path, format!("can not be unpacked: {error}")))?;
        bytes
    } else {
        packed
    };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(ReadError::new(path, "is larger than 2 GiB").allowed("a trace is held in memory as a whole"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        let byte = error.as_bytes()[before.len()];
        ReadError::new(path, format!("the byte {byte:#04x} is not UTF-8")).line(line).allowed("save it as UTF-8 text")
    })?;
    if text.trim().is_empty() {
        return Err(ReadError::new(path, "is empty"));
    }
    Ok(text)
}

/// What a trace is called: the name of its file without its endings.
pub(super) fn name(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut name = file.as_str();
    for ending in [".gz", ".csv", ".swf", ".tasks"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    name.to_owned()
}
