//! What an attempt's outcome means for its task (SPEC 3.2).

use crate::advice::{self, Limit, Room};
use crate::resources::Kind;
use crate::retry::Budget;
use crate::state::{Reason, Status, Warning};
use crate::task::{Cause, Finished, Outcome, TaskRecord};
use std::time::Duration;

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

/// The most of a resource that a worker which could run the task has; none where no such worker is known.
pub type Largest<'a> = &'a dyn Fn(Kind) -> Option<u64>;

/// Judges an outcome; `largest` is what a task that had too little may be told to ask for.
///
/// Exit code and OOM are separate facts: code 137 alone is no OOM, and a container whose child was
/// killed for its memory may still end well.
#[must_use]
pub fn judge(task: &TaskRecord, outcome: &Outcome, largest: Largest<'_>) -> Verdict {
    // Not of what was stopped: the total time that was over then is no limit of the attempt.
    let by_limit = matches!(outcome.cause, Cause::Exited | Cause::TimedOut | Cause::StorageExceeded);
    match of_cause(task, outcome, largest) {
        // A dead letter says it already.
        Verdict::Final(end) if by_limit && !end.dead && task.overdue.is_none() => {
            let more = more(task, end.reason, largest);
            Verdict::Final(Finished { message: advice::with(end.message, more), ..end })
        }
        verdict @ (Verdict::Final(_) | Verdict::Retry(..) | Verdict::Again(..)) => verdict,
    }
}

fn of_cause(task: &TaskRecord, outcome: &Outcome, largest: Largest<'_>) -> Verdict {
    if may_be_of_a_stop(outcome.cause) {
        if task.is_stopping() {
            return Verdict::Final(as_asked(task, outcome));
        }
        if let Some(evict) = task.evicted() {
            return Verdict::Again(evict.reason, evict.message.clone());
        }
    }
    let retry = |budget, reason| again(task, budget, finished(outcome, Status::Failed, Some(reason)), largest);
    match outcome.cause {
        Cause::Exited if outcome.exit_code != Some(0) && task.cancel.is_none() && task.overdue.is_some() => {
            Verdict::Final(Finished { exit_code: outcome.exit_code, ..timed_out(task, outcome) })
        }
        Cause::Exited if outcome.exit_code == Some(0) => Verdict::Final(finished(outcome, Status::Completed, None)),
        Cause::Exited if outcome.oom_killed && outcome.exit_code == Some(137) => retry(Budget::Oom, Reason::OomKilled),
        Cause::Exited if outcome.exit_code.is_some_and(|code| task.spec.retry_policy().covers_exit(code)) => {
            retry(Budget::ExitCode, Reason::ExitCode)
        }
        Cause::Exited => failed(outcome, Reason::ExitCode),
        Cause::TimedOut => failed(outcome, Reason::TimedOut),
        Cause::StartError => failed(outcome, Reason::StartError),
        Cause::InputError => failed(outcome, Reason::InputError),
        Cause::OutputError => failed(outcome, Reason::OutputError),
        Cause::StorageExceeded => failed(outcome, Reason::StorageExceeded),
        Cause::PolicyDenied => failed(outcome, Reason::PolicyDenied),
        Cause::ImagePull | Cause::ImageAbsent => retry(Budget::ImagePull, Reason::ImagePull),
        Cause::EngineError => retry(Budget::WorkerLost, Reason::EngineError),
        Cause::LeaseEnded | Cause::Vanished => retry(Budget::WorkerLost, Reason::WorkerLost),
        Cause::Stopped | Cause::WorkerStopped => Verdict::Again(Reason::Drained, given_back(outcome)),
    }
}

/// Whether what was asked to stop may end like this for it.
const fn may_be_of_a_stop(cause: Cause) -> bool {
    match cause {
        Cause::Stopped
        | Cause::LeaseEnded
        | Cause::WorkerStopped
        | Cause::Vanished
        | Cause::ImagePull
        | Cause::ImageAbsent
        | Cause::EngineError => true,
        Cause::Exited
        | Cause::TimedOut
        | Cause::StartError
        | Cause::InputError
        | Cause::OutputError
        | Cause::StorageExceeded
        | Cause::PolicyDenied => false,
    }
}

/// Why an attempt is nobody's failure.
fn given_back(outcome: &Outcome) -> String {
    let said = outcome.message.trim();
    match (said.is_empty(), outcome.run) {
        (true, _) => "its worker was stopped or drained".into(),
        (false, None) => said.to_owned(),
        (false, Some(_)) => format!("its worker was stopped or drained ({said})"),
    }
}

