//! Logs of many tasks beside each other: each line whole, behind the name of its task.

use crate::cli::follow::{News, Sink, as_lines, bytes_of};
use crate::exit::Failure;
use crate::render::{self, Screen};
use cloudai_master::http::dto::{LogEntry, Task};
use serde_json::{Map, Value};
use std::io::Write;

/// A line that is longer is written in pieces: a program that never ends one shall not fill the memory.
const LONGEST: usize = 64 << 10;
/// Colours of names (SGR), in turn; red is for what failed, blue is hard to read on black.
const COLOURS: [&str; 8] = ["36", "33", "32", "35", "96", "93", "92", "95"];

/// Takes the log of one task and writes its lines.
pub(super) struct Lines<'a> {
    screen: &'a Screen,
    id: &'a str,
    name: String,
    /// What stands before a line of stdout, and before one of stderr.
    before: [String; 2],
    /// Of both the beginning of a line whose end has not come.
    begun: [Vec<u8>; 2],
}

impl<'a> Lines<'a> {
    /// Of the task that is the one at this place of those whose logs are read.
    pub(super) fn new(task: &'a Task, place: usize, screen: &'a Screen) -> Self {
        let name = render::job::called(task);
        let colour = COLOURS[place % COLOURS.len()];
        let plain = format!("{name} | ");
        let coloured = format!("\u{1b}[{colour}m{name} |\u{1b}[0m ");
        let before = [screen.colour, screen.colour && screen.messages_terminal];
        let before = before.map(|colour| if colour { coloured.clone() } else { plain.clone() });
        Self { screen, id: &task.id, name, before, begun: [Vec::new(), Vec::new()] }
    }

    /// Writes what has no end yet: no more comes.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        for stream in [0, 1] {
            let rest = std::mem::take(&mut self.begun[stream]);
            if !rest.is_empty() {
                self.write(stream, &rest)?;
            }
        }
        self.flush()
    }

    /// Says something of the task.
    pub(super) fn note(&self, text: &str) {
        self.screen.note(&format!("{}: {text}", self.name));
    }

    fn write(&self, stream: usize, text: &[u8]) -> Result<(), Failure> {
        let lines = behind(&self.before[stream], text);
        if stream == 0 {
            std::io::stdout().lock().write_all(&lines)?;
        } else {
            std::io::stderr().lock().write_all(&lines)?;
        }
        Ok(())
    }
}

impl Sink for Lines<'_> {
    fn record(&mut self, entry: &LogEntry, line: &[u8]) -> Result<(), Failure> {
        if as_lines(self.screen) {
            return self.other(line);
        }
        let stream = usize::from(entry.stream == "stderr");
        let begun = &mut self.begun[stream];
        begun.extend_from_slice(&bytes_of(entry)?);
        let ready = match begun.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if begun.len() > LONGEST => begun.len(),
            None => return Ok(()),
        };
        let lines: Vec<u8> = begun.drain(..ready).collect();
        self.write(stream, &lines)
    }

    fn other(&mut self, line: &[u8]) -> Result<(), Failure> {
        if as_lines(self.screen) {
            let fields: Result<Map<String, Value>, _> = serde_json::from_slice(line);
            let mut fields = fields.map_err(|error| Failure::error(error.to_string()))?;
            fields.insert("task_id".into(), self.id.into());
            writeln!(std::io::stdout().lock(), "{}", Value::Object(fields))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        std::io::stdout().lock().flush()?;
        Ok(())
    }

    fn tell(&mut self, news: &News<'_>) -> Result<(), Failure> {
        match news {
            // Of many tasks that would be the same words many times.
            News::Lost | News::Stands(_) => Ok(()),
            News::Attempt(_) | News::Damaged(_) => {
                self.end()?;
                self.note(&format!("-- {news} --"));
                Ok(())
            }
        }
    }
}

/// Lines, each behind the same words.
fn behind(before: &str, text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + before.len() + 1);
    for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
        lines.extend_from_slice(before.as_bytes());
        lines.extend_from_slice(as_seen(line));
        lines.push(b'\n');
    }
    lines
}

/// What is seen of a line once it has ended: a carriage return lets what comes write over what was.
fn as_seen(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.rsplit(|byte| *byte == b'\r').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_stands_behind_its_name_as_it_was_at_its_end() {
        let rows: [(&[u8], &[u8]); 5] = [
            (b"a\n", b"x | a\n"),
            (b"a\n\nb", b"x | a\nx | \nx | b\n"),
            (b"10%\r20%\rdone\n", b"x | done\n"),
            (b"dos\r\n", b"x | dos\n"),
            (b"\xff\n", b"x | \xff\n"),
        ];
        for (text, expected) in rows {
            assert_eq!(behind("x | ", text), expected, "{text:?}");
        }
    }
}
