//! The reference's two WebSockets: telemetry as heartbeats come, at most once a second and client.
//!
//! A client holds one message at a time: while it takes it, newer heartbeats only mark that there
//! is something newer. One that takes none for too long is dropped.

use super::extract::{Caller, WorkerPath};
use super::problem::{Code, Problem};
use super::reference::{telemetry_at, telemetry_of_all};
use crate::handle::Handle;
use crate::principal::Principal;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::Bytes;
use cloudai_core::ids::WorkerId;
use cloudai_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::debug;

/// What live clients are held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Clients at a time; more are told to come later.
    pub(super) clients: usize,
    /// Between two messages to one client.
    pub(super) pace: Duration,
    /// A message must be taken in this time.
    pub(super) take: Duration,
    /// Between two pings; after three without a sign of the client it is gone.
    pub(super) ping: Duration,
}

impl Default for Limits {
    /// Screens of people and a few programs; a slow line takes even a large cluster's text in 10 s.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { clients: 1_000, pace: seconds(1), take: seconds(10), ping: seconds(20) }
    }
}

/// How long a client may take to answer our closing.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// What a client says is not looked at: the longest frame, in bytes.
pub(super) const HEARING: usize = 4 << 10;

/// All live clients.
#[derive(Debug)]
pub(crate) struct Live {
    limits: Limits,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    /// What all clients of all workers are told: made once, not once a client.
    latest: Mutex<Option<Latest>>,
}

/// Every worker's telemetry as it was.
#[derive(Debug)]
struct Latest {
    /// After so many heartbeats.
    count: u64,
    made: Instant,
    text: Utf8Bytes,
}

impl Default for Live {
    fn default() -> Self {
        Self::with(Limits::default())
    }
}

impl Live {
    /// No clients yet.
    pub(super) fn with(limits: Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.clients));
        Self { limits, places, tasks: TaskTracker::new(), latest: Mutex::default() }
    }

    /// A place for one more client.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Problem::new(Code::Unavailable, format!("{} clients listen already", self.limits.clients)).retry_after(60)
        })
    }

    /// A client that a stop waits for.
    pub(super) fn track(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    pub(super) const fn limits(&self) -> Limits {
        self.limits
    }

    /// How many clients there are.
    #[must_use]
    pub(crate) fn clients(&self) -> usize {
        self.limits.clients - self.places.available_permits()
    }

    /// Returns when every client has ended, which they do when the master stops.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What a client listens to.
#[derive(Debug)]
enum Topic {
    /// Every worker; of the heartbeats so many are told.
    All { told: u64 },
    /// One worker, told as of this time.
    One { worker: WorkerId, told: Timestamp },
}

/// The result of the extractor, so that who asks is known before what is wrong with the asking.
pub(super) type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Every worker's telemetry whenever a heartbeat came.
pub(super) async fn all(
    Caller(who): Caller,
    State(handle): State<Handle>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let counts = handle.shared.heartbeats.count();
    let told = *counts.borrow();
    open(upgrade, Client { handle, who, topic: Topic::All { told }, counts })
}

/// One worker's telemetry whenever its heartbeat came.
pub(super) async fn one(
    Caller(who): Caller,
    WorkerPath(worker): WorkerPath,
    State(handle): State<Handle>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    if handle.worker(&who, &worker).is_none() {
        return Err(Problem::no_worker(&worker));
    }
    let counts = handle.shared.heartbeats.count();
    let told = handle.heard(&who, &worker).map(|heard| heard.at).unwrap_or_default();
    open(upgrade, Client { handle, who, topic: Topic::One { worker, told }, counts })
}

fn open(upgrade: Upgrade, client: Client) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(Code::Invalid, format!("this is a WebSocket: {}", rejection.body_text()))
            .next("connect with a WebSocket client, as to ws://127.0.0.1:8080/ws/telemetry")
    })?;
    let live = &client.handle.shared.live;
    let place = live.place().map_err(|problem| problem.next("GET /telemetry tells the same"))?;
    // Taken now: a stop that comes before the upgrade is done waits for this client as well.
    let tracked = live.track();
    Ok(upgrade.max_message_size(HEARING).max_frame_size(HEARING).write_buffer_size(0).on_upgrade(
        move |socket| async move {
            client.run(socket, place).await;
            drop(tracked);
        },
    ))
}

/// One listener.
#[derive(Debug)]
struct Client {
    handle: Handle,
    who: Principal,
    topic: Topic,
    counts: watch::Receiver<u64>,
}

