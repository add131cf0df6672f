//! What comes over gRPC: frames of every message, and what master and workers make of those that the other sends.

use crate::check::is_kept;
use cloudai_core::effect::{Command, Dispatch};
use cloudai_core::event::{EndReport, Registration};
use cloudai_core::ids::{Session, TaskId, Term, WorkerId};
use cloudai_core::images::MOST;
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::{MAX_MESSAGE, Outcome};
use cloudai_core::time::millis;
use cloudai_core::worker::About;
use cloudai_master::fuzzing as master;
use cloudai_proto::v1 as pb;
use cloudai_store::bulk::check_path;
use cloudai_worker::fuzzing as worker;
use prost::Message;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The words with which a worker's message is refused begin with one of these: the field that is wrong.
const FIELDS: [&str; 8] = ["worker_id", "task_id", "attempt", "stage", "offers", "gpus", "labels", "sha256"];
/// The longest reason of a worker that takes no work, in characters.
const LONGEST_WHY: usize = 500;

macro_rules! messages {
    ($($message:ident)*) => {
        /// Every message of the wire by its name in Rust, and what reads, writes and reads it.
        pub const MESSAGES: &[(&str, fn(&[u8]))] = &[$((stringify!($message), through::<pb::$message>)),*];
    };
}

messages!(EnrollRequest EnrollAck WorkerInfo GpuDevice RegisterAck Heartbeat EngineImages TaskInfo HeartbeatAck Task
    Allocation GpuShare SubscribeRequest CommandBatch Command StopTask Ping TaskResult TaskResults OutputFile ResultAck
    ResultAcks TaskProgressList ProgressAck LogChunk LogHeader LogRecords LogRecord LogAck FileChunk FileHeader FileAck
    SmallFiles SmallFile SmallFilesAck AttemptRef ResolvedInputs ResolvedInput ResolvedSecrets ResolvedSecret
    ResolvedRegistry FetchRequest WantedContent ContentChunk LeaveRequest LeaveAck TaskId CommandPlace TaskAck
    Announcement AnnounceAck ExecOrder WindowSize ExecFromWorker ExecStarted ExecRefused ExecEnded ExecToWorker
    ExecEndOfInput WatchRequest ClusterUpdate Amounts ClusterWorker FreeGpu WaitingTask PlacedTask Proposals Proposal
    ProposalResults ProposalResult);

/// What is read of a frame is written in as many bytes each time. (Not in the same: maps have no order, and what is no
/// number is like nothing.)
fn through<M: Message + Default>(frame: &[u8]) {
    let Ok(message) = M::decode(frame) else { return };
    let written = message.encode_to_vec();
    let again = M::decode(written.as_slice()).expect("what was written is read");
    assert_eq!((message.encoded_len(), again.encoded_len()), (written.len(), written.len()));
}

/// A frame of the message whose place in [`MESSAGES`] is the first byte. It is refused, or read and written again.
/// # Panics
/// That does not hold.
pub fn frame(data: &[u8]) {
    let Some((place, frame)) = data.split_first() else { return };
    if let Some((_, through)) = MESSAGES.get(usize::from(*place) % MESSAGES.len()) {
        through(frame);
    }
}

/// What a worker sends: by the first byte an introduction, a heartbeat, an end or a message of a program. What is
/// refused has its wrong field named; what is taken in is bounded, can be stored, and would be told by that worker
/// again.
/// # Panics
/// One of that does not hold.
pub fn from_worker(data: &[u8]) {
    let Some((kind, frame)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            let Ok(info) = pb::WorkerInfo::decode(frame) else { return };
            match master::registration(info) {
                Ok(registration) => is_told_again(&registration),
                Err(problem) => names_a_field(&problem),
            }
        }
        1 => {
            let Ok(beat) = pb::Heartbeat::decode(frame) else { return };
            match master::heartbeat(&beat) {
                Ok(heard) => {
                    assert_eq!(heard.held.len(), beat.running_tasks.len());
                    assert!(heard.unfit.is_none_or(|unfit| unfit.why().chars().count() <= LONGEST_WHY));
                    assert!(heard.images.is_none_or(|images| images.names().len() <= MOST));
                }
                Err(problem) => names_a_field(&problem),
            }
        }
        2 => {
            let Ok(result) = pb::TaskResult::decode(frame) else { return };
            match master::end(result) {
                Ok(report) => can_be_kept(&report),
                Err(problem) => names_a_field(&problem),
            }
        }
        _ => {
            let Ok(message) = pb::ExecFromWorker::decode(frame) else { return };
            if let Err(problem) = master::program(message) {
                assert!(!problem.is_empty());
            }
        }
    }
}

