//! A master without addresses: it holds the lead and the state, and serves whatever doors it is given.

use crate::audit;
use crate::auth::{AuthRules, FirstPassword, Identity, Parts};
use crate::choice::{self, Choice, Configured};
use crate::clock::Clock;
use crate::cut::Cut;
use crate::delivery::{Deliveries, Delivery};
use crate::engine::{Engine, EngineError, start_of};
use crate::exec::Execs;
use crate::external::{External, Fallback};
use crate::handle::restore::Restoring;
use crate::handle::{Facts, Handle, Shared};
use crate::heartbeats::Heartbeats;
use crate::logs::Logs;
use crate::machine::Machine;
use crate::mailbox::{Inbox, mailboxes};
use crate::model::Model;
use crate::placing::{self, Placing, Stage};
use crate::quota::Quota;
use crate::retention::{self, Retention};
use crate::rules::Rules;
use crate::schedules::Schedules;
use crate::secrets::{SecretRules, Secrets};
use crate::security::{Security, Standing};
use crate::serve::{BindError, Ended, RunError};
use crate::templates::Templates;
use crate::trail::Trail;
use crate::{announcing, grpc, http, predictions, pulse, schedules, sealing, sweeping};
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::Row;
use cloudai_core::ids::Term;
use cloudai_core::state::Status;
use cloudai_core::strategy::View;
use cloudai_core::timing::Timing;
use cloudai_store::bulk::BulkStore;
use cloudai_store::{Loaded, Store, StoreError};
use futures::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::{info, warn};

/// How long open calls may take to end when the master stops.
const GRACE: Duration = Duration::from_secs(5);

/// What a master is made of, addresses left aside.
#[derive(Debug)]
pub struct Setup {
    /// Where state is kept.
    pub store: Arc<dyn Store>,
    /// Where logs and files are kept.
    pub bulk: Arc<dyn BulkStore>,
    /// The strategy.
    pub strategy: Configured,
    /// Who places while that is `external` and the agent is late.
    pub fallback: Fallback,
    /// The cluster's times, checked.
    pub timing: Timing,
    /// What its operator says of tasks.
    pub rules: Rules,
    /// Whether callers say who they are.
    pub security: Security,
    /// Its clocks and threads.
    pub machine: Machine,
}

/// Where callers come in.
#[derive(Debug)]
pub struct Doors<S> {
    /// Connections of workers.
    pub grpc: S,
    /// Where users call; none for a master that only this process asks.
    pub http: Option<(TcpListener, SocketAddr)>,
    /// Where that is, told to workers that wait to be called; none for a master that calls nobody.
    pub grpc_address: Option<SocketAddr>,
}

/// What a first start made.
#[derive(Debug)]
struct First {
    /// Whether it was one.
    start: bool,
    /// Made by the first start with identities.
    admin_password: FirstPassword,
}

/// A master that holds its state, and does not run yet.
#[derive(Debug)]
pub struct Opened {
    machine: Machine,
    retention: Retention,
    https: http::Https,
    first: First,
    handle: Handle,
    engine: Engine,
    deliveries: Deliveries,
    auditing: audit::Writer,
    placing: Arc<Placing>,
    stage: Stage,
}

