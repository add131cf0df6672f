//! From a configuration to a running master: bind early, run, stop in order.

use crate::clock::Clock;
use crate::delivery::Delivery;
use crate::delivery::subscribe::Subscriptions;
use crate::engine::{Engine, EngineError, cluster_of};
use crate::handle::{Facts, Handle, Shared};
use crate::heartbeats::Heartbeats;
use crate::logs::Logs;
use crate::mailbox::mailboxes;
use crate::model::Model;
use crate::placing::{self, Placing};
use crate::{grpc, http, pulse, sealing};
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::Row;
use cloudai_core::state::Status;
use cloudai_core::strategy::{self, Strategy, View};
use cloudai_core::timing::Timing;
use cloudai_store::bulk::BulkStore;
use cloudai_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tracing::info;

/// How long open calls may take to end when the master stops.
const GRACE: Duration = Duration::from_secs(5);

/// What a master is made of.
#[derive(Debug)]
pub struct Config {
    /// Where workers call; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Where users call; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where state is kept.
    pub store: Arc<dyn Store>,
    /// Where logs and files are kept.
    pub bulk: Arc<dyn BulkStore>,
    /// The strategy's name.
    pub strategy: String,
    /// The cluster's times, checked.
    pub timing: Timing,
}

/// Why a master can not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port is taken, or not ours to take.
    #[error("can not listen on {address} ({flag}): {source}; give another {flag}, or port 0 for a free one")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The store can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such strategy.
    #[error("strategy {given:?} is not known: allowed are {}", strategy::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))]
    Strategy {
        /// The given name.
        given: String,
    },
}

/// Why a master ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine ended.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine could not be started.
    #[error("the engine can not be started")]
    Thread(#[source] std::io::Error),
    /// A server ended.
    #[error("the {0} server failed")]
    Server(&'static str, #[source] std::io::Error),
}

/// A master that holds its addresses and its state, and does not run yet.
#[derive(Debug)]
pub struct Master {
    grpc: TcpListener,
    http: TcpListener,
    grpc_address: SocketAddr,
    http_address: SocketAddr,
    first_start: bool,
    handle: Handle,
    engine: Engine,
    subscriptions: Arc<Subscriptions>,
    placing: Arc<Placing>,
    strategy: Box<dyn Strategy>,
    view: View,
}

impl Master {
    /// Takes the addresses and the lead, and loads the state.
    /// # Errors
    /// [`BindError`].
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let strategy = strategy::by_name(&config.strategy)
            .ok_or_else(|| BindError::Strategy { given: config.strategy.clone() })?;
        let (grpc, grpc_address) = listen(config.grpc, "--grpc").await?;
        let (http, http_address) = listen(config.http, "--http").await?;
        let term = config.store.lead().await?;
        let loaded = config.store.load().await?;
        let fresh_token = new_join_token();
        let join_token = config.store.keep_fact("join_token", &fresh_token).await?;
        let first_start = join_token == fresh_token;
        let clock = Arc::new(Clock::start(loaded.last_commit));
        let cluster = cluster_of(&loaded, config.timing, &clock);
        let (model, view) = mirrors(&cluster, &loaded.ended);
        let facts = Facts {
            cluster: loaded.cluster.clone(),
            incarnation: loaded.incarnation,
            term,
            strategy: config.strategy,
            timing: config.timing,
        };
        let (mailboxes, inbox) = mailboxes();
        let (heartbeats, subscriptions) = (Arc::new(Heartbeats::default()), Arc::new(Subscriptions::default()));
        let (model, placing) = (Arc::new(model), Arc::new(Placing::default()));
        let engine = Engine {
            cluster,
            timing: config.timing,
            term,
            store: Arc::clone(&config.store),
            clock: Arc::clone(&clock),
            inbox,
            pulse: Arc::default(),
            heartbeats: Arc::clone(&heartbeats),
            delivery: Arc::clone(&subscriptions) as Arc<dyn Delivery>,
            model: Arc::clone(&model),
            placing: Arc::clone(&placing),
        };
        let logs = Arc::new(Logs::new(config.bulk));
        let shared = Shared {
            facts,
            join_token,
            mailboxes: Arc::new(mailboxes),
            store: config.store,
            model,
            heartbeats,
            logs,
            clock,
            live: http::Live::default(),
            stopping: CancellationToken::new(),
        };
        let handle = Handle { shared: Arc::new(shared) };
        Ok(Self {
            grpc,
            http,
            grpc_address,
            http_address,
            first_start,
            handle,
            engine,
            subscriptions,
            placing,
            strategy,
            view,
        })
    }

    /// Where workers call.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where users call.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Whether the data was made by this start.
    #[must_use]
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }

    /// The way in, for callers in this process.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs until told to stop. Workers and their containers go on without it.
    /// # Errors
    /// [`RunError`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { grpc, http, handle, engine, subscriptions, placing, strategy, view, .. } = self;
        info!(grpc = %self.grpc_address, http = %self.http_address, "master started");
        let mut parts = JoinSet::new();
        let (routes, health) = grpc::routes(&handle, Arc::clone(&subscriptions))?;
        parts.spawn(serve_grpc(grpc, routes, subscriptions, stop.clone()));
        parts.spawn(health.keep(handle.clone()));
        let router = http::router(handle.clone(), self.http_address.ip().is_loopback());
        parts.spawn(serve_http(http, router, stop.clone()));
        parts.spawn(say_that_it_stops(handle.clone(), stop.clone()));
        let commits =
            pulse::watch(Arc::clone(&engine.pulse), Arc::downgrade(&engine.inbox.health), Arc::clone(&engine.clock));
        let stopping = stop.clone();
        parts.spawn(async move { stopping.run_until_cancelled(commits).await.map_or(Ok(()), Ok) });
        let (stopping, seals) = (stop.clone(), sealing::run(handle.clone()));
        parts.spawn(async move {
            stopping.run_until_cancelled(seals).await;
            Ok(())
        });
        let engine_stop = CancellationToken::new();
        // Also when nobody waits for this any more.
        let _stops = engine_stop.clone().drop_guard();
        let engine = engine.start(engine_stop.clone()).map_err(RunError::Thread)?;
        let placer = place_in_a_thread(Arc::clone(&placing), strategy, view, &handle);

        let ended = supervise(&mut parts, engine, &stop, &engine_stop).await;
        placing.stop();
        if let Ok(thread) = placer {
            // It holds no lock and waits for nothing once the engine is gone.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        info!("master stopped");
        ended
    }
}

