//! Between protobuf and the core's types. What a worker sends is checked here.

use crate::heartbeats::{Heard, Usage};
use cloudai_core::effect::{Command, Dispatch, StartOrder};
use cloudai_core::event::{EndReport, Heartbeat, Held, HeldStage, Registration};
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session, Term, WorkerId};
use cloudai_core::resources::{Allocation, Capacity, GIB, Gpu, WHOLE};
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::{Cause, LogEnd, MAX_MESSAGE, Outcome, OutputFile, Step};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::About;
use cloudai_proto::v1 as pb;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// The most files of one attempt.
const MAX_OUTPUTS: usize = 10_000;

pub(super) fn worker_id(text: &str) -> Result<WorkerId, Status> {
    text.parse().map_err(|error| Status::invalid_argument(format!("worker_id: {error}")))
}

pub(super) fn attempt(task: &str, number: u32) -> Result<Attempt, Status> {
    let task = task.parse().map_err(|error| Status::invalid_argument(format!("task_id: {error}")))?;
    if number == 0 {
        return Err(Status::invalid_argument("attempt: 0 is none, the first is 1"));
    }
    Ok(Attempt { task, number })
}

pub(super) fn registration(info: pb::WorkerInfo) -> Result<Registration, Status> {
    Ok(Registration {
        worker: worker_id(&info.worker_id)?,
        address: Some(info.worker_ip.clone()).filter(|address| !address.is_empty()),
        capacity: capacity(&info),
        labels: info.labels.into_iter().collect(),
        held: info.held.iter().map(held).collect::<Result<_, _>>()?,
        about: About {
            version: info.version,
            executor: info.executor,
            engine: info.engine,
            os: info.os,
            arch: info.arch,
            capabilities: info.capabilities,
            instance: info.instance,
        },
    })
}

/// Exact amounts where they are given, else the reference's decimals.
fn capacity(info: &pb::WorkerInfo) -> Capacity {
    let exact = |amount: u64, decimal: f64, unit: u64| if amount > 0 { amount } else { units(decimal, unit) };
    let gpu = |gpu: &pb::GpuDevice| Gpu { id: gpu.id.as_str().into(), model: gpu.model.as_str().into() };
    Capacity {
        cpu_milli: exact(info.cpu_milli, info.total_cpu, WHOLE),
        memory: exact(info.memory_bytes, info.total_memory, GIB),
        storage: exact(info.storage_bytes, info.total_storage, GIB),
        gpus: info.gpus.iter().map(gpu).collect(),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "saturates")]
fn units(decimal: f64, unit: u64) -> u64 {
    (decimal.max(0.0) * unit as f64) as u64
}

pub(super) fn held(info: &pb::TaskInfo) -> Result<Held, Status> {
    let stage = match info.stage() {
        pb::HeldStage::Assigned => HeldStage::At(Step::Assigned),
        pb::HeldStage::Pulling => HeldStage::At(Step::Pulling),
        pb::HeldStage::Starting => HeldStage::At(Step::Starting),
        pb::HeldStage::Running => HeldStage::At(Step::Running),
        pb::HeldStage::Stopping => HeldStage::Stopping,
        pb::HeldStage::Ended => HeldStage::Ended,
        pb::HeldStage::Unspecified => return Err(Status::invalid_argument("stage: must be given")),
    };
    Ok(Held { attempt: attempt(&info.task_id, info.attempt)?, stage })
}

pub(super) fn heartbeat(beat: &pb::Heartbeat, now: Timestamp) -> Result<(Heartbeat, Heard), Status> {
    let heartbeat = Heartbeat {
        worker: worker_id(&beat.worker_id)?,
        session: Session(beat.session),
        seen: CommandSeq(beat.seen_command),
        held: beat.running_tasks.iter().map(held).collect::<Result<_, _>>()?,
        draining: beat.draining,
    };
    let usage =
        Usage { cpu: beat.cpu_usage, memory: beat.memory_usage, gpu: beat.gpu_usage, storage: beat.storage_usage };
    let details = heartbeat.held.iter().zip(&beat.running_tasks);
    let details = details.filter(|(_, info)| !info.detail.is_empty());
    let details = details.map(|(held, info)| (held.attempt, info.detail.chars().take(200).collect())).collect();
    Ok((heartbeat, Heard { at: now, usage, details }))
}

