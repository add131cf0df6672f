//! Tasks that have not ended, with the orders in which they are asked for.
//!
//! Lists of them never ask the store: what waits and runs stays readable while it is away. Every
//! list walks one sorted set from the cursor on, so its cost is in proportion to the page.

use super::orders::Orders;
use cloudai_core::ids::{TaskId, UserId};
use cloudai_core::queue::Place;
use cloudai_core::state::{Phase, Status};
use cloudai_core::task::{State, TaskRecord};
use cloudai_store::StoreError;
use cloudai_store::query::{MAX_NAMES, Part, Sort, TaskQuery, too_many_names};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Submission orders by status.
type ByStatus = BTreeMap<Status, Orders>;

/// Live tasks.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// By submission order, which a task keeps for life.
    tasks: BTreeMap<u64, Arc<TaskRecord>>,
    ids: BTreeMap<TaskId, u64>,
    by_status: ByStatus,
    by_owner: BTreeMap<UserId, ByStatus>,
    by_name: BTreeSet<(Box<str>, u64)>,
    /// What waits for something else than a place: by priority, the highest first, then as submitted.
    aside: BTreeMap<Reverse<i32>, Orders>,
}

impl Live {
    /// Takes a new version in, or takes the task out when it has ended; answers its status before.
    pub(super) fn apply(&mut self, task: &Arc<TaskRecord>) -> Option<Status> {
        let known = self.tasks.get(&task.order);
        let (before, was_aside) = (known.map(|before| before.status()), known.is_some_and(|before| is_aside(before)));
        let now = task.status();
        self.put_aside(task, was_aside);
        if before != Some(now) {
            if let Some(before) = before {
                self.unlist(task, before);
            }
            if !now.is_final() {
                self.list(task, now);
            }
        }
        if now.is_final() {
            if before.is_some() {
                self.forget(task);
            }
            return before;
        }
        if self.tasks.insert(task.order, Arc::clone(task)).is_none() {
            self.ids.insert(task.id, task.order);
            if let Some(name) = &task.spec.name {
                self.by_name.insert((name.as_str().into(), task.order));
            }
        }
        before
    }

    fn forget(&mut self, task: &TaskRecord) {
        self.tasks.remove(&task.order);
        self.ids.remove(&task.id);
        if let Some(name) = &task.spec.name {
            self.by_name.remove(&(name.as_str().into(), task.order));
        }
    }

    fn list(&mut self, task: &TaskRecord, status: Status) {
        self.by_status.entry(status).or_default().insert(task.order);
        let own = self.by_owner.entry(task.owner.clone()).or_default();
        own.entry(status).or_default().insert(task.order);
    }

    fn put_aside(&mut self, task: &TaskRecord, was: bool) {
        let priority = Reverse(task.spec.priority);
        match (was, is_aside(task)) {
            (false, true) => self.aside.entry(priority).or_default().insert(task.order),
            (true, false) => take_out(&mut self.aside, priority, task.order),
            (true, true) | (false, false) => {}
        }
    }

    fn unlist(&mut self, task: &TaskRecord, status: Status) {
        take_out(&mut self.by_status, status, task.order);
        if let Some(own) = self.by_owner.get_mut(&task.owner) {
            take_out(own, status, task.order);
            if own.is_empty() {
                self.by_owner.remove(&task.owner);
            }
        }
    }

    /// Every live task.
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<TaskRecord>> {
        self.tasks.values()
    }

    /// A live task.
    pub(super) fn get(&self, id: TaskId) -> Option<&Arc<TaskRecord>> {
        self.tasks.get(self.ids.get(&id)?)
    }

    /// Queued tasks that wait for something else than a place, by priority, behind a place or from the start.
    pub(super) fn aside(&self, after: Option<Place>) -> impl Iterator<Item = &Arc<TaskRecord>> {
        let after = after.map(Place::parts);
        let lists = match after {
            Some((priority, _)) => self.aside.range(Reverse(priority)..),
            None => self.aside.range(..),
        };
        let orders = lists.flat_map(move |(Reverse(priority), orders)| {
            orders.rising(after.filter(|(at, _)| at == priority).map(|(_, order)| order))
        });
        orders.filter_map(|order| self.tasks.get(&order))
    }

    /// Ids that begin or end with a part of their text, newest first.
    pub(super) fn like(&self, part: &str, limit: usize) -> Vec<TaskId> {
        let part = Part::of(part);
        self.ids.keys().rev().filter(|id| part.is_of(**id)).take(limit).copied().collect()
    }

