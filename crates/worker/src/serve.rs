//! From a configuration to a running worker: look, register, take over what an earlier life left,
//! run, leave in good order.

use crate::absence::Absence;
use crate::cache::Cache;
use crate::client::{AddressError, Master, Shows, Way};
use crate::clock::Clock;
use crate::disk_watch::{self, DiskLimits};
use crate::door::{Called, Door, Pushed};
use crate::engine_watch;
use crate::exec::{self, Execs};
use crate::executor::docker::{DockerExecutor, DockerOptions, NO_NAMESPACES, Places};
use crate::executor::fake::{FakeExecutor, FakeOptions};
use crate::executor::{EngineError, Executor, Identity};
use crate::identity::{self, Token};
use crate::image_watch::{self, Stock};
use crate::inputs::Addresses;
use crate::journal::Journal;
use crate::link::{Link, Refused};
use crate::machine::{Machine, Threads};
use crate::membership::{self, Membership};
use crate::messages::Input;
use crate::run::Runner;
use crate::shell::{Channels, Shell};
use crate::steps::Steps;
use crate::unfit::Unfit;
use crate::upload::Whose;
use crate::vault::Vault;
use crate::volumes::Offers;
use crate::whereabouts::{Follow, SOMEWHERE, Whereabouts};
use crate::{convert, reaper};
use cloudai_core::agent::Agent;
use cloudai_core::ids::{Incarnation, WorkerId};
use cloudai_core::images::Images;
use cloudai_core::policy::InForce;
use cloudai_core::resources::Capacity;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Inputs of the shell that wait; senders wait beyond that.
const INPUTS: usize = 4096;
/// Reports that wait to be sent; what finds no room is told again.
const OUTPUTS: usize = 4096;
/// How long a worker that starts waits for the list of its engine's images.
const LISTED: Duration = Duration::from_secs(5);
/// What stopping takes beyond the longest grace of a task: engine, log, report.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a worker is made of.
#[derive(Debug)]
pub struct Config {
    /// Its name.
    pub id: WorkerId,
    /// The master's `host:port`; none for a worker that waits to be called.
    pub master: Option<String>,
    /// How the master calls it; none for a worker that nobody calls.
    pub called: Option<Called>,
    /// What lets it in; empty for one that has a certificate from an earlier life.
    pub join_token: String,
    /// Where it can be reached; may be empty. A worker that is called finds that out where it can.
    pub address: String,
    /// What it offers.
    pub capacity: Capacity,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// What of its host tasks may see.
    pub offers: Offers,
    /// What tasks may ask for here, as it is read by somebody else.
    pub policy: watch::Receiver<Arc<InForce>>,
    /// What runs its attempts.
    pub engine: Engine,
    /// Where its journal and its attempts' folders are.
    pub data_dir: PathBuf,
    /// When something is done about a full disk.
    pub disk: DiskLimits,
    /// Whether users may run programs in its containers.
    pub exec: bool,
    /// Whether inputs may be fetched from loopback and link-local addresses.
    pub local_inputs: bool,
    /// Bytes a second of the log of each attempt that go to the master; 0 for any number. Nothing is cut by it.
    pub log_rate: u64,
}

/// What runs attempts.
#[derive(Clone, Debug)]
pub enum Engine {
    /// A container engine over its API, in one of these places; the address of the options is set
    /// when it was found.
    Docker(Places, DockerOptions),
    /// Nothing real.
    Fake(FakeOptions),
}

