//! What every store must do: one list of claims, a line per backend.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod audit;
mod common;
mod consumed;
mod facts;
mod jobs;
mod retention;

use audit::*;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Incarnation, Term};
use cloudai_core::state::Status;
use cloudai_core::task::Step;
use cloudai_store::query::{MAX_NAMES, Page, Sort, TaskQuery};
use cloudai_store::{CommitError, Store, StoreError};
use common::*;
use consumed::*;
use facts::*;
use jobs::*;
use retention::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A store and what must live as long.
type Opened = (Arc<dyn Store>, Option<tempfile::TempDir>);

fn memory() -> Opened {
    (Arc::new(cloudai_store::memory::MemoryStore::new()), None)
}

fn sqlite() -> Opened {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(cloudai_store::sqlite::SqliteStore::open(dir.path()).unwrap()), Some(dir))
}

macro_rules! backends {
    ($claims:tt $($backend:ident)+) => { $(backends!(@one $backend $claims);)+ };
    (@one $backend:ident [$($claim:ident)+]) => {
        mod $backend {
            $(#[tokio::test]
            async fn $claim() {
                let (store, _dir) = super::$backend();
                super::$claim(store).await;
            })+
        }
    };
}

backends!([
    all_that_is_committed_is_read_back
    a_new_store_is_empty_and_has_a_name_that_stays
    each_leader_gets_a_newer_term_and_fences_the_older_ones
    a_commit_before_anybody_leads_is_fenced
    an_empty_commit_still_checks_the_term_and_keeps_the_time
    an_older_version_of_a_row_is_skipped_and_not_refused
    a_removed_worker_is_gone_and_may_come_again_from_version_one
    a_batch_with_a_refused_row_leaves_nothing_and_names_the_row
    a_refused_change_brings_back_what_it_replaced
    what_a_task_keeps_for_life_can_not_be_changed
    a_leader_loads_live_tasks_in_order_all_workers_and_counts_of_the_rest
    the_time_and_the_highest_order_never_go_back
    an_idempotency_key_belongs_to_one_task_of_its_owner
    an_idempotency_key_of_a_refused_batch_stays_free
    ids_are_found_by_their_beginning_and_their_end_newest_first
    elements_of_an_array_are_found_by_their_index
    a_part_that_is_in_no_id_finds_nothing
    pages_of_every_filter_tell_each_task_once_in_order
    pages_stay_whole_while_tasks_arrive_and_change_between_them
    pairs_that_no_index_serves_are_refused_with_their_names
    a_name_prefix_is_taken_literally_and_refused_when_it_matches_too_much
    dead_letters_wait_in_a_list_of_their_own_until_they_are_submitted_again
    ended_tasks_are_collectable_by_age_and_by_count_the_earliest_first
    a_look_for_collectable_tasks_goes_on_in_slices_and_ends
    what_a_live_task_depends_on_is_not_collectable
    a_removed_task_is_gone_with_its_files_and_its_key_is_free
    only_a_task_that_has_ended_so_is_removed_and_a_refused_removal_leaves_all
    outputs_come_in_the_order_of_their_paths_and_are_replaced_as_a_whole
    what_an_owners_files_come_to_follows_their_rows
    the_fact_that_was_kept_first_stays
    a_fact_is_set_by_who_leads_only
    facts_are_listed_by_how_their_names_begin_and_removed_by_who_leads_only
    a_job_is_found_by_its_id_its_key_and_every_task_of_it
    an_older_version_of_a_job_changes_nothing
    a_leader_loads_live_jobs_with_what_became_of_their_tasks
    a_leader_loads_how_the_groups_of_a_job_were_when_it_was_stopped
    a_leader_loads_how_that_ended_which_jobs_need_of_others
    the_orders_that_a_job_reserves_are_not_given_again
    ended_jobs_are_listed_newest_first_with_every_filter
    jobs_are_found_by_the_beginning_and_the_end_of_their_ids
    lists_of_tasks_leave_elements_out_unless_they_are_asked_for
    the_tasks_of_a_job_are_those_of_its_orders
    what_a_live_job_has_or_needs_is_not_collectable
    ended_jobs_are_collectable_by_age_once_no_task_of_them_is_stored
    a_removed_job_is_gone_with_its_plan_and_its_key_is_free
    rows_of_jobs_that_contradict_what_is_stored_are_refused
    a_refused_batch_leaves_jobs_as_they_were
    audit_rows_are_added_with_their_head_or_not_at_all
    pages_of_every_filter_of_the_audit_log_tell_each_row_once_the_latest_first
    attempts_are_counted_once_when_they_have_ended_each_hour_its_share
    a_refused_batch_counts_nothing
] memory sqlite);