impl Opened {
    /// Takes the lead and loads the state.
    /// # Errors
    /// [`BindError`].
    pub async fn open(setup: Setup) -> Result<Self, BindError> {
        let Setup { store, bulk, strategy: configured, fallback, timing, rules, security, machine } = setup;
        let Rules { retention, max_log_bytes, files, secrets, policies, inputs, exec, auth, https } = rules;
        let secrets = open_secrets(secrets, &store).await?;
        let chosen = choice::at_start(&*store, configured).await?;
        let strategy = chosen.make().ok_or_else(|| BindError::Strategy { given: chosen.name().into() })?;
        let placing = Arc::new(Placing::default());
        let given = fallback.strategy.clone();
        let external = External::new(fallback, Arc::clone(&placing.word)).ok_or(BindError::Fallback { given })?;
        let term = store.lead().await?;
        let loaded = store.load().await?;
        bulk.claim(&loaded.cluster).await?;
        let of = (term, loaded.cluster.as_str(), machine.clocks.wall);
        let asks = matches!(security, Security::Secured(_));
        let Standing { pki, join_token, first_start } = security.open(&store, &secrets, of).await?;
        let clock = Arc::new(Clock::start(machine.clocks, loaded.last_commit));
        let (cluster, clock_of_users) = ((loaded.cluster.clone(), loaded.incarnation), Arc::clone(&clock));
        let parts = Parts { store: Arc::clone(&store), secrets: &secrets, clock: clock_of_users, term, cluster };
        let (identity, admin_password) = identities(asks, auth, parts).await?;
        let first = First { start: first_start, admin_password };
        let (audit, auditing) = audit_log(&store, &secrets, &clock, term, &loaded).await?;
        let cluster = Cluster::new(timing, start_of(&loaded), clock.now());
        let (model, mut view) = mirrors(&cluster, &loaded.ended);
        view.set_knobs(&chosen.knobs);
        let saved = predictions::load(&*store, view.learner_mut()).await;
        let facts = Facts { cluster: loaded.cluster.clone(), incarnation: loaded.incarnation, term, timing };
        let (mailboxes, inbox) = mailboxes();
        let (heartbeats, deliveries) = (Arc::new(Heartbeats::default()), Deliveries::default());
        let model = Arc::new(model);
        let trail = Arc::new(Trail::default());
        let (templates, schedules) = (Templates::new(Arc::clone(&store)), Schedules::new(Arc::clone(&store)));
        schedules.load().await?;
        let quota = Quota::new(files, Arc::clone(&store), Arc::clone(&bulk), Arc::clone(&model));
        let shared = Shared {
            facts,
            join_token,
            pki,
            mailboxes: Arc::new(mailboxes),
            placing: Arc::clone(&placing),
            store,
            model,
            heartbeats,
            logs: Arc::new(Logs::new(bulk).limited(max_log_bytes)),
            quota,
            secrets,
            identity,
            policies,
            templates,
            schedules,
            inputs,
            clock,
            trail,
            audit,
            choice: Arc::new(Choice::new(chosen)),
            saved,
            live: http::Live::default(),
            execs: Arc::new(Execs::new(exec)),
            restoring: Restoring::default(),
            stopping: CancellationToken::new(),
        };
        let engine = engine_of(&shared, cluster, inbox, Arc::new(deliveries.clone()));
        let handle = Handle { shared: Arc::new(shared) };
        let stage = Stage::new(view, strategy, external);
        Ok(Self { machine, retention, https, first, handle, engine, auditing, deliveries, placing, stage })
    }

    /// Whether the data was made by this start.
    #[must_use]
    pub fn is_first_start(&self) -> bool {
        self.first.start
    }

    /// The password of `admin`, where this start made that user: nobody can tell it later.
    #[must_use]
    pub fn admin_password(&self) -> Option<&str> {
        self.first.admin_password.as_ref().map(|password| password.as_str())
    }

