//! Between protobuf and the core's types. What a worker sends is checked here; ends of attempts in
//! `end.rs`.

use super::exec;
use crate::exec::Order;
use crate::heartbeats::{Heard, Usage};
use cloudai_core::access::Access;
use cloudai_core::effect::{Command, Dispatch, StartOrder};
use cloudai_core::event::{Heartbeat, Held, HeldStage, Registration};
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session, Term, WorkerId};
use cloudai_core::images::Images;
use cloudai_core::resources::{Allocation, Capacity, GIB, Gpu, WHOLE};
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::Step;
use cloudai_core::time::Timestamp;
use cloudai_core::worker::{About, Unfit};
use cloudai_proto::v1 as pb;
use std::collections::BTreeSet;
use std::sync::Arc;
use tonic::Status;

/// The longest texts of a registration together, in bytes: they are stored with each change of the
/// worker's state.
const MAX_TEXTS: usize = 64 << 10;

/// The longest reason of an engine that does not answer, in characters.
const MAX_WHY: usize = 500;

/// What a failed call says.
pub(super) fn words(status: &Status) -> String {
    let message = status.message();
    if message.is_empty() { status.code().description().into() } else { message.into() }
}

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

/// A SHA-256 as 64 hex digits of either case.
pub(super) fn sha256(text: &str) -> Result<Sha256, Status> {
    text.to_ascii_lowercase().parse().map_err(|why| Status::invalid_argument(format!("sha256: {text:?} {why}")))
}

/// # Errors
/// What is wrong: a worker that is refused ends with this sentence, so that somebody mends it.
pub(super) fn registration(info: pb::WorkerInfo, present: Incarnation) -> Result<Registration, Status> {
    check_texts(&info)?;
    check_devices(&info.gpus)?;
    Ok(Registration {
        worker: worker_id(&info.worker_id)?,
        address: Some(info.worker_ip.clone()).filter(|address| !address.is_empty()),
        capacity: capacity(&info),
        labels: info.labels.into_iter().collect(),
        held: all_held(&info.held, present)?,
        about: About {
            version: info.version,
            executor: info.executor,
            engine: info.engine,
            os: info.os,
            arch: info.arch,
            capabilities: info.capabilities,
            offers: offers(&info.offers)?,
            instance: info.instance,
            unfit: unfit(&info.engine_away, &info.disk_pressure),
            images: Images::of(&info.images),
        },
    })
}

fn check_texts(info: &pb::WorkerInfo) -> Result<(), Status> {
    let about = [&info.worker_ip, &info.version, &info.executor, &info.engine, &info.os, &info.arch, &info.instance];
    let gpus = info.gpus.iter().flat_map(|gpu| [&gpu.id, &gpu.model]);
    let labels = info.labels.iter().flat_map(|(name, value)| [name, value]);
    let texts = about.into_iter().chain(&info.capabilities).chain(&info.offers).chain(gpus).chain(labels);
    let bytes: usize = texts.map(String::len).sum();
    if bytes <= MAX_TEXTS {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("labels and other texts have {bytes} bytes: at most {MAX_TEXTS} are kept")))
}

fn offers(offers: &[String]) -> Result<Vec<Access>, Status> {
    let read = |offer: &String| {
        offer.parse().map_err(|problem| Status::invalid_argument(format!("offers: {offer:?} {problem}")))
    };
    offers.iter().map(read).collect()
}

/// A device that is there twice would be given away twice.
fn check_devices(gpus: &[pb::GpuDevice]) -> Result<(), Status> {
    let mut seen = BTreeSet::new();
    match gpus.iter().find(|gpu| !seen.insert(&gpu.id)) {
        None => Ok(()),
        Some(twin) => Err(Status::invalid_argument(format!("gpus: the id {:?} is there twice", twin.id))),
    }
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

/// An attempt that a worker tells of; one that says nothing of its life is of the `present` one.
pub(super) fn held(info: &pb::TaskInfo, present: Incarnation) -> Result<Held, Status> {
    let stage = match info.stage() {
        pb::HeldStage::Assigned => HeldStage::At(Step::Assigned),
        pb::HeldStage::Pulling => HeldStage::At(Step::Pulling),
        pb::HeldStage::Starting => HeldStage::At(Step::Starting),
        pb::HeldStage::Running => HeldStage::At(Step::Running),
        pb::HeldStage::Stopping => HeldStage::Stopping,
        pb::HeldStage::Ended => HeldStage::Ended,
        pb::HeldStage::Unspecified => return Err(Status::invalid_argument("stage: must be given")),
    };
    let incarnation = if info.incarnation == 0 { present } else { Incarnation(info.incarnation) };
    Ok(Held { attempt: attempt(&info.task_id, info.attempt)?, incarnation, stage })
}

pub(super) fn all_held(infos: &[pb::TaskInfo], present: Incarnation) -> Result<Vec<Held>, Status> {
    infos.iter().map(|info| held(info, present)).collect()
}

pub(super) fn heartbeat(
    beat: &pb::Heartbeat,
    present: Incarnation,
    now: Timestamp,
) -> Result<(Heartbeat, Heard), Status> {
    let heartbeat = Heartbeat {
        worker: worker_id(&beat.worker_id)?,
        session: Session(beat.session),
        seen: CommandSeq(beat.seen_command),
        held: all_held(&beat.running_tasks, present)?,
        draining: beat.draining,
        unfit: unfit(&beat.engine_away, &beat.disk_pressure),
        images: beat.images.as_ref().map(|told| Images::of(&told.names)),
    };
    let usage = Usage {
        cpu: finite(beat.cpu_usage),
        memory: finite(beat.memory_usage),
        gpu: finite(beat.gpu_usage),
        storage: finite(beat.storage_usage),
    };
    let details = heartbeat.held.iter().zip(&beat.running_tasks);
    let details = details.filter(|(_, info)| !info.detail.is_empty());
    let details = details.map(|(held, info)| (held.attempt, info.detail.chars().take(200).collect())).collect();
    Ok((heartbeat, Heard { at: now, usage, details }))
}

/// An older worker says nothing, as one that is well. Without its engine a worker is of less use than
/// with a full disk.
fn unfit(engine_away: &str, disk_pressure: &str) -> Option<Unfit> {
    let said = |why: &str| (!why.is_empty()).then(|| why.chars().take(MAX_WHY).collect());
    said(engine_away).map(Unfit::EngineAway).or_else(|| said(disk_pressure).map(Unfit::DiskPressure))
}

/// JSON has no word for the others.
fn finite(percent: f64) -> f64 {
    if percent.is_finite() { percent } else { 0.0 }
}

/// Commands of one session as they go over its stream.
pub(super) fn commands(session: Session, term: Term, dispatches: Vec<Dispatch>) -> Result<pb::CommandBatch, Status> {
    let mut specs = Specs::default();
    let commands = dispatches.into_iter().map(|dispatch| command(dispatch, &mut specs)).collect::<Result<_, _>>()?;
    Ok(pb::CommandBatch { session: session.0, term: term.0, commands, ..Default::default() })
}

/// The order of a program as it goes beside them.
pub(super) fn order(session: Session, term: Term, order: Order) -> pb::CommandBatch {
    pb::CommandBatch { session: session.0, term: term.0, execs: vec![exec::order(order)], ..Default::default() }
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
        let text = serde_json::to_string(&spec.for_worker()).map_err(|error| Status::internal(error.to_string()))?;
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
        Command::Ping => pb::command::What::Ping(pb::Ping {}),
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
        place: None,
    })
}

