//! Passwords: asked for on a terminal that does not show them, or read from stdin where that is said.

use super::Context;
use super::hidden::Hidden;
use crate::exit::Failure;
use std::io::IsTerminal;

/// The longest, in bytes; the master's own limit is lower.
const MOST: u64 = 4096;

/// A password of a person.
/// # Errors
/// Nobody can be asked and stdin is not to be read, or nothing came.
pub(super) async fn ask(
    what: &'static str,
    from_stdin: bool,
    help: &'static str,
    cx: &Context,
) -> Result<String, Failure> {
    let read = read(what, from_stdin, help, cx).await?;
    one_of(read.lines().next(), what, help)
}

/// Two passwords, that of before and the new one: two questions, or two lines of stdin.
/// # Errors
/// As [`ask`].
pub(super) async fn ask_both(from_stdin: bool, help: &'static str, cx: &Context) -> Result<(String, String), Failure> {
    let (first, second) = ("password as it is now", "new password");
    if from_stdin && !std::io::stdin().is_terminal() {
        let read = read("two passwords, a line each", true, help, cx).await?;
        let mut lines = read.lines();
        return Ok((one_of(lines.next(), first, help)?, one_of(lines.next(), second, help)?));
    }
    Ok((ask(first, from_stdin, help, cx).await?, ask(second, from_stdin, help, cx).await?))
}

async fn read(what: &'static str, from_stdin: bool, help: &'static str, cx: &Context) -> Result<String, Failure> {
    if !from_stdin && !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("the {what} can not be asked for"))
            .why("stdin is no terminal")
            .next("--password-stdin reads it from there"));
    }
    let read = Hidden { what, most: MOST, help, otherwise: help }.read(None, cx).await?;
    String::from_utf8(read)
        .map_err(|_| Failure::usage(format!("the {what} is no text")).why("it is not UTF-8").next(help))
}

fn one_of(line: Option<&str>, what: &str, help: &str) -> Result<String, Failure> {
    let line = line.map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty());
    line.map(ToOwned::to_owned)
        .ok_or_else(|| Failure::usage(format!("the {what} is empty")).why("nothing came").next(help))
}