    /// The first of a list, one more than its limit if there are; `on_worker` are the tasks of the
    /// worker that is asked for.
    /// # Errors
    /// [`StoreError::Unsupported`] for a name prefix that matches too many.
    pub(super) fn page(&self, query: &TaskQuery, on_worker: &[TaskId]) -> Result<Vec<Arc<TaskRecord>>, StoreError> {
        let most = query.limit.saturating_add(1);
        if let Some(prefix) = &query.name_prefix {
            return Ok(self.first(self.named(prefix)?, query, most));
        }
        if query.worker.is_some() {
            let orders = on_worker.iter().filter_map(|id| self.ids.get(id)).copied().collect();
            return Ok(self.first(orders, query, most));
        }
        let lists = match &query.owner {
            Some(owner) => self.by_owner.get(owner),
            None => Some(&self.by_status),
        };
        let wanted = |status: &Status| query.statuses.is_empty() || query.statuses.contains(status);
        let lists = lists.into_iter().flatten().filter(|(status, _)| wanted(status));
        // A page's worth of each status: the page is among them.
        let shown = |order: &u64| self.tasks.get(order).is_some_and(|task| query.shows(task));
        let orders = lists.flat_map(|(_, orders)| walk(orders, query).filter(shown).take(most)).collect();
        Ok(self.first(orders, query, most))
    }

    fn named(&self, prefix: &str) -> Result<Vec<u64>, StoreError> {
        let from = (Box::from(prefix), 0);
        let named = self.by_name.range(from..).take_while(|(name, _)| name.starts_with(prefix));
        let orders: Vec<u64> = named.map(|(_, order)| *order).take(MAX_NAMES + 1).collect();
        if orders.len() > MAX_NAMES { Err(too_many_names(prefix)) } else { Ok(orders) }
    }

    /// The first of these places, of those that the question is about.
    fn first(&self, mut orders: Vec<u64>, query: &TaskQuery, most: usize) -> Vec<Arc<TaskRecord>> {
        orders.retain(|order| query.is_after(*order));
        query.sort(&mut orders);
        let tasks = orders.iter().filter_map(|order| self.tasks.get(order));
        tasks.filter(|task| query.matches(task)).take(most).cloned().collect()
    }
}

fn is_aside(task: &TaskRecord) -> bool {
    matches!(&task.state, State::Queued(queued) if queued.phase != Phase::WaitingCapacity)
}

fn take_out<K: Ord>(lists: &mut BTreeMap<K, Orders>, list: K, order: u64) {
    if let Some(orders) = lists.get_mut(&list) {
        orders.remove(order);
        if orders.is_empty() {
            lists.remove(&list);
        }
    }
}