/// The end of what was being stopped, by its user or by its total time.
fn as_asked(task: &TaskRecord, outcome: &Outcome) -> Finished {
    if let Some(request) = &task.cancel {
        return match &request.why {
            None => finished(outcome, Status::Cancelled, Some(Reason::User)),
            Some(why) => {
                let end = finished(outcome, Status::Cancelled, Some(Reason::Dependency));
                Finished { message: format!("cancelled: {why}"), ..end }
            }
        };
    }
    timed_out(task, outcome)
}

/// The end of a task whose total time was over before this end of its last attempt.
fn timed_out(task: &TaskRecord, outcome: &Outcome) -> Finished {
    let message = overdue(task, Some(outcome)).message;
    Finished { message, ..finished(outcome, Status::Failed, Some(Reason::TimedOut)) }
}

/// The end of a task whose total time is over: it says how far it got. Without an outcome the last
/// attempt has ended before, or nobody knows how it does.
pub(crate) fn overdue(task: &TaskRecord, outcome: Option<&Outcome>) -> Finished {
    let limit = show(task.spec.limits.total);
    let attempts = match task.number() {
        1 => "1 attempt".to_owned(),
        more => format!("{more} attempts"),
    };
    let last = if task.number() == 1 { "which" } else { "the last" };
    let known = task.attempts.last().and_then(|attempt| attempt.end.as_ref());
    let code = outcome.and_then(|outcome| outcome.exit_code).or_else(|| known.and_then(|end| end.exit_code));
    let by_itself = outcome.is_none_or(|outcome| outcome.cause == Cause::Exited);
    let got = match (task.number(), code) {
        (0, _) => "before it had a place".into(),
        (_, Some(code)) if by_itself => format!("after {attempts}, {last} ended with exit code {code}"),
        (_, _) if outcome.is_some() => format!("after {attempts}, {last} was stopped by that"),
        (_, _) => match known.and_then(|end| end.reason) {
            Some(reason) => format!("after {attempts}, {last} ended with {reason}"),
            None => format!("after {attempts}"),
        },
    };
    let message = format!("its total_timeout_s of {limit} was over {got}");
    without_run(Reason::TimedOut, advice::with(message, advice::longer(task, Limit::Total)))
}

/// A limit for people.
pub(crate) fn show(limit: Option<Duration>) -> String {
    limit.map_or_else(String::new, |limit| format!("{} s", limit.as_secs_f64()))
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

/// Another attempt while the budget lasts, unless the task is to end anyway.
#[must_use]
pub(crate) fn again(task: &TaskRecord, budget: Budget, end: Finished, largest: Largest<'_>) -> Verdict {
    let most = task.spec.retry_policy().most(budget);
    if task.is_stopping() || most == 0 {
        return Verdict::Final(end);
    }
    if budget.used(&task.spent) < most {
        return Verdict::Retry(budget, end);
    }
    let retries = if most == 1 { "its only retry is".to_owned() } else { format!("all {most} retries are") };
    let mended = || format!("once it is mended: cloudai task retry {}", task.id);
    let helps = more(task, end.reason, largest).unwrap_or_else(mended);
    let message = format!("{} ({retries} used up; {helps})", end.message);
    Verdict::Final(Finished { dead: true, message, ..end })
}

/// What helps against an end by a limit of one attempt.
fn more(task: &TaskRecord, reason: Option<Reason>, largest: Largest<'_>) -> Option<String> {
    if reason == Some(Reason::OomKilled) {
        Some(advice::larger(task, Room::Memory, largest(Kind::Memory)))
    } else if reason == Some(Reason::StorageExceeded) {
        Some(advice::larger(task, Room::Disk, largest(Kind::Storage)))
    } else if reason == Some(Reason::TimedOut) {
        advice::longer(task, Limit::Run)
    } else {
        None
    }
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
    if outcome.cause == Cause::LeaseEnded && reason == Some(Reason::WorkerLost) {
        let ended = if said.is_empty() { String::new() } else { format!(" ({said})") };
        return format!("its worker lost its master for longer than a lease and stopped it{ended}");
    }
    match reason {
        None => said.to_owned(),
        Some(Reason::ExitCode) if said.is_empty() => {
            format!("the program ended with exit code{code}; its output: cloudai task logs")
        }
        Some(Reason::OomKilled) if said.is_empty() => {
            "the program used more memory than it asked for and was killed".into()
        }
        Some(Reason::TimedOut) if said.is_empty() => "it ran longer than timeout_s and was stopped".into(),
        Some(Reason::User) => "cancelled by its user".into(),
        Some(reason) if said.is_empty() => format!("ended with {reason}"),
        Some(_) => said.to_owned(),
    }
}
