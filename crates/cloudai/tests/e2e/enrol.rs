//! Workers of a master that asks who calls: how they join, stay and are let in no more, and what everybody is told who is
//! not let in. The master runs in the test, which so needs no user of it.

use crate::process::{self, Ran, until};
use cloudai_core::event::{Admission, Removal};
use cloudai_core::ids::WorkerId;
use cloudai_core::resources::{Capacity, GIB};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::state::Status;
use cloudai_core::worker::WorkerStatus;
use cloudai_master::principal::Principal;
use cloudai_master::{Fallback, Master, Registration, Rules, Secured, Security};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::memory::MemoryStore;
use cloudai_worker::executor::fake::FakeOptions;
use cloudai_worker::volumes::Offers;
use cloudai_worker::{Because, Config, DiskLimits, Engine, Refused, StartError, Worker};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

type Client = MasterServiceClient<Channel>;

/// A master that asks who calls, in this process.
pub(crate) struct Asking {
    pub(crate) handle: cloudai_master::handle::Handle,
    pub(crate) grpc: SocketAddr,
    pub(crate) dir: TempDir,
    stop: CancellationToken,
}

impl Asking {
    pub(crate) async fn start() -> Self {
        Self::with(Secured::default()).await
    }

    pub(crate) async fn with(secured: Secured) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = cloudai_master::Config {
            grpc: any,
            http: any,
            store: Arc::new(MemoryStore::new()),
            bulk: Arc::new(LocalBulk::open(&dir.path().join("bulk")).unwrap()),
            strategy: "greedy".into(),
            fallback: Fallback::default(),
            timing: cloudai_core::timing::Timing::default(),
            rules: Rules::default(),
            security: Security::Secured(secured),
        };
        let master = Master::bind(config).await.unwrap();
        assert!(master.is_first_start());
        let (handle, grpc, stop) = (master.handle().clone(), master.grpc_address(), CancellationToken::new());
        tokio::spawn(master.run(stop.clone()));
        Self { handle, grpc, dir, stop }
    }

    pub(crate) fn token(&self) -> String {
        self.handle.join_token(&Principal::local()).to_owned()
    }

    /// The folder of a worker, as the command line makes it.
    pub(crate) fn folder(&self, id: &str) -> PathBuf {
        self.dir.path().join("workers").join(id)
    }

    /// How a worker of this cluster is begun.
    pub(crate) fn config(&self, id: &str, token: &str) -> Config {
        Config {
            id: worker_id(id),
            master: Some(self.grpc.to_string()),
            called: None,
            join_token: token.to_owned(),
            address: String::new(),
            capacity: Capacity { cpu_milli: 4000, memory: 8 * GIB, storage: 80 * GIB, gpus: Vec::new() },
            labels: BTreeMap::new(),
            offers: Offers::default(),
            engine: Engine::Fake(FakeOptions::default()),
            data_dir: self.folder(id),
            disk: DiskLimits { collect: 100, pressure: 100, ..DiskLimits::default() },
            exec: true,
            policy: tokio::sync::watch::Sender::new(Arc::default()).subscribe(),
            local_inputs: false,
            log_rate: 0,
        }
    }

    /// A worker in this process.
    async fn worker(&self, id: &str, token: &str) -> Joined {
        Joined::begin(self.config(id, token)).await
    }

    /// `cloudai worker start`, which must end.
    async fn refused(&self, id: &str, token: &str) -> Ran {
        let (grpc, dir) = (self.grpc.to_string(), self.dir.path().display().to_string());
        let words = ["worker", "start", "--master", &grpc, "--id", id, "--executor", "fake", "--data-dir", &dir];
        let token = if token.is_empty() { Vec::new() } else { vec!["--join-token", token] };
        process::run(self.dir.path(), &[], &[&words[..], &token].concat()).await
    }

    pub(crate) async fn active(&self, id: &str) {
        until(&format!("{id} is active"), async || {
            let worker = self.handle.worker(&Principal::local(), &worker_id(id))?;
            (worker.record.status == WorkerStatus::Active).then_some(())
        })
        .await;
    }

    /// Runs a task to its end.
    pub(crate) async fn runs_a_task(&self) {
        let document: Value = serde_json::from_value(json!({"image": "fake:x", "env": {"FAKE_STDOUT": "hi"}})).unwrap();
        let spec = Arc::new(TaskSpec::from_value(&document).unwrap());
        let who = Principal::local();
        let id = self.handle.submit(&who, vec![spec]).await.unwrap()[0].id;
        let ended = self.handle.wait_for_end(&who, id, process::PATIENCE).await.unwrap();
        assert_eq!(ended.record.status(), Status::Completed, "{:?}", ended.message);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) struct Joined {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), StartError>>,
}

