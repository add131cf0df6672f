//! One program of a user, from its order to the last word about it.

use super::{Execs, MOST, Order, size};
use crate::executor::exec::{ExecEnd, ExecError, Execution, Process};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::exec_from_worker::What;
use cloudai_proto::v1::exec_to_worker::What as Told;
use futures::StreamExt;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{debug, info};

/// For the master to take the stream; its user waits no longer.
const OPEN: Duration = Duration::from_secs(15);
/// Messages that wait to be sent, of 32 KiB at most; the program waits beyond that.
const TO_MASTER: usize = 4;
/// How long a refusal may take to be heard.
const HEARD: Duration = Duration::from_secs(5);

/// One of them.
pub(super) struct Exec {
    pub(super) execs: Execs,
    pub(super) order: Order,
    /// There are as many as there may be.
    pub(super) full: bool,
    pub(super) leaving: CancellationToken,
}

/// The way to the master.
type ToMaster = mpsc::Sender<pb::ExecFromWorker>;

/// Why the passing of bytes ended.
enum Over {
    /// The program ended.
    Ended(ExecEnd),
    /// Its user went, or the connection.
    Gone,
    /// The worker stops, or another session has begun.
    Stopped,
}

impl Exec {
    pub(super) async fn run(self) {
        let mut master = match self.execs.way.client_of_one() {
            Ok(master) => master,
            Err(error) => return debug!(%error, "exec not opened"),
        };
        let (to_master, messages) = mpsc::channel(TO_MASTER);
        // There is room for the first one.
        let _ = to_master.try_send(message(What::ExecId(self.order.id.clone())));
        let opened = tokio::time::timeout(OPEN, master.exec(ReceiverStream::new(messages))).await;
        // Until the user is there nothing is begun.
        let from_master = match opened {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return debug!(why = status.message(), "exec not opened"),
            Err(_) => return debug!(why = "no answer in time", "exec not opened"),
        };
        let begun = tokio::select! {
            begun = self.begin() => begun,
            () = to_master.closed() => return debug!("exec given up before it began"),
        };
        match begun {
            Ok(execution) => self.pass(execution, to_master, from_master).await,
            Err(last) => {
                for what in last {
                    let _ = to_master.send(message(what)).await;
                }
                drop(to_master);
                let _ = tokio::time::timeout(HEARD, listen_to_the_end(from_master)).await;
            }
        }
    }

    /// Begins the program.
    /// # Errors
    /// What the master is told instead.
    async fn begin(&self) -> Result<Execution, Vec<What>> {
        let (execs, order) = (&self.execs, &self.order);
        let refused = |why, message: String| Err(vec![refused(why, message)]);
        if !execs.allowed {
            let why =
                format!("programs beside tasks are forbidden on worker {}: its exec.enabled is false", execs.worker);
            return refused(pb::ExecRefusal::Forbidden, why);
        }
        let denied = order.wish.user.as_deref().and_then(|user| execs.policy.borrow().policy.check_exec(user).err());
        if let Some(denied) = denied {
            return refused(pb::ExecRefusal::Forbidden, format!("worker {}: {denied}", execs.worker));
        }
        if self.full {
            let why = format!("{MOST} programs are open on worker {} already: end one of them", execs.worker);
            return refused(pb::ExecRefusal::TooMany, why);
        }
        let (attempt, incarnation) = order.whose;
        let not_running = || refused(pb::ExecRefusal::NotRunning, format!("{} does not run any more", attempt.task));
        if !execs.holds(&order.whose).await {
            return not_running();
        }
        match execs.executor.exec(attempt, incarnation, &order.wish).await {
            Ok(execution) => {
                info!(tty = order.wish.tty, "exec began");
                Ok(execution)
            }
            Err(ExecError::NotRunning) => not_running(),
            Err(ExecError::NotStarted { code, why }) => {
                let ended = pb::ExecEnded { how: pb::ExecEnd::NotStarted.into(), exit_code: code, message: why };
                Err(vec![What::Started(pb::ExecStarted {}), What::Ended(ended)])
            }
            Err(error @ ExecError::NotPossible(_)) => refused(pb::ExecRefusal::NotPossible, error.to_string()),
            Err(ExecError::Engine(error)) => refused(pb::ExecRefusal::Engine, error.to_string()),
        }
    }