async fn commit(store: &Arc<dyn Store>, term: Term, rows: &[Row]) {
    store.commit(term, at(1), rows).await.unwrap();
}

async fn refused(store: &Arc<dyn Store>, term: Term, rows: &[Row]) -> (usize, String) {
    match store.commit(term, at(1), rows).await {
        Err(CommitError::Refused { row, why }) => (row, why),
        other => panic!("expected a refusal: {other:?}"),
    }
}

async fn all_that_is_committed_is_read_back(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let mut tasks: Vec<_> = Status::ALL.iter().zip(1..).map(|(s, n)| task(n).in_status(*s, "w1").record()).collect();
    tasks.push(task(7).named("train ü \u{0}").key("k").element(u32::MAX).record());
    let mut rows: Vec<_> = tasks.iter().cloned().map(Row::Task).collect();
    let workers = [worker("w1", 1), worker("w2", 9)];
    rows.extend(workers.iter().cloned().map(Row::Worker));
    rows.push(outputs(attempt(4, 1), &["a"]));
    commit(&store, term, &rows).await;

    for task in &tasks {
        assert_eq!(store.task(task.id).await.unwrap().as_ref(), Some(task));
    }
    assert_eq!(store.load().await.unwrap().workers, workers);
    assert_eq!(store.outputs(attempt(4, 1)).await.unwrap(), [file("a")]);
    assert_eq!(store.task(id(99)).await.unwrap(), None);
}

async fn a_new_store_is_empty_and_has_a_name_that_stays(store: Arc<dyn Store>) {
    let first = store.load().await.unwrap();
    assert_eq!(first.cluster.len(), 26);
    assert_eq!(first.incarnation, Incarnation(1));
    assert_eq!((first.last_commit, first.last_order), (at(0), 0));
    assert!(first.tasks.is_empty() && first.workers.is_empty() && first.ended.is_empty());
    assert_eq!(store.load().await.unwrap().cluster, first.cluster);
}

async fn each_leader_gets_a_newer_term_and_fences_the_older_ones(store: Arc<dyn Store>) {
    let old = store.lead().await.unwrap();
    let new = store.lead().await.unwrap();
    assert!(new > old && old > Term(0));
    for wrong in [old, new.next()] {
        let answer = store.commit(wrong, at(5), &[task(1).row()]).await;
        assert!(matches!(answer, Err(CommitError::Fenced)), "{answer:?}");
    }
    assert_eq!(store.task(id(1)).await.unwrap(), None);
    assert_eq!(store.load().await.unwrap().last_commit, at(0));
    commit(&store, new, &[task(1).row()]).await;
}

async fn a_commit_before_anybody_leads_is_fenced(store: Arc<dyn Store>) {
    assert!(matches!(store.commit(Term(1), at(1), &[]).await, Err(CommitError::Fenced)));
}

async fn an_empty_commit_still_checks_the_term_and_keeps_the_time(store: Arc<dyn Store>) {
    let old = store.lead().await.unwrap();
    let new = store.lead().await.unwrap();
    assert!(matches!(store.commit(old, at(8), &[]).await, Err(CommitError::Fenced)));
    store.commit(new, at(9), &[]).await.unwrap();
    assert_eq!(store.load().await.unwrap().last_commit, at(9));
}