pub(super) fn end_report(result: pb::TaskResult) -> Result<EndReport, Status> {
    if result.outputs.len() > MAX_OUTPUTS {
        return Err(Status::invalid_argument(format!("outputs: more than {MAX_OUTPUTS}")));
    }
    let attempt = attempt(&result.task_id, result.attempt)?;
    let outputs = result.outputs.iter().map(|file| OutputFile {
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
    });
    let outcome = Outcome {
        cause: cause(result.cause())?,
        exit_code: result.exit_code,
        oom_killed: result.oom_killed,
        message: shortened(&result.message),
        run: result.run_ms.map(Duration::from_millis),
        log: LogEnd { records: result.log_records, bytes: result.log_bytes, complete: result.log_complete },
        outputs: outputs.collect(),
    };
    Ok(EndReport { attempt, incarnation: Incarnation(result.incarnation), outcome: Arc::new(outcome) })
}

fn shortened(message: &str) -> String {
    let end = (0..=MAX_MESSAGE.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
    message[..end.unwrap_or(0)].to_owned()
}

fn cause(cause: pb::Cause) -> Result<Cause, Status> {
    Ok(match cause {
        pb::Cause::Exited => Cause::Exited,
        pb::Cause::TimedOut => Cause::TimedOut,
        pb::Cause::Stopped => Cause::Stopped,
        pb::Cause::LeaseEnded => Cause::LeaseEnded,
        pb::Cause::WorkerStopped => Cause::WorkerStopped,
        pb::Cause::Vanished => Cause::Vanished,
        pb::Cause::ImagePull => Cause::ImagePull,
        pb::Cause::StartError => Cause::StartError,
        pb::Cause::EngineError => Cause::EngineError,
        pb::Cause::OutputError => Cause::OutputError,
        pb::Cause::StorageExceeded => Cause::StorageExceeded,
        pb::Cause::Unspecified => return Err(Status::invalid_argument("cause: must be given")),
    })
}

/// Commands of one session as they go over its stream.
pub(super) fn commands(session: Session, term: Term, dispatches: Vec<Dispatch>) -> Result<pb::CommandBatch, Status> {
    let mut specs = Specs::default();
    let commands = dispatches.into_iter().map(|dispatch| command(dispatch, &mut specs)).collect::<Result<_, _>>()?;
    Ok(pb::CommandBatch { session: session.0, term: term.0, commands })
}

/// The last spec with its text: tasks that were submitted together often share one.
#[derive(Default)]
struct Specs {
    last: Option<(Arc<TaskSpec>, String)>,
}

impl Specs {
    fn text(&mut self, spec: &Arc<TaskSpec>) -> Result<String, Status> {
        if let Some((_, text)) = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, spec)) {
            return Ok(text.clone());
        }
        let text = serde_json::to_string(&spec.to_value()).map_err(|error| Status::internal(error.to_string()))?;
        self.last = Some((Arc::clone(spec), text.clone()));
        Ok(text)
    }
}

fn command(dispatch: Dispatch, specs: &mut Specs) -> Result<pb::Command, Status> {
    let what = match dispatch.command {
        Command::Start(order) => pb::command::What::Start(task(&order, specs)?),
        Command::Stop(order) => pb::command::What::Stop(pb::StopTask {
            task_id: order.attempt.task.to_string(),
            attempt: order.attempt.number,
            kill_after_ms: cloudai_core::time::millis(order.kill_after),
        }),
    };
    Ok(pb::Command { seq: dispatch.seq.0, what: Some(what) })
}

#[allow(clippy::cast_precision_loss, reason = "for people: the allocation is exact")]
fn task(order: &StartOrder, specs: &mut Specs) -> Result<pb::Task, Status> {
    let demand = &order.spec.demand;
    Ok(pb::Task {
        task_id: order.attempt.task.to_string(),
        user_id: order.owner.to_string(),
        docker_image: order.spec.image.clone(),
        cpu_cores: demand.cpu_milli as f64 / WHOLE as f64,
        memory_gb: demand.memory as f64 / GIB as f64,
        storage_gb: demand.storage as f64 / GIB as f64,
        gpu_cores: demand.gpu_milli as f64 / WHOLE as f64,
        created_at: i64::try_from(order.submitted_at.as_millis() / 1000).unwrap_or(i64::MAX),
        attempt: order.attempt.number,
        spec_json: specs.text(&order.spec)?,
        allocation: Some(allocation(&order.allocation)),
        job_id: order.job.map(|job| job.to_string()).unwrap_or_default(),
        created_at_ms: order.submitted_at.as_millis(),
    })
}

fn allocation(allocation: &Allocation) -> pb::Allocation {
    let share = |(id, milli): &(Arc<str>, u64)| pb::GpuShare { id: id.to_string(), milli: *milli };
    pb::Allocation {
        cpu_milli: allocation.cpu_milli,
        memory_bytes: allocation.memory,
        storage_bytes: allocation.storage,
        gpus: allocation.gpus.iter().map(share).collect(),
    }
}
