//! The record of a job: what the store keeps beside its plan and its tasks, and everybody reads.

use super::{Fate, GroupProgress, Groups, JobPlan, Place, Ranges};
use crate::ids::{JobId, TaskId, UserId};
use crate::state::Status;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A job: immutable once published; each change makes a new record with a higher version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// One for life.
    pub id: JobId,
    /// Whose it is.
    pub owner: UserId,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// A second submission of the same owner with this key answers with this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Arc<str>>,
    /// The ended job of which this one runs again what did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    /// Grows by one with each change, from 1.
    pub version: u64,
    /// The submission order of its first task; the others follow without a gap.
    pub order: u64,
    /// How many named tasks it has.
    pub groups: u32,
    /// How many of these are arrays; absent of a job of a version that did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrays: Option<u32>,
    /// How many tasks, elements counted.
    pub tasks: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the first of its tasks ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// No more of its tasks get their records until somebody releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<UserId>,
    /// What is left of it is being cancelled, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Elements that were cancelled before they had a record, apart from the rest of the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// Tasks that completed in the job that this one runs again, or in one before it: they count as completed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Done>,
    /// Elements that were cancelled and may have records: those are still to be stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
    /// How its tasks stand.
    pub counts: Counts,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<JobEnd>,
}

/// How many of a job's tasks stand where; the others wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Have a worker; their containers do not run yet.
    pub pending: u64,
    /// Run.
    pub running: u64,
    /// Ended with exit code 0.
    pub completed: u64,
    /// Ended otherwise, or need something that did.
    pub failed: u64,
    /// Were cancelled, or need something that was, or are not needed.
    pub cancelled: u64,
}

impl Counts {
    /// How many have ended.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.completed + self.failed + self.cancelled
    }

    /// How many wait, of so many in all.
    #[must_use]
    pub const fn queued(&self, tasks: u64) -> u64 {
        tasks.saturating_sub(self.ended() + self.pending + self.running)
    }
}

/// Why what is left of a job is cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Somebody asked for it.
    Cancelled {
        /// Who.
        by: UserId,
        /// When.
        at: Timestamp,
    },
    /// More of its tasks have failed than may (`max_fails`).
    TooManyFailed {
        /// When.
        at: Timestamp,
        /// How many may.
        most: u32,
    },
}

impl Stop {
    /// Since when.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Cancelled { at, .. } | Self::TooManyFailed { at, .. } => *at,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled { by, .. } => write!(f, "{by} cancelled the job"),
            Self::TooManyFailed { most: 0, .. } => f.write_str("a task of the job failed and none may (max_fails 0)"),
            Self::TooManyFailed { most, .. } => {
                write!(f, "more tasks of the job failed than may (max_fails {most})")
            }
        }
    }
}

/// Elements of one group that will never have a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The place of the group in the plan.
    pub group: u32,
    /// Their ordinals.
    pub ordinals: Ranges,
    /// Who cancelled them; the last one, where several did.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// Tasks that completed in another job of the same plan: of each of these groups the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The places of the groups in the plan. Of before there were several in an entry: one of them.
    #[serde(alias = "group", deserialize_with = "one_or_several")]
    pub groups: Ranges,
    /// Their ordinals.
    pub ordinals: Ranges,
    /// The job that has their records and their files.
    pub job: JobId,
}

/// Reads ranges, or one number.
fn one_or_several<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ranges, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Groups {
        One(u32),
        Several(Ranges),
    }
    Ok(match Groups::deserialize(deserializer)? {
        Groups::One(group) => [(group, group.saturating_add(1))].into_iter().collect(),
        Groups::Several(groups) => groups,
    })
}

impl Done {
    /// What completed, told group by group, in as few entries as there are: a record says all of it each time that it
    /// is stored, and of a large job most groups are alike.
    #[must_use]
    pub fn pack(each: impl IntoIterator<Item = (u32, Ranges, JobId)>) -> Vec<Self> {
        let mut alike: BTreeMap<(JobId, Ranges), Vec<(u32, u32)>> = BTreeMap::new();
        for (group, ordinals, job) in each {
            alike.entry((job, ordinals)).or_default().push((group, group + 1));
        }
        let entry =
            |((job, ordinals), groups): (_, Vec<_>)| Self { groups: groups.into_iter().collect(), ordinals, job };
        alike.into_iter().map(entry).collect()
    }

    /// Each of its groups.
    pub fn each_group(&self) -> impl Iterator<Item = u32> {
        self.groups.each().flat_map(|(from, to)| from..to)
    }

    /// Whether a task is one of these.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.groups.contains(place.group) && self.ordinals.contains(place.ordinal)
    }
}

/// Elements of one group that were cancelled together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The place of the group in the plan.
    pub group: u32,
    /// The ordinal of the first.
    pub from: u32,
    /// The ordinal behind the last.
    pub to: u32,
    /// Who cancelled them.
    pub by: UserId,
}