impl Engine {
    const fn name(&self) -> &'static str {
        match self {
            Self::Docker(..) => "docker",
            Self::Fake(_) => "fake",
        }
    }

    /// Finds the engine of a worker; answers its name and version.
    async fn find(&mut self, worker: &WorkerId, dir: &Path) -> Result<String, EngineError> {
        match self {
            Self::Docker(places, options) => {
                let (address, name) = places.find(worker, dir, options).await?;
                options.address = address;
                options.images = Some(dir.join("images.json"));
                Ok(name)
            }
            Self::Fake(options) => {
                options.worker = worker.to_string();
                Ok("fake".into())
            }
        }
    }

    /// The images of an engine that was found; a worker tells them before it knows its cluster. What the engine does
    /// not tell soon follows with a heartbeat.
    async fn images(&self, worker: &WorkerId) -> Result<Images, EngineError> {
        match self {
            Self::Docker(_, options) => {
                let nobody = Identity { cluster: Arc::from(""), incarnation: Incarnation(0), worker: worker.clone() };
                let executor = DockerExecutor::connect(nobody, options)?;
                let names = tokio::time::timeout(LISTED, executor.images()).await;
                Ok(Images::of(names.unwrap_or_else(|_| Ok(Vec::new()))?))
            }
            Self::Fake(_) => Ok(Images::default()),
        }
    }

    /// Whether root inside of the containers of an engine that was found is nobody on its machine. What is no container
    /// harms nobody.
    async fn has_user_namespaces(&self, worker: &WorkerId) -> Result<bool, EngineError> {
        match self {
            Self::Docker(_, options) => {
                let nobody = Identity { cluster: Arc::from(""), incarnation: Incarnation(0), worker: worker.clone() };
                DockerExecutor::connect(nobody, options)?.has_user_namespaces().await
            }
            Self::Fake(_) => Ok(true),
        }
    }

    /// The sockets of engines on this machine.
    fn sockets(&self) -> Vec<PathBuf> {
        match self {
            Self::Docker(places, options) => places.sockets(&options.address),
            Self::Fake(_) => Places::Usual(Vec::new()).sockets(""),
        }
    }

    fn open(&self, identity: Identity, clock: Clock) -> Result<Arc<dyn Executor>, EngineError> {
        Ok(match self {
            Self::Docker(_, options) => Arc::new(DockerExecutor::connect(identity, options)?),
            Self::Fake(options) => Arc::new(FakeExecutor::new(options.clone()).timed_by(clock)),
        })
    }
}