/// How listening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client went away, or said goodbye.
    Gone,
    /// It takes no messages, or gives no sign.
    Silent,
    /// There is no such worker any more.
    Removed,
    /// The master stops.
    Stopping,
}

impl Client {
    async fn run(mut self, mut socket: WebSocket, _place: OwnedSemaphorePermit) {
        let end = self.tell(&mut socket).await;
        debug!(?end, "live client ended");
        let (code, reason) = match end {
            // A client that hears nothing hears no goodbye either.
            End::Gone | End::Silent => return,
            End::Removed => (close_code::NORMAL, "the worker was removed"),
            End::Stopping => (close_code::AWAY, "the master is stopping"),
        };
        let goodbye = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let farewell = async {
            if socket.send(goodbye).await.is_ok() {
                while let Some(Ok(_)) = socket.recv().await {}
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    /// Sends what is new until one side ends it.
    async fn tell(&mut self, socket: &mut WebSocket) -> End {
        let stopping = self.handle.shared.stopping.clone();
        let Limits { pace, take, ping, .. } = self.handle.shared.live.limits;
        let (mut calm_until, mut last_sign) = (Instant::now(), Instant::now());
        let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
        loop {
            let outgoing = tokio::select! {
                biased;
                () = stopping.cancelled() => return End::Stopping,
                message = socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                        last_sign = Instant::now();
                        continue;
                    }
                },
                count = newer(&mut self.counts, &self.topic, calm_until) => {
                    calm_until = Instant::now() + pace;
                    match self.message(count).await {
                        Ok(Some(text)) => Message::Text(text),
                        Ok(None) => continue,
                        Err(end) => return end,
                    }
                }
                _ = pings.tick() => {
                    if last_sign.elapsed() > ping * 3 {
                        return End::Silent;
                    }
                    if self.is_removed() {
                        return End::Removed;
                    }
                    Message::Ping(Bytes::new())
                }
            };
            match tokio::time::timeout(take, socket.send(outgoing)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Gone,
                Err(_) => return End::Silent,
            }
        }
    }

    fn is_removed(&self) -> bool {
        match &self.topic {
            Topic::All { .. } => false,
            Topic::One { worker, .. } => self.handle.worker(&self.who, worker).is_none(),
        }
    }

    /// The next message, if there is news of what this client listens to.
    async fn message(&mut self, count: u64) -> Result<Option<Utf8Bytes>, End> {
        match &mut self.topic {
            Topic::All { told } => {
                let (count, text) = latest(&self.handle, &self.who, *told, count).await;
                *told = count;
                Ok(Some(text))
            }
            Topic::One { worker, told } => {
                let seen = self.handle.worker(&self.who, worker).ok_or(End::Removed)?;
                let heard = self.handle.heard(&self.who, worker).filter(|heard| heard.at > *told);
                let Some(heard) = heard else { return Ok(None) };
                *told = heard.at;
                Ok(Some(json(&telemetry_at(&self.handle, &self.who, &seen))))
            }
        }
    }
}

/// Waits out the pause of a client, then for a heartbeat that it was not told of.
async fn newer(counts: &mut watch::Receiver<u64>, topic: &Topic, calm_until: Instant) -> u64 {
    tokio::time::sleep_until(calm_until).await;
    let news = match topic {
        Topic::All { told } => {
            let told = *told;
            counts.wait_for(|count| *count > told).await.map(|count| *count)
        }
        Topic::One { .. } => counts.changed().await.map(|()| *counts.borrow()),
    };
    match news {
        Ok(count) => count,
        // Nobody counts any more: the stop is under way.
        Err(_) => std::future::pending().await,
    }
}

/// Every worker's telemetry, newer than `told` and at most one pace old. All see the same here, so
/// a thousand clients of ten thousand workers cost one text a second.
async fn latest(handle: &Handle, who: &Principal, told: u64, count: u64) -> (u64, Utf8Bytes) {
    let Live { limits: Limits { pace, .. }, latest, .. } = &handle.shared.live;
    let mut latest = latest.lock().await;
    if let Some(kept) = latest.as_ref().filter(|kept| kept.count > told && kept.made.elapsed() < *pace) {
        return (kept.count, kept.text.clone());
    }
    let text = json(&telemetry_of_all(handle, who));
    *latest = Some(Latest { count, made: Instant::now(), text: text.clone() });
    (count, text)
}

fn json<T: serde::Serialize>(value: &T) -> Utf8Bytes {
    // Plain structs with text keys always are JSON.
    serde_json::to_string(value).unwrap_or_default().into()
}
