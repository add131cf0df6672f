//! How a container's end is told to people. No IO.

use super::create::Kind;
use super::doer::Doer;
use super::error::Fault;
use super::logs::Handed;
use super::seen::Seen;
use super::wait::End;
use crate::executor::Job;
use cloudai_core::resources::Bytes;
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::{Cause, LogEnd, MAX_MESSAGE, Outcome, Used};

/// What Podman's init process says of a program that it could not begin, before the reason.
const PODMAN_INIT: &str = "failed to exec pid1: ";

/// An attempt that ended without a container's end; nothing is missing of its empty log.
pub(super) fn without_run(cause: Cause, message: impl Into<String>) -> Outcome {
    let log = LogEnd { complete: true, ..LogEnd::default() };
    Outcome { log, ..Outcome::of(cause, cut(message.into())) }
}

/// The engine refused to create or start the container, or could not.
pub(super) fn not_started(job: &Job, fault: &Fault) -> Outcome {
    if fault.is_engines() {
        return engine_failed("start the container", fault);
    }
    let code = refusal_code(fault.text());
    let next = match code {
        127 => "the program or a path is not in the image: check command, entrypoint and workdir",
        126 => "the program can not be executed: check its permissions",
        _ => "check the task's fields against the image",
    };
    let message = format!("the engine refused to start {}: {}; {next}", job.spec.image, fault.text());
    Outcome { exit_code: Some(code), ..without_run(Cause::StartError, message) }
}

/// The engine failed; not the task's fault.
pub(super) fn engine_failed(doing: &str, fault: &Fault) -> Outcome {
    let next = if fault.text().contains("rlimit") {
        "this worker's engine may not set its own default limits: lower them (`default-ulimits` in \
         /etc/docker/daemon.json), or run the engine with the capability SYS_RESOURCE"
    } else {
        "look at the engine on this worker: docker info, journalctl -u docker"
    };
    without_run(Cause::EngineError, format!("the container engine could not {doing}: {}; {next}", fault.text()))
}

/// The code that people know from the engine's own command line.
fn refusal_code(text: &str) -> i32 {
    let text = text.to_ascii_lowercase();
    let any = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if any(&["executable file not found", "no such file or directory"]) {
        127
    } else if any(&["permission denied", "is a directory", "exec format error"]) {
        126
    } else {
        125
    }
}

/// A container that ran to its end.
pub(super) fn ended(job: &Job, kind: Kind, end: &End, handed: Handed) -> Outcome {
    let end = &End { seen: unmask(&end.seen, handed.init_says.as_deref()), ..end.clone() };
    let wish = end.by_wish();
    let seen = &end.seen;
    let cause = match (wish, end.doer) {
        (Some(asked), _) => asked.cause,
        (None, Doer::Program) => Cause::Exited,
        (None, Doer::Somebody | Doer::Engine) => Cause::EngineError,
    };
    let message = match wish {
        Some(asked) => {
            let how = if seen.exit_code == Some(137) && !seen.oom_killed {
                format!("did not end within {} s of SIGTERM and was killed", asked.grace.as_secs_f64())
            } else {
                "ended after SIGTERM".into()
            };
            match (asked.cause, job.spec.limits.run) {
                (Cause::TimedOut, Some(limit)) => {
                    format!("ran longer than {} s: raise timeout_s, or make it faster; it {how}", limit.as_secs_f64())
                }
                (Cause::StorageExceeded, _) => {
                    let used = end.excess.unwrap_or_default().told(job.allocation.storage);
                    format!("{used}: raise storage_gb, or write less; it {how}")
                }
                _ => how,
            }
        }
        None => match end.doer {
            Doer::Program => by_itself(job, kind, end, &handed),
            Doer::Somebody => "somebody stopped the container through the engine (`docker stop`, `docker kill`, or an \
                               engine that was shut down), so the attempt does not count"
                .into(),
            Doer::Engine => "the container engine was started again under it and took the container down, so the \
                             attempt does not count; with `\"live-restore\": true` in /etc/docker/daemon.json containers \
                             outlive their engine"
                .into(),
        },
    };
    Outcome {
        cause,
        exit_code: seen.exit_code,
        oom_killed: seen.oom_killed,
        message: cut(message),
        run: seen.run(),
        log: handed.log,
        outputs: Vec::new(),
        outputs_lost: false,
        used: Used::default(),
    }
}