    /// Passes bytes on until it is over, and says how it ended.
    async fn pass(&self, execution: Execution, to_master: ToMaster, mut from_master: Streaming<pb::ExecToWorker>) {
        let Execution { mut input, mut output, process } = execution;
        let over = {
            let written = async {
                if to_master.send(message(What::Started(pb::ExecStarted {}))).await.is_err() {
                    return Over::Gone;
                }
                while let Some(piece) = output.next().await {
                    let what = match piece {
                        Ok(piece) if piece.stderr => What::Stderr(piece.data),
                        Ok(piece) => What::Stdout(piece.data),
                        Err(error) => return Over::Ended(ExecEnd::Unknown(error.to_string())),
                    };
                    if to_master.send(message(what)).await.is_err() {
                        return Over::Gone;
                    }
                }
                Over::Ended(process.ended().await)
            };
            let read = async {
                loop {
                    match from_master.message().await {
                        Ok(Some(told)) => take(told, &mut input, &*process).await,
                        Ok(None) | Err(_) => return Over::Gone,
                    }
                }
            };
            tokio::select! {
                biased;
                over = written => over,
                over = read => over,
                // Also while the program does not read what it is sent.
                () = to_master.closed() => Over::Gone,
                () = self.stopped() => Over::Stopped,
            }
        };
        let ended = match over {
            Over::Ended(end) => {
                info!(?end, "exec ended");
                end_message(end)
            }
            Over::Gone => {
                info!("exec hung up, its user has gone");
                return process.hang_up().await;
            }
            Over::Stopped => {
                info!("exec hung up, the worker stops or its session ended");
                process.hang_up().await;
                ended(pb::ExecEnd::WorkerStopped, String::new())
            }
        };
        // The last word waits behind all output, and that for its reader.
        let told = async {
            let _ = to_master.send(message(What::Ended(ended))).await;
            drop(to_master);
            listen_to_the_end(from_master).await;
        };
        tokio::select! {
            () = told => {}
            () = async {
                self.stopped().await;
                tokio::time::sleep(HEARD).await;
            } => {}
        }
    }

    /// Returns when the worker leaves, or has begun another session.
    async fn stopped(&self) {
        let mut session = self.execs.session.clone();
        let mine = self.order.session;
        tokio::select! {
            () = self.leaving.cancelled() => {}
            _ = session.wait_for(|now| now.is_some_and(|now| now > mine)) => {}
        }
    }
}

/// Does what the user wants. An input that nobody reads any more is no failure: the program's end tells more.
async fn take(told: pb::ExecToWorker, input: &mut (impl AsyncWriteExt + Unpin), process: &dyn Process) {
    match told.what {
        Some(Told::Stdin(data)) => {
            let written = async {
                input.write_all(&data).await?;
                input.flush().await
            };
            if let Err(error) = written.await {
                debug!(%error, "input not taken");
            }
        }
        Some(Told::EndOfInput(_)) => {
            let _ = input.shutdown().await;
        }
        Some(Told::Resize(told)) => {
            if let Some(size) = size(&told) {
                process.resize(size).await;
            }
        }
        None => {}
    }
}

/// Returns when the master has heard everything: dropped earlier, the connection would take the last words with it.
async fn listen_to_the_end(mut from_master: Streaming<pb::ExecToWorker>) {
    while let Ok(Some(_)) = from_master.message().await {}
}

fn message(what: What) -> pb::ExecFromWorker {
    pb::ExecFromWorker { what: Some(what) }
}

fn refused(why: pb::ExecRefusal, message: String) -> What {
    What::Refused(pb::ExecRefused { why: why.into(), message })
}

fn end_message(end: ExecEnd) -> pb::ExecEnded {
    match end {
        ExecEnd::Exited(exit_code) => {
            pb::ExecEnded { how: pb::ExecEnd::Exited.into(), exit_code, message: String::new() }
        }
        ExecEnd::TaskEnded => ended(pb::ExecEnd::TaskEnded, String::new()),
        ExecEnd::Unknown(why) => ended(pb::ExecEnd::Engine, why),
    }
}

fn ended(how: pb::ExecEnd, message: String) -> pb::ExecEnded {
    pb::ExecEnded { how: how.into(), exit_code: 0, message }
}
