//! Lists of tasks in which an array is one row: both in the order of their submission, in one page.
//!
//! An array stands where the first of its elements would: no task that is listed by itself has that order.

use super::Handle;
use crate::mailbox::AskError;
use crate::model::{SeenJob, SeenTask, arrays_of, wants_array};
use crate::principal::{Principal, Role};
use cloudai_core::ids::TaskId;
use cloudai_core::job::{Groups, JobRecord};
use cloudai_core::state::Status;
use cloudai_store::query::{Cursor, JobQuery, Page, Sort, TaskQuery};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many plans of ended jobs are read for one page: some hundred milliseconds.
const MOST_PLANS: usize = 200;
/// So many records of ended jobs are looked at for one page.
const MOST_JOBS: usize = 5000;
/// Records of one look.
const AT_ONCE: usize = 200;
/// So many named tasks of a job are found by the end of their id once the job has ended.
const FIRST_GROUPS: u32 = 32;
/// The longest end of an id that is looked for, in characters; a whole one has one more.
const LONGEST_END: usize = 25;

/// A row.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    /// A task.
    Task(SeenTask),
    /// An array, by its place in the plan of its job.
    Array(SeenJob, u32),
}

/// An array with its submission order.
type Row = (u64, SeenJob, u32);

impl Handle {
    /// One page of the caller's tasks and arrays; of tasks alone where their elements are asked for.
    /// # Errors
    /// As [`Handle::tasks`].
    pub(crate) async fn listed(&self, who: &Principal, query: TaskQuery) -> Result<Page<Listed>, AskError> {
        let Some(query) = narrowed(who, query) else { return Ok(Page { items: Vec::new(), next: None }) };
        if query.has_elements() {
            let Page { items, next } = self.tasks(who, query).await?;
            return Ok(Page { items: items.into_iter().map(Listed::Task).collect(), next });
        }
        // First what lives: what ends meanwhile is found twice rather than not at all.
        let live = self.shared.model.arrays(&query);
        let tasks = self.tasks(who, query.clone()).await?;
        let (ended, edge) = self.ended_arrays(&query, tasks.next).await?;
        let arrays = live.into_iter().chain(ended).filter(|(_, job, _)| who.may_see(&job.record.owner));
        Ok(merged(&query, tasks, arrays, edge))
    }

    /// Live arrays of the caller's whose ids begin or end so.
    pub(crate) fn resolve_arrays(&self, who: &Principal, part: &str, limit: usize) -> Vec<(SeenJob, u32)> {
        let found = self.shared.model.arrays_like(&part.to_ascii_uppercase(), limit);
        found.into_iter().filter(|(job, _)| who.may_see(&job.record.owner)).collect()
    }

    /// Ids of named tasks and arrays of the caller's jobs that end so, also of jobs that have ended and of tasks that
    /// never had a record. They are the ids of their jobs and a little more: only the first of a job are found.
    pub(crate) async fn resolve_places(&self, who: &Principal, part: &str) -> Result<Vec<TaskId>, AskError> {
        let part = part.to_ascii_uppercase();
        let mut found = Vec::new();
        for group in 0..FIRST_GROUPS {
            let Some(end_of_job) = digits_before(&part, u128::from(group) + 1) else { break };
            for job in self.resolve_job(who, &end_of_job, AT_ONCE).await? {
                let id = job.record.id.group(group);
                if group < job.record.groups && id.to_string().ends_with(&part) {
                    found.push(id);
                }
            }
        }
        Ok(found)
    }

    /// Arrays of jobs that have ended, from the cursor on and as far as tasks are known, and the place up to which they
    /// are all there; none where nothing is behind it.
    async fn ended_arrays(
        &self,
        query: &TaskQuery,
        tasks_to: Option<Cursor>,
    ) -> Result<(Vec<Row>, Option<u64>), AskError> {
        let mut found = Vec::new();
        if query.of_ended().is_none() {
            return Ok((found, None));
        }
        let cursor = self.first_job(query).await?;
        let mut asked = JobQuery { cursor, limit: AT_ONCE, ..jobs_of(query) };
        let (mut plans, mut jobs) = (0, 0);
        loop {
            let Page { items, next } = self.shared.store.jobs(&asked).await?;
            for record in &items {
                let edge = match query.sort {
                    Sort::Newest => record.order,
                    Sort::Oldest => record.last_order(),
                };
                let is_behind = tasks_to.is_some_and(|Cursor(to)| match query.sort {
                    Sort::Newest => record.last_order() < to,
                    Sort::Oldest => record.order > to,
                });
                if is_behind {
                    return Ok((found, None));
                }
                if may_have(record, &query.statuses) {
                    plans += 1;
                    found.extend(self.arrays_of_ended(record, query).await?);
                }
                jobs += 1;
                if found.len() > query.limit || plans >= MOST_PLANS || jobs >= MOST_JOBS {
                    return Ok((found, Some(edge)));
                }
            }
            if next.is_none() {
                return Ok((found, None));
            }
            asked.cursor = next;
        }
    }