/// Places from the cursor on, in the order of the question.
fn walk<'a>(orders: &'a Orders, query: &TaskQuery) -> Box<dyn Iterator<Item = u64> + 'a> {
    let cursor = query.cursor.map(|cursor| cursor.0);
    if let Some((first, last)) = query.orders {
        let within = move |order: &u64| (first..=last).contains(order);
        return match query.sort {
            Sort::Newest => {
                let from = last.saturating_add(1);
                Box::new(orders.falling(Some(cursor.map_or(from, |at| at.min(from)))).take_while(within))
            }
            Sort::Oldest => {
                let from = first.checked_sub(1);
                Box::new(orders.rising(cursor.max(from)).take_while(within))
            }
        };
    }
    match query.sort {
        Sort::Newest => Box::new(orders.falling(cursor)),
        Sort::Oldest => Box::new(orders.rising(cursor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::spec::{TaskSpec, Value};
    use cloudai_core::task::{Active, AttemptRecord, Finished, Queued, Spent, Step};
    use cloudai_core::time::Timestamp;
    use cloudai_store::query::Cursor;
    use proptest::prelude::*;

    /// A task of an order: `pick` decides whose it is, how it is called, how urgent it is.
    fn task(order: u64, pick: u8, status: Status) -> Arc<TaskRecord> {
        let name = ["a", "train-1", "train-2", ""][usize::from(pick % 4)];
        let priority = i64::from(pick % 3) - 1;
        let mut fields = vec![("image".to_owned(), Value::Text("x".into())), ("priority".into(), Value::Int(priority))];
        if !name.is_empty() {
            fields.push(("name".into(), Value::Text(name.into())));
        }
        let (queued, active) = (Status::Queued, status == Status::Pending || status == Status::Running);
        let worker: cloudai_core::ids::WorkerId = ["w1", "w2"][usize::from(pick / 16 % 2)].parse().unwrap();
        let step = if status == Status::Running { Step::Running } else { Step::Assigned };
        let state = if status == queued {
            let message = String::new();
            State::Queued(Queued {
                phase: if pick.is_multiple_of(2) { Phase::WaitingCapacity } else { Phase::Held },
                since: Timestamp::ZERO,
                until: None,
                reason: None,
                message,
            })
        } else if active {
            let allocation = cloudai_core::resources::Allocation::default();
            State::Active(Active { number: 1, worker: worker.clone(), step, allocation, evict: None })
        } else {
            let (message, warnings) = (String::new(), Vec::new());
            State::Finished(Finished {
                status,
                reason: None,
                exit_code: None,
                oom_killed: false,
                dead: false,
                message,
                warnings,
            })
        };
        let attempt = AttemptRecord {
            number: 1,
            worker,
            request: 0,
            assigned_at: Timestamp::ZERO,
            waited: None,
            started_at: None,
            ended_at: None,
            end: None,
        };
        Arc::new(TaskRecord {
            id: TaskId::new(u128::from(order) << 64),
            owner: ["ann", "bob"][usize::from(pick / 8 % 2)].parse().unwrap(),
            job: None,
            depends_on: Vec::new(),
            spec: Arc::new(TaskSpec::from_value(&Value::Map(fields)).unwrap()),
            version: 1,
            order,
            created_at: Timestamp::ZERO,
            started_at: None,
            finished_at: None,
            state,
            attempts: if status == queued { Vec::new() } else { vec![attempt] },
            spent: Spent::default(),
            cancel: None,
            overdue: None,
            retry_of: None,
        })
    }

    fn query() -> impl Strategy<Value = TaskQuery> {
        let statuses = prop::sample::subsequence(Status::ALL.to_vec(), 0..3);
        let filter = prop::sample::select(vec![
            ("", "", ""),
            ("ann", "", ""),
            ("", "w1", ""),
            ("", "", "train"),
            ("bob", "w2", "a"),
        ]);
        (statuses, filter, any::<bool>(), 1usize..6).prop_map(|(statuses, (owner, worker, name), oldest, limit)| {
            TaskQuery {
                dead: false,
                statuses,
                owner: owner.parse().ok(),
                worker: worker.parse().ok(),
                name_prefix: (!name.is_empty()).then(|| name.into()),
                orders: None,
                expand: false,
                sort: if oldest { Sort::Oldest } else { Sort::Newest },
                limit,
                cursor: None,
            }
        })
    }

    proptest! {
        #[test]
        fn pages_and_what_stands_aside_are_those_of_a_plain_list(
            steps in prop::collection::vec((0u64..40, prop::sample::select(Status::ALL.to_vec())), 1..120),
            picks in prop::collection::vec(any::<u8>(), 40),
            query in query(),
        ) {
            let (mut live, mut plain) = (Live::default(), BTreeMap::new());
            for (order, status) in steps {
                let task = task(order, picks[usize::try_from(order).unwrap()], status);
                let before = live.apply(&task);
                prop_assert_eq!(before, plain.get(&order).map(|before: &Arc<TaskRecord>| before.status()));
                if status.is_final() { plain.remove(&order) } else { plain.insert(order, task) };
            }
            let worker = |task: &&Arc<TaskRecord>| query.worker.is_some() && task.worker() == query.worker.as_ref();
            let on_worker: Vec<TaskId> = plain.values().filter(worker).map(|task| task.id).collect();
            let mut expected: Vec<u64> = plain.values().filter(|task| query.matches(task)).map(|task| task.order).collect();
            query.sort(&mut expected);
            let (mut found, mut query) = (Vec::new(), query);
            loop {
                let mut page: Vec<u64> = live.page(&query, &on_worker).unwrap().iter().map(|task| task.order).collect();
                let more = page.len() > query.limit;
                page.truncate(query.limit);
                query.cursor = page.last().copied().map(Cursor);
                found.extend(page);
                if !more { break }
            }
            prop_assert_eq!(found, expected);
            let held = |task: &&Arc<TaskRecord>| task.phase(false) == Some(Phase::Held);
            let mut aside: Vec<_> = plain.values().filter(held).map(|task| Place::of(task)).collect();
            aside.sort();
            for start in 0..=aside.len() {
                let after = start.checked_sub(1).map(|before| aside[before]);
                let rest: Vec<_> = live.aside(after).map(|task| Place::of(task)).collect();
                prop_assert_eq!(&rest[..], &aside[start..]);
            }
        }
    }
}
