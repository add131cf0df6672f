//! A scheduler from outside: it watches a whole master, proposes, and can break nothing.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_core::ids::TaskId;
use cloudai_core::state::Status;
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::Refusal;
use cloudai_proto::v1::agent_service_client::AgentServiceClient;
use cloudai_store::Store;
use std::collections::BTreeMap;
use std::time::Duration;
use support::worker::{Agent, agent, client, placed, register};
use support::{PATIENCE, Running, post};
use tokio::time::timeout;
use tonic::{Code, Streaming};

/// Longer than any test: the fallback never places.
const NEVER: Duration = Duration::from_secs(3600);

/// What an agent knows.
struct Mirror {
    updates: Streaming<pb::ClusterUpdate>,
    version: u64,
    waiting: BTreeMap<String, pb::WaitingTask>,
    placed: BTreeMap<String, pb::PlacedTask>,
    workers: BTreeMap<String, pb::ClusterWorker>,
}

impl Mirror {
    async fn of(agent: &mut Agent) -> Self {
        let updates = agent.watch_cluster(pb::WatchRequest { agent: "test".into() }).await.unwrap().into_inner();
        let (waiting, placed, workers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut mirror = Self { updates, version: 0, waiting, placed, workers };
        assert!(mirror.next().await.snapshot);
        mirror
    }

    async fn next(&mut self) -> pb::ClusterUpdate {
        let update = timeout(PATIENCE, self.updates.message()).await.expect("no update").unwrap().unwrap();
        assert!(update.snapshot || update.version > self.version, "versions grow");
        self.version = update.version;
        for worker in &update.workers {
            self.workers.insert(worker.worker_id.clone(), worker.clone());
        }
        let gone = update.gone_tasks.iter();
        let moved =
            update.waiting.iter().map(|task| &task.task_id).chain(update.placed.iter().map(|task| &task.task_id));
        for id in gone.chain(moved) {
            self.waiting.remove(id);
            self.placed.remove(id);
        }
        self.waiting.extend(update.waiting.iter().map(|task| (task.task_id.clone(), task.clone())));
        self.placed.extend(update.placed.iter().map(|task| (task.task_id.clone(), task.clone())));
        update
    }

    async fn until(&mut self, mut is_so: impl FnMut(&Self) -> bool) {
        while !is_so(self) {
            self.next().await;
        }
    }
}

async fn propose(agent: &mut Agent, proposals: Vec<pb::Proposal>) -> Vec<(bool, Refusal)> {
    let answer = agent.propose_placements(pb::Proposals { proposals }).await.unwrap().into_inner();
    let told = |result: &pb::ProposalResult| {
        assert_eq!(result.accepted, result.message.is_empty(), "{result:?}");
        (result.accepted, result.refusal())
    };
    answer.results.iter().map(told).collect()
}

fn proposal(task: &str, attempt: u32, worker: &str) -> pb::Proposal {
    pb::Proposal { task_id: task.into(), attempt, worker_id: worker.into() }
}

async fn submit(master: &Running, task: &str) {
    assert_eq!(post(master, "/api/v1/tasks", task).await, 201);
}

#[tokio::test]
async fn an_agent_sees_everything_and_what_it_proposes_is_placed() {
    let master = Running::external(NEVER).await;
    let (mut worker, mut agent) = (client(&master).await, agent(&master).await);
    register(&mut worker).await;
    submit(&master, r#"{"image":"busybox","cpu_cores":2,"priority":7}"#).await;
    let mut mirror = Mirror::of(&mut agent).await;
    mirror.until(|mirror| mirror.waiting.len() == 1 && mirror.workers.len() == 1).await;
    let task = mirror.waiting.first_entry().unwrap().get().clone();
    let shape = (task.attempt, task.priority, task.image.as_str(), task.owner.as_str(), task.pinned_to.as_str());
    assert_eq!(shape, (1, 7, "busybox", "local", ""));
    assert_eq!(task.demand.unwrap().cpu_milli, 2000);
    let free = |mirror: &Mirror| mirror.workers["w1"].free.unwrap().cpu_milli;
    assert!(mirror.workers["w1"].takes_work);
    assert_eq!(free(&mirror), 64_000);

    assert_eq!(propose(&mut agent, vec![proposal(&task.task_id, 1, "w1")]).await, [(true, Refusal::Unspecified)]);
    mirror.until(|mirror| mirror.placed.len() == 1).await;
    let placed = &mirror.placed[&task.task_id];
    assert_eq!((placed.attempt, placed.worker_id.as_str(), free(&mirror)), (1, "w1", 62_000));
    assert_eq!(placed.allocation.clone().unwrap().cpu_milli, 2000);
    let stored = master.store.task(task.task_id.parse::<TaskId>().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.status(), Status::Pending, "what is accepted is on disk");

    // A stop ends the stream with a word of its own.
    master.stop.cancel();
    let end = loop {
        match timeout(PATIENCE, mirror.updates.message()).await.expect("no end") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    drop((worker, agent, mirror));
    master.ended().await;
}

#[tokio::test]
async fn a_hostile_agent_changes_nothing_and_is_told_why() {
    let master = Running::external(NEVER).await;
    let (mut worker, mut agent) = (client(&master).await, agent(&master).await);
    register(&mut worker).await;
    for task in [r#"{"image":"a","cpu_cores":64}"#, r#"{"image":"b","memory_gb":64}"#, r#"{"image":"c"}"#] {
        submit(&master, task).await;
    }
    let mut mirror = Mirror::of(&mut agent).await;
    mirror.until(|mirror| mirror.waiting.len() == 3 && mirror.workers.len() == 1).await;
    let id = |mirror: &Mirror, image: &str| {
        mirror.waiting.values().find(|task| task.image == image).unwrap().task_id.clone()
    };
    let (all, large, small) = (id(&mirror, "a"), id(&mirror, "b"), id(&mirror, "c"));
    assert_eq!(propose(&mut agent, vec![proposal(&all, 1, "w1")]).await, [(true, Refusal::Unspecified)]);
    mirror.until(|mirror| mirror.placed.len() == 1).await;

    let nobody = TaskId::new(1).to_string();
    let lies = [
        (proposal(&all, 1, "w1"), Refusal::Stale),
        (proposal(&small, 2, "w1"), Refusal::Stale),
        (proposal(&large, 1, "w1"), Refusal::Lack),
        (proposal(&large, 1, "w1"), Refusal::Invalid),
        (proposal(&nobody, 1, "w1"), Refusal::UnknownTask),
        (proposal("no id", 1, "w1"), Refusal::Invalid),
        (proposal(&TaskId::new(2).to_string(), 0, "w1"), Refusal::Invalid),
        (proposal(&TaskId::new(3).to_string(), 1, "no name"), Refusal::Invalid),
    ];
    let results = propose(&mut agent, lies.iter().map(|(lie, _)| lie.clone()).collect()).await;
    for ((lie, expected), result) in lies.iter().zip(results) {
        assert_eq!(result, (false, *expected), "{lie:?}");
    }
    let unknown = propose(&mut agent, vec![proposal(&small, 1, "w9")]).await;
    assert_eq!(unknown, [(false, Refusal::UnknownWorker)]);
    let flood = pb::Proposals { proposals: vec![proposal(&small, 1, "w1"); 513] };
    assert_eq!(agent.propose_placements(flood).await.unwrap_err().code(), Code::InvalidArgument);
    let huge = pb::Proposals { proposals: vec![proposal(&"x".repeat(2 << 20), 1, "w1")] };
    assert_eq!(agent.propose_placements(huge).await.unwrap_err().code(), Code::OutOfRange);

    let mut fresh = Mirror::of(&mut agent).await;
    fresh.until(|mirror| !mirror.workers.is_empty()).await;
    assert_eq!((fresh.waiting.len(), fresh.placed.len()), (2, 1), "all is as it was");
    assert_eq!(fresh.version, mirror.version, "not one row was written");
    drop((worker, agent, mirror, fresh));
    master.stop().await;
}

#[tokio::test]
async fn who_has_no_token_or_comes_while_another_strategy_places_is_turned_away() {
    let master = Running::start().await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", master.grpc)).unwrap();
    let mut stranger = AgentServiceClient::new(channel.connect().await.unwrap());
    let watch = stranger.watch_cluster(pb::WatchRequest::default()).await;
    assert_eq!(watch.unwrap_err().code(), Code::Unauthenticated);
    let proposals = stranger.propose_placements(pb::Proposals::default()).await;
    assert_eq!(proposals.unwrap_err().code(), Code::Unauthenticated);

    let mut agent = agent(&master).await;
    let refused = agent.propose_placements(pb::Proposals::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("the strategy is greedy"), "{refused}");
    Mirror::of(&mut agent).await;
    drop((stranger, agent));
    master.stop().await;
}

#[tokio::test]
async fn the_fallback_places_while_nobody_proposes() {
    let master = Running::external(Duration::from_millis(100)).await;
    let mut worker = client(&master).await;
    let ack = register(&mut worker).await;
    assert_eq!(placed(&master, &mut worker, ack.session, 3).await.len(), 3);
    drop(worker);
    master.stop().await;
}