/// Podman's init process answers 1 for a program that it could not begin; the code that says so is
/// 127, or 126, as with Docker.
fn unmask(seen: &Seen, init_says: Option<&str>) -> Seen {
    let why = init_says.and_then(|words| words.strip_prefix(PODMAN_INIT));
    let code = match why {
        Some(why) if seen.exit_code == Some(1) => Some(if why == "No such file or directory" { 127 } else { 126 }),
        Some(_) | None => seen.exit_code,
    };
    let mut seen = seen.clone();
    seen.exit_code = code;
    seen
}

fn by_itself(job: &Job, kind: Kind, end: &End, handed: &Handed) -> String {
    let oom = end.seen.oom_killed;
    let memory = Bytes(job.allocation.memory);
    match end.seen.exit_code {
        Some(0) if oom => format!(
            "exited with code 0, but the kernel killed a process of it for its memory (limit {memory}): raise memory_gb"
        ),
        Some(code) if oom => {
            format!("killed for its memory (limit {memory}), exit code {code}: raise memory_gb")
        }
        Some(0) => String::new(),
        Some(code @ (126 | 127)) => unstartable(job, code, handed.init_says.as_deref()),
        Some(137) if kind == Kind::Podman => format!(
            "exit code 137 (SIGKILL): its log tells more; Podman does not always tell of a kill for memory \
             (limit {memory}), so perhaps raise memory_gb"
        ),
        Some(code) => exit(code, &handed.log),
        None => "ended without an exit code".into(),
    }
}

fn unstartable(job: &Job, code: i32, init_says: Option<&str>) -> String {
    let program = init_says.and_then(|words| match words.strip_prefix(PODMAN_INIT) {
        // It does not say which: the words that the task gave come first.
        Some(why) => Some((job.spec.container.command.first().map_or("that it names", String::as_str), why)),
        None => words.strip_prefix("exec ")?.split_once(" failed: "),
    });
    match (program, code) {
        (Some((program, _)), 127) => {
            format!("the program {program} is not in the image {}: check command and entrypoint", job.spec.image)
        }
        (Some((program, why)), _) => {
            let image = &job.spec.image;
            format!("the program {program} of the image {image} can not be executed ({why}): check its permissions")
        }
        (None, 127) => format!("exit code 127: a program that it calls is not in the image {}", job.spec.image),
        (None, _) => "exit code 126: a program that it calls can not be executed".into(),
    }
}

fn exit(code: i32, log: &LogEnd) -> String {
    const SIGNALS: [(i32, &str); 8] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (15, "SIGTERM"),
    ];
    let signal = SIGNALS.iter().find(|(number, _)| code - 128 == *number);
    let log = if log.complete && log.records == 0 { "it wrote nothing to its log" } else { "its log tells more" };
    match signal {
        Some((_, name)) => format!("exit code {code} ({name}): {log}"),
        None => format!("exit code {code}: {log}"),
    }
}

/// Why an attempt that must not pull can not start.
pub(super) fn no_image(spec: &TaskSpec) -> String {
    format!(
        "image {0} is not on this worker and pull_policy is never: bring it there (`docker pull {0}` or `docker load`), \
         or use pull_policy missing",
        spec.image
    )
}

fn cut(mut message: String) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_points_to_the_log_where_there_is_one() {
        let log = |records, complete| LogEnd { records, bytes: 0, complete, cut: None };
        assert_eq!(exit(7, &log(3, true)), "exit code 7: its log tells more");
        assert_eq!(exit(7, &log(0, true)), "exit code 7: it wrote nothing to its log");
        assert_eq!(exit(139, &log(0, false)), "exit code 139 (SIGSEGV): its log tells more");
    }

    #[test]
    fn limits_that_an_engine_may_not_set_are_told_as_such() {
        let fault = Fault::Refused { status: 500, text: "error setting rlimit type 7: operation not permitted".into() };
        let outcome = engine_failed("start the container", &fault);
        assert_eq!(outcome.cause, Cause::EngineError);
        assert!(outcome.message.contains("default-ulimits"), "{}", outcome.message);
    }
}