pub(super) fn allocation(allocation: &Allocation) -> pb::Allocation {
    let share = |(id, milli): &(Arc<str>, u64)| pb::GpuShare { id: id.to_string(), milli: *milli };
    pb::Allocation {
        cpu_milli: allocation.cpu_milli,
        memory_bytes: allocation.memory,
        storage_bytes: allocation.storage,
        gpus: allocation.gpus.iter().map(share).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: Incarnation = Incarnation(7);

    fn info() -> pb::WorkerInfo {
        pb::WorkerInfo { worker_id: "w1".into(), ..pb::WorkerInfo::default() }
    }

    fn refused(info: pb::WorkerInfo) -> String {
        registration(info, PRESENT).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_registration_that_would_fill_the_store_or_tells_a_device_twice_is_refused_with_the_reason() {
        let gpu = |id: &str| pb::GpuDevice { id: id.into(), model: "a100".into() };
        assert!(registration(pb::WorkerInfo { gpus: vec![gpu("0"), gpu("1")], ..info() }, PRESENT).is_ok());
        assert!(refused(pb::WorkerInfo { gpus: vec![gpu("0"), gpu("0")], ..info() }).contains("there twice"));
        let labels = |bytes: usize| [("k".to_owned(), "x".repeat(bytes))].into();
        assert!(registration(pb::WorkerInfo { labels: labels(MAX_TEXTS - 10), ..info() }, PRESENT).is_ok());
        assert!(refused(pb::WorkerInfo { labels: labels(MAX_TEXTS), ..info() }).contains("at most 65536"));
    }

    #[test]
    fn amounts_that_are_no_numbers_are_nothing_and_those_beyond_all_are_the_most() {
        let amounts = |cpu| capacity(&pb::WorkerInfo { total_cpu: cpu, ..info() }).cpu_milli;
        for (told, milli) in [(1.5, 1500), (f64::NAN, 0), (-1.0, 0), (f64::INFINITY, u64::MAX)] {
            assert_eq!(amounts(told), milli, "{told}");
        }
        let beat = pb::Heartbeat { worker_id: "w1".into(), cpu_usage: f64::NAN, ..pb::Heartbeat::default() };
        assert_eq!(heartbeat(&beat, PRESENT, Timestamp::ZERO).unwrap().1.usage, Usage::default());
    }

    #[test]
    fn images_are_told_by_any_name_and_a_heartbeat_without_a_list_tells_nothing() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let told = pb::WorkerInfo { images: names(&["docker.io/library/b", "a:1", "b:latest"]), ..info() };
        assert_eq!(registration(told, PRESENT).unwrap().about.images.names(), ["a:1", "b:latest"]);
        let told = |images: Option<pb::EngineImages>| {
            let beat = pb::Heartbeat { worker_id: "w1".into(), images, ..pb::Heartbeat::default() };
            heartbeat(&beat, PRESENT, Timestamp::ZERO).unwrap().0.images
        };
        assert_eq!(told(None), None);
        assert_eq!(told(Some(pb::EngineImages::default())), Some(Images::default()));
        assert_eq!(told(Some(pb::EngineImages { names: names(&["b"]) })), Some(Images::of(["b:latest"])));
    }

    #[test]
    fn an_attempt_of_which_no_life_is_told_is_of_the_present_one() {
        let of = |incarnation| {
            let task_id = cloudai_core::ids::TaskId::new(1).to_string();
            let mut info = pb::TaskInfo { task_id, attempt: 1, incarnation, ..pb::TaskInfo::default() };
            info.set_stage(pb::HeldStage::Running);
            held(&info, PRESENT).unwrap().incarnation
        };
        assert_eq!((of(0), of(3)), (PRESENT, Incarnation(3)));
    }
}
