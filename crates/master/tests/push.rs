//! A whole master calls workers that are the test itself: it brings commands to those that asked for it, and announces
//! itself to those that wait for it.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_core::timing::Timing;
use cloudai_master::Retention;
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::command::What;
use cloudai_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use std::net::SocketAddr;
use std::time::Duration;
use support::worker::{Client, client};
use support::{PATIENCE, Running, Switched, post};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

/// What a master called.
#[derive(Debug, Default)]
struct Call {
    name: &'static str,
    token: String,
    worker: String,
    session: u64,
    /// `start`, `stop` or `ping`, and the task.
    commands: Vec<(u64, &'static str, String)>,
    addresses: Vec<String>,
}

/// A worker's server.
struct Door {
    calls: mpsc::Sender<Call>,
    /// It never answers.
    hangs: bool,
}

impl Door {
    async fn note<T>(&self, request: Request<T>, read: impl FnOnce(T) -> Call) {
        let token = request.metadata().get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
        self.calls.send(Call { token, ..read(request.into_inner()) }).await.unwrap();
        if self.hangs {
            std::future::pending::<()>().await;
        }
    }
}

fn taken() -> Result<Response<pb::TaskAck>, Status> {
    Ok(Response::new(pb::TaskAck { success: true, message: String::new() }))
}

#[tonic::async_trait]
impl WorkerService for Door {
    async fn assign_task(&self, request: Request<pb::Task>) -> Result<Response<pb::TaskAck>, Status> {
        let read = |task: pb::Task| {
            let place = task.place.unwrap();
            let commands = vec![(place.seq, "start", task.task_id)];
            Call { name: "assign", worker: place.worker_id, session: place.session, commands, ..Call::default() }
        };
        self.note(request, read).await;
        taken()
    }

    async fn cancel_task(&self, request: Request<pb::TaskId>) -> Result<Response<pb::TaskAck>, Status> {
        let read = |stop: pb::TaskId| {
            let place = stop.place.unwrap();
            let commands = vec![(place.seq, "stop", stop.task_id)];
            Call { name: "cancel", worker: place.worker_id, session: place.session, commands, ..Call::default() }
        };
        self.note(request, read).await;
        taken()
    }

    async fn deliver_commands(&self, request: Request<pb::CommandBatch>) -> Result<Response<pb::TaskAck>, Status> {
        let read = |batch: pb::CommandBatch| {
            let command = |command: pb::Command| match command.what.unwrap() {
                What::Start(task) => (command.seq, "start", task.task_id),
                What::Stop(stop) => (command.seq, "stop", stop.task_id),
                What::Ping(_) => (command.seq, "ping", String::new()),
            };
            let commands = batch.commands.into_iter().map(command).collect();
            Call { name: "deliver", worker: batch.worker_id, session: batch.session, commands, ..Call::default() }
        };
        self.note(request, read).await;
        taken()
    }

