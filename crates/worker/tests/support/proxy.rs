//! Stands between an executor and the engine and plays tricks on single calls.

use cloudai_worker::executor::docker::DockerOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What is done to the engine's answers.
#[derive(Clone)]
pub enum Trick {
    /// The first start is carried out and answered with 500.
    StartAnswers500,
    /// The first log stream breaks off after so many bytes.
    CutLogs(usize),
    /// Pulls are answered here: half of the bytes, then, when released, an error.
    FailingPull(Arc<Semaphore>),
    /// Every wait call is cut off at once, and the container's own inspection is left alone.
    CutWaits,
}

pub struct Proxy {
    dir: TempDir,
    pub seen: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub fn start(trick: Trick) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("engine.sock")).unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(listener, trick, seen.clone()));
        Self { dir, seen, task }
    }

    pub fn options(&self) -> DockerOptions {
        let address = format!("unix://{}", self.dir.path().join("engine.sock").display());
        DockerOptions { address, patience: Duration::from_secs(20), ..DockerOptions::default() }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: UnixListener, trick: Trick, seen: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, trick.clone(), seen.clone()));
    }
}

async fn connection(mut client: UnixStream, trick: Trick, seen: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let counts = match &trick {
        Trick::StartAnswers500 => line.contains("/start"),
        Trick::CutLogs(_) => line.contains("/logs?") && line.contains("tail=all"),
        Trick::FailingPull(_) => line.contains("/images/create"),
        Trick::CutWaits => line.contains("/wait"),
    };
    let count = if counts { seen.fetch_add(1, Ordering::SeqCst) } else { 0 };
    if let (true, Trick::FailingPull(gate)) = (counts, &trick) {
        return failing_pull(client, gate).await;
    }
    let mut engine = UnixStream::connect(engine_socket()).await?;
    engine.write_all(&head).await?;
    match trick {
        Trick::StartAnswers500 if counts && count == 0 => {
            engine.read_buf(&mut Vec::with_capacity(4096)).await?;
            let body = r#"{"message":"context canceled"}"#;
            let head = format!("HTTP/1.1 500 Internal Server Error\r\nContent-Length: {}\r\n\r\n", body.len());
            client.write_all((head + body).as_bytes()).await
        }
        Trick::CutLogs(after) if counts && count == 0 => {
            let mut some = engine.take(after as u64);
            tokio::io::copy(&mut some, &mut client).await.map(drop)
        }
        Trick::CutWaits if counts => Ok(()),
        _ => copy_bidirectional(&mut client, &mut engine).await.map(drop),
    }
}

async fn failing_pull(mut client: UnixStream, gate: &Semaphore) -> std::io::Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n").await?;
    let half = r#"{"status":"Downloading","progressDetail":{"current":50,"total":100},"id":"layer"}"#;
    client.write_all(format!("{half}\r\n").as_bytes()).await?;
    gate.acquire().await.unwrap().forget();
    let error = r#"{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}"#;
    client.write_all(format!("{error}\r\n").as_bytes()).await
}

fn engine_socket() -> PathBuf {
    let address = DockerOptions::from_env().address;
    address.strip_prefix("unix://").expect("these tests stand before a unix socket").into()
}
