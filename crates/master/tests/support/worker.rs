//! A worker that is the test itself: it calls a master as workers do.

use super::{PATIENCE, Running};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::agent_service_client::AgentServiceClient;
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub(crate) type Client = MasterServiceClient<InterceptedService<Channel, Token>>;

#[derive(Clone)]
pub(crate) struct Token(String);

impl Interceptor for Token {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        let bearer: MetadataValue<_> = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

pub(crate) async fn client(master: &Running) -> Client {
    let channel = Channel::from_shared(format!("http://{}", master.grpc)).unwrap().connect().await.unwrap();
    MasterServiceClient::with_interceptor(channel, Token(master.token.clone()))
}

/// A scheduler from outside.
pub(crate) type Agent = AgentServiceClient<InterceptedService<Channel, Token>>;

pub(crate) async fn agent(master: &Running) -> Agent {
    let channel = Channel::from_shared(format!("http://{}", master.grpc)).unwrap().connect().await.unwrap();
    AgentServiceClient::with_interceptor(channel, Token(master.token.clone()))
}

/// Registers a worker with room for every task of a test; answers session and incarnation.
pub(crate) async fn register(client: &mut Client) -> pb::RegisterAck {
    let info = pb::WorkerInfo {
        worker_id: "w1".into(),
        protocol: 1,
        cpu_milli: 64_000,
        memory_bytes: 64 << 30,
        storage_bytes: 64 << 30,
        ..pb::WorkerInfo::default()
    };
    client.register_worker(info).await.unwrap().into_inner()
}

/// Submits tasks and waits until each was sent to the worker.
pub(crate) async fn placed(master: &Running, client: &mut Client, session: u64, count: usize) -> Vec<String> {
    placed_as(master, client, session, &vec![r#"{"image":"busybox"}"#; count]).await
}

/// The same with these documents.
pub(crate) async fn placed_as(master: &Running, client: &mut Client, session: u64, tasks: &[&str]) -> Vec<String> {
    let request = pb::SubscribeRequest { worker_id: "w1".into(), session };
    let mut commands = client.subscribe(request).await.unwrap().into_inner();
    let (count, tasks) = (tasks.len(), tasks.join(","));
    assert_eq!(super::post(master, "/api/v1/tasks/batch", &format!(r#"{{"tasks":[{tasks}]}}"#)).await, 201);
    let mut ids = Vec::new();
    while ids.len() < count {
        let batch = timeout(PATIENCE, commands.message()).await.expect("no command").unwrap().unwrap();
        ids.extend(batch.commands.into_iter().filter_map(|command| match command.what {
            Some(pb::command::What::Start(task)) => Some(task.task_id),
            Some(pb::command::What::Stop(_) | pb::command::What::Ping(_)) | None => None,
        }));
    }
    ids
}
