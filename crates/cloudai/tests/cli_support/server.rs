//! A master that is acted by the test: one request per connection, answers by a closure.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// What the command line asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) key: Option<String>,
    /// What stands behind `Bearer`.
    pub(crate) token: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// `GET /api/v1/x`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it is answered.
pub(crate) enum Reply {
    Json(u16, Value),
    Bytes(Vec<u8>),
    /// JSON lines; when cut, the connection breaks after the last.
    Lines {
        lines: Vec<Value>,
        cut: bool,
    },
    /// The connection is closed without a word.
    Hang,
}

pub(crate) struct Server {
    addr: String,
    seen: Arc<Mutex<Vec<Request>>>,
    dir: tempfile::TempDir,
}

impl Server {
    /// Answers every request by `answer`, which is told how many came before with the same line.
    pub(crate) fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else { continue };
                let before = log.lock().unwrap().iter().filter(|seen| seen.line() == request.line()).count();
                log.lock().unwrap().push(request.clone());
                // A client that went away is what some tests are about.
                let _ = write(&mut stream, answer(&request, before));
            }
        });
        Self { addr, seen, dir: tempfile::tempdir().unwrap() }
    }

    /// A master that has one answer for everything.
    pub(crate) fn always(status: u16, body: Value) -> Self {
        Self::start(move |_, _| Reply::Json(status, body.clone()))
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests of one line.
    pub(crate) fn asked(&self, line: &str) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.line() == line).collect()
    }

    /// Where it is.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// The folder in which commands run.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs the real binary against this master; words are split at spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// The same where words have spaces.
    pub(crate) fn words(&self, words: &[&str]) -> Ran {
        run_in(self.dir(), &[("CLOUDAI_ADDR", &self.addr)], words)
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the real binary in a folder, with nothing but these variables.
pub(crate) fn run_in(dir: &Path, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    run_fed(dir, variables, words, "")
}

/// The same with something on its standard input.
pub(crate) fn run_fed(dir: &Path, variables: &[(&str, &str)], words: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudai"));
    command.args(words).current_dir(dir).env_clear().env("CLOUDAI_CONFIG_DIR", dir.join("contexts"));
    command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() }).spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read everything is no failure.
        let _ = stdin.write_all(input.as_bytes());
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let (mut length, mut key, mut token) = (0, None, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "idempotency-key" => key = Some(value.to_owned()),
            "authorization" => token = value.strip_prefix("Bearer ").map(ToOwned::to_owned),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, query, key, token, body })
}

fn write(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Json(status, body) => whole(stream, status, body.to_string().as_bytes()),
        Reply::Bytes(body) => whole(stream, 200, &body),
        Reply::Hang => Ok(()),
        Reply::Lines { lines, cut } => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for line in lines {
                let text = format!("{line}\n");
                write!(stream, "{:x}\r\n{text}\r\n", text.len())?;
            }
            if cut { Ok(()) } else { write!(stream, "0\r\n\r\n") }
        }
    }
}

fn whole(stream: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

/// The id of the task that tests are about; lists show `7K3M9QZD`.
pub(crate) const ID: &str = "task-01JD000000000000007K3M9QZD";

/// A task as the API answers it, with some fields of its own.
pub(crate) fn task(fields: Value) -> Value {
    let mut task = json!({
        "id": ID, "name": null, "image": "busybox", "user_id": "local", "job_id": null, "status": "queued",
        "phase": "waiting_capacity", "reason": null, "message": "waits for a place", "attempt": 0,
        "exit_code": null, "oom_killed": false, "dead": false, "retry_of": null, "warnings": [], "worker_id": null, "priority": 0,
        "resources": {"cpu_cores": 1.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0}, "labels": {},
        "created_at": "2026-01-01T00:00:00.000Z", "started_at": null, "finished_at": null, "version": 1,
        "attempts": []
    });
    merge(&mut task, fields);
    task
}

/// A task that ended.
pub(crate) fn ended(status: &str, reason: Option<&str>, code: Option<i32>) -> Value {
    task(json!({
        "status": status, "phase": null, "reason": reason, "exit_code": code, "attempt": 1, "message": "it ended",
        "started_at": "2026-01-01T00:00:01.000Z", "finished_at": "2026-01-01T00:00:42.000Z", "worker_id": "w1"
    }))
}

/// The id of the job that tests are about.
pub(crate) const JOB: &str = "job-01JD000000000000007K3M9QZD";

/// A job as the API answers it, with some fields of its own.
pub(crate) fn job(fields: Value) -> Value {
    let mut job = json!({
        "id": JOB, "name": "nightly", "user_id": "local", "status": "running", "message": "", "tasks": 22, "groups": 3,
        "counts": {"queued": 4, "pending": 0, "running": 6, "completed": 12, "failed": 0, "cancelled": 0},
        "max_fails": null, "retry_of": null, "held_by": null, "created_at": "2026-01-01T00:00:00.000Z",
        "started_at": "2026-01-01T00:00:01.000Z", "finished_at": null, "version": 1
    });
    merge(&mut job, fields);
    job
}

/// A worker as the API answers it.
pub(crate) fn worker(id: &str) -> Value {
    let amounts = json!({"cpu_cores": 4.0, "memory_gb": 8.0, "storage_gb": 100.0, "gpu_cores": 0.0});
    json!({
        "id": id, "status": "active", "address": "10.0.0.1:50052", "capacity": amounts, "allocated": amounts,
        "available": amounts, "gpus": [], "tasks": 1, "labels": {}, "version": "0.1.0", "executor": "docker",
        "engine": "docker 27", "last_seen": "2026-01-01T00:00:00.000Z", "registered_at": "2026-01-01T00:00:00.000Z"
    })
}

/// A list as the API answers it.
pub(crate) fn list(items: Vec<Value>) -> Value {
    json!({ "items": items })
}

/// A problem as the API answers it.
pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Reply {
    let next = "the next command";
    let body = json!({
        "type": "about:blank", "title": "X", "status": status, "code": code, "detail": detail, "next": next
    });
    Reply::Json(status, body)
}

fn merge(into: &mut Value, fields: Value) {
    for (name, value) in fields.as_object().unwrap() {
        into[name] = value.clone();
    }
}
