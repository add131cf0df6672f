//! What an external agent calls. Its proposals are checked here as far as they are words, and by the
//! engine as all proposals are.

use super::view;
use crate::handle::Handle;
use crate::handle::propose::ProposeError;
use crate::mailbox::AskError;
use crate::model::Model;
use crate::principal::Principal;
use crate::watching::Watch;
use cloudai_core::event::{Placement, PlacementRefusal};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::need::Need;
use cloudai_core::strategy::ROUND;
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::agent_service_server::AgentService;
use futures::stream::{BoxStream, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use tonic::{Request, Response, Status};
use tracing::info;

/// The longest name of an agent that the log has, in characters.
const MAX_NAME: usize = 100;

/// The service, one for all agents.
#[derive(Debug)]
pub(super) struct AgentApi {
    handle: Handle,
}

impl AgentApi {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl AgentService for AgentApi {
    type WatchClusterStream = BoxStream<'static, Result<pb::ClusterUpdate, Status>>;

    async fn watch_cluster(
        &self,
        request: Request<pb::WatchRequest>,
    ) -> Result<Response<Self::WatchClusterStream>, Status> {
        let who = caller(&request)?;
        let watch = self.handle.watch(&who).await.map_err(status)?;
        let agent: String = request.into_inner().agent.chars().take(MAX_NAME).collect();
        info!(agent, version = watch.first.version, "external agent began to watch");
        Ok(Response::new(updates(watch, self.handle.clone())))
    }

    async fn propose_placements(
        &self,
        request: Request<pb::Proposals>,
    ) -> Result<Response<pb::ProposalResults>, Status> {
        let who = caller(&request)?;
        let proposals = request.into_inner().proposals;
        if proposals.len() > ROUND {
            let given = proposals.len();
            return Err(Status::invalid_argument(format!("{given} proposals in one call: at most {ROUND} are taken")));
        }
        let read = read(&proposals);
        let placements: Vec<_> = read.iter().filter_map(|placement| placement.clone().ok()).collect();
        if placements.is_empty() && !proposals.is_empty() {
            // Nothing that could be heard: it is neither a proposal nor the wish to wait.
            return Ok(Response::new(results(read, BTreeMap::new(), &self.handle.shared.model)));
        }
        let refused = self.handle.propose(&who, placements).await.map_err(|error| match error {
            ProposeError::NotExternal(_) => Status::failed_precondition(error.to_string()),
            ProposeError::Ask(error) => status(error),
        })?;
        let refused = refused.into_iter().map(|(placement, why)| (placement.attempt.task, why)).collect();
        Ok(Response::new(results(read, refused, &self.handle.shared.model)))
    }
}

/// Who calls: the interceptor has let nobody else in.
fn caller<T>(request: &Request<T>) -> Result<Principal, Status> {
    let who = request.extensions().get::<Principal>().cloned();
    who.filter(Principal::may_place).ok_or_else(|| Status::unauthenticated("the call does not say who asks"))
}

fn updates(watch: Watch, handle: Handle) -> BoxStream<'static, Result<pb::ClusterUpdate, Status>> {
    let Watch { first, mut updates } = watch;
    async_stream::stream! {
        for message in view::messages(&first) {
            yield Ok(message);
        }
        drop(first);
        loop {
            let Some(next) = handle.shared.stopping.run_until_cancelled(updates.recv()).await else {
                yield Err(Status::unavailable("the master is stopping: watch again"));
                break;
            };
            let Some(update) = next else {
                yield Err(Status::aborted("the watcher fell behind what changes: watch again"));
                break;
            };
            for message in view::messages(&update) {
                yield Ok(message);
            }
        }
    }
    .boxed()
}

/// A proposal, or what is wrong with its words.
pub(super) type Read = Result<Placement, String>;

pub(super) fn read(proposals: &[pb::Proposal]) -> Vec<Read> {
    let mut tasks: BTreeSet<TaskId> = BTreeSet::new();
    let read = |proposal: &pb::Proposal| {
        let task = proposal.task_id.parse().map_err(|error| format!("task_id: {error}"))?;
        let worker = proposal.worker_id.parse().map_err(|error| format!("worker_id: {error}"))?;
        if proposal.attempt == 0 {
            return Err("attempt: 0 is none, the first is 1".into());
        }
        if !tasks.insert(task) {
            return Err("the task is in this call already".into());
        }
        Ok(Placement { attempt: Attempt { task, number: proposal.attempt }, worker })
    };
    proposals.iter().map(read).collect()
}

/// One result for each proposal.
fn results(read: Vec<Read>, mut refused: BTreeMap<TaskId, PlacementRefusal>, model: &Model) -> pb::ProposalResults {
    let result = |read: Read| match read {
        Err(wrong) => refusal(pb::Refusal::Invalid, wrong),
        Ok(placement) => match refused.remove(&placement.attempt.task) {
            None => pb::ProposalResult { accepted: true, ..pb::ProposalResult::default() },
            Some(why) => refusal(reason(&placement, &why, model), why.to_string()),
        },
    };
    pb::ProposalResults { results: read.into_iter().map(result).collect() }
}

fn refusal(refusal: pb::Refusal, message: String) -> pb::ProposalResult {
    pb::ProposalResult { accepted: false, refusal: refusal.into(), message }
}

fn reason(placement: &Placement, why: &PlacementRefusal, model: &Model) -> pb::Refusal {
    match why {
        PlacementRefusal::Stale if model.task(placement.attempt.task).is_none() => pb::Refusal::UnknownTask,
        PlacementRefusal::Stale => pb::Refusal::Stale,
        PlacementRefusal::WorkerUnavailable if model.worker_record(&placement.worker).is_none() => {
            pb::Refusal::UnknownWorker
        }
        PlacementRefusal::WorkerUnavailable => pb::Refusal::WorkerUnavailable,
        PlacementRefusal::Pinned => pb::Refusal::Pinned,
        PlacementRefusal::Unmet(Need::Access(_)) => pb::Refusal::NotOffered,
        PlacementRefusal::Unmet(Need::Label(_)) => pb::Refusal::NotMet,
        PlacementRefusal::Lack(_) => pb::Refusal::Lack,
        PlacementRefusal::Beside(_) => pb::Refusal::BesideKin,
        PlacementRefusal::Gang => pb::Refusal::Gang,
    }
}

fn status(error: AskError) -> Status {
    match error {
        AskError::Rejected(rejected) => Status::failed_precondition(rejected.to_string()),
        AskError::Unavailable(not_now) => Status::unavailable(not_now.to_string()),
        AskError::Store(source) => Status::unavailable(source.to_string()),
        AskError::Stopped => Status::unavailable("the master is stopping"),
        AskError::Bulk(source) => Status::unavailable(source.to_string()),
        AskError::Keys(source) => Status::unavailable(source.to_string()),
        AskError::Specs(_) => Status::invalid_argument(error.to_string()),
        AskError::Forbidden(why) => Status::permission_denied(why.to_string()),
        AskError::Denied(_) => Status::permission_denied(error.to_string()),
        AskError::Internal(why) => Status::internal(why),
    }
}