async fn an_older_version_of_a_row_is_skipped_and_not_refused(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let old = task(1);
    let newest = task(1).in_status(Status::Completed, "w1").record();
    commit(&store, term, &[Row::Task(newest.clone()), Row::Worker(worker("w1", 5)), old.row()]).await;
    let same = Task((*newest).clone()).with(|task| task.started_at = Some(at(77))).row();
    commit(&store, term, &[same, task(1).on("w2", Step::Running).row(), Row::Worker(worker("w1", 4))]).await;

    assert_eq!(store.task(id(1)).await.unwrap(), Some(newest));
    assert_eq!(store.load().await.unwrap().workers, [worker("w1", 5)]);
    assert_eq!(store.load().await.unwrap().ended, BTreeMap::from([("completed".to_owned(), 1)]));
}

async fn a_removed_worker_is_gone_and_may_come_again_from_version_one(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let gone = Row::WorkerRemoved("w1".parse().unwrap());
    commit(&store, term, &[Row::Worker(worker("w1", 7)), gone.clone(), gone]).await;
    assert!(store.load().await.unwrap().workers.is_empty());
    commit(&store, term, &[Row::Worker(worker("w1", 1))]).await;
    assert_eq!(store.load().await.unwrap().workers, [worker("w1", 1)]);
}

async fn a_batch_with_a_refused_row_leaves_nothing_and_names_the_row(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    commit(&store, term, &[task(1).key("k").row()]).await;
    let too_large = |task: Task| task.with(|task| task.version = u64::MAX).row();
    let bad = [
        (task(3).key("k").row(), "ann has another task with this idempotency key"),
        (task(3).with(|task| task.order = 1).row(), "another task has the submission order 1"),
        (task(3).with(|task| task.order = u64::MAX).row(), "above the largest number"),
        (task(3).with(|task| task.finished_at = Some(at(u64::MAX))).row(), "above the largest number"),
        (too_large(task(3)), "above the largest number"),
        (Row::Worker(worker("w2", u64::MAX)), "above the largest number"),
        (outputs(attempt(9, 1), &["a"]), "its task is not stored"),
        (outputs(attempt(1, 1), &["a", "b", "a"]), "there twice"),
    ];
    for (row, sentence) in bad {
        let good = [task(2).key("other").row(), Row::Worker(worker("w1", 1)), outputs(attempt(1, 1), &["x"])];
        let (number, why) = refused(&store, term, &[&good[..], std::slice::from_ref(&row), &good[..]].concat()).await;
        assert_eq!(number, 3, "{row:?}");
        assert!(why.contains(sentence), "{row:?}: {why}");
        assert_eq!(store.task(id(2)).await.unwrap(), None);
        assert!(store.load().await.unwrap().workers.is_empty());
        assert!(store.outputs(attempt(1, 1)).await.unwrap().is_empty());
        assert_eq!(store.load().await.unwrap().last_order, 1);
    }
}

async fn a_refused_change_brings_back_what_it_replaced(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let running = task(1).on("w1", Step::Running);
    let before = [running.row(), Row::Worker(worker("w1", 1)), outputs(attempt(1, 1), &["a"])];
    commit(&store, term, &before).await;
    let changes = [
        task(1).in_status(Status::Failed, "w1").row(),
        Row::Worker(worker("w1", 2)),
        Row::WorkerRemoved("w1".parse().unwrap()),
        outputs(attempt(1, 1), &["b"]),
        outputs(attempt(9, 1), &[]),
    ];
    assert_eq!(refused(&store, term, &changes).await.0, 4);
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.tasks, [task(1).on("w1", Step::Running).record()]);
    assert_eq!(loaded.workers, [worker("w1", 1)]);
    assert!(loaded.ended.is_empty());
    assert_eq!(store.outputs(attempt(1, 1)).await.unwrap(), [file("a")]);
}

async fn what_a_task_keeps_for_life_can_not_be_changed(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    commit(&store, term, &[task(1).named("n").key("k").row()]).await;
    let same = || task(1).named("n").key("k").on("w1", Step::Assigned);
    for changed in [same().owner("bob"), same().named("m"), same().key("l"), same().with(|task| task.order = 2)] {
        let (row, why) = refused(&store, term, &[changed.row()]).await;
        assert_eq!(row, 0);
        assert!(why.contains("never change"), "{why}");
    }
    commit(&store, term, &[same().row()]).await;
}

