//! The standard doors of a whole master: gRPC health and reflection, readiness, live telemetry.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_proto::v1 as pb;
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use cloudai_proto::v1::master_service_server::SERVICE_NAME;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use support::{PATIENCE, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha;

async fn channel(master: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", master.grpc)).unwrap().connect().await.unwrap()
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let message = timeout(PATIENCE, watch.message()).await.expect("nothing is told");
    message.unwrap().map(|answer| answer.status())
}

/// Submits a task; the status of the answer.
async fn submit(master: &Running) -> u16 {
    ask(master, "POST /api/v1/tasks", "Content-Type: application/json\r\n", r#"{"image":"busybox"}"#).await.0
}

async fn ask(master: &Running, call: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(master.http).await.unwrap();
    let (host, length) = (master.http, body.len());
    let head =
        format!("{call} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("no answer").unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn health_is_served_to_who_has_no_token_and_follows_the_store_and_the_stop() {
    let master = Running::start().await;
    let mut health = HealthClient::new(channel(&master).await);
    for service in ["", SERVICE_NAME] {
        let answer = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(health.check(of("cloudai.v1.Nothing")).await.unwrap_err().code(), Code::NotFound);
    let mut watch = health.watch(of(SERVICE_NAME)).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));

    master.store.set_away(true);
    let submission = async { submit(&master).await };
    let away = async { next(&mut watch).await };
    let submission = async {
        let (status, told) = tokio::join!(submission, async {
            let told = away.await;
            let (status, body) = ask(&master, "GET /readyz", "", "").await;
            assert!(status == 503 && body.contains("switched off"), "{status} {body}");
            master.store.set_away(false);
            told
        });
        (status, told)
    };
    let (status, told) = submission.await;
    assert_eq!(told, Some(ServingStatus::NotServing), "the store takes no commits");
    assert_eq!(status, 201, "the submission was kept until the store came back");
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    assert_eq!(ask(&master, "GET /readyz", "", "").await, (200, "ready\n".into()));

    // Whoever watches hears of the stop, and holds it no longer than that.
    master.stop.cancel();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut watch).await, None, "the stream ends by itself");
    master.ended().await;
}

#[tokio::test]
async fn reflection_tells_the_schema_to_who_has_no_token_and_nothing_else_opens() {
    let master = Running::start().await;
    let channel = channel(&master).await;
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let mut asked = async |question: MessageRequest| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let answers = reflection.server_reflection_info(futures::stream::iter([request])).await.unwrap();
        let mut answers = answers.into_inner();
        let ServerReflectionResponse { message_response, .. } = answers.message().await.unwrap().unwrap();
        message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) = asked(MessageRequest::ListServices(String::new())).await else {
        panic!("no list of services")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in [SERVICE_NAME, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let symbol = MessageRequest::FileContainingSymbol(SERVICE_NAME.into());
    let MessageResponse::FileDescriptorResponse(file) = asked(symbol).await else { panic!("no file") };
    let file = file.file_descriptor_proto.concat();
    for word in ["RegisterWorker", "SendHeartbeat", "cloudai/v1/master_worker.proto"] {
        assert!(file.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
    }
    // Older clients ask under the first name.
    let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let answers = older.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    assert!(answers.into_inner().message().await.unwrap().is_some());
    // What workers call stays shut.
    let refused = MasterServiceClient::new(channel).send_heartbeat(pb::Heartbeat::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    master.stop().await;
}

/// A worker that only registers and tells that it is there.
struct Worker {
    client: MasterServiceClient<Channel>,
    token: String,
    session: u64,
}

impl Worker {
    async fn register(master: &Running) -> Self {
        let (client, token) = (MasterServiceClient::new(channel(master).await), master.token.clone());
        let mut worker = Self { client, token, session: 0 };
        let info = pb::WorkerInfo {
            worker_id: "w1".into(),
            protocol: 1,
            cpu_milli: 1000,
            memory_bytes: 1 << 30,
            storage_bytes: 1 << 30,
            instance: "one".into(),
            ..Default::default()
        };
        let request = worker.with_token(info);
        worker.session = worker.client.register_worker(request).await.unwrap().into_inner().session;
        worker
    }

    fn with_token<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token: MetadataValue<_> = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        request
    }

    async fn beat(&mut self, cpu_usage: f64) {
        let beat = pb::Heartbeat { worker_id: "w1".into(), session: self.session, cpu_usage, ..Default::default() };
        let ack = self.client.send_heartbeat(self.with_token(beat)).await.unwrap().into_inner();
        assert!(ack.success, "{ack:?}");
    }
}

#[tokio::test]
async fn a_heartbeat_over_grpc_reaches_both_websockets_and_a_stop_closes_them() {
    let master = Running::start().await;
    let mut worker = Worker::register(&master).await;
    let url = format!("ws://{}/ws/telemetry", master.http);
    let (mut all, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let (mut one, _) = tokio_tungstenite::connect_async(format!("{url}/w1")).await.unwrap();
    // A pong says that the master listens to this client.
    for socket in [&mut all, &mut one] {
        socket.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
        let pong = timeout(PATIENCE, socket.next()).await.expect("no pong").unwrap().unwrap();
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"?")));
    }
    worker.beat(43.0).await;
    let told = timeout(PATIENCE, all.next()).await.expect("nothing is told").unwrap().unwrap();
    let told: Value = serde_json::from_str(told.to_text().unwrap()).unwrap();
    assert_eq!((&told["w1"]["worker_id"], &told["w1"]["cpu_usage"]), (&"w1".into(), &43.0.into()));
    let same = timeout(PATIENCE, one.next()).await.expect("nothing is told").unwrap().unwrap();
    let same: Value = serde_json::from_str(same.to_text().unwrap()).unwrap();
    assert_eq!(same["cpu_usage"], 43.0);
    let keys: Vec<_> = same.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["cpu_usage", "gpu_usage", "is_active", "last_update", "memory_usage", "running_tasks", "worker_id"];
    assert_eq!(keys, expected, "the reference's fields and no other");

    master.stop.cancel();
    for socket in [&mut all, &mut one] {
        let goodbye = timeout(PATIENCE, socket.next()).await.expect("no goodbye").unwrap().unwrap();
        let Message::Close(Some(frame)) = goodbye else { panic!("{goodbye:?}") };
        assert_eq!(frame.code, CloseCode::Away);
    }
    master.ended().await;
}
