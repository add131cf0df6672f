//! The end of an attempt as its worker tells it, made such that the store can keep it.
//!
//! A worker tells an end until it is taken in. So what could never be stored is left out or cut,
//! with a warning, and the end counts all the same: refused, it would come again for ever.

use super::convert;
use crate::quota::MOST_FILES;
use cloudai_core::event::EndReport;
use cloudai_core::ids::Incarnation;
use cloudai_core::task::{Cause, LogCut, LogEnd, MAX_MESSAGE, Outcome, OutputFile, Used};
use cloudai_proto::v1 as pb;
use cloudai_store::bulk::{LogPosition, check_path};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

/// The most files of one attempt.
const MAX_OUTPUTS: usize = MOST_FILES as usize;
/// What stands in for a cause that this master does not know.
const NO_CAUSE: &str =
    "its worker told no cause of its end that this master knows; bring both to one version of cloudai";

/// # Errors
/// When it names no attempt.
pub(super) fn report(result: pb::TaskResult) -> Result<EndReport, Status> {
    let attempt = convert::attempt(&result.task_id, result.attempt)?;
    let cause = cause(result.cause());
    let message = if cause.is_none() && result.message.is_empty() { NO_CAUSE } else { &result.message };
    let (outputs, outputs_lost) = outputs(result.outputs);
    let cut = LogCut { records: result.log_cut_records, bytes: result.log_cut_bytes };
    let cut = Some(cut).filter(|cut| cut.records > 0);
    let outcome = Outcome {
        cause: cause.unwrap_or(Cause::EngineError),
        exit_code: result.exit_code,
        oom_killed: result.oom_killed,
        message: shortened(message),
        run: result.run_ms.map(time),
        log: LogEnd {
            records: result.log_records,
            bytes: result.log_bytes,
            complete: result.log_complete && cut.is_none(),
            cut,
        },
        outputs,
        outputs_lost,
        used: Used {
            peak_memory: measured(result.peak_memory_bytes),
            cpu: measured(result.cpu_ms).map(time),
            pulled: measured(result.pull_ms).map(time),
        },
    };
    Ok(EndReport { attempt, incarnation: Incarnation(result.incarnation), outcome: Arc::new(outcome) })
}

/// No machine has had so many bytes, and none so many milliseconds; the largest number that every reader of JSON knows.
const LARGEST: u64 = 1 << 53;

/// What can have been measured: neither nothing, which stands for not known, nor more than there is.
fn measured(told: Option<u64>) -> Option<u64> {
    told.filter(|amount| (1..=LARGEST).contains(amount))
}

/// That it ran is believed, and a time that can be.
fn time(millis: u64) -> Duration {
    Duration::from_millis(millis.min(LARGEST))
}

/// The log that was told, as far as it is kept: the worker may have told of more than it sent, or
/// this machine lost power after it had taken it in.
pub(super) fn kept_log(told: LogEnd, kept: LogPosition) -> LogEnd {
    LogEnd {
        records: told.records.min(kept.records),
        bytes: told.bytes.min(kept.bytes),
        complete: told.complete && told.records <= kept.records,
        // Else more is missing than was cut.
        cut: told.cut.filter(|_| told.records <= kept.records),
    }
}

/// The answer to an end that was not taken in: whether to tell it again. One that names no attempt,
/// or that the store refuses all the same, never will be; its attempt then counts as vanished.
pub(super) fn not_taken(status: &Status) -> pb::ResultAck {
    let never = matches!(status.code(), Code::InvalidArgument | Code::Internal | Code::PermissionDenied);
    pb::ResultAck { message: status.message().into(), again: !never, sent_command: u64::MAX, ..Default::default() }
}

/// The files that may have been kept, each once, and whether others were told.
fn outputs(told: Vec<pb::OutputFile>) -> (Vec<OutputFile>, bool) {
    let mut files = BTreeMap::new();
    let mut lost = false;
    for pb::OutputFile { path, size, sha256 } in told {
        let Some(sha256) = convert::sha256(&sha256).ok().filter(|_| is_kept(&path, size)) else {
            lost = true;
            continue;
        };
        let file = OutputFile { path: path.clone(), size, sha256 };
        let full = files.len() >= MAX_OUTPUTS;
        match files.entry(path) {
            Entry::Vacant(place) if !full => drop(place.insert(file)),
            // Of a path the first contents that were whole are kept.
            Entry::Occupied(first) => lost |= *first.get() != file,
            Entry::Vacant(_) => lost = true,
        }
    }
    (files.into_values().collect(), lost)
}