async fn a_leader_loads_live_tasks_in_order_all_workers_and_counts_of_the_rest(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let all = |n: u64| task(n).in_status(Status::ALL[usize::try_from(n % 6).unwrap()], "w1").record();
    let rows: Vec<_> = (1..=20).rev().map(|n| Row::Task(all(n))).collect();
    commit(&store, term, &rows).await;
    commit(&store, term, &[Row::Worker(worker("w2", 1)), Row::Worker(worker("w1", 1))]).await;

    let loaded = store.load().await.unwrap();
    let live: Vec<_> = (1..=20).map(all).filter(|task| !task.status().is_final()).collect();
    assert_eq!(loaded.tasks, live);
    assert_eq!(loaded.workers, [worker("w1", 1), worker("w2", 1)]);
    let ended = [("completed", 3), ("failed", 3), ("cancelled", 3)].map(|(word, count)| (word.to_owned(), count));
    assert_eq!(loaded.ended, BTreeMap::from(ended));
    assert_eq!(loaded.last_order, 20);
}

async fn the_time_and_the_highest_order_never_go_back(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    store.commit(term, at(50), &[task(9).in_status(Status::Completed, "w1").row()]).await.unwrap();
    store.commit(term, at(40), &[task(3).row()]).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.last_commit, loaded.last_order), (at(50), 9));
}

async fn an_idempotency_key_belongs_to_one_task_of_its_owner(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let rows = [task(1).key("k").row(), task(2).key("l").row(), task(3).owner("bob").key("k").row(), task(4).row()];
    commit(&store, term, &rows).await;
    // The elements of an array share its specification, not its key.
    commit(&store, term, &[task(5).key("k").element(0).row(), task(6).key("k").element(1).row()]).await;
    let (ann, bob) = ("ann".parse().unwrap(), "bob".parse().unwrap());
    let found = |task: Option<Arc<cloudai_core::task::TaskRecord>>| task.map(|task| task.id);
    assert_eq!(found(store.task_by_key(&ann, "k").await.unwrap()), Some(id(1)));
    assert_eq!(found(store.task_by_key(&ann, "l").await.unwrap()), Some(id(2)));
    assert_eq!(found(store.task_by_key(&bob, "k").await.unwrap()), Some(id(3)));
    assert_eq!(found(store.task_by_key(&bob, "l").await.unwrap()), None);
    commit(&store, term, &[task(1).key("k").in_status(Status::Completed, "w").row()]).await;
    assert_eq!(store.task_by_key(&ann, "k").await.unwrap().map(|task| task.version), Some(3));
    assert_eq!(refused(&store, term, &[task(7).key("k").row()]).await.0, 0);
}

async fn an_idempotency_key_of_a_refused_batch_stays_free(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let (row, _) = refused(&store, term, &[task(1).key("k").row(), task(2).key("k").row()]).await;
    assert_eq!(row, 1);
    assert_eq!(store.task_by_key(&"ann".parse().unwrap(), "k").await.unwrap(), None);
    commit(&store, term, &[task(2).key("k").row()]).await;
}

async fn ids_are_found_by_their_beginning_and_their_end_newest_first(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let rows: Vec<_> = (1..=300).map(|n| task(n).in_status(Status::Failed, "w1").row()).collect();
    commit(&store, term, &rows).await;
    commit(&store, term, &[task(301).row()]).await; // lives: it is the master's to find
    let text = |n: u64| id(n).to_string()["task-".len()..].to_owned();
    for part in ["", "0", &text(7), &text(7)[..12], &text(7)[18..], &text(7)[25..], &text(300)[..13], &text(8)[1..]] {
        let fits = |n: &u64| text(*n).starts_with(part) || text(*n).ends_with(part);
        let expected: Vec<_> = (1..=300).rev().filter(fits).map(id).collect();
        assert!(!expected.is_empty());
        for limit in [1, 2, 5, 1000] {
            let found = store.tasks_like(part, limit).await.unwrap();
            assert_eq!(found, expected[..limit.min(expected.len())], "{part:?} {limit}");
        }
    }
}

