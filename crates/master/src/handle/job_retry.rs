//! Ended jobs of which what did not complete is run again.

use super::Handle;
use super::jobs::JobAccepted;
use crate::mailbox::AskError;
use crate::model::SeenJob;
use crate::principal::Principal;
use cloudai_core::event::{NewJob, Rejected};
use cloudai_core::ids::{JobId, UserId};
use cloudai_core::job::{Done, JobRecord, JobStatus, Ranges};
use cloudai_core::state::Status;
use cloudai_store::query::{Cursor, MAX_LIMIT, Page, Sort, TaskQuery};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Handle {
    /// Runs what did not complete of an ended job again, as a new job of the same plan that names the old one: what
    /// completed counts as completed, and what it left is found. Each job is followed by one other at most: asked again,
    /// the answer is that one.
    /// # Errors
    /// [`AskError`]; rejected with `JobNotEnded` while it goes on, with `JobEnded` where all of it completed.
    pub async fn retry_job(&self, who: &Principal, id: JobId) -> Result<JobAccepted, AskError> {
        let old = self.job_to_change(who, id).await?;
        let status = old.record.status();
        if !status.is_final() {
            return Err(Rejected::JobNotEnded(id, status).into());
        }
        if status == JobStatus::Completed {
            return Err(Rejected::JobEnded(id, status).into());
        }
        if let Some(next) = self.following_job(&old.record.owner, id).await? {
            return Ok(JobAccepted { id: next.id, fresh: false });
        }
        let new = NewJob {
            id: super::job_id_at(self.shared.clock.now()),
            owner: old.record.owner.clone(),
            plan: Arc::clone(&old.plan),
            held: false,
            idempotency_key: Some(key_of(id)),
            retry_of: Some(id),
            done: self.completed_of(&old).await?,
            ended: BTreeMap::new(),
        };
        self.submit_new_job(&self.as_owner(who, &old.record.owner), new).await
    }

    /// The job that runs this one again.
    async fn following_job(&self, owner: &UserId, id: JobId) -> Result<Option<Arc<JobRecord>>, AskError> {
        let found = self.shared.store.job_by_key(owner, &key_of(id)).await?;
        Ok(found.filter(|job| job.retry_of == Some(id)))
    }

    /// All tasks of an ended job that completed, there or before.
    async fn completed_of(&self, old: &SeenJob) -> Result<Vec<Done>, AskError> {
        let lost = self.with_status(old, &[Status::Failed, Status::Cancelled]).await?;
        let known: u64 = old.groups.iter().map(|state| u64::from(state.failed + state.cancelled)).sum();
        // Where some of those are kept no longer, only what is there counts: its files are there as well.
        let completed =
            if lost.len() as u64 == known { None } else { Some(self.with_status(old, &[Status::Completed]).await?) };
        let mut before: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        let mut done = Vec::new();
        for entry in &old.record.done {
            for group in entry.each_group() {
                before.entry(group).or_default().extend(entry.ordinals.each());
                done.push((group, entry.ordinals.clone(), entry.job));
            }
        }
        for (number, state) in (0..).zip(old.groups.iter()) {
            let all = (number, 0)..=(number, u32::MAX);
            let ordinals = match &completed {
                Some(completed) => completed.range(all).map(|(_, ordinal)| (*ordinal, ordinal + 1)).collect(),
                None => {
                    let dropped = old.record.dropped_of(number).into_iter().flat_map(|dropped| dropped.ordinals.each());
                    let lost = lost.range(all).map(|(_, ordinal)| (*ordinal, ordinal + 1));
                    let before = before.remove(&number).unwrap_or_default();
                    below(state.born, lost.chain(dropped).chain(before).collect())
                }
            };
            if !ordinals.is_empty() {
                done.push((number, ordinals, old.record.id));
            }
        }
        Ok(Done::pack(done))
    }

    /// Groups and ordinals of the tasks with a record that ended so.
    async fn with_status(&self, old: &SeenJob, statuses: &[Status]) -> Result<BTreeSet<(u32, u32)>, AskError> {
        let mut found = BTreeSet::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let query = TaskQuery {
                statuses: statuses.to_vec(),
                orders: Some((old.record.order, old.record.last_order())),
                sort: Sort::Oldest,
                limit: MAX_LIMIT,
                cursor,
                ..TaskQuery::default()
            };
            let Page { items, next } = self.shared.store.tasks(&query).await?;
            let place = |id| old.plan.place_of(old.record.id, id);
            found.extend(items.iter().filter_map(|task| place(task.id)).map(|place| (place.group, place.ordinal)));
            if next.is_none() {
                return Ok(found);
            }
            cursor = next;
        }
    }
}

/// The ordinals below a bound that are in none of these ranges.
fn below(bound: u32, mut absent: Vec<(u32, u32)>) -> Ranges {
    absent.sort_unstable();
    let mut left = Vec::new();
    let mut at = 0;
    for (from, to) in absent.into_iter().chain([(bound, bound)]) {
        left.push((at, from.min(bound)));
        at = at.max(to);
    }
    left.into_iter().collect()
}

/// The key under which a job is run again: whoever asks twice gets one job.
fn key_of(id: JobId) -> Arc<str> {
    format!("retry:{id}").into()
}