impl Joined {
    pub(crate) async fn begin(config: Config) -> Self {
        let stop = CancellationToken::new();
        let worker = Worker::prepare(config).await.unwrap();
        Self { stop: stop.clone(), ended: tokio::spawn(worker.run(stop)) }
    }

    pub(crate) async fn leaves(self) {
        self.stop.cancel();
        self.ended().await.unwrap();
    }

    async fn ended(self) -> Result<(), StartError> {
        tokio::time::timeout(process::PATIENCE, self.ended).await.expect("the worker goes on").unwrap()
    }
}

pub(crate) fn worker_id(name: &str) -> WorkerId {
    name.parse().unwrap()
}

/// A client that trusts this CA and shows the certificate of a worker's folder, if one is given.
fn client(grpc: SocketAddr, ca: &str, shows: Option<&Path>) -> Client {
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match shows {
        None => config.with_no_client_auth(),
        Some(folder) => {
            let certificate = CertificateDer::from_pem_slice(&read(folder.join("worker.crt"))).unwrap();
            let key = PrivateKeyDer::from_pem_slice(&read(folder.join("worker.key"))).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = move |_: Uri| {
        let connector = connector.clone();
        async move {
            // Its address is among the names of the certificate, too.
            let name = ServerName::try_from("127.0.0.1").unwrap();
            connector.connect(name, TcpStream::connect(grpc).await?).await.map(TokioIo::new)
        }
    };
    let endpoint = Endpoint::from_shared(format!("http://{grpc}")).unwrap();
    MasterServiceClient::new(endpoint.connect_with_connector_lazy(service_fn(connect)))
}

fn info(id: &str) -> pb::WorkerInfo {
    let info = pb::WorkerInfo { worker_id: id.into(), instance: "x".into(), protocol: 1, ..Default::default() };
    pb::WorkerInfo { cpu_milli: 8000, memory_bytes: 16 << 30, storage_bytes: 80 << 30, ..info }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_joins_by_a_token_runs_tasks_and_comes_again_without_one() {
    let master = Asking::start().await;
    // One that never shakes hands holds nobody up.
    let _slow = TcpStream::connect(master.grpc).await.unwrap();
    let worker = master.worker("w1", &master.token()).await;
    master.active("w1").await;
    master.runs_a_task().await;
    worker.leaves().await;
    let certificate = std::fs::read(master.folder("w1").join("worker.crt")).unwrap();
    let again = master.worker("w1", "").await;
    master.active("w1").await;
    master.runs_a_task().await;
    again.leaves().await;
    assert_eq!(std::fs::read(master.folder("w1").join("worker.crt")).unwrap(), certificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_before_it_ends_and_work_goes_on() {
    let master = Asking::with(Secured { worker_life: Duration::from_secs(6), ..Secured::default() }).await;
    let worker = master.worker("w1", &master.token()).await;
    master.active("w1").await;
    let file = master.folder("w1").join("worker.crt");
    let first = std::fs::read(&file).unwrap();
    until("it has another certificate", async || (std::fs::read(&file).unwrap() != first).then_some(())).await;
    let second = std::fs::read(&file).unwrap();
    until("and the next one", async || (std::fs::read(&file).unwrap() != second).then_some(())).await;
    // The first one is over by now.
    master.runs_a_task().await;
    worker.leaves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_is_told_what_lets_it_in() {
    let (master, other) = (Asking::start().await, Asking::start().await);
    let pki = Arc::clone(master.handle.pki().unwrap());
    let token = master.token();
    let wrong = format!("{}0", &token[..token.len() - 1]);
    let wrong = if wrong == token { format!("{}1", &token[..token.len() - 1]) } else { wrong };
    let (used_id, used, _) = pki.make_token(false, None).await.unwrap().unwrap();
    let (_, expired, _) = pki.make_token(true, Some(Duration::from_millis(1))).await.unwrap().unwrap();
    let (gone_id, gone, _) = pki.make_token(true, None).await.unwrap().unwrap();
    assert!(pki.revoke_token(&gone_id).await.unwrap());
    let first = master.worker("w1", &used).await;
    master.active("w1").await;
    let rows = [
        ("no token", "w2", String::new(), 64, vec!["needs the join token", "cloudai worker token"]),
        ("a wrong token", "w2", wrong, 6, vec!["the join token is wrong", "cloudai worker token"]),
        ("a used token", "w2", used, 6, vec![used_id.as_str(), "was used", "--new --single-use"]),
        ("an expired token", "w2", expired, 6, vec!["is over", "cloudai worker token --new"]),
        ("a revoked token", "w2", gone, 6, vec!["was revoked", "cloudai worker token --new"]),
        ("another CA", "w2", other.token(), 6, vec!["is no master of the CA", "cloudai worker token"]),
        (
            "the word for an open cluster",
            "w2",
            "open".into(),
            6,
            vec!["no join token was shown", "cloudai worker token"],
        ),
    ];
    for (what, id, token, code, told) in rows {
        let ran = master.refused(id, &token).await;
        assert_eq!(ran.code, code, "{what}: {}", ran.err);
        assert!(told.iter().all(|part| ran.err.contains(part)), "{what}: {told:?}: {}", ran.err);
        assert!(!ran.err.contains(master.token().rsplit('-').next().unwrap()), "the right token is told to a stranger");
    }
    // Another machine that calls itself by the name of one that is here.
    let elsewhere = Asking {
        dir: tempfile::tempdir().unwrap(),
        handle: master.handle.clone(),
        grpc: master.grpc,
        stop: CancellationToken::new(),
    };
    let ran = elsewhere.refused("w1", &token).await;
    assert_eq!(ran.code, 7, "{}", ran.err);
    assert!(ran.err.contains("another --id") && ran.err.contains("cloudai worker remove w1"), "{}", ran.err);
    first.leaves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_worker_ends_at_once_and_its_certificate_lets_it_in_no_more() {
    let master = Asking::start().await;
    let worker = master.worker("w1", &master.token()).await;
    master.active("w1").await;
    let removal = Removal { worker: worker_id("w1"), force: true };
    master.handle.remove(&Principal::local(), removal).await.unwrap();
    let ended = worker.ended().await.unwrap_err();
    let StartError::Refused(refused @ Refused { because: Because::Token, .. }) = &ended else { panic!("{ended}") };
    assert!(refused.to_string().contains("was revoked when the worker was removed"), "{refused}");
    assert!(master.handle.worker(&Principal::local(), &worker_id("w1")).is_none(), "it came back");
    // The token that it once had does not make up for it; whoever has the machine decides.
    for token in [String::new(), master.token()] {
        let ran = master.refused("w1", &token).await;
        assert_eq!(ran.code, 6, "{}", ran.err);
        assert!(ran.err.contains("was revoked") && ran.err.contains("remove worker.crt"), "{}", ran.err);
    }
    std::fs::remove_file(master.folder("w1").join("worker.crt")).unwrap();
    let again = master.worker("w1", &master.token()).await;
    master.active("w1").await;
    again.leaves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_worker_speaks_for_another_and_nobody_speaks_without_a_certificate() {
    let master = Asking::start().await;
    let worker = master.worker("w1", &master.token()).await;
    master.active("w1").await;
    let ca = master.handle.pki().unwrap().ca_pem().to_owned();
    let mut named = client(master.grpc, &ca, Some(&master.folder("w1")));
    let w2 = "w2".to_owned();
    let beat = pb::Heartbeat { worker_id: w2.clone(), ..Default::default() };
    let told = [
        named.register_worker(info("w2")).await.map(drop),
        named.send_heartbeat(beat.clone()).await.map(drop),
        named.subscribe(pb::SubscribeRequest { worker_id: w2.clone(), session: 1 }).await.map(drop),
        named.leave_cluster(pb::LeaveRequest { worker_id: w2, session: 1 }).await.map(drop),
    ];
    for answer in told {
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        assert!(status.message().contains("is that of w1") && status.message().contains("--id"), "{status}");
    }
    let mut stranger = client(master.grpc, &ca, None);
    let mut with_token = tonic::Request::new(info("w1"));
    with_token.metadata_mut().insert("authorization", format!("Bearer {}", master.token()).parse().unwrap());
    let told = [
        stranger.register_worker(info("w1")).await.map(drop),
        stranger.register_worker(with_token).await.map(drop),
        stranger.send_heartbeat(beat).await.map(drop),
        stranger.resolve_secrets(pb::AttemptRef::default()).await.map(drop),
    ];
    for answer in told {
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains("--join-token"), "{status}");
    }
    // In the clear there is nobody.
    let plain = Endpoint::from_shared(format!("http://{}", master.grpc)).unwrap().connect_lazy();
    assert!(MasterServiceClient::new(plain).register_worker(info("w1")).await.is_err());
    worker.leaves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_registered_workers_takes_no_others_and_says_how_to_register_one() {
    let secured = Secured { registration: Registration::Preregistered, ..Secured::default() };
    let master = Asking::with(secured).await;
    let ran = master.refused("w1", &master.token()).await;
    assert_eq!(ran.code, 6, "{}", ran.err);
    assert!(ran.err.contains("cloudai worker register w1"), "{}", ran.err);
    let admission = Admission { worker: worker_id("w1"), address: None };
    master.handle.admit(&Principal::local(), admission).await.unwrap();
    let worker = master.worker("w1", &master.token()).await;
    master.active("w1").await;
    worker.leaves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_cluster_takes_workers_of_its_machine_that_say_so() {
    let master = Asking::with(Secured { registration: Registration::Open, ..Secured::default() }).await;
    let worker = master.worker("w1", "open").await;
    master.active("w1").await;
    master.runs_a_task().await;
    worker.leaves().await;
}
