//! The tasks of a job in the order of its file, those without a record among them.

use super::Handle;
use crate::mailbox::AskError;
use crate::model::{SeenJob, SeenTask};
use cloudai_core::job::{Indexes, Place};
use cloudai_core::state::Status;
use cloudai_store::query::{MAX_LIMIT, Page, Sort, TaskQuery};
use std::collections::BTreeMap;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

/// Which tasks of a job, and how many.
#[derive(Clone, Debug, Default)]
pub struct JobTaskQuery {
    /// Only those of this group, by its place in the plan.
    pub group: Option<u32>,
    /// Only elements with these indexes; needs a group.
    pub indexes: Option<Indexes>,
    /// Only these states; all when empty.
    pub statuses: Vec<Status>,
    /// At most so many (1 to 1,000).
    pub limit: usize,
    /// Where to begin: a place among all tasks of the job.
    pub from: u64,
}

/// Some tasks of a job, and where the next begin.
#[derive(Debug)]
pub struct JobTasks {
    /// In the order of the file and of the indexes.
    pub items: Vec<SeenTask>,
    /// The place among all tasks of the job at which it goes on; none at the end.
    pub next: Option<u64>,
}

impl JobTaskQuery {
    /// The places among all tasks of the job that are asked for, in rising order.
    fn ranges(&self, job: &SeenJob, offsets: &[u64]) -> Vec<Range<u64>> {
        let all = job.record.tasks;
        let Some(number) = self.group else { return iter::once(self.from.min(all)..all).collect() };
        let (Some(group), Some(offset)) = (job.plan.group(number), offsets.get(number as usize)) else {
            return Vec::new();
        };
        let ordinals: Vec<Range<u32>> = match (&self.indexes, &group.elements) {
            (Some(asked), Some(elements)) => {
                let of = |span: &cloudai_core::job::Span| {
                    elements.indexes.before(span.first)..elements.indexes.before(span.last.saturating_add(1))
                };
                asked.spans().iter().map(of).collect()
            }
            (Some(_), None) | (None, _) => iter::once(0..group.count()).collect(),
        };
        let places = |ordinals: Range<u32>| {
            (offset + u64::from(ordinals.start)).max(self.from)..offset + u64::from(ordinals.end)
        };
        ordinals.into_iter().map(places).filter(|range| !range.is_empty()).collect()
    }

    fn wants(&self, status: Status) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }

    /// Of a range with steps only what a step leads to.
    fn has(&self, index: Option<u32>) -> bool {
        match (&self.indexes, index) {
            (Some(asked), Some(index)) => asked.ordinal_of(index).is_some(),
            (None, _) | (_, None) => true,
        }
    }
}

impl Handle {
    /// Tasks of a job of the caller's.
    /// # Errors
    /// [`AskError::Store`].
    pub async fn job_tasks(&self, job: &SeenJob, query: &JobTaskQuery) -> Result<JobTasks, AskError> {
        let offsets = job.plan.offsets();
        let mut found: BTreeMap<u64, SeenTask> = BTreeMap::new();
        for range in query.ranges(job, &offsets) {
            let most = query.limit + 1 - found.len().min(query.limit);
            for task in self.born_of(job, query, &range, most).await? {
                found.insert(task.record.order - job.record.order, task);
            }
            for place in unborn_of(job, query, &range, &offsets, most) {
                if let Some(task) = job.unborn(place) {
                    // One that was born since is known better.
                    let offset = task.order - job.record.order;
                    found.entry(offset).or_insert_with(|| self.see(Arc::new(task)));
                }
            }
            if found.len() > query.limit {
                break;
            }
        }
        let next = found.keys().nth(query.limit).copied();
        Ok(JobTasks { items: found.into_values().take(query.limit).collect(), next })
    }

    /// Those that have, or had, a record.
    async fn born_of(
        &self,
        job: &SeenJob,
        query: &JobTaskQuery,
        range: &Range<u64>,
        most: usize,
    ) -> Result<Vec<SeenTask>, AskError> {
        let order = |offset: u64| job.record.order_of(offset);
        let mut asked = TaskQuery {
            statuses: query.statuses.clone(),
            orders: Some((order(range.start), order(range.end.saturating_sub(1)))),
            sort: Sort::Oldest,
            limit: most.min(MAX_LIMIT),
            ..TaskQuery::default()
        };
        let mut found = Vec::new();
        loop {
            let live = self.shared.model.live(&asked).map_err(|error| AskError::Store(Arc::new(error)))?;
            let ended = match asked.of_ended() {
                Some(asked) => self.shared.store.tasks(&asked).await?,
                None => Page { items: Vec::new(), next: None },
            };
            let page = asked.merge(live, ended);
            let wanted = page.items.into_iter().filter(|task| query.has(task.id.index()));
            found.extend(wanted.map(|task| self.see(task)));
            if page.next.is_none() || found.len() >= most {
                return Ok(found);
            }
            asked.cursor = page.next;
        }
    }
}

/// The first places of a range whose tasks have no record.
fn unborn_of(job: &SeenJob, query: &JobTaskQuery, range: &Range<u64>, offsets: &[u64], most: usize) -> Vec<Place> {
    let first = offsets.partition_point(|offset| *offset <= range.start).saturating_sub(1);
    let mut places = Vec::new();
    for (number, offset) in offsets.iter().enumerate().skip(first) {
        if *offset >= range.end || places.len() >= most {
            break;
        }
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let within = |ordinals: Range<u32>| {
            let from = range.start.saturating_sub(*offset).max(u64::from(ordinals.start));
            let to = range.end.saturating_sub(*offset).min(u64::from(ordinals.end));
            u32::try_from(from).unwrap_or(u32::MAX)..u32::try_from(to).unwrap_or(u32::MAX)
        };
        for ordinals in unborn_ordinals(job, number) {
            // All of them stand alike.
            let place = |ordinal| Place { group: number, ordinal };
            if !query.wants(job.unborn_status(place(ordinals.start))) {
                continue;
            }
            let index = |ordinal| job.plan.group(number).and_then(|group| group.index(ordinal));
            let wanted = within(ordinals).filter(|ordinal| query.has(index(*ordinal))).map(place);
            places.extend(wanted.take(most - places.len().min(most)));
        }
    }
    places
}

/// The ordinals of a group whose tasks have no record, in ranges of those that stand alike.
fn unborn_ordinals(job: &SeenJob, number: u32) -> Vec<Range<u32>> {
    let (Some(group), Some(state)) = (job.plan.group(number), job.groups.get(number)) else { return Vec::new() };
    let done = job.record.done.iter().filter(|done| done.groups.contains(number)).flat_map(|done| done.ordinals.each());
    let dropped = job.record.dropped_of(number).into_iter().flat_map(|dropped| dropped.ordinals.each());
    let mut apart: Vec<(u32, u32)> = done.chain(dropped).collect();
    apart.sort_unstable();
    let mut ranges = Vec::new();
    let mut at = state.born;
    for (from, to) in apart {
        if at < from {
            ranges.push(at..from);
        }
        ranges.push(from..to);
        at = at.max(to);
    }
    if at < group.count() {
        ranges.push(at..group.count());
    }
    ranges.sort_by_key(|range| range.start);
    ranges
}