/// Whether the master can have taken such a file in, and the store its row: no file system has room for a larger one, and
/// sums of sizes end far from there.
fn is_kept(path: &str, size: u64) -> bool {
    check_path(path).is_ok() && size <= LARGEST
}

fn shortened(message: &str) -> String {
    let end = (0..=MAX_MESSAGE.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
    message[..end.unwrap_or(0)].to_owned()
}

/// None for a cause of a newer worker.
fn cause(cause: pb::Cause) -> Option<Cause> {
    Some(match cause {
        pb::Cause::Exited => Cause::Exited,
        pb::Cause::TimedOut => Cause::TimedOut,
        pb::Cause::Stopped => Cause::Stopped,
        pb::Cause::LeaseEnded => Cause::LeaseEnded,
        pb::Cause::WorkerStopped => Cause::WorkerStopped,
        pb::Cause::Vanished => Cause::Vanished,
        pb::Cause::ImagePull => Cause::ImagePull,
        pb::Cause::ImageAbsent => Cause::ImageAbsent,
        pb::Cause::StartError => Cause::StartError,
        pb::Cause::EngineError => Cause::EngineError,
        pb::Cause::InputError => Cause::InputError,
        pb::Cause::PolicyDenied => Cause::PolicyDenied,
        pb::Cause::OutputError => Cause::OutputError,
        pb::Cause::StorageExceeded => Cause::StorageExceeded,
        pb::Cause::Unspecified => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::TaskId;

    fn result() -> pb::TaskResult {
        let mut result =
            pb::TaskResult { task_id: TaskId::new(7).to_string(), attempt: 1, ..pb::TaskResult::default() };
        result.set_cause(pb::Cause::Exited);
        result
    }

    fn file(path: &str, size: u64) -> pb::OutputFile {
        pb::OutputFile { path: path.into(), size, sha256: "a".repeat(64) }
    }

    fn taken(outputs: Vec<pb::OutputFile>) -> (Vec<String>, bool) {
        let outcome = report(pb::TaskResult { outputs, ..result() }).unwrap().outcome;
        (outcome.outputs.iter().map(|file| file.path.clone()).collect(), outcome.outputs_lost)
    }

    #[test]
    fn of_the_files_of_an_end_those_that_can_not_have_been_kept_are_left_out() {
        let none = |bad: pb::OutputFile| (vec![bad, file("b", 1)], vec!["b"], true);
        let rows = [
            (vec![], vec![], false),
            (vec![file("b", 1), file("a", LARGEST)], vec!["a", "b"], false),
            (vec![file("a", 1), file("a", 1)], vec!["a"], false),
            (vec![file("a", 1), pb::OutputFile { sha256: "A".repeat(64), ..file("a", 1) }], vec!["a"], false),
            (vec![file("a", 1), file("a", 2)], vec!["a"], true),
            none(file("a", 1 << 63)),
            none(file("a", u64::MAX)),
            none(file("../a", 1)),
            none(file("/a", 1)),
            none(file("", 1)),
            none(file("a\0", 1)),
            none(file(&"a".repeat(5000), 1)),
            none(pb::OutputFile { sha256: "a".repeat(63), ..file("a", 1) }),
            none(pb::OutputFile { sha256: "\u{e4}".repeat(32), ..file("a", 1) }),
            none(pb::OutputFile { sha256: "x".repeat(64), ..file("a", 1) }),
        ];
        for (told, paths, lost) in rows {
            let row = format!("{told:?}");
            let (found, was_lost) = taken(told);
            assert_eq!((found.iter().map(String::as_str).collect::<Vec<_>>(), was_lost), (paths, lost), "{row}");
        }
    }

    #[test]
    fn too_many_files_are_cut_to_the_most_that_are_kept() {
        let many = |count: usize| (0..count).map(|number| file(&format!("{number:05}"), 0)).collect();
        assert!(!taken(many(MAX_OUTPUTS)).1);
        let (kept, lost) = taken(many(MAX_OUTPUTS + 1));
        assert_eq!((kept.len(), lost), (MAX_OUTPUTS, true));
    }

    #[test]
    fn a_message_is_cut_between_two_characters() {
        for (told, bytes) in [("a".repeat(5000), 2048), ("\u{20ac}".repeat(5000), 2046), ("ok".into(), 2)] {
            let outcome = report(pb::TaskResult { message: told, ..result() }).unwrap().outcome;
            assert_eq!(outcome.message.len(), bytes);
        }
    }

    #[test]
    fn an_end_without_a_known_cause_is_the_fault_of_no_program() {
        let outcome = report(pb::TaskResult { cause: 4711, ..result() }).unwrap().outcome;
        assert_eq!((outcome.cause, outcome.message.as_str()), (Cause::EngineError, NO_CAUSE));
        let said = report(pb::TaskResult { cause: 0, message: "why".into(), ..result() }).unwrap().outcome;
        assert_eq!((said.cause, said.message.as_str()), (Cause::EngineError, "why"));
    }

    #[test]
    fn what_was_used_is_believed_within_what_can_be() {
        let used = |peak_memory_bytes, cpu_ms, pull_ms| {
            report(pb::TaskResult { peak_memory_bytes, cpu_ms, pull_ms, ..result() }).unwrap().outcome.used
        };
        let millis = |count| Some(Duration::from_millis(count));
        let told = Used { peak_memory: Some(7), cpu: millis(8), pulled: millis(9) };
        assert_eq!(used(Some(7), Some(8), Some(9)), told);
        assert_eq!(used(Some(LARGEST), None, Some(1)).peak_memory, Some(LARGEST));
        for nothing in [None, Some(0), Some(LARGEST + 1), Some(u64::MAX)] {
            assert_eq!(used(nothing, nothing, nothing), Used::default(), "{nothing:?}");
        }
        let ran = report(pb::TaskResult { run_ms: Some(u64::MAX), ..result() }).unwrap().outcome.run;
        assert_eq!(ran, millis(LARGEST));
    }

    #[test]
    fn of_a_log_no_more_is_believed_than_is_kept() {
        let told = |records, bytes| LogEnd { records, bytes, complete: true, cut: None };
        let kept = LogPosition { records: 3, bytes: 30 };
        assert_eq!(kept_log(told(3, 30), kept), told(3, 30));
        assert_eq!(kept_log(told(2, 20), kept), told(2, 20));
        assert_eq!(kept_log(told(2, u64::MAX), kept), told(2, 30));
        assert_eq!(kept_log(told(u64::MAX, u64::MAX), kept), LogEnd { complete: false, ..told(3, 30) });
    }

    #[test]
    fn a_log_that_was_cut_is_not_complete_whatever_its_worker_says() {
        let told = |log_cut_records, log_cut_bytes| {
            let result = pb::TaskResult {
                log_records: 3,
                log_bytes: 30,
                log_complete: true,
                log_cut_records,
                log_cut_bytes,
                ..result()
            };
            report(result).unwrap().outcome.log
        };
        let whole = LogEnd { records: 3, bytes: 30, complete: true, cut: None };
        assert_eq!(told(0, 0), whole);
        assert_eq!(told(0, 7), whole, "no record, nothing of it");
        let cut = Some(LogCut { records: 2, bytes: u64::MAX });
        let log = told(2, u64::MAX);
        assert_eq!(log, LogEnd { complete: false, cut, ..whole });
        assert_eq!(kept_log(log, LogPosition { records: 3, bytes: 30 }), log);
    }

    #[test]
    fn only_what_may_be_taken_in_later_is_asked_for_again() {
        assert!(not_taken(&Status::unavailable("the store is away")).again);
        for never in [Status::internal("the store refused it"), report(pb::TaskResult::default()).unwrap_err()] {
            let ack = not_taken(&never);
            assert!(!ack.again && !ack.success && !ack.message.is_empty(), "{ack:?}");
        }
    }
}
