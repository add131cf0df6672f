//! Programs that users run in containers of this worker: takes the master's orders, opens a stream for each, and passes
//! bytes on until one side ends it.
//!
//! Each has a connection of its own: what a user does not read fills that connection, and holds up no heartbeat and
//! nobody else. None of this is state: what a dead worker leaves behind ends with its container.

mod session;

use crate::client::Way;
use crate::executor::Executor;
use crate::executor::exec::{ExecWish, WindowSize};
use crate::messages::Input;
use crate::reaper::Ordered;
use cloudai_core::ids::{Attempt, Incarnation, Session, WorkerId};
use cloudai_core::policy::InForce;
use cloudai_proto::v1 as pb;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

/// Open at a time; the master keeps to the same number.
const MOST: usize = 64;
/// Orders that wait to be taken in; more are dropped, and their users told by the master.
pub(crate) const ORDERS: usize = 64;
/// How long programs may take to end when the worker stops: a little more than a hang-up takes.
const LAST: Duration = Duration::from_secs(8);

/// An order with the session that it came in.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) session: Session,
    pub(crate) id: String,
    pub(crate) whose: Ordered,
    pub(crate) wish: ExecWish,
}

impl Order {
    /// Reads what the master sent; none when it makes no sense.
    pub(crate) fn read(session: Session, order: pb::ExecOrder) -> Option<Self> {
        let of = order.attempt?;
        let attempt = Attempt { task: of.task_id.parse().ok()?, number: of.attempt };
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let wish = ExecWish {
            command: order.command,
            tty: order.tty,
            stdin: order.stdin,
            user: given(order.user),
            workdir: given(order.workdir),
            env: order.env,
            size: order.size.and_then(|told| size(&told)),
        };
        Some(Self { session, id: order.exec_id, whose: (attempt, Incarnation(of.incarnation)), wish })
    }
}

/// A size that a terminal can have.
fn size(told: &pb::WindowSize) -> Option<WindowSize> {
    let side = |side: u32| u16::try_from(side).ok().filter(|side| *side > 0);
    Some(WindowSize { cols: side(told.cols)?, rows: side(told.rows)? })
}

/// What all of them need.
#[derive(Clone, Debug)]
pub(crate) struct Execs {
    pub(crate) worker: WorkerId,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) way: Way,
    /// Whether the worker's operator lets users do this.
    pub(crate) allowed: bool,
    /// What the worker's operator lets tasks have.
    pub(crate) policy: watch::Receiver<Arc<InForce>>,
    /// Where to ask what is held.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// The present session.
    pub(crate) session: watch::Receiver<Option<Session>>,
}

impl Execs {
    /// Takes orders until the worker leaves; then all that is open is ended.
    pub(crate) async fn serve(self, mut orders: mpsc::Receiver<Order>, leaving: CancellationToken) {
        let mut open = JoinSet::new();
        loop {
            let order = tokio::select! {
                biased;
                () = leaving.cancelled() => break,
                Some(_) = open.join_next() => continue,
                order = orders.recv() => match order {
                    Some(order) => order,
                    None => break,
                },
            };
            let span = info_span!("exec", attempt = %order.whose.0);
            let full = open.len() >= MOST;
            let session = session::Exec { execs: self.clone(), order, full, leaving: leaving.clone() };
            open.spawn(session.run().instrument(span));
        }
        leaving.cancel();
        let ended = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST, ended).await.is_err() {
            warn!("stopped before every program of a user had ended");
        }
    }

    /// Whether the worker holds this attempt.
    async fn holds(&self, whose: &Ordered) -> bool {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Holds(reply)).await.is_ok() && answer.await.is_ok_and(|held| held.contains(whose))
    }
}
