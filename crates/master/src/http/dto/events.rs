//! `GET /api/v1/events` and `WS /ws/events`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something changed. What its kind has not got is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// For `from_seq=` and `Last-Event-ID`: incarnation, term and number, with dots between them.
    pub id: String,
    /// Its number, from 1, within the life of a master. Of `start` that of the last event before it.
    pub seq: u64,
    /// `task`, `job`, `worker` or `strategy`; `start` comes first, and `reset` last when events were lost.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was committed.
    pub at: String,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The job, also of a task that belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The worker; of a task the one of its latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Whose the task or the job is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Where it stands now; `removed` of a worker that was taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Where exactly a task stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why a task waits again, failed or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of a task's latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The code of a task's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What keeps a worker from work apart from its status: `cordoned`, `draining`, `drained`, `quarantined`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty: Option<String>,
    /// What places from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Of `reset`: what happened, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