fn names_a_field(problem: &str) {
    assert!(FIELDS.iter().any(|field| problem.starts_with(field)), "{problem:?} names no field");
}

fn is_told_again(registration: &Registration) {
    let ids: BTreeSet<_> = registration.capacity.gpus.iter().map(|gpu| &gpu.id).collect();
    assert_eq!(ids.len(), registration.capacity.gpus.len(), "a device is there twice");
    assert!(registration.about.images.names().len() <= MOST);
    is_kept::<About>(&registration.about);
    let again = master::registration(worker::told(&registration.worker, &registration.capacity));
    assert_eq!(again.map(|again| again.capacity).as_ref(), Ok(&registration.capacity));
}

fn can_be_kept(report: &EndReport) {
    let outcome = &*report.outcome;
    assert!(outcome.message.len() <= MAX_MESSAGE, "{} bytes of words", outcome.message.len());
    assert!(outcome.outputs.is_sorted_by(|before, after| before.path < after.path), "{:?}", outcome.outputs);
    assert!(outcome.outputs.iter().all(|file| check_path(&file.path).is_ok()), "{:?}", outcome.outputs);
    is_kept::<Outcome>(outcome);
    let told = worker::end(&named(), report.attempt, report.incarnation, outcome);
    let again = master::end(told).expect("a worker's own words are understood");
    // That files were lost the files themselves do not tell.
    let told = Outcome { outputs_lost: false, ..outcome.clone() };
    let expected = EndReport { outcome: Arc::new(told), ..report.clone() };
    assert_eq!(again, expected);
}

fn named() -> WorkerId {
    "w1".parse().expect("a name")
}

/// What a master sends: commands, and the answer to a registration. A command that a worker understands is one that
/// this master could have sent: sent again, it means the same.
/// # Panics
/// That does not hold.
pub fn from_master(data: &[u8]) {
    if let Ok(ack) = pb::RegisterAck::decode(data) {
        let timing = worker::timing(&ack);
        assert_eq!((millis(timing.lease), millis(timing.margin)), (ack.lease_ms, ack.margin_ms));
    }
    let Ok(batch) = pb::CommandBatch::decode(data) else { return };
    let (session, term) = (Session(batch.session), Term(batch.term));
    for command in batch.commands {
        let (seq, command) = match worker::command(command) {
            Ok(understood) => understood,
            Err(problem) => {
                assert!(problem.starts_with("the master sent a bad "), "{problem}");
                continue;
            }
        };
        if matches!(&command, Command::Start(order) if order.unreadable.is_some()) {
            continue;
        }
        let dispatch = Dispatch { worker: named(), session, seq, command: command.clone() };
        let sent = master::commands(session, term, vec![dispatch]).expect("a command is written");
        let again: Vec<_> = sent.commands.into_iter().map(worker::command).collect();
        match (command, again.as_slice()) {
            (Command::Start(order), [Ok((number, Command::Start(again)))]) => {
                assert_eq!((number, as_sent(&again.spec)), (&seq, as_sent(&order.spec)));
                let told = (again.attempt, &again.owner, again.job, again.submitted_at, &again.allocation);
                assert_eq!(told, (order.attempt, &order.owner, order.job, order.submitted_at, &order.allocation));
            }
            (command, [Ok((number, again))]) => assert_eq!((number, again), (&seq, &command)),
            (command, again) => panic!("{command:?} is heard as {again:?}"),
        }
    }
}

/// What a worker needs of a spec.
fn as_sent(spec: &TaskSpec) -> String {
    serde_json::to_string(&spec.for_worker()).expect("a document is written")
}

/// An agent's proposals. Each is answered: taken as it was given, no task twice, or refused with its wrong field named.
/// # Panics
/// That does not hold.
pub fn from_agent(data: &[u8]) {
    let Ok(given) = pb::Proposals::decode(data) else { return };
    let read = master::proposals(&given.proposals);
    assert_eq!(read.len(), given.proposals.len());
    let mut tasks = BTreeSet::new();
    for (proposal, read) in given.proposals.iter().zip(read) {
        match read {
            Ok(placement) => {
                assert!(tasks.insert(placement.attempt.task), "{placement:?} is there twice");
                assert_eq!(placement.attempt.number, proposal.attempt);
                assert_eq!(proposal.task_id.parse::<TaskId>().as_ref(), Ok(&placement.attempt.task));
                assert_eq!(placement.worker.as_str(), proposal.worker_id);
            }
            Err(problem) => {
                let named = ["task_id: ", "worker_id: ", "attempt: ", "the task is in this call already"];
                assert!(named.iter().any(|field| problem.starts_with(field)), "{problem:?} names no field");
            }
        }
    }
}