    /// Where ended jobs are looked for from: the cursor may be within one of them.
    async fn first_job(&self, query: &TaskQuery) -> Result<Option<Cursor>, AskError> {
        let Some(Cursor(at)) = query.cursor.filter(|_| query.sort == Sort::Oldest) else { return Ok(query.cursor) };
        let before = Some(Cursor(at.saturating_add(1)));
        let last = JobQuery { cursor: before, limit: 1, sort: Sort::Newest, ..jobs_of(query) };
        let last = self.shared.store.jobs(&last).await?;
        Ok(Some(Cursor(last.items.first().map_or(at, |job| job.order.saturating_sub(1)))))
    }

    async fn arrays_of_ended(&self, record: &Arc<JobRecord>, query: &TaskQuery) -> Result<Vec<Row>, AskError> {
        let store = &self.shared.store;
        let Some(plan) = store.job_plan(record.id).await? else { return Ok(Vec::new()) };
        let groups = store.job_groups(record.id).await?.unwrap_or_else(Groups::default);
        let job = SeenJob { record: Arc::clone(record), plan, groups };
        let wanted = |(order, number): &(u64, u32)| query.is_after(*order) && wants_array(query, &job, *number);
        Ok(arrays_of(&job).into_iter().filter(wanted).map(|(order, number)| (order, job.clone(), number)).collect())
    }
}

/// The question with whose tasks are asked for; none where the caller sees none of them. Of a worker it stays open: no index
/// serves both, so what the caller does not see is left out of the answer.
pub(super) fn narrowed(who: &Principal, mut query: TaskQuery) -> Option<TaskQuery> {
    let of_worker = query.worker.is_some() && query.name_prefix.is_none();
    match &query.owner {
        Some(owner) if !who.may_see(owner) => return None,
        Some(_) => {}
        None if who.has(Role::Operator) || of_worker => {}
        None => query.owner = Some(who.user.clone()),
    }
    Some(query)
}

/// The digits of an id's end that is so much less; none of what is no end of an id.
fn digits_before(end: &str, by: u128) -> Option<String> {
    const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let values: Option<Vec<u128>> = end.chars().map(|c| DIGITS.find(c).map(|digit| digit as u128)).collect();
    let values = values.filter(|values| (1..=LONGEST_END).contains(&values.len()))?;
    let all = 1_u128 << (5 * values.len());
    let number = values.iter().fold(0, |sum, digit| (sum << 5) | digit);
    let less = (number + all - by % all) % all;
    let digit = |place: usize| DIGITS.as_bytes().get((less >> (5 * place)) as usize % 32).map(|byte| char::from(*byte));
    (0..values.len()).rev().map(digit).collect()
}

/// The jobs of which arrays are asked for.
fn jobs_of(query: &TaskQuery) -> JobQuery {
    JobQuery { owner: query.owner.clone(), sort: query.sort, ..JobQuery::default() }
}

/// Whether an ended job may have an array that ended in one of these ways.
fn may_have(record: &JobRecord, statuses: &[Status]) -> bool {
    let counts = &record.counts;
    let any = |status: &Status| match status {
        Status::Queued | Status::Pending | Status::Running => false,
        Status::Completed => counts.completed > 0,
        Status::Failed => counts.failed > 0,
        Status::Cancelled => counts.cancelled > 0,
    };
    record.arrays != Some(0) && (statuses.is_empty() || statuses.iter().any(any))
}