async fn elements_of_an_array_are_found_by_their_index(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let indexes = [0, 1, 4, 14, 40, 42, 400, 4_000_000_000];
    let ended = |n: u64| task(n).in_status(Status::Completed, "w1");
    let array = |index: u32, n: u64| ended(n).with(|task| task.id = id(1).element(index)).row();
    let mut rows: Vec<_> = indexes.into_iter().zip(2..).map(|(index, n)| array(index, n)).collect();
    rows.push(ended(1).row());
    commit(&store, term, &rows).await;
    let text = id(1).to_string()["task-".len()..].to_owned();
    let elements = |indexes: &[u32]| indexes.iter().map(|index| id(1).element(*index)).collect::<Vec<_>>();
    let rows = [
        (format!("{text}.4"), elements(&[4_000_000_000, 400, 42, 40, 4])),
        (format!("{text}.0"), elements(&[0])),
        (format!("{text}."), elements(&[4_000_000_000, 400, 42, 40, 14, 4, 1, 0])),
        (format!("{text}.04"), elements(&[])),
        (".4".to_owned(), elements(&[4])),
        ("4".to_owned(), elements(&[14, 4])),
    ];
    for (part, expected) in rows {
        assert_eq!(store.tasks_like(&part, 100).await.unwrap(), expected, "{part}");
    }
    assert_eq!(store.tasks_like(&text, 2).await.unwrap(), elements(&[4_000_000_000, 400]));
    assert_eq!(store.tasks_like(&text, 100).await.unwrap().last(), Some(&id(1)));
}

async fn a_part_that_is_in_no_id_finds_nothing(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    commit(&store, term, &[task(1).row()]).await;
    for part in ["8", "U", "ü", "%", "_", "task-", "0.", ".", "\u{10ffff}", "0000000000000000000000000000000000"] {
        assert!(store.tasks_like(part, 10).await.unwrap().is_empty(), "{part}");
    }
}

/// 120 tasks over all statuses, two owners, three workers, four names.
async fn populate(store: &Arc<dyn Store>, term: Term) {
    let rows: Vec<_> = (1..=120).map(|n| populated(n).row()).collect();
    commit(store, term, &rows).await;
}

