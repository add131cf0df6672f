//! An S3 server of a test's own, on a port of this machine: it can be away, and hold requests until the test goes on.

#![allow(dead_code, unreachable_pub, reason = "each test binary is a crate that uses a part of it")]

use cloudai_store::bulk::s3::{S3Keys, S3Settings};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The only bucket.
pub const BUCKET: &str = "cloudai-tests";
/// Who may use it.
pub const KEY: &str = "AKEXAMPLE";
/// The secret of that key.
pub const SECRET: &str = "the secret of the tests";

/// A server with one bucket; its objects are files.
#[derive(Debug)]
pub struct S3Server {
    dir: tempfile::TempDir,
    address: SocketAddr,
    gate: Arc<Gate>,
    runtime: Option<Runtime>,
}

/// Requests that wait.
#[derive(Debug)]
struct Gate {
    /// What their method and address have in them, as `PUT`, `partNumber=2`; others are not counted and do not wait.
    meant: Mutex<Option<(&'static str, &'static str)>>,
    open: watch::Sender<bool>,
    /// How many came to it.
    came: watch::Sender<usize>,
}

impl S3Server {
    /// A server on a free port.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let gate =
            Arc::new(Gate { meant: Mutex::default(), open: watch::Sender::new(true), came: watch::Sender::new(0) });
        let mut server = Self { dir, address: SocketAddr::from(([127, 0, 0, 1], 0)), gate, runtime: None };
        server.again();
        server
    }

    /// Is there again, at the same port.
    pub fn again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(self.dir.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        runtime.spawn(serve(listener, builder.build(), Arc::clone(&self.gate)));
        self.runtime = Some(runtime);
    }

    /// Goes away, with all of its connections.
    pub fn away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Has requests wait that have this method and this in their address.
    pub fn hold(&self, method: &'static str, within: &'static str) {
        self.gate.came.send_replace(0);
        *self.gate.meant.lock().unwrap() = Some((method, within));
        self.gate.open.send_replace(false);
    }

    /// Waits until such a request has come.
    pub async fn held(&self) {
        self.gate.came.subscribe().wait_for(|came| *came > 0).await.unwrap();
    }

    /// How many such requests came since.
    pub fn came(&self) -> usize {
        *self.gate.came.borrow()
    }

    /// Lets them go on.
    pub fn release(&self) {
        self.gate.open.send_replace(true);
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How a master uses it, below a prefix.
    pub fn settings(&self, prefix: &str) -> S3Settings {
        let keys = S3Keys { id: KEY.into(), secret: SECRET.into(), session: None };
        let server = cloudai_store::bulk::s3::S3Server {
            endpoint: Some(self.endpoint()),
            region: "us-east-1".into(),
            allow_http: true,
            keys: Some(keys),
            presign: std::time::Duration::from_secs(60),
        };
        S3Settings { address: format!("s3://{BUCKET}/{prefix}").parse().unwrap(), server }
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, data: &[u8]) {
        let path = self.dir.path().join(BUCKET).join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    /// The names of all objects, sorted.
    pub fn objects(&self) -> Vec<String> {
        let root = self.dir.path().join(BUCKET);
        let mut found = Vec::new();
        walk(&root, &mut found);
        let name = |path: PathBuf| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let mut names: Vec<_> = found.into_iter().map(name).collect();
        names.sort_unstable();
        names
    }

    /// The names of contents, by their hashes.
    pub fn contents(&self) -> Vec<String> {
        let last = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
        self.objects().iter().filter(|name| name.contains("blobs/")).map(last).collect()
    }

    /// The file of an object.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(BUCKET).join(name)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.away();
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

async fn serve(listener: std::net::TcpListener, service: S3Service, gate: Arc<Gate>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (service, gate) = (service.clone(), Arc::clone(&gate));
        let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (service, gate) = (service.clone(), Arc::clone(&gate));
            async move {
                gate.pass(request.method().as_str(), &request.uri().to_string()).await;
                service.call(request.map(s3s::Body::from)).await
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

impl Gate {
    async fn pass(&self, method: &str, address: &str) {
        let meant = self.meant.lock().unwrap().is_some_and(|(verb, within)| verb == method && address.contains(within));
        if meant {
            self.came.send_modify(|came| *came += 1);
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
        }
    }
}