/// One page of both; `edge` is the place up to which all arrays are known.
fn merged(
    query: &TaskQuery,
    tasks: Page<SeenTask>,
    arrays: impl Iterator<Item = Row>,
    edge: Option<u64>,
) -> Page<Listed> {
    let mut rows: BTreeMap<u64, Listed> =
        tasks.items.into_iter().map(|task| (task.record.order, Listed::Task(task))).collect();
    rows.extend(arrays.map(|(order, job, number)| (order, Listed::Array(job, number))));
    let edges = edge.into_iter().chain(tasks.next.map(|Cursor(at)| at));
    let edge = match query.sort {
        Sort::Newest => edges.max(),
        Sort::Oldest => edges.min(),
    };
    if let Some(edge) = edge {
        rows.retain(|order, _| match query.sort {
            Sort::Newest => *order >= edge,
            Sort::Oldest => *order <= edge,
        });
    }
    let mut orders: Vec<u64> = rows.keys().copied().collect();
    query.sort(&mut orders);
    let more = orders.len() > query.limit;
    orders.truncate(query.limit);
    let next = if more { orders.last().copied() } else { edge };
    Page { items: orders.iter().filter_map(|order| rows.remove(order)).collect(), next: next.map(Cursor) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::event::{Event, NewJob};
    use cloudai_core::ids::{JobId, UserId};
    use cloudai_core::job::JobFile;
    use cloudai_core::spec::Value;
    use cloudai_core::testing::{TestCluster, cores};

    fn job() -> SeenJob {
        let text = r#"{"tasks": [{"name": "a", "image": "x", "array": 3}, {"name": "b", "image": "x", "array": 3}]}"#;
        let plan = JobFile::from_value(&serde_json::from_str::<Value>(text).unwrap()).unwrap().plan;
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        let (id, plan) = (JobId::new(1 << 64), Arc::new(plan));
        let new = NewJob {
            id,
            owner: UserId::local(),
            plan: Arc::clone(&plan),
            held: false,
            idempotency_key: None,
            retry_of: None,
            done: Vec::new(),
            ended: BTreeMap::new(),
        };
        cluster.ok(Event::SubmitJob(Box::new(new)));
        SeenJob { record: cluster.job_record(id), plan, groups: Groups::default() }
    }

    #[test]
    fn an_end_so_much_less_borrows_from_what_stands_before_it() {
        let rows = [
            ("0001", 1, Some("0000")),
            ("0000", 1, Some("ZZZZ")),
            ("0010", 1, Some("000Z")),
            ("7K3M9QZE", 3, Some("7K3M9QZB")),
        ];
        for (end, by, expected) in rows {
            assert_eq!(digits_before(end, by).as_deref(), expected, "{end}");
        }
        assert_eq!(
            (digits_before("", 1), digits_before("ABCU", 1), digits_before(&"0".repeat(26), 1)),
            (None, None, None)
        );
        let job = JobId::new(u128::MAX >> 9);
        for group in 0..FIRST_GROUPS {
            let (id, end) = (job.group(group).to_string(), job.to_string());
            let (id, end) = (&id[id.len() - 8..], &end[end.len() - 8..]);
            assert_eq!(digits_before(id, u128::from(group) + 1).as_deref(), Some(end), "{group}");
        }
    }

    fn task(order: u64) -> SeenTask {
        let mut cluster = TestCluster::default();
        let id = cluster.task(order.into());
        let record = cloudai_core::task::TaskRecord { order, ..(*cluster.record(id)).clone() };
        SeenTask { record: Arc::new(record), phase: None, message: String::new(), planned: None }
    }

    fn order(listed: &Listed) -> u64 {
        match listed {
            Listed::Task(task) => task.record.order,
            // As the tests number them.
            Listed::Array(_, number) => u64::from(*number),
        }
    }

    /// The places of a page, and where the next begins.
    fn page(
        query: &TaskQuery,
        tasks: (&[u64], Option<u64>),
        arrays: &[u32],
        edge: Option<u64>,
    ) -> (Vec<u64>, Option<u64>) {
        let job = job();
        let tasks = Page { items: tasks.0.iter().copied().map(task).collect(), next: tasks.1.map(Cursor) };
        let arrays = arrays.iter().map(|number| (u64::from(*number), job.clone(), *number));
        let Page { items, next } = merged(query, tasks, arrays, edge);
        (items.iter().map(order).collect(), next.map(|Cursor(at)| at))
    }

    #[test]
    fn tasks_and_arrays_stand_in_one_order_up_to_where_both_are_known() {
        let newest = TaskQuery { limit: 3, ..TaskQuery::default() };
        assert_eq!(page(&newest, (&[9, 5], None), &[7], None), (vec![9, 7, 5], None));
        assert_eq!(page(&newest, (&[9, 5], None), &[7, 2], None), (vec![9, 7, 5], Some(5)));
        assert_eq!(page(&newest, (&[9, 5], Some(5)), &[4], None), (vec![9, 5], Some(5)), "there may be tasks before 4");
        assert_eq!(
            page(&newest, (&[9, 5], None), &[7], Some(6)),
            (vec![9, 7], Some(6)),
            "there may be arrays before 5"
        );
        assert_eq!(page(&newest, (&[], None), &[], Some(6)), (vec![], Some(6)));
        let oldest = TaskQuery { sort: Sort::Oldest, ..newest };
        assert_eq!(page(&oldest, (&[2, 4], Some(4)), &[3, 5], None), (vec![2, 3, 4], Some(4)));
        assert_eq!(page(&oldest, (&[2, 8], None), &[3], Some(5)), (vec![2, 3], Some(5)));
    }

    #[test]
    fn only_jobs_that_may_have_such_an_array_are_looked_at() {
        let mut record = (*job().record).clone();
        record.counts.failed = 1;
        assert!(may_have(&record, &[]) && may_have(&record, &[Status::Running, Status::Failed]));
        assert!(!may_have(&record, &[Status::Completed]));
        record.arrays = None;
        assert!(may_have(&record, &[]), "it was not written down");
        record.arrays = Some(0);
        assert!(!may_have(&record, &[]));
    }
}