/// Waits for the stop or the first part that ends; then the servers end, then the engine.
async fn supervise(
    parts: &mut JoinSet<Result<(), RunError>>,
    mut engine: JoinHandle<Result<(), EngineError>>,
    stop: &CancellationToken,
    engine_stop: &CancellationToken,
) -> Result<(), RunError> {
    let mut engine_ended = false;
    let first = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        ended = &mut engine => { engine_ended = true; flatten(ended).map_err(RunError::from) }
        Some(ended) = parts.join_next() => ended.unwrap_or(Ok(())),
    };
    stop.cancel();
    let drained = tokio::time::timeout(GRACE, async { while parts.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        parts.shutdown().await;
    }
    engine_stop.cancel();
    if !engine_ended {
        flatten(engine.await)?;
    }
    first
}

fn flatten(ended: Result<Result<(), EngineError>, tokio::task::JoinError>) -> Result<(), EngineError> {
    ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Address { address, flag, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The read model and the strategy's view of the same state.
fn mirrors(cluster: &Cluster, ended: &BTreeMap<String, u64>) -> (Model, View) {
    let rows = || {
        let workers = cluster.workers().map(|worker| Row::Worker(Arc::clone(worker)));
        workers.chain(cluster.tasks().map(|task| Row::Task(Arc::clone(task))))
    };
    let mut view = View::default();
    rows().for_each(|row| view.apply(&row));
    let ended = ended.iter().filter_map(|(word, count)| Some((word.parse::<Status>().ok()?, *count)));
    (Model::new(rows(), ended.collect()), view)
}

/// 128 random bits. The middle part will pin the cluster's CA once there is one.
fn new_join_token() -> String {
    format!("cai1-0-{}", hex::encode(rand::random::<[u8; 16]>()))
}

/// Ends whoever waits for news, and waits until the live clients have been told.
async fn say_that_it_stops(handle: Handle, stop: CancellationToken) -> Result<(), RunError> {
    stop.cancelled().await;
    handle.shared.stopping.cancel();
    handle.shared.live.ended().await;
    Ok(())
}

async fn serve_grpc(
    listener: TcpListener,
    routes: tonic::service::Routes,
    subscriptions: Arc<Subscriptions>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let stopped = async move {
        stop.cancelled().await;
        subscriptions.close_all();
    };
    // The builder's own setting does not reach connections that come from a listener of ours.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopped)
        .await
        .map_err(|error| RunError::Server("gRPC", std::io::Error::other(error)))
}

async fn serve_http(listener: TcpListener, router: axum::Router, stop: CancellationToken) -> Result<(), RunError> {
    http::door::serve(listener, router, http::door::Limits::default(), stop).await;
    Ok(())
}

fn place_in_a_thread(
    placing: Arc<Placing>,
    strategy: Box<dyn Strategy>,
    view: View,
    handle: &Handle,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let (mailboxes, runtime) = (Arc::clone(&handle.shared.mailboxes), tokio::runtime::Handle::current());
    std::thread::Builder::new()
        .name("placing".into())
        .spawn(move || placing::run(&placing, strategy, view, &mailboxes, &runtime))
}