fn populated(n: u64) -> Task {
    // Mixed well, so that every combination of values is there.
    let pick = |count: u64, salt: u64| {
        let mixed = (n * 4 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from((mixed >> 40) % count).unwrap()
    };
    let task = task(n).owner(["ann", "bob"][pick(2, 1)]);
    let task = match pick(4, 2) {
        0 => task,
        name => task.named(["", "train", "train-2", "eval"][name]),
    };
    task.in_status(Status::ALL[pick(6, 3)], ["w1", "w2", "w3"][pick(3, 4)])
}

async fn walk(store: &Arc<dyn Store>, query: &TaskQuery) -> Vec<u64> {
    let (mut query, mut orders) = (query.clone(), Vec::new());
    loop {
        let Page { items, next } = store.tasks(&query).await.unwrap();
        assert!(items.len() <= query.limit);
        assert!(next.is_none() || items.len() == query.limit);
        orders.extend(items.iter().map(|task| task.order));
        match next {
            Some(cursor) => query.cursor = Some(cursor),
            None => return orders,
        }
    }
}

fn sets() -> Vec<Vec<Status>> {
    use Status::{Completed, Failed, Queued, Running};
    vec![vec![], vec![Completed], vec![Failed, Running, Failed], vec![Queued, Completed], Status::ALL.to_vec()]
}

/// Every filter that is served, in both orders, by pages of 1, 7 and 1000.
fn queries() -> Vec<TaskQuery> {
    let mut queries = Vec::new();
    for statuses in sets() {
        for (owner, worker, name) in [
            (None, None, None),
            (Some("ann"), None, None),
            (None, Some("w2"), None),
            (None, None, Some("train")),
            (Some("bob"), Some("w1"), Some("t")),
        ] {
            for (sort, limit) in [(Sort::Newest, 1), (Sort::Newest, 7), (Sort::Oldest, 7), (Sort::Oldest, 1000)] {
                queries.push(TaskQuery {
                    statuses: statuses.clone(),
                    owner: owner.map(|owner| owner.parse().unwrap()),
                    worker: worker.map(|worker| worker.parse().unwrap()),
                    name_prefix: name.map(str::to_owned),
                    sort,
                    limit,
                    ..TaskQuery::default()
                });
            }
        }
    }
    queries
}

fn expected(query: &TaskQuery) -> Vec<u64> {
    let wanted = |n: &u64| {
        let task = populated(*n).record();
        task.finished().is_some()
            && (query.statuses.is_empty() || query.statuses.contains(&task.status()))
            && query.owner.as_ref().is_none_or(|owner| *owner == task.owner)
            && query.worker.as_ref().is_none_or(|worker| Some(worker) == task.worker())
            && query
                .name_prefix
                .as_ref()
                .is_none_or(|prefix| task.spec.name.as_ref().is_some_and(|name| name.starts_with(prefix.as_str())))
    };
    let mut orders: Vec<u64> = (1..=120).filter(wanted).collect();
    if query.sort == Sort::Newest {
        orders.reverse();
    }
    orders
}

async fn pages_of_every_filter_tell_each_task_once_in_order(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    populate(&store, term).await;
    for query in queries() {
        let expected = expected(&query);
        assert!(!expected.is_empty() || query.worker.is_some(), "{query:?}");
        assert_eq!(walk(&store, &query).await, expected, "{query:?}");
    }
}

async fn pages_stay_whole_while_tasks_arrive_and_change_between_them(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    populate(&store, term).await;
    let (mut arriving, mut version) = (121, 10);
    for query in queries().into_iter().filter(|query| query.limit < 1000) {
        let first = arriving;
        let mut query = query;
        let before = expected(&query);
        let mut seen = Vec::new();
        loop {
            let Page { items, next } = store.tasks(&query).await.unwrap();
            seen.extend(items.iter().map(|task| task.order));
            // One more task, and a new version of an old one that changes no column of a filter;
            // not for ever: a list of the oldest ends only when no more tasks arrive.
            if arriving < first + 5 {
                version += 1;
                let touched = populated(arriving % 120 + 1).with(|task| task.version = version);
                commit(&store, term, &[populated(arriving).row(), touched.row()]).await;
                arriving += 1;
            }
            match next {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), seen.len(), "a task was shown twice: {query:?}");
        seen.retain(|order| *order <= 120);
        assert_eq!(seen, before, "{query:?} while {first} to {arriving} arrived");
    }
}

async fn pairs_that_no_index_serves_are_refused_with_their_names(store: Arc<dyn Store>) {
    for statuses in sets() {
        let (owner, worker) = ("ann".parse().ok(), "w1".parse().ok());
        let query = TaskQuery { statuses, owner, worker, limit: 5, ..TaskQuery::default() };
        match store.tasks(&query).await {
            Err(StoreError::Unsupported(why)) => assert!(why.contains("owner together with worker"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    for limit in [0, 1001] {
        let query = TaskQuery { limit, ..TaskQuery::default() };
        assert!(matches!(store.tasks(&query).await, Err(StoreError::Unsupported(_))), "{limit}");
    }
}

async fn a_name_prefix_is_taken_literally_and_refused_when_it_matches_too_much(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let names = ["a%", "a_", "ab", "A", "a\u{10ffff}", "b"];
    let ended = |n: u64, name: &str| task(n).named(name).in_status(Status::Completed, "w1").row();
    let rows: Vec<_> = names.iter().zip(1..).map(|(name, n)| ended(n, name)).collect();
    commit(&store, term, &rows).await;
    let ask = |prefix: &str| TaskQuery {
        name_prefix: Some(prefix.into()),
        sort: Sort::Oldest,
        limit: 1000,
        ..TaskQuery::default()
    };
    for (prefix, orders) in [("a", vec![1, 2, 3, 5]), ("a%", vec![1]), ("a_", vec![2]), ("", vec![1, 2, 3, 4, 5, 6])] {
        assert_eq!(walk(&store, &ask(prefix)).await, orders, "{prefix}");
    }
    let many = u64::try_from(MAX_NAMES).unwrap();
    let rows: Vec<_> = (1..=many).map(|n| ended(1000 + n, "many")).collect();
    commit(&store, term, &rows).await;
    assert_eq!(walk(&store, &ask("many")).await.len(), MAX_NAMES);
    commit(&store, term, &[ended(9, "many more")]).await;
    match store.tasks(&ask("many")).await {
        Err(StoreError::Unsupported(why)) => assert!(why.contains("give a longer one"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(walk(&store, &ask("many ")).await, [9]);
}

async fn dead_letters_wait_in_a_list_of_their_own_until_they_are_submitted_again(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let letter = |n: u64, owner: &str| task(n).owner(owner).on("w1", Step::Running).dead().row();
    let rows: Vec<Row> = (1..=6).map(|n| letter(n, if n % 2 == 0 { "ann" } else { "bob" })).collect();
    let failed = task(7).in_status(Status::Failed, "w1").row();
    commit(&store, term, &[rows, vec![failed, task(8).row()]].concat()).await;
    let dead = async |owner: Option<&str>, sort| {
        let owner = owner.map(|owner| owner.parse().unwrap());
        walk(&store, &TaskQuery { dead: true, owner, sort, limit: 2, ..TaskQuery::default() }).await
    };
    assert_eq!(dead(None, Sort::Newest).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(dead(Some("ann"), Sort::Oldest).await, [2, 4, 6]);
    assert!(dead(Some("eve"), Sort::Oldest).await.is_empty());
    let again = |n: u64, of: u64| task(n).with(|task| task.retry_of = Some(id(of))).row();
    let (row, _) = refused(&store, term, &[again(9, 4), task(9).with(|task| task.order = 1).row()]).await;
    assert_eq!(row, 1);
    assert_eq!(dead(Some("ann"), Sort::Newest).await, [6, 4, 2], "what was refused took nothing up");
    commit(&store, term, &[again(9, 4), again(10, 5)]).await;
    assert_eq!(dead(None, Sort::Newest).await, [6, 3, 2, 1]);
    assert_eq!(dead(Some("ann"), Sort::Newest).await, [6, 2]);
    let taken_up = store.task(id(4)).await.unwrap().unwrap();
    assert!(taken_up.finished().unwrap().dead, "how it ended never changes");
    assert_eq!(store.task(id(9)).await.unwrap().unwrap().retry_of, Some(id(4)));
}

async fn outputs_come_in_the_order_of_their_paths_and_are_replaced_as_a_whole(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    commit(&store, term, &[task(1).row(), task(2).row(), task(1).with(|task| task.order = 3).element(0).row()]).await;
    let of_element = cloudai_core::ids::Attempt { task: id(1).element(0), number: 1 };
    let rows = [
        outputs(attempt(1, 1), &["b", "a/z", "a", "Ä"]),
        outputs(attempt(1, 2), &["second"]),
        outputs(attempt(2, 1), &["other"]),
        outputs(of_element, &["element"]),
    ];
    commit(&store, term, &rows).await;
    let files = ["a", "a/z", "b", "Ä"].map(file);
    assert_eq!(store.outputs(attempt(1, 1)).await.unwrap(), files);
    assert_eq!(store.output(attempt(1, 1), "a/z").await.unwrap(), Some(file("a/z")));
    assert_eq!(store.output(attempt(1, 1), "second").await.unwrap(), None);
    assert_eq!(store.output(of_element, "element").await.unwrap(), Some(file("element")));
    assert_eq!(store.outputs(attempt(1, 3)).await.unwrap(), []);
    assert_eq!(store.outputs(of_element).await.unwrap(), [file("element")]);
    commit(&store, term, &[outputs(attempt(1, 1), &["new"])]).await;
    assert_eq!(store.outputs(attempt(1, 1)).await.unwrap(), [file("new")]);
    assert_eq!(store.outputs(attempt(1, 2)).await.unwrap(), [file("second")]);
}