/// Why a worker can not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address or token is malformed.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The data folder can not be used.
    #[error("the data folder {path} can not be used: {source}; give another --data-dir")]
    DataDir {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It knows no master, and no master can call it.
    #[error(
        "a worker needs the address of its master (--master HOST:PORT), or one of its own to wait for its call (--listen)"
    )]
    Alone,
    /// Its master could not call it.
    #[error("calls of the master can not be taken under TLS")]
    Door(#[source] std::io::Error),
    /// Another worker uses the folder.
    #[error("{0} is in use by another worker: stop that one, or give another --data-dir")]
    Locked(PathBuf),
    /// Its policy wants what its engine has not got.
    #[error("worker {worker} is not started: {}", NO_NAMESPACES)]
    NoUserNamespaces {
        /// Its name.
        worker: WorkerId,
    },
    /// The system gives it no thread of its own.
    #[error("the worker can not be started")]
    Thread(#[source] std::io::Error),
    /// The master does not want it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// A worker that may use its folder and its engine, and is not registered yet.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    machine: Machine,
    /// Held for the worker's life.
    _lock: std::fs::File,
    link: Link,
    /// How the master is called.
    way: Way,
    /// Where it calls this worker.
    door: Option<Door>,
    inputs: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    /// Programs that users want to run.
    execs: mpsc::Receiver<exec::Order>,
    unfit: watch::Sender<Unfit>,
}

impl Worker {
    /// Looks whether everything that it needs is there.
    /// # Errors
    /// [`StartError`].
    pub async fn prepare(config: Config) -> Result<Self, StartError> {
        Self::prepare_on(Machine::default(), config).await
    }

    /// [`Self::prepare`] on another machine than this one.
    /// # Errors
    /// [`StartError`].
    pub async fn prepare_on(mut machine: Machine, mut config: Config) -> Result<Self, StartError> {
        let lock = lock_folder(&config.data_dir)?;
        let engine = config.engine.find(&config.id, &config.data_dir).await?;
        for why in config.offers.missing(&config.engine.sockets()).await {
            warn!(%why, "an offered path was not found fit for tasks");
        }
        let namespaces = config.policy.borrow().policy.wants_user_namespaces();
        if namespaces && !config.engine.has_user_namespaces(&config.id).await? {
            return Err(StartError::NoUserNamespaces { worker: config.id });
        }
        let images = Arc::new(Stock::default());
        match config.engine.images(&config.id).await {
            Ok(all) => images.set(all),
            Err(error) => warn!(%error, "images of the engine not listed"),
        }
        let folder = |source| StartError::DataDir { path: config.data_dir.clone(), source };
        let called = config.called.take();
        let whereabouts = match &called {
            Some(_) => Whereabouts::open(config.id.clone(), &config.data_dir, config.master.as_deref()).map(Some),
            None => Ok(None),
        };
        let whereabouts = whereabouts.map_err(folder)?.map(Arc::new);
        if let Some(whereabouts) = whereabouts.clone() {
            machine.dial = Some(Arc::new(Follow { whereabouts, by: machine.dial.take() }));
        }
        let place = config.master.clone().or_else(|| whereabouts.as_ref().map(|_| SOMEWHERE.to_owned()));
        let place = place.ok_or(StartError::Alone)?;
        let way = way(&config, place, &machine)?;
        let master = way.client()?;
        let identity = way.shows.identity();
        let mut info = convert::worker_info(&config.id, &config.capacity);
        info.worker_ip = own_address(&config.address, called.as_ref(), whereabouts.as_deref()).await;
        let pushed = called.as_ref().is_some_and(|called| called.push).then(Arc::<Pushed>::default);
        if pushed.is_some() {
            info.set_delivery(cloudai_proto::v1::Delivery::Push);
        }
        info.labels = config.labels.clone().into_iter().collect();
        info.offers = config.offers.accesses().map(ToString::to_string).collect();
        info.version = env!("CARGO_PKG_VERSION").into();
        info.executor = config.engine.name().into();
        info.engine = engine;
        info.os = std::env::consts::OS.into();
        info.arch = std::env::consts::ARCH.into();
        info.instance = membership::instance(&config.data_dir).map_err(folder)?;
        let off = (!config.exec).then_some(&cloudai_proto::EXEC_OFF);
        info.capabilities = cloudai_proto::CAPABILITIES.iter().chain(off).map(ToString::to_string).collect();
        let inputs = mpsc::channel(INPUTS);
        let (execs_in, execs) = mpsc::channel(exec::ORDERS);
        let data_dir = config.data_dir.clone();
        // It answered just now.
        let (unfit, known) = watch::channel(Unfit::default());
        let (id, clock) = (config.id.clone(), machine.clock);
        let link = Link {
            id,
            master,
            clock,
            inputs: inputs.0.clone(),
            execs: execs_in,
            info,
            data_dir,
            unfit: known,
            images,
            identity,
            whereabouts: whereabouts.clone(),
            pushed,
        };
        let door = called.zip(whereabouts);
        let door = door.map(|(called, place)| Door::new(called.listening, link.clone(), place, &way.shows));
        let door = door.transpose().map_err(StartError::Door)?;
        Ok(Self { config, machine, _lock: lock, link, way, door, inputs, execs, unfit })
    }

    /// Runs until told to stop; then stops its attempts, reports them and leaves. What an earlier
    /// life left is looked after from the start on, also while no master answers.
    /// # Errors
    /// [`StartError::Refused`], or a folder that can not be written.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let Self { config, machine, link, way, door, inputs, execs, unfit, .. } = self;
        let _open = door.map(Door::open);
        let clock = machine.clock;
        let in_folder = |source| StartError::DataDir { path: config.data_dir.clone(), source };
        let (journal, entries) = Journal::open(&config.data_dir).map_err(in_folder)?;
        let mut first = None;
        let member = match Membership::load(&config.data_dir).map_err(in_folder)? {
            Some(member) => member,
            None => {
                let mut absence = Absence::default();
                let registered = tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    registered = link.register(Vec::new(), &mut absence) => registered?,
                };
                let member = Membership::of(&registered.0);
                member.save(&config.data_dir).map_err(in_folder)?;
                first = Some(registered);
                member
            }
        };
        let (agent, resume) = Agent::restore(member.timing(), config.capacity.clone(), entries, clock.now());
        let cache = Arc::new(Cache::open(&config.data_dir, config.disk.inputs).map_err(in_folder)?);
        let contents = way.client()?;
        let runner = runner(&config, &member, &link, contents, Arc::clone(&cache))?;
        let watcher = tokio::spawn(engine_watch::watch(Arc::clone(&runner.executor), unfit.clone()));
        let image_watcher = tokio::spawn(image_watch::watch(Arc::clone(&runner.executor), Arc::clone(&link.images)));
        let (dir, limits) = (config.data_dir.clone(), config.disk);
        let disk_watcher = tokio::spawn(disk_watch::watch(Arc::clone(&runner.executor), cache, dir, limits, unfit));
        remove_leftovers(&runner, &agent).await;
        let (asked, executor, vault) = (inputs.0.clone(), Arc::clone(&runner.executor), runner.vault.clone());
        let reaper = tokio::spawn(reaper::reap(runner.clone(), inputs.0));

        let (reports, reports_in) = mpsc::channel(OUTPUTS);
        let steps = Arc::new(Steps::default());
        let channels = Channels { inputs: inputs.1, reports, steps: Arc::clone(&steps) };
        let mut shell = Shell::new(clock, agent, journal, runner, channels);
        shell.begin(resume);
        let renewer = link.identity.clone().map(|identity| tokio::spawn(identity.keep_fresh(link.master.clone())));
        let (worker, allowed, session) = (config.id.clone(), config.exec, shell.session());
        let leaving = shell.leaving();
        let policy = config.policy.clone();
        let programs = Execs { worker, executor, way, allowed, policy, inputs: asked, session };
        let programs = tokio::spawn(programs.serve(execs, leaving.clone()));
        let reporter = tokio::spawn(link.clone().report(reports_in));
        let teller = tokio::spawn(link.clone().tell(steps));
        let link_stop = CancellationToken::new();
        let first_session = first.as_ref().map(|(ack, _)| ack.session);
        let keeper = tokio::spawn(link.clone().keep(member, first, shell.leaving(), link_stop.clone()));

        let (last_session, ended) =
            run_shell(shell, keeper, machine.threads, &stop).await.map_err(StartError::Thread)?;
        link_stop.cancel();
        leaving.cancel();
        // It ends soon, whatever its users do.
        let _ = programs.await;
        // Who still holds something has not left: its lease tells when others may run that.
        if let (Some(session), Ended::Shell(Ok(true))) = (last_session.or(first_session), &ended) {
            link.leave(session).await;
        }
        reporter.abort();
        teller.abort();
        watcher.abort();
        image_watcher.abort();
        disk_watcher.abort();
        reaper.abort();
        renewer.iter().for_each(tokio::task::JoinHandle::abort);
        vault.close();
        info!("worker stopped");
        match ended {
            Ended::Shell(Ok(_)) => Ok(()),
            Ended::Shell(Err(broken)) => std::panic::resume_unwind(broken.into_panic()),
            Ended::Link(result) => result.map_err(StartError::from),
        }
    }
}

