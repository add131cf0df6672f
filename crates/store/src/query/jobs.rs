//! Questions for jobs that have ended, and which of them are served.

use super::{Cursor, MAX_LIMIT, Page, Sort};
use crate::StoreError;
use cloudai_core::ids::UserId;
use cloudai_core::job::{JobRecord, JobStatus};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which jobs, in which order, how many. A store serves those that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Only these states; all when empty.
    pub statuses: Vec<JobStatus>,
    /// Only this owner's.
    pub owner: Option<UserId>,
    /// Only those whose name begins so.
    pub name_prefix: Option<String>,
    /// The order.
    pub sort: Sort,
    /// At most so many (1 to 1,000).
    pub limit: usize,
    /// Go on after this place, as an earlier page told.
    pub cursor: Option<Cursor>,
}

impl JobQuery {
    /// Whether this question is served at all.
    /// # Errors
    /// [`StoreError::Unsupported`] for a limit out of range.
    pub fn check(&self) -> Result<(), StoreError> {
        if (1..=MAX_LIMIT).contains(&self.limit) {
            return Ok(());
        }
        Err(StoreError::Unsupported(format!("limit is {}: expected 1 to {MAX_LIMIT}", self.limit)))
    }

    /// Whether a job is one of those that are asked for, wherever the cursor is.
    #[must_use]
    pub fn matches(&self, job: &JobRecord) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&job.status()))
            && self.owner.as_ref().is_none_or(|owner| *owner == job.owner)
            && self
                .name_prefix
                .as_ref()
                .is_none_or(|prefix| job.name.as_ref().is_some_and(|name| name.starts_with(prefix.as_str())))
    }

    /// Whether a place comes after the cursor.
    #[must_use]
    pub fn is_after(&self, order: u64) -> bool {
        self.cursor.is_none_or(|cursor| match self.sort {
            Sort::Newest => order < cursor.0,
            Sort::Oldest => order > cursor.0,
        })
    }

    /// Whether a job belongs to this page or to a later one.
    #[must_use]
    pub fn is_next(&self, job: &JobRecord) -> bool {
        self.is_after(job.order) && self.matches(job)
    }

    /// Puts jobs in the order of the list.
    pub fn sort(&self, jobs: &mut [Arc<JobRecord>]) {
        match self.sort {
            Sort::Newest => jobs.sort_unstable_by_key(|job| Reverse(job.order)),
            Sort::Oldest => jobs.sort_unstable_by_key(|job| job.order),
        }
    }

    /// One page of live and ended jobs together; a job that is among both has ended meanwhile.
    #[must_use]
    pub fn merge(&self, live: Vec<Arc<JobRecord>>, ended: Page<Arc<JobRecord>>) -> Page<Arc<JobRecord>> {
        let all = live.into_iter().chain(ended.items).map(|job| (job.order, job));
        let jobs: BTreeMap<u64, Arc<JobRecord>> = all.collect();
        let more = jobs.len() > self.limit || ended.next.is_some();
        let mut items: Vec<_> = jobs.into_values().collect();
        self.sort(&mut items);
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|job| Cursor(job.order));
        Page { items, next }
    }
}
