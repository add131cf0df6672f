//! Questions to a store and their paged answers, and which of them are served.

mod jobs;
mod part;
mod retention;

pub use jobs::JobQuery;
pub use part::Part;
pub(crate) use part::short;
pub use retention::{Collectable, RetentionQuery};

use crate::StoreError;
use cloudai_core::ids::{UserId, WorkerId};
use cloudai_core::state::Status;
use cloudai_core::task::TaskRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest page, so that one request never holds more than some megabytes.
pub const MAX_LIMIT: usize = 1000;

/// How many tasks a name prefix may match: a page is picked among so many index entries, which
/// takes some milliseconds; beyond it the question is refused, never answered slowly.
pub const MAX_NAMES: usize = 10_000;

/// Which tasks, in which order, how many.
///
/// A store serves those that have ended: the master has the others in memory.
///
/// Served: any set of statuses, alone or with one of `owner` and `worker`, in both orders;
/// `name_prefix` with any of these as long as it matches no more than [`MAX_NAMES`] tasks.
/// `dead` alone or with `owner`, in both orders. `orders` alone, in both orders. `expand` with any of these.
/// Refused: `owner` together with `worker` without a `name_prefix`; `dead` with anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only these states; all when empty.
    pub statuses: Vec<Status>,
    /// Only this owner's.
    pub owner: Option<UserId>,
    /// Only those that are on this worker, or ended there.
    pub worker: Option<WorkerId>,
    /// Only those whose name begins so.
    pub name_prefix: Option<String>,
    /// Only dead letters that nobody has submitted again.
    pub dead: bool,
    /// Only those whose submission order is in this range, both ends among them: the tasks of one job.
    pub orders: Option<(u64, u64)>,
    /// Elements of arrays by themselves. Without it they are shown only among the tasks of a worker or of one job, and
    /// among dead letters.
    pub expand: bool,
    /// The order.
    pub sort: Sort,
    /// At most so many (1 to 1,000).
    pub limit: usize,
    /// Go on after this place, as an earlier page told.
    pub cursor: Option<Cursor>,
}

/// The order of a list; ties are broken by the order of submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Latest submission first.
    #[default]
    Newest,
    /// Earliest submission first.
    Oldest,
}

/// A place in a list: the submission order of the last row that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// A piece of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page goes on; none at the end.
    pub next: Option<Cursor>,
}

impl TaskQuery {
    /// Whether this question is served at all.
    /// # Errors
    /// [`StoreError::Unsupported`] with the pair that no index serves, or a limit out of range.
    pub fn check(&self) -> Result<(), StoreError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(StoreError::Unsupported(format!("limit is {}: expected 1 to {MAX_LIMIT}", self.limit)));
        }
        let narrow = self.owner.is_some() || self.worker.is_some() || self.name_prefix.is_some() || self.dead;
        if self.orders.is_some() && narrow {
            let why = "the tasks of one job are listed by status alone";
            return Err(StoreError::Unsupported(why.to_owned()));
        }
        if self.dead
            && (self.worker.is_some()
                || self.name_prefix.is_some()
                || self.statuses.iter().any(|status| *status != Status::Failed))
        {
            let why =
                "dead letters have failed: they are listed alone or by owner, not by worker, name or another status";
            return Err(StoreError::Unsupported(why.to_owned()));
        }
        if self.owner.is_some() && self.worker.is_some() && self.name_prefix.is_none() {
            let why = "no index serves owner together with worker: give one of them, or a name_prefix as well";
            return Err(StoreError::Unsupported(why.to_owned()));
        }
        Ok(())
    }

    /// The final statuses asked for, each once; all of them when none is named.
    pub(crate) fn wanted(&self) -> Vec<Status> {
        let asked = |status: &Status| self.statuses.is_empty() || self.statuses.contains(status);
        let dead = |status: &Status| !self.dead || *status == Status::Failed;
        Status::ALL.iter().copied().filter(|status| status.is_final() && asked(status) && dead(status)).collect()
    }

    /// The part of the question that is about tasks that have ended; none when it is about live
    /// ones alone.
    #[must_use]
    pub fn of_ended(&self) -> Option<Self> {
        let statuses = self.wanted();
        (!statuses.is_empty()).then(|| Self { statuses, ..self.clone() })
    }

    /// Whether a task is one of those that are asked for, wherever the cursor is. Whether a dead letter
    /// was submitted again stands in no record: the store knows.
    #[must_use]
    pub fn matches(&self, task: &TaskRecord) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&task.status()))
            && self.owner.as_ref().is_none_or(|owner| *owner == task.owner)
            && self.worker.as_ref().is_none_or(|worker| Some(worker) == task.worker())
            && self.name_prefix.as_ref().is_none_or(|prefix| has_name(task, prefix))
            && (!self.dead || task.finished().is_some_and(|end| end.dead))
            && self.shows(task)
    }

    /// Whether a task is one that lists like this show: elements of arrays only where they are asked for.
    #[must_use]
    pub fn shows(&self, task: &TaskRecord) -> bool {
        self.orders.is_none_or(|(first, last)| (first..=last).contains(&task.order))
            && (self.has_elements() || task.id.index().is_none())
    }

    /// Whether elements of arrays are among those that are asked for.
    #[must_use]
    pub const fn has_elements(&self) -> bool {
        self.orders.is_some() || self.worker.is_some() || self.dead || self.expand
    }

    /// One page of live and ended tasks together; a task that is among both has ended meanwhile.
    #[must_use]
    pub fn merge(&self, live: Vec<Arc<TaskRecord>>, ended: Page<Arc<TaskRecord>>) -> Page<Arc<TaskRecord>> {
        let all = live.into_iter().chain(ended.items).map(|task| (task.order, task));
        let mut tasks: BTreeMap<u64, Arc<TaskRecord>> = all.collect();
        let (orders, next) = self.cut(tasks.keys().copied().collect());
        let last = orders.last().copied().map(Cursor).filter(|_| ended.next.is_some());
        let items = orders.iter().filter_map(|order| tasks.remove(order)).collect();
        // A page that the store cut is full.
        Page { items, next: next.or(last) }
    }

    /// Puts places in the order of the list.
    pub fn sort(&self, orders: &mut [u64]) {
        match self.sort {
            Sort::Newest => orders.sort_unstable_by(|a, b| b.cmp(a)),
            Sort::Oldest => orders.sort_unstable(),
        }
    }

    /// Whether a place comes after the cursor.
    #[must_use]
    pub fn is_after(&self, order: u64) -> bool {
        if self.orders.is_some_and(|(first, last)| !(first..=last).contains(&order)) {
            return false;
        }
        match (self.cursor, self.sort) {
            (None, _) => true,
            (Some(Cursor(at)), Sort::Newest) => order < at,
            (Some(Cursor(at)), Sort::Oldest) => order > at,
        }
    }

    /// Sorts places and keeps one page of them; tells where the next begins.
    pub(crate) fn cut(&self, mut orders: Vec<u64>) -> (Vec<u64>, Option<Cursor>) {
        self.sort(&mut orders);
        let more = orders.len() > self.limit;
        orders.truncate(self.limit);
        let next = orders.last().filter(|_| more).copied().map(Cursor);
        (orders, next)
    }
}