    /// The way in, for callers in this process.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Serves until told to stop, or until a restore is ordered; `stop` is cancelled then. Workers and their containers go on without it.
    /// # Errors
    /// [`RunError`].
    pub async fn run<S, C>(self, doors: Doors<S>, stop: CancellationToken) -> Result<Ended, RunError>
    where
        S: Stream<Item = io::Result<C>> + Send + 'static,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let Self { machine, retention, https, handle, engine, auditing, deliveries, placing, stage, .. } = self;
        let mut parts = JoinSet::new();
        let (routes, health) = grpc::routes(&handle, deliveries.clone())?;
        let cut = CancellationToken::new();
        let _cut = cut.clone().drop_guard();
        let incoming = doors.grpc.map(move |connection| connection.map(|connection| Cut::new(connection, &cut)));
        match &handle.shared.pki {
            None => parts.spawn(serve_grpc(incoming, routes, deliveries, stop.clone())),
            Some(pki) => {
                let incoming = grpc::tls::incoming(incoming, Arc::clone(pki));
                parts.spawn(serve_grpc(incoming, routes, deliveries, stop.clone()))
            }
        };
        parts.spawn(health.keep(handle.clone()));
        if let Some((listener, address)) = doors.http {
            let router = http::router(handle.clone(), address.ip().is_loopback());
            let own = handle.shared.pki.as_ref().map(|pki| pki.server());
            let guard = https.guard(address, own).map_err(|why| RunError::Server("HTTP", io::Error::other(why)))?;
            parts.spawn(serve_http(listener, router, (guard, https.certificate), stop.clone()));
        }
        parts.spawn(say_that_it_stops(handle.clone(), stop.clone()));
        let commits =
            pulse::watch(Arc::clone(&engine.pulse), Arc::downgrade(&engine.inbox.health), Arc::clone(&engine.clock));
        let stopping = stop.clone();
        parts.spawn(async move { stopping.run_until_cancelled(commits).await.map_or(Ok(()), Ok) });
        start_loops(&mut parts, &handle, retention, doors.grpc_address, &stop);
        // Also when nobody waits for this any more.
        let (engine_stop, placer_stop) = (CancellationToken::new(), CancellationToken::new());
        let _stops = (engine_stop.clone().drop_guard(), placer_stop.clone().drop_guard());
        let audit_stop = CancellationToken::new();
        let _audit_stop = audit_stop.clone().drop_guard();
        let auditing = machine.threads.start(auditing.run(audit_stop.clone())).map_err(RunError::Thread)?;
        let engine = machine.threads.start(engine.run(engine_stop.clone())).map_err(RunError::Thread)?;
        let shared = &handle.shared;
        let (clock, mailboxes) = (Arc::clone(&shared.clock), Arc::clone(&shared.mailboxes));
        let (model, choice) = (Arc::clone(&shared.model), Arc::clone(&shared.choice));
        let places = placing::run(placing, stage, clock, mailboxes, model, choice, machine.threads);
        let placer = placer_stop.clone().run_until_cancelled_owned(places);
        let mut placer = machine.threads.start(placer).map_err(RunError::Thread)?;

        let restore = handle.shared.restoring.ordered().clone();
        let ended = supervise(&mut parts, engine, &mut placer, [&stop, &restore], &engine_stop).await;
        // What was answered is written by now, what was refused last is not.
        audit_stop.cancel();
        let _ = auditing.await;
        handle.shared.logs.bulk().stop();
        predictions::save_at_stop(&handle).await;
        placer_stop.cancel();
        if !placer.is_finished() {
            // It holds no lock and waits for nothing once the engine is gone.
            let _ = placer.await;
        }
        info!("master stopped");
        ended.map(|()| if restore.is_cancelled() { Ended::Restore } else { Ended::Stopped })
    }
}

/// Starts what goes on beside the servers.
fn start_loops(
    parts: &mut JoinSet<Result<(), RunError>>,
    handle: &Handle,
    retention: Retention,
    grpc_address: Option<SocketAddr>,
    stop: &CancellationToken,
) {
    parts.spawn(until(stop.clone(), sealing::run(handle.clone())));
    let (stopping, collecting) = (stop.clone(), retention::run(handle.clone(), retention));
    parts.spawn(async move {
        // One that has nothing to collect ends, the master does not.
        stopping.run_until_cancelled(collecting).await;
        stopping.cancelled().await;
        Ok(())
    });
    parts.spawn(until(stop.clone(), sweeping::run(handle.clone())));
    parts.spawn(until(stop.clone(), schedules::run::run(handle.clone())));
    let users = handle.clone();
    parts.spawn(until(stop.clone(), async move { users.tend_users().await }));
    parts.spawn(until(stop.clone(), announcing::run(handle.clone(), grpc_address)));
    parts.spawn(until(stop.clone(), predictions::run(handle.clone())));
}

/// One of them, until the stop.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) -> Result<(), RunError> {
    stop.run_until_cancelled(work).await;
    Ok(())
}

