//! Between protobuf and the core's types. What the master sends is checked here.

use cloudai_core::effect::{Command, StartOrder, StopOrder};
use cloudai_core::event::{Held, HeldStage};
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session, Term, WorkerId};
use cloudai_core::resources::{Allocation, Capacity, GIB, WHOLE};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::time::{Timestamp, millis};
use cloudai_core::timing::Timing;
use cloudai_proto::v1 as pb;
use std::sync::Arc;
use std::time::Duration;

/// A message of the master that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("the master sent a bad {what}: {why}")]
pub(crate) struct BadMessage {
    what: &'static str,
    why: String,
}

fn bad(what: &'static str, why: impl ToString) -> BadMessage {
    BadMessage { what, why: why.to_string() }
}

/// The last spec that a stream brought, with its text: tasks of one sort come in rows.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    last: Option<(String, Arc<TaskSpec>)>,
}

impl Specs {
    /// What is to run, or why that can not be read here.
    fn parse(&mut self, text: &str) -> Result<Arc<TaskSpec>, String> {
        if let Some((_, spec)) = self.last.as_ref().filter(|(last, _)| last == text) {
            return Ok(Arc::clone(spec));
        }
        let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let spec = Arc::new(TaskSpec::from_value(&document).map_err(|error| error.to_string())?);
        self.last = Some((text.to_owned(), Arc::clone(&spec)));
        Ok(spec)
    }
}

/// A command with its place in the session.
pub(crate) fn command(command: pb::Command, specs: &mut Specs) -> Result<(CommandSeq, Command), BadMessage> {
    let seq = CommandSeq(command.seq);
    match command.what.ok_or_else(|| bad("command", "it is empty"))? {
        pb::command::What::Start(task) => Ok((seq, Command::Start(Arc::new(start(&task, specs)?)))),
        pb::command::What::Stop(stop) => {
            let attempt = attempt(&stop.task_id, stop.attempt)?;
            let kill_after = Duration::from_millis(stop.kill_after_ms);
            Ok((seq, Command::Stop(StopOrder { attempt, kill_after })))
        }
        pb::command::What::Ping(pb::Ping {}) => Ok((seq, Command::Ping)),
    }
}

fn start(task: &pb::Task, specs: &mut Specs) -> Result<StartOrder, BadMessage> {
    let allocation = task.allocation.as_ref().ok_or_else(|| bad("task", "it has no allocation"))?;
    let (spec, unreadable) = match specs.parse(&task.spec_json) {
        Ok(spec) => (spec, None),
        Err(why) => {
            let nothing = TaskSpec::of_image("unreadable").map_err(|error| bad("task", error))?;
            (Arc::new(nothing), Some(why))
        }
    };
    Ok(StartOrder {
        attempt: attempt(&task.task_id, task.attempt)?,
        owner: task.user_id.parse().map_err(|error| bad("user id", error))?,
        job: if task.job_id.is_empty() {
            None
        } else {
            Some(task.job_id.parse().map_err(|error| bad("job id", error))?)
        },
        submitted_at: Timestamp::from_millis(task.created_at_ms),
        spec,
        unreadable,
        allocation: Allocation {
            cpu_milli: allocation.cpu_milli,
            memory: allocation.memory_bytes,
            storage: allocation.storage_bytes,
            gpus: allocation.gpus.iter().map(|share| (share.id.as_str().into(), share.milli)).collect(),
        },
    })
}

fn attempt(task: &str, number: u32) -> Result<Attempt, BadMessage> {
    Ok(Attempt { task: task.parse().map_err(|error| bad("task id", error))?, number })
}

/// The answer to a registration.
pub(crate) struct Registered {
    pub(crate) cluster: Arc<str>,
    pub(crate) incarnation: Incarnation,
    pub(crate) term: Term,
    pub(crate) session: Session,
    pub(crate) timing: Timing,
}

pub(crate) fn registered(ack: &pb::RegisterAck) -> Registered {
    Registered {
        cluster: ack.cluster.as_str().into(),
        incarnation: Incarnation(ack.incarnation),
        term: Term(ack.term),
        session: Session(ack.session),
        timing: Timing {
            heartbeat: Duration::from_millis(ack.heartbeat_ms),
            inactive: Duration::from_millis(ack.inactive_ms),
            lease: Duration::from_millis(ack.lease_ms),
            margin: Duration::from_millis(ack.margin_ms),
        },
    }
}

#[allow(clippy::cast_precision_loss, reason = "the exact amounts stand beside")]
pub(crate) fn worker_info(id: &WorkerId, capacity: &Capacity) -> pb::WorkerInfo {
    let gpu =
        |gpu: &cloudai_core::resources::Gpu| pb::GpuDevice { id: gpu.id.to_string(), model: gpu.model.to_string() };
    pb::WorkerInfo {
        worker_id: id.to_string(),
        total_cpu: capacity.cpu_milli as f64 / WHOLE as f64,
        total_memory: capacity.memory as f64 / GIB as f64,
        total_storage: capacity.storage as f64 / GIB as f64,
        total_gpu: capacity.gpus.len() as f64,
        protocol: cloudai_proto::PROTOCOL,
        cpu_milli: capacity.cpu_milli,
        memory_bytes: capacity.memory,
        storage_bytes: capacity.storage,
        gpus: capacity.gpus.iter().map(gpu).collect(),
        ..pb::WorkerInfo::default()
    }
}

