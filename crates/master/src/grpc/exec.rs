//! The streams of programs that users run in containers: opened by workers, handed to whoever ordered them.

use super::convert;
use crate::exec::{End, Execs, FromWorker, Lost, Opened, Order, Refusal, Size, TO_WORKER, ToWorker};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::exec_from_worker::What;
use futures::StreamExt;
use futures::stream::{BoxStream, unfold};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// The first message must come in this time.
const FIRST: Duration = Duration::from_secs(10);

/// What the worker hears.
pub(super) type ToWorkers = BoxStream<'static, Result<pb::ExecToWorker, Status>>;

/// An order as it goes to its worker.
pub(super) fn order(order: Order) -> pb::ExecOrder {
    let Order { id, attempt, incarnation, wish } = order;
    let attempt =
        pb::AttemptRef { task_id: attempt.task.to_string(), attempt: attempt.number, incarnation: incarnation.0 };
    pb::ExecOrder {
        exec_id: id,
        attempt: Some(attempt),
        command: wish.command,
        tty: wish.tty,
        stdin: wish.stdin,
        user: wish.user,
        workdir: wish.workdir,
        env: wish.env,
        size: wish.size.map(size),
    }
}

fn size(size: Size) -> pb::WindowSize {
    pb::WindowSize { cols: size.cols.into(), rows: size.rows.into() }
}

/// Takes a worker's stream in.
pub(super) async fn open(execs: &Execs, mut messages: Streaming<pb::ExecFromWorker>) -> Result<ToWorkers, Status> {
    let first = tokio::time::timeout(FIRST, messages.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("the first message did not come"))??;
    let Some(What::ExecId(id)) = first.and_then(|message| message.what) else {
        return Err(Status::invalid_argument("the first message must name the order"));
    };
    let (to, orders) = mpsc::channel(TO_WORKER);
    let from = unfold(messages, |mut messages| async {
        let message = match messages.message().await {
            Ok(None) => return None,
            Ok(Some(message)) => read(message),
            Err(status) => Err(Lost(convert::words(&status))),
        };
        Some((message, messages))
    });
    let handed = execs.open(&id, Opened { from: from.boxed(), to });
    handed.map_err(|_| Status::not_found("nobody waits for this any more"))?;
    Ok(ReceiverStream::new(orders).map(|message| Ok(write(message))).boxed())
}

fn write(message: ToWorker) -> pb::ExecToWorker {
    use pb::exec_to_worker::What;
    let what = match message {
        ToWorker::Stdin(data) => What::Stdin(data),
        ToWorker::EndOfInput => What::EndOfInput(pb::ExecEndOfInput {}),
        ToWorker::Resize(to) => What::Resize(size(to)),
    };
    pb::ExecToWorker { what: Some(what) }
}

pub(super) fn read(message: pb::ExecFromWorker) -> Result<FromWorker, Lost> {
    let nonsense = || Lost("the worker sent a message that is not understood".into());
    match message.what.ok_or_else(nonsense)? {
        What::ExecId(_) => Err(nonsense()),
        What::Started(pb::ExecStarted {}) => Ok(FromWorker::Started),
        What::Stdout(data) => Ok(FromWorker::Stdout(data)),
        What::Stderr(data) => Ok(FromWorker::Stderr(data)),
        What::Refused(refused) => {
            let why = match refused.why() {
                pb::ExecRefusal::NotRunning => Refusal::NotRunning,
                pb::ExecRefusal::Forbidden => Refusal::Forbidden,
                pb::ExecRefusal::NotPossible => Refusal::NotPossible,
                pb::ExecRefusal::TooMany => Refusal::TooMany,
                pb::ExecRefusal::Engine | pb::ExecRefusal::Unspecified => Refusal::Engine,
            };
            Ok(FromWorker::Refused(why, refused.message))
        }
        What::Ended(ended) => Ok(FromWorker::Ended(match ended.how() {
            pb::ExecEnd::Exited | pb::ExecEnd::NotStarted => End::Exited(ended.exit_code, ended.message),
            pb::ExecEnd::TaskEnded => End::TaskEnded,
            pb::ExecEnd::WorkerStopped => End::WorkerStopped,
            pb::ExecEnd::Engine | pb::ExecEnd::Unspecified => End::Engine(ended.message),
        })),
    }
}