/// Whether the text of an id begins or ends with a part of it; both are in upper case.
#[must_use]
pub fn is_part(text: &str, part: &str) -> bool {
    text.starts_with(part) || text.ends_with(part)
}

/// Whether a task has a name that begins so.
pub(crate) fn has_name(task: &TaskRecord, prefix: &str) -> bool {
    task.spec.name.as_ref().is_some_and(|name| name.starts_with(prefix))
}

/// The refusal of a prefix that matches too much.
#[must_use]
pub fn too_many_names(prefix: &str) -> StoreError {
    StoreError::Unsupported(format!(
        "name_prefix {prefix:?} matches more than {MAX_NAMES} tasks, too many to sort by time: give a longer one"
    ))
}

/// The first text after all that begin with `prefix`; none when there is no such text.
pub(crate) fn after_prefix(prefix: &str) -> Option<String> {
    let mut text: Vec<char> = prefix.chars().collect();
    while let Some(last) = text.pop() {
        // A range of characters steps over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_after_a_prefix_is_the_least_that_does_not_begin_with_it() {
        let rows = [
            ("a", Some("b")),
            ("train-", Some("train.")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ];
        for (prefix, after) in rows {
            assert_eq!(after_prefix(prefix).as_deref(), after, "{prefix:?}");
        }
    }

    #[test]
    fn owner_with_worker_is_refused_by_name_unless_a_name_narrows_it() {
        let pair = TaskQuery { owner: "ann".parse().ok(), worker: "w1".parse().ok(), limit: 1, ..TaskQuery::default() };
        assert!(pair.check().unwrap_err().to_string().contains("owner together with worker"));
        assert!(TaskQuery { name_prefix: Some("x".into()), ..pair }.check().is_ok());
    }

    #[test]
    fn dead_letters_are_listed_alone_or_by_owner() {
        let dead = TaskQuery { dead: true, limit: 1, ..TaskQuery::default() };
        let served = [
            dead.clone(),
            TaskQuery { owner: "ann".parse().ok(), ..dead.clone() },
            TaskQuery { statuses: vec![Status::Failed], ..dead.clone() },
        ];
        assert!(served.iter().all(|query| query.check().is_ok()));
        let refused = [
            TaskQuery { worker: "w1".parse().ok(), ..dead.clone() },
            TaskQuery { name_prefix: Some("x".into()), ..dead.clone() },
            TaskQuery { statuses: vec![Status::Failed, Status::Cancelled], ..dead },
        ];
        for query in refused {
            assert!(query.check().unwrap_err().to_string().contains("dead letters"), "{query:?}");
        }
    }

    #[test]
    fn a_limit_out_of_range_is_refused() {
        for limit in [0, MAX_LIMIT + 1] {
            let query = TaskQuery { limit, ..TaskQuery::default() };
            assert!(matches!(query.check(), Err(StoreError::Unsupported(_))), "{limit}");
        }
    }
}