/// How the master is reached: in the clear with a token that names no CA, else with a certificate.
fn way(config: &Config, address: String, machine: &Machine) -> Result<Way, StartError> {
    let dial = machine.dial.clone();
    let shows = match Token::read(&config.join_token) {
        Token::Plain(token) => Shows::Token(token),
        token @ (Token::None | Token::Open | Token::Pinned { .. }) => {
            let folder = |source| StartError::DataDir { path: config.data_dir.clone(), source };
            let whose = (config.id.clone(), config.data_dir.clone());
            let identity = identity::Identity::open(whose, (address.clone(), dial.clone()), token).map_err(folder)?;
            Shows::Certificate(Arc::new(identity))
        }
    };
    Ok(Way { address, shows, dial })
}

/// Where a master finds this worker: as its operator says, else as far as it can tell.
async fn own_address(given: &str, called: Option<&Called>, whereabouts: Option<&Whereabouts>) -> String {
    let (Some(called), true) = (called, given.is_empty()) else { return given.to_owned() };
    let master = whereabouts.and_then(Whereabouts::first).unwrap_or_default();
    called.listening.seen_from(&master).await.map_or_else(String::new, |address| address.to_string())
}

fn runner(
    config: &Config,
    member: &Membership,
    link: &Link,
    contents: Master,
    cache: Arc<Cache>,
) -> Result<Runner, StartError> {
    let (cluster, worker) = (Arc::clone(&member.cluster), config.id.clone());
    let identity = Identity { cluster, incarnation: member.incarnation, worker };
    let executor = config.engine.open(identity.clone(), link.clock)?;
    let (master, data_dir) = (link.master.clone(), config.data_dir.clone());
    let offers = Arc::new(config.offers.clone());
    let vault = Vault::of(&link.info.instance);
    let addresses = Arc::new(Addresses::new(config.local_inputs));
    let (log_rate, policy) = (config.log_rate, config.policy.clone());
    let sockets = config.engine.sockets().into();
    Ok(Runner {
        executor,
        identity,
        master,
        contents,
        data_dir,
        cache,
        addresses,
        offers,
        sockets,
        policy,
        vault,
        log_rate,
    })
}