/// A live job as the store has it.
#[derive(Clone, Debug)]
pub struct StoredJob {
    /// Its record.
    pub record: Arc<JobRecord>,
    /// What it is made of.
    pub plan: Arc<JobPlan>,
    /// Of each group of which tasks have records: how many of those stand where, and the ordinal behind the last.
    pub groups: BTreeMap<u32, GroupProgress>,
    /// Of one that is being stopped: how far its groups were when that began.
    pub stopped: Option<Groups>,
    /// How those tasks ended that it needs and that are not of it; without those that live.
    pub outside: BTreeMap<TaskId, Status>,
}

/// The end of a job; never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnd {
    /// `completed`, `failed` or `cancelled`.
    pub status: JobStatus,
    /// When the last of its tasks ended.
    pub at: Timestamp,
}

/// Where a job stands, by its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Somebody holds it and nothing of it runs.
    Held,
    /// None of its tasks has a worker, and none has ended.
    Queued,
    /// It goes on.
    Running,
    /// What is left of it is being cancelled.
    Cancelling,
    /// All tasks completed, but for those that were not needed.
    Completed,
    /// Something failed.
    Failed,
    /// Nothing failed and something was cancelled.
    Cancelled,
}

impl JobStatus {
    /// Every word, in the order of a job's life.
    pub const ALL: [Self; 7] =
        [Self::Held, Self::Queued, Self::Running, Self::Cancelling, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word for people and APIs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing changes it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl JobRecord {
    /// Whether no more of its tasks get records: it is stopped, or has ended.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.stop.is_some() || self.end.is_some()
    }

    /// Where it stands.
    #[must_use]
    pub const fn status(&self) -> JobStatus {
        let counts = &self.counts;
        match (&self.end, &self.stop) {
            (Some(end), _) => end.status,
            (None, Some(_)) => JobStatus::Cancelling,
            (None, None) if counts.pending + counts.running > 0 => JobStatus::Running,
            (None, None) if self.held.is_some() => JobStatus::Held,
            (None, None) if counts.ended() > 0 => JobStatus::Running,
            (None, None) => JobStatus::Queued,
        }
    }

    /// The submission order of its last task.
    #[must_use]
    pub const fn last_order(&self) -> u64 {
        self.order.saturating_add(self.tasks.saturating_sub(1))
    }

    /// The job in which a task completed that is done here.
    #[must_use]
    pub fn done_in(&self, place: Place) -> Option<JobId> {
        self.done.iter().find(|done| done.has(place)).map(|done| done.job)
    }

    /// Elements of a group that never got a record because they were cancelled apart from others.
    #[must_use]
    pub fn dropped_of(&self, group: u32) -> Option<&Dropped> {
        self.dropped.binary_search_by_key(&group, |dropped| dropped.group).ok().map(|place| &self.dropped[place])
    }

    /// What a task that never had a record counts as, or an array as a whole, of this job that has ended with its
    /// groups as they are here; none for what is not of this job, or had a record.
    #[must_use]
    pub fn ended_as(&self, plan: &JobPlan, groups: &Groups, task: TaskId) -> Option<Status> {
        let group = self.id.group_of(task)?;
        let state = groups.get(group)?;
        match plan.place_of(self.id, task) {
            Some(place) if self.done_in(place).is_some() => Some(Status::Completed),
            Some(place) if self.dropped_of(group).is_some_and(|gone| gone.ordinals.contains(place.ordinal)) => {
                Some(Status::Cancelled)
            }
            Some(place) => state.fate.filter(|_| place.ordinal >= state.born).map(Fate::status),
            None => task.index().is_none().then(|| state.end()),
        }
    }

    /// The submission order of the task at this place among all tasks of the job.
    #[must_use]
    pub const fn order_of(&self, offset: u64) -> u64 {
        self.order + offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_group_are_read_as_they_were_stored_before() {
        let old = r#"{"group": 3, "ordinals": [[0, 2]], "job": "job-00000000000000000000000001"}"#;
        let done: Done = serde_json::from_str(old).unwrap();
        assert!(done.each_group().eq([3]) && done.has(Place { group: 3, ordinal: 1 }));
        let new = serde_json::to_string(&done).unwrap();
        assert!(new.contains("groups") && serde_json::from_str::<Done>(&new).unwrap() == done, "{new}");
    }

    #[test]
    fn what_completed_is_one_entry_where_groups_are_alike() {
        let job = |number: u128| JobId::new(number);
        let ordinals = |to| [(0, to)].into_iter().collect::<Ranges>();
        let whole = (0..1000).filter(|group| *group != 7).map(|group| (group, ordinals(1), job(1)));
        let parts = [(7, ordinals(3), job(1)), (7, [(5, 9)].into_iter().collect(), job(2))];
        let packed = Done::pack(whole.chain(parts));
        assert_eq!(packed.len(), 3);
        for (group, ordinal, of) in
            [(0, 0, Some(1)), (999, 0, Some(1)), (7, 2, Some(1)), (7, 5, Some(2)), (7, 4, None), (8, 1, None)]
        {
            let found = packed.iter().find(|done| done.has(Place { group, ordinal })).map(|done| done.job);
            assert_eq!(found, of.map(job), "{group}.{ordinal}");
        }
    }
}