/// What a heartbeat or registration says of one attempt.
pub(crate) fn task_info(held: &Held, allocation: Option<&Allocation>, detail: String) -> pb::TaskInfo {
    let (stage, status) = match held.stage {
        HeldStage::At(Step::Assigned) => (pb::HeldStage::Assigned, "pending"),
        HeldStage::At(Step::Pulling) => (pb::HeldStage::Pulling, "pending"),
        HeldStage::At(Step::Starting) => (pb::HeldStage::Starting, "pending"),
        HeldStage::At(Step::Running) => (pb::HeldStage::Running, "running"),
        HeldStage::Stopping => (pb::HeldStage::Stopping, "stopping"),
        HeldStage::Ended => (pb::HeldStage::Ended, "ended"),
    };
    let mut info = pb::TaskInfo {
        task_id: held.attempt.task.to_string(),
        attempt: held.attempt.number,
        incarnation: held.incarnation.0,
        status: status.into(),
        detail,
        ..pb::TaskInfo::default()
    };
    info.set_stage(stage);
    if let Some(allocation) = allocation {
        amounts(&mut info, allocation);
    }
    info
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn amounts(info: &mut pb::TaskInfo, allocation: &Allocation) {
    let gpu: u64 = allocation.gpus.iter().map(|(_, milli)| milli).sum();
    info.cpu_allocated = allocation.cpu_milli as f64 / WHOLE as f64;
    info.memory_allocated = allocation.memory as f64 / (1u64 << 20) as f64;
    info.gpu_allocated = gpu as f64 / WHOLE as f64;
}

pub(crate) fn task_result(
    worker: &WorkerId,
    attempt: Attempt,
    incarnation: Incarnation,
    outcome: &Outcome,
) -> pb::TaskResult {
    let file = |file: &cloudai_core::task::OutputFile| pb::OutputFile {
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256.to_string(),
    };
    let cut = outcome.log.cut.unwrap_or_default();
    let mut result = pb::TaskResult {
        task_id: attempt.task.to_string(),
        worker_id: worker.to_string(),
        status: if outcome.exit_code == Some(0) { "completed" } else { "failed" }.into(),
        exit_code: outcome.exit_code,
        attempt: attempt.number,
        incarnation: incarnation.0,
        oom_killed: outcome.oom_killed,
        message: outcome.message.clone(),
        run_ms: outcome.run.map(millis),
        log_records: outcome.log.records,
        log_bytes: outcome.log.bytes,
        log_complete: outcome.log.complete,
        log_cut_records: cut.records,
        log_cut_bytes: cut.bytes,
        outputs: outcome.outputs.iter().map(file).collect(),
        peak_memory_bytes: outcome.used.peak_memory,
        cpu_ms: outcome.used.cpu.map(millis),
        pull_ms: outcome.used.pulled.map(millis),
        ..pb::TaskResult::default()
    };
    result.set_cause(cause(outcome.cause));
    result
}

fn cause(cause: Cause) -> pb::Cause {
    match cause {
        Cause::Exited => pb::Cause::Exited,
        Cause::TimedOut => pb::Cause::TimedOut,
        Cause::Stopped => pb::Cause::Stopped,
        Cause::LeaseEnded => pb::Cause::LeaseEnded,
        Cause::WorkerStopped => pb::Cause::WorkerStopped,
        Cause::Vanished => pb::Cause::Vanished,
        Cause::ImagePull => pb::Cause::ImagePull,
        Cause::ImageAbsent => pb::Cause::ImageAbsent,
        Cause::StartError => pb::Cause::StartError,
        Cause::EngineError => pb::Cause::EngineError,
        Cause::InputError => pb::Cause::InputError,
        Cause::PolicyDenied => pb::Cause::PolicyDenied,
        Cause::OutputError => pb::Cause::OutputError,
        Cause::StorageExceeded => pb::Cause::StorageExceeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(spec_json: &str) -> pb::Command {
        let task = pb::Task {
            task_id: Attempt { task: cloudai_core::ids::TaskId::new(7), number: 1 }.task.to_string(),
            user_id: "ann".into(),
            attempt: 1,
            spec_json: spec_json.into(),
            allocation: Some(pb::Allocation { cpu_milli: 500, ..pb::Allocation::default() }),
            ..pb::Task::default()
        };
        pb::Command { seq: 3, what: Some(pb::command::What::Start(task)) }
    }

    fn heard(spec_json: &str) -> Arc<StartOrder> {
        match command(sent(spec_json), &mut Specs::default()) {
            Ok((CommandSeq(3), Command::Start(order))) => order,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_order_that_a_newer_master_words_otherwise_is_taken_and_says_why_it_can_not_run() {
        let order = heard(r#"{"image":"busybox","volumes":["/data"],"warp":9}"#);
        let why = order.unreadable.as_deref().unwrap();
        assert!(why.contains("volumes") && why.contains("warp"), "{why}");
        assert_eq!(order.allocation.cpu_milli, 500, "its place is held until its end is told");
        assert!(heard("no json").unreadable.is_some());
        assert_eq!(heard(r#"{"image":"busybox"}"#).unreadable, None);
    }

    #[test]
    fn what_only_the_master_decides_by_is_not_sent_and_the_rest_reads_back() {
        let document = r#"{"image":"busybox","args":["true"],"timeout_s":5,"priority":7,"worker_id":"w1",
            "allow_pending":true,"idempotency_key":"k","labels":{"a":"b"}}"#;
        let spec = TaskSpec::from_value(&serde_json::from_str(document).unwrap()).unwrap();
        let text = serde_json::to_string(&spec.for_worker()).unwrap();
        for master_only in ["priority", "worker_id", "allow_pending", "idempotency_key"] {
            assert!(!text.contains(master_only), "{text}");
        }
        let read = &heard(&text).spec;
        assert_eq!((&read.container, read.limits, &read.labels), (&spec.container, spec.limits, &spec.labels));
    }
}