enum Ended {
    Shell(Result<bool, JoinError>),
    Link(Result<(), Refused>),
}

/// Runs the shell beside the link; a link that is refused for good ends
/// the worker.
async fn run_shell(
    shell: Shell,
    mut keeper: tokio::task::JoinHandle<Result<(), Refused>>,
    threads: Threads,
    stop: &CancellationToken,
) -> std::io::Result<(Option<cloudai_core::ids::Session>, Ended)> {
    let session = shell.session();
    let (stopped, dropped) = (stop.clone(), CancellationToken::new());
    // A thread goes on when nobody waits for it any more, unless it is told.
    let _ends = dropped.clone().drop_guard();
    let work = async move { dropped.run_until_cancelled(shell.run(stopped, PATIENCE)).await.unwrap_or(false) };
    let mut running = threads.start(work)?;
    tokio::select! {
        result = &mut running => {
            keeper.abort();
            Ok((session.borrow().to_owned(), Ended::Shell(result)))
        }
        refused = &mut keeper => {
            stop.cancel();
            let result = running.await;
            let refused = refused.unwrap_or(Ok(()));
            let ended = if refused.is_err() { Ended::Link(refused) } else { Ended::Shell(result) };
            Ok((session.borrow().to_owned(), ended))
        }
    }
}

fn lock_folder(dir: &Path) -> Result<std::fs::File, StartError> {
    let failed = |source| StartError::DataDir { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(dir, mode).map_err(failed)?;
    let lock = std::fs::File::create(dir.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Locked(dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Removes containers and folders of this worker that its journal does not know. What can not be
/// removed now is the reaper's.
async fn remove_leftovers(runner: &Runner, agent: &Agent) {
    let whose = |(attempt, incarnation)| Whose { attempt, incarnation };
    let known: BTreeSet<_> = agent.attempts().map(whose).collect();
    let existing = match runner.executor.existing().await {
        Ok(existing) => existing,
        Err(error) => return warn!(%error, "containers of an earlier life not listed, they are looked for again"),
    };
    for left in existing.into_iter().map(whose).filter(|left| !known.contains(left)) {
        let attempt = left.attempt;
        match runner.discard(left).await {
            Ok(()) => info!(%attempt, "container of an earlier life removed"),
            Err(error) => warn!(%attempt, error, "container of an earlier life not removed"),
        }
    }
    if let Err(error) = runner.remove_other_folders(&known).await {
        warn!(%error, "folders of an earlier life not removed");
    }
}
