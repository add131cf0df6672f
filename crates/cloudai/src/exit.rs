//! How a command ends: the exit codes of the command line and the failure that carries one.
//!
//! Knows the codes of problems (`dto::Problem`), not where they come from.

use cloudai_master::http::dto::Problem;
use std::fmt;

/// What the calling shell is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Anything that has no code of its own.
    Error,
    /// No worker can ever run the task.
    Unsatisfiable,
    /// A task or a job that was waited for did not complete.
    NotCompleted,
    /// The wait took too long; what was waited for goes on.
    TimedOut,
    /// There is no such task, job, worker or file.
    NotFound,
    /// The user may not do this.
    NotAllowed,
    /// Something stands in the way.
    Conflict,
    /// No master answered.
    Unreachable,
    /// The command line, a configured value or a field of the task is wrong.
    Usage,
    /// Ctrl-C while waiting for an outcome.
    Interrupted,
    /// Ended in good order because of the signal of this number.
    Signal(u8),
    /// The container's own code (`--propagate-exit`).
    Container(u8),
}

/// The end of the help text.
pub(crate) const HELP: &str = "\
Exit codes: 0 ok · 1 error · 2 no worker can ever run it · 3 a waited-for task or job did not complete · 4 wait timed out · \
5 not found · 6 not allowed · 7 conflict · 8 master unreachable · 64 usage (flags, configuration and refused fields \
of a task alike) · 130 Ctrl-C while waiting; 130, 143 a benchmark stopped by Ctrl-C, SIGTERM";

impl Exit {
    /// The number.
    #[must_use]
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Unsatisfiable => 2,
            Self::NotCompleted => 3,
            Self::TimedOut => 4,
            Self::NotFound => 5,
            Self::NotAllowed => 6,
            Self::Conflict => 7,
            Self::Unreachable => 8,
            Self::Usage => 64,
            Self::Interrupted => 130,
            Self::Signal(number) => 128 + number,
            Self::Container(code) => code,
        }
    }

    /// The exit of a problem's stable word. A refused value was typed by somebody: that is usage.
    #[must_use]
    pub(crate) fn of_problem(code: &str) -> Self {
        match code {
            "unsatisfiable" => Self::Unsatisfiable,
            "not_found" => Self::NotFound,
            "forbidden" | "policy_denied" | "unauthenticated" => Self::NotAllowed,
            "conflict" => Self::Conflict,
            "invalid" | "too_large" | "unsupported" => Self::Usage,
            _ => Self::Error,
        }
    }
}

/// Why a command did not do what it was asked for: what happened, why, and the next command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// A stable word for scripts.
    pub(crate) code: String,
    /// What did not work.
    pub(crate) what: String,
    /// Why, one reason each; may be empty.
    pub(crate) why: Vec<String>,
    /// The command or flag that helps; may be empty.
    pub(crate) next: String,
}

impl Failure {
    /// A failure of any kind.
    pub(crate) fn new(exit: Exit, code: &str, what: impl Into<String>) -> Self {
        Self { exit, code: code.into(), what: what.into(), why: Vec::new(), next: String::new() }
    }

    /// The command line or a value on it is wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", what)
    }

    /// Something is not there.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "not_found", what)
    }

    /// An error without a code of its own.
    pub(crate) fn error(what: impl Into<String>) -> Self {
        Self::new(Exit::Error, "error", what)
    }

    /// Adds a reason.
    #[must_use]
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Whether the same call may go through a little later.
    #[must_use]
    pub(crate) fn is_passing(&self) -> bool {
        // Whom nobody trusts is trusted no more a little later.
        (self.exit == Exit::Unreachable && self.code != "untrusted") || self.code == "unavailable"
    }

    /// Sets the next command.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// The failure of an answer of the master.
    #[must_use]
    pub(crate) fn of_problem(problem: Problem) -> Self {
        let fields = problem.errors.iter().map(|field| match &field.value {
            Some(value) => format!("{}: {value} {}", field.path, field.problem),
            None => format!("{}: {}", field.path, field.problem),
        });
        let what = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
        let why: Vec<_> = fields.filter(|why| *why != what).collect();
        Self {
            exit: Exit::of_problem(&problem.code),
            code: problem.code,
            what,
            why,
            next: problem.next.unwrap_or_default(),
        }
    }

    /// The failure as one line of JSON: `code`, `message`, `why`, `next`.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "code": self.code, "message": self.what, "why": self.why, "next": self.next }).to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for why in &self.why {
            write!(f, "\n  {why}")?;
        }
        if self.next.is_empty() { Ok(()) } else { write!(f, "\n  next: {}", self.next) }
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever reads our output has seen enough.
            return Self::new(Exit::Ok, PIPE_CLOSED, "");
        }
        Self::error(error.to_string())
    }
}

/// The code of a "failure" that is none: the reader of our output went away.
pub(crate) const PIPE_CLOSED: &str = "pipe_closed";

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => {
                let what = error.to_string();
                let why = error.chain().skip(1).map(ToString::to_string).filter(|why| !what.contains(why)).collect();
                Self { why, ..Self::error(what) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_and_every_end_has_its_code() {
        let rows = [
            ("unsatisfiable", 2),
            ("not_found", 5),
            ("unauthenticated", 6),
            ("forbidden", 6),
            ("conflict", 7),
            ("invalid", 64),
            ("too_large", 64),
            ("unsupported", 64),
            ("unavailable", 1),
            ("too_many_requests", 1),
            ("internal", 1),
            ("method_not_allowed", 1),
            ("a word of a newer master", 1),
        ];
        for (problem, code) in rows {
            assert_eq!(Exit::of_problem(problem).code(), code, "{problem}");
        }
        let ends = [
            (Exit::Ok, 0),
            (Exit::Error, 1),
            (Exit::NotCompleted, 3),
            (Exit::TimedOut, 4),
            (Exit::Unreachable, 8),
            (Exit::Usage, 64),
            (Exit::Interrupted, 130),
            (Exit::Signal(2), 130),
            (Exit::Signal(15), 143),
            (Exit::Container(42), 42),
        ];
        for (exit, code) in ends {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn nothing_is_said_twice() {
        let busy = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let said = format!("can not listen on :1: {busy}");
        let failure = Failure::from(anyhow::Error::new(busy).context(said.clone()).context("outside"));
        assert_eq!(failure.why.first(), Some(&said));
        let failure =
            Failure::from(anyhow::Error::new(std::io::Error::from(std::io::ErrorKind::AddrInUse)).context(said));
        assert_eq!(failure.why, Vec::<String>::new());
        let problem = serde_json::json!({
            "type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid",
            "detail": "address: is no address", "next": null,
            "errors": [{"path": "address", "problem": "is no address"}, {"path": "id", "problem": "is missing"}]
        });
        let failure = Failure::of_problem(serde_json::from_value(problem).unwrap());
        assert_eq!(failure.why, ["id: is missing"]);
    }

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let failure = Failure::usage("no").why("a").why("b").next("cloudai up");
        assert_eq!(failure.to_string(), "error: no\n  a\n  b\n  next: cloudai up");
        assert_eq!(failure.to_json(), r#"{"code":"usage","message":"no","next":"cloudai up","why":["a","b"]}"#);
    }
}