    async fn announce_master(&self, request: Request<pb::Announcement>) -> Result<Response<pb::AnnounceAck>, Status> {
        let read = |told: pb::Announcement| Call {
            name: "announce",
            worker: told.worker_id,
            addresses: told.addresses,
            ..Call::default()
        };
        self.note(request, read).await;
        Ok(Response::new(pb::AnnounceAck { success: true, message: String::new() }))
    }
}

/// A worker that can be called.
struct Worker {
    address: SocketAddr,
    calls: mpsc::Receiver<Call>,
    server: AbortHandle,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Worker {
    async fn open(hangs: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::channel(10_000);
        let service = WorkerServiceServer::new(Door { calls: sender, hangs });
        let server = Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
        Self { address, calls, server: tokio::spawn(server).abort_handle() }
    }

    async fn next(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("it was not called").unwrap()
    }

    /// The starts of so many tasks, which come in order.
    async fn starts(&mut self, count: usize) -> Vec<String> {
        let (mut starts, mut last) = (Vec::new(), 0);
        while starts.len() < count {
            for (seq, what, task) in self.next().await.commands {
                assert_eq!(seq, last + 1, "nothing is left out and nothing comes twice");
                last = seq;
                starts.extend((what == "start").then_some(task));
            }
        }
        starts
    }
}

fn info(name: &str, address: String) -> pb::WorkerInfo {
    let mut info = pb::WorkerInfo {
        worker_id: name.into(),
        worker_ip: address,
        protocol: 1,
        cpu_milli: 64_000,
        memory_bytes: 64 << 30,
        storage_bytes: 640 << 30,
        ..pb::WorkerInfo::default()
    };
    info.set_delivery(pb::Delivery::Push);
    info
}

async fn register(client: &mut Client, name: &str, worker: &Worker) -> pb::RegisterAck {
    client.register_worker(info(name, worker.address.to_string())).await.unwrap().into_inner()
}

async fn submit(master: &Running, worker: &str, count: usize) {
    let task = format!(r#"{{"image":"busybox","worker_id":"{worker}"}}"#);
    let tasks = vec![task; count].join(",");
    assert_eq!(post(master, "/api/v1/tasks/batch", &format!(r#"{{"tasks":[{tasks}]}}"#)).await, 201);
}

#[tokio::test]
async fn commands_are_brought_in_order_each_that_comes_alone_by_its_name() {
    let master = Running::start().await;
    let mut client = client(&master).await;
    let mut worker = Worker::open(false).await;
    let ack = register(&mut client, "w1", &worker).await;
    assert!(ack.capabilities.iter().any(|capability| capability == "push"), "{ack:?}");

    submit(&master, "w1", 1).await;
    let call = worker.next().await;
    assert_eq!((call.name, call.worker.as_str(), call.session), ("assign", "w1", ack.session));
    assert_eq!(call.token, format!("Bearer {}", master.token));
    let (first, what, task) = call.commands[0].clone();
    assert_eq!((first, what), (1, "start"));
    assert_eq!(post(&master, &format!("/api/v1/tasks/{task}/cancel"), "{}").await / 100, 2);
    let call = worker.next().await;
    assert_eq!((call.name, call.commands), ("cancel", vec![(2, "stop", task)]));

    submit(&master, "w1", 40).await;
    let (mut last, mut starts, mut names) = (2, 0, Vec::new());
    while starts < 40 {
        let call = worker.next().await;
        for (seq, what, _) in &call.commands {
            assert_eq!((*seq, *what), (last + 1, "start"));
            last = *seq;
        }
        starts += call.commands.len();
        names.push(call.name);
    }
    assert!(names.contains(&"deliver"), "{names:?}");
    drop(worker);
    master.stop().await;
}

#[tokio::test]
async fn a_worker_that_never_answers_holds_no_other_up_nor_its_master() {
    let master = Running::start().await;
    let mut client = client(&master).await;
    let (mut hung, mut quick) = (Worker::open(true).await, Worker::open(false).await);
    register(&mut client, "hung", &hung).await;
    register(&mut client, "quick", &quick).await;
    submit(&master, "hung", 5).await;
    assert!(!hung.next().await.commands.is_empty());
    submit(&master, "quick", 30).await;
    assert_eq!(quick.starts(30).await.len(), 30);
    assert!(hung.calls.try_recv().is_err(), "one call at a time");
    master.stop().await;
}

#[tokio::test]
async fn a_worker_is_called_where_an_operator_said_when_its_own_word_leads_nowhere() {
    let master = Running::start().await;
    let mut client = client(&master).await;
    let mut worker = Worker::open(false).await;
    let nowhere = info("w1", String::new());
    let refused = client.register_worker(nowhere.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("cloudai worker register"), "{refused}");

    for bad in ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:7/x", "me@127.0.0.1:7", "a b:7"] {
        let refused = client.register_worker(info("w1", bad.into())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad}");
        assert!(refused.message().contains("worker_ip") && refused.message().contains("ip:port"), "{refused}");
    }

    let named = format!(r#"{{"id":"w1","address":"{}"}}"#, worker.address);
    assert_eq!(post(&master, "/api/v1/workers", &named).await, 201);
    assert_eq!(worker.next().await.name, "announce");
    // Nobody listens there any more.
    let gone = Worker::open(false).await.address;
    for told in [info("w1", gone.to_string()), nowhere] {
        let session = client.register_worker(told).await.unwrap().into_inner().session;
        submit(&master, "w1", 3).await;
        while worker.next().await.session != session {}
    }
    master.stop().await;
}

#[tokio::test]
async fn a_master_announces_itself_until_the_worker_is_there_and_so_does_the_next_one() {
    let timing = Timing { heartbeat: Duration::from_millis(100), ..Timing::default() };
    let master = Running::over(Switched::default(), timing, Retention::default()).await;
    let mut worker = Worker::open(false).await;
    let named = format!(r#"{{"id":"w4","address":"{}"}}"#, worker.address);
    assert_eq!(post(&master, "/api/v1/workers", &named).await, 201);
    for _ in 0..2 {
        let call = worker.next().await;
        assert_eq!((call.name, call.worker.as_str()), ("announce", "w4"));
        assert_eq!(call.addresses, [master.grpc.to_string()]);
        assert_eq!(call.token, format!("Bearer {}", master.token));
    }
    register(&mut client(&master).await, "w4", &worker).await;
    submit(&master, "w4", 1).await;
    while worker.next().await.name == "announce" {}

    let before = master.grpc;
    let master = master.next(timing).await;
    assert_ne!(master.grpc, before);
    loop {
        let call = worker.next().await;
        if call.addresses == [master.grpc.to_string()] {
            break;
        }
    }
    // It comes, and is called no more.
    register(&mut client(&master).await, "w4", &worker).await;
    master.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_elsewhere_now_is_called_no_more_where_it_was() {
    let master = Running::start().await;
    let (mut worker, mut other) = (Worker::open(false).await, Worker::open(false).await);
    let named = |name: &str, address: SocketAddr| format!(r#"{{"id":"{name}","address":"{address}"}}"#);
    assert_eq!(post(&master, "/api/v1/workers", &named("w4", worker.address)).await, 201);
    assert_eq!(worker.next().await.worker, "w4");
    assert_eq!(post(&master, "/api/v1/workers", &named("w4", other.address)).await, 200);
    assert_eq!(post(&master, "/api/v1/workers", &named("w5", worker.address)).await, 201);
    assert_eq!(other.next().await.worker, "w4");
    for _ in 0..3 {
        assert_eq!(worker.next().await.worker, "w5");
    }
    master.stop().await;
}
