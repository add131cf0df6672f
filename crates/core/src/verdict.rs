//! What an attempt's outcome means for its task (SPEC 3.2).

use crate::retry::Budget;
use crate::state::{Reason, Status, Warning};
use crate::task::{Cause, Finished, Outcome, TaskRecord};

/// What becomes of a task after an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The attempt's end is the task's end.
    Final(Finished),
    /// Tried again: the budget has one left.
    Retry(Budget, Finished),
    /// Waits for another place, uncounted: nobody's failure.
    Again(Reason, String),
}

/// Judges an outcome.
///
/// Exit code and OOM are separate facts: code 137 alone is no OOM, and a container whose child was
/// killed for its memory may still end well.
#[must_use]
pub fn judge(task: &TaskRecord, outcome: &Outcome) -> Verdict {
    match outcome.cause {
        Cause::Exited if outcome.exit_code == Some(0) => Verdict::Final(finished(outcome, Status::Completed, None)),
        Cause::Exited if outcome.oom_killed && outcome.exit_code == Some(137) => {
            retry(task, Budget::Oom, outcome, Reason::OomKilled)
        }
        Cause::Exited if outcome.exit_code.is_some_and(|code| task.spec.retry_policy().covers_exit(code)) => {
            retry(task, Budget::ExitCode, outcome, Reason::ExitCode)
        }
        Cause::Exited => failed(outcome, Reason::ExitCode),
        Cause::TimedOut => failed(outcome, Reason::TimedOut),
        Cause::StartError => failed(outcome, Reason::StartError),
        Cause::OutputError => failed(outcome, Reason::OutputError),
        Cause::StorageExceeded => failed(outcome, Reason::StorageExceeded),
        Cause::Stopped
        | Cause::LeaseEnded
        | Cause::WorkerStopped
        | Cause::Vanished
        | Cause::ImagePull
        | Cause::ImageAbsent
        | Cause::EngineError
            if task.is_stopping() =>
        {
            Verdict::Final(as_asked(task, outcome))
        }
        Cause::ImagePull | Cause::ImageAbsent => retry(task, Budget::ImagePull, outcome, Reason::ImagePull),
        Cause::EngineError => retry(task, Budget::WorkerLost, outcome, Reason::EngineError),
        Cause::LeaseEnded | Cause::Vanished => retry(task, Budget::WorkerLost, outcome, Reason::WorkerLost),
        Cause::Stopped | Cause::WorkerStopped => Verdict::Again(Reason::Drained, given_back(outcome)),
    }
}

/// Why an attempt is nobody's failure.
fn given_back(outcome: &Outcome) -> String {
    let said = outcome.message.trim();
    if said.is_empty() { "its worker was stopped or drained".into() } else { said.to_owned() }
}

/// The end of what was being stopped, by its user or by its total time.
fn as_asked(task: &TaskRecord, outcome: &Outcome) -> Finished {
    if task.cancel.is_some() {
        return finished(outcome, Status::Cancelled, Some(Reason::User));
    }
    let message = overdue("it had a worker").message;
    Finished { message, ..finished(outcome, Status::Failed, Some(Reason::TimedOut)) }
}

/// The end of a task whose total time is over; `before` says what it did until then.
pub(crate) fn overdue(before: &str) -> Finished {
    let message = format!("{before} until its total_timeout_s was over; submit it again with a longer --total-timeout");
    without_run(Reason::TimedOut, message)
}

/// A failure that no run of its program tells of.
pub(crate) fn without_run(reason: Reason, message: String) -> Finished {
    Finished {
        status: Status::Failed,
        reason: Some(reason),
        exit_code: None,
        oom_killed: false,
        dead: false,
        message,
        warnings: Vec::new(),
    }
}

fn failed(outcome: &Outcome, reason: Reason) -> Verdict {
    Verdict::Final(finished(outcome, Status::Failed, Some(reason)))
}

fn retry(task: &TaskRecord, budget: Budget, outcome: &Outcome, reason: Reason) -> Verdict {
    again(task, budget, finished(outcome, Status::Failed, Some(reason)))
}

/// Another attempt while the budget lasts, unless the task is to end anyway.
#[must_use]
pub(crate) fn again(task: &TaskRecord, budget: Budget, end: Finished) -> Verdict {
    let most = task.spec.retry_policy().most(budget);
    if task.is_stopping() || most == 0 {
        return Verdict::Final(end);
    }
    if budget.used(&task.spent) < most {
        return Verdict::Retry(budget, end);
    }
    let retries = if most == 1 { "its only retry is".to_owned() } else { format!("all {most} retries are") };
    let message = format!("{} ({retries} used up; once it is mended: cloudai task retry {})", end.message, task.id);
    Verdict::Final(Finished { dead: true, message, ..end })
}

fn finished(outcome: &Outcome, status: Status, reason: Option<Reason>) -> Finished {
    let mut warnings = Vec::new();
    if outcome.oom_killed && reason != Some(Reason::OomKilled) {
        warnings.push(Warning::OomKilled);
    }
    let ran = outcome.run.is_some() || outcome.cause == Cause::Vanished;
    if ran && !outcome.log.complete {
        warnings.push(Warning::LogIncomplete);
    }
    if outcome.outputs_lost {
        warnings.push(Warning::OutputsIncomplete);
    }
    Finished {
        status,
        reason,
        exit_code: outcome.exit_code,
        oom_killed: outcome.oom_killed,
        dead: false,
        message: sentence(outcome, reason),
        warnings,
    }
}

/// What happened and what to do next.
fn sentence(outcome: &Outcome, reason: Option<Reason>) -> String {
    let said = outcome.message.trim();
    let code = outcome.exit_code.map_or_else(String::new, |code| format!(" {code}"));
    match reason {
        None => said.to_owned(),
        Some(Reason::ExitCode) if said.is_empty() => {
            format!("the program ended with exit code{code}; its output: cloudai task logs")
        }
        Some(Reason::OomKilled) if said.is_empty() => {
            "the program used more memory than it asked for and was killed; submit it again with more --mem".into()
        }
        Some(Reason::TimedOut) if said.is_empty() => {
            "it ran longer than timeout_s and was stopped; submit it again with a longer --timeout".into()
        }
        Some(Reason::User) => "cancelled by its user".into(),
        Some(reason) if said.is_empty() => format!("ended with {reason}"),
        Some(_) => said.to_owned(),
    }
}