/// Waits for the stop, a restore that is ordered or the first part that ends; then the servers end, then the engine.
async fn supervise(
    parts: &mut JoinSet<Result<(), RunError>>,
    mut engine: JoinHandle<Result<(), EngineError>>,
    placer: &mut JoinHandle<Option<()>>,
    [stop, restore]: [&CancellationToken; 2],
    engine_stop: &CancellationToken,
) -> Result<(), RunError> {
    let mut engine_ended = false;
    let first = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        () = restore.cancelled() => Ok(()),
        ended = &mut engine => { engine_ended = true; flatten(ended).map_err(RunError::from) }
        _ = placer => Err(RunError::Placing),
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

/// The stored secrets; says so where some can not be opened.
async fn open_secrets(rules: SecretRules, store: &Arc<dyn Store>) -> Result<Secrets, BindError> {
    let secrets = Secrets::open(rules, Arc::clone(store))?;
    match secrets.lost().await {
        Ok(0) | Err(_) => {}
        Ok(lost) => {
            warn!(secrets = lost, file = secrets.place(), "stored secrets can not be opened: their key is not here")
        }
    }
    Ok(secrets)
}

/// What decides, over what everybody shares.
fn engine_of(shared: &Shared, cluster: Cluster, inbox: Inbox, delivery: Arc<dyn Delivery>) -> Engine {
    Engine {
        cluster,
        term: shared.facts.term,
        store: Arc::clone(&shared.store),
        clock: Arc::clone(&shared.clock),
        inbox,
        pulse: Arc::default(),
        heartbeats: Arc::clone(&shared.heartbeats),
        delivery,
        model: Arc::clone(&shared.model),
        placing: Arc::clone(&shared.placing),
        trail: Arc::clone(&shared.trail),
    }
}

/// Everybody who may come in, where callers say who they are.
async fn identities(
    wanted: bool,
    rules: AuthRules,
    parts: Parts<'_>,
) -> Result<(Option<Identity>, FirstPassword), BindError> {
    if !wanted {
        return Ok((None, None));
    }
    let (identity, password) = Identity::open(rules, parts).await.map_err(BindError::Identity)?;
    Ok((Some(identity), password))
}

/// The audit log, with this start as its last row.
async fn audit_log(
    store: &Arc<dyn Store>,
    secrets: &Secrets,
    clock: &Arc<Clock>,
    term: Term,
    loaded: &Loaded,
) -> Result<(audit::Auditor, audit::Writer), StoreError> {
    let (audit, mut auditing) = audit::Auditor::open(store, secrets, clock, term, &loaded.cluster).await?;
    let started = audit::Entry::new("master started").detail("incarnation", loaded.incarnation.0);
    auditing.begin_with(started.detail("term", term.0)).await.map_err(audit::unwritten)?;
    Ok((audit, auditing))
}

/// The read model and the strategy's view of the same state.
fn mirrors(cluster: &Cluster, ended: &BTreeMap<String, u64>) -> (Model, View) {
    let rows = || {
        let workers = cluster.workers().map(|worker| Row::Worker(Arc::clone(worker)));
        workers.chain(cluster.tasks().map(|task| Row::Task(Arc::clone(task))))
    };
    let mut view = View::default();
    // Plans first: what must follow a task, and what starts with it, is known when it comes.
    cluster.job_rows().chain(rows()).for_each(|row| view.apply(&row));
    let rows = rows().chain(cluster.job_rows());
    let ended = ended.iter().filter_map(|(word, count)| Some((word.parse::<Status>().ok()?, *count)));
    (Model::new(rows, ended.collect()), view)
}

/// Ends whoever waits for news, and waits until the live clients have been told.
async fn say_that_it_stops(handle: Handle, stop: CancellationToken) -> Result<(), RunError> {
    stop.cancelled().await;
    handle.shared.stopping.cancel();
    handle.shared.live.ended().await;
    handle.shared.execs.tasks.close();
    handle.shared.execs.tasks.wait().await;
    Ok(())
}

async fn serve_grpc<S, C>(
    incoming: S,
    routes: tonic::service::Routes,
    deliveries: Deliveries,
    stop: CancellationToken,
) -> Result<(), RunError>
where
    S: Stream<Item = io::Result<C>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let closing = deliveries.clone();
    let stopped = async move {
        stop.cancelled().await;
        closing.close_all();
    };
    let served = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopped)
        .await;
    deliveries.close_all();
    deliveries.pushes.ended().await;
    served.map_err(|error| RunError::Server("gRPC", io::Error::other(error)))
}

async fn serve_http(
    listener: TcpListener,
    router: axum::Router,
    (guard, certificate): (http::door_tls::Guard, Option<Arc<http::CertificateFiles>>),
    stop: CancellationToken,
) -> Result<(), RunError> {
    let watch = async {
        match certificate {
            Some(files) => files.watch().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = http::door::serve(listener, router, guard, http::door::Limits::default(), stop) => {}
        () = watch => {}
    }
    Ok(())
}
