//! What is looked for in a log.

use cloudai_store::bulk::LogRecord;
use regex::bytes::{Regex, RegexBuilder};

/// The longest pattern that is looked for, in bytes, and what it may take in memory.
const LONGEST_PATTERN: usize = 1000;
const PATTERN_SIZE: usize = 1 << 20;

/// What a record must contain. Of a line that the engine gave in parts each part stands alone.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Reads a regular expression.
    /// # Errors
    /// What is wrong with it, for people.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_PATTERN {
            return Err(format!("is longer than {LONGEST_PATTERN} bytes"));
        }
        let built = RegexBuilder::new(text).size_limit(PATTERN_SIZE).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "takes too much memory: use fewer and smaller repetitions".into(),
            other => {
                let why = other.to_string();
                format!("is no regular expression: {}", why.lines().last().unwrap_or_default())
            }
        })
    }

    /// Whether a record has it in its line.
    pub(super) fn is_in(&self, record: &LogRecord) -> bool {
        let line = record.data.strip_suffix(b"\n").unwrap_or(&record.data);
        self.0.is_match(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_store::bulk::LogStream;

    #[test]
    fn a_pattern_is_looked_for_in_the_line_without_its_end_whatever_bytes_are_in_it() {
        let record = |data: &[u8]| LogRecord { time_ns: 0, stream: LogStream::Stdout, data: data.to_vec().into() };
        let rows: [(&str, &[u8], bool); 7] = [
            ("err", b"an error\n", true),
            ("^ERR", b"an error\n", false),
            ("(?i)^ERR", b"error\n", true),
            ("done$", b"all done\r\n", true),
            ("done$", b"done so far", false),
            ("caf\u{e9}", "un caf\u{e9}\n".as_bytes(), true),
            (r"(?-u)\xff\x00", b"a\xff\x00b\n", true),
        ];
        for (pattern, data, found) in rows {
            assert_eq!(Pattern::read(pattern).unwrap().is_in(&record(data)), found, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_is_wrong_or_costs_too_much_is_refused() {
        let rows =
            [("(", "is no regular expression: error: unclosed group"), ("(a{1000}){1000}", "takes too much memory")];
        for (pattern, said) in rows {
            let error = Pattern::read(pattern).unwrap_err();
            assert!(error.starts_with(said), "{pattern}: {error}");
        }
        assert!(Pattern::read(&"a".repeat(1001)).unwrap_err().starts_with("is longer than"));
    }
}
