//! What ended tasks are kept no longer, and that they are gone with all that is theirs.

use super::common::*;
use super::{commit, refused, walk};
use cloudai_core::effect::Row;
use cloudai_core::ids::UserId;
use cloudai_core::state::Status;
use cloudai_core::task::{Dependency, DependsWhen, Step};
use cloudai_store::query::{Collectable, RetentionQuery, TaskQuery};
use cloudai_store::{Store, StoreError, Usage};
use std::collections::BTreeMap;
use std::sync::Arc;

fn ended_at(n: u64, millis: u64) -> Task {
    task(n).in_status(Status::Completed, "w1").with(|task| task.finished_at = Some(at(millis)))
}

pub(crate) fn retention(before: u64, beyond: u64) -> RetentionQuery {
    RetentionQuery { before: at(before), beyond, cursor: None, limit: 1000 }
}

pub(crate) async fn collectable(store: &Arc<dyn Store>, query: RetentionQuery) -> Vec<u64> {
    let page = store.collectable(&query).await.unwrap();
    assert_eq!(page.next, None);
    page.items.iter().map(|task| task.order).collect()
}

pub(crate) async fn ended_tasks_are_collectable_by_age_and_by_count_the_earliest_first(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    assert!(collectable(&store, retention(u64::MAX >> 1, 9)).await.is_empty());
    let failed = task(4).in_status(Status::Failed, "w1").with(|task| task.finished_at = Some(at(44)));
    // The second took long, the third lives.
    let rows = [ended_at(1, 11), ended_at(2, 200), task(3).on("w1", Step::Running), failed, ended_at(5, 55)];
    commit(&store, term, &rows.map(Task::row)).await;
    for (before, beyond, expected) in [
        (0, 0, vec![]),
        (11, 0, vec![]),
        (12, 0, vec![1]),
        (50, 0, vec![1, 4]),
        (200, 0, vec![1, 4, 5]),
        (201, 0, vec![1, 2, 4, 5]),
        (0, 1, vec![1]),
        (0, 2, vec![1, 2]),
        (0, 3, vec![1, 2, 4]),
        (0, u64::MAX, vec![1, 2, 4, 5]),
        // What goes by its age counts as well.
        (12, 1, vec![1]),
        (50, 2, vec![1, 2, 4]),
    ] {
        assert_eq!(collectable(&store, retention(before, beyond)).await, expected, "{before} {beyond}");
    }
    let page = store.collectable(&retention(50, 0)).await.unwrap();
    let fourth = Collectable { id: id(4), order: 4, status: Status::Failed, finished_at: at(44) };
    assert_eq!(page.items[1], fourth);
}

pub(crate) async fn a_look_for_collectable_tasks_goes_on_in_slices_and_ends(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    // Every third took long: it is passed over, not waited for.
    let finished = |n: u64| if n.is_multiple_of(3) { 900 } else { n + 1 };
    let rows: Vec<_> = (1..=100).map(|n| ended_at(n, finished(n)).row()).collect();
    commit(&store, term, &rows).await;
    for limit in [1, 7, 50, 100, 1000] {
        let (mut query, mut found, mut slices) = (RetentionQuery { limit, ..retention(81, 0) }, Vec::new(), 0);
        loop {
            let page = store.collectable(&query).await.unwrap();
            assert!(page.items.len() <= limit);
            found.extend(page.items.iter().map(|task| task.order));
            slices += 1;
            query.cursor = page.next;
            if page.next.is_none() {
                break;
            }
        }
        let expected: Vec<u64> = (1..80).filter(|n: &u64| !n.is_multiple_of(3)).collect();
        assert_eq!(found, expected, "{limit}");
        // Nothing that was submitted after the time is looked at.
        assert!(slices <= 81 / limit + 2, "{limit}: {slices}");
    }
    for limit in [0, 1001] {
        let refused = store.collectable(&RetentionQuery { limit, ..retention(81, 0) }).await;
        assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{limit}");
    }
}

pub(crate) async fn what_a_live_task_depends_on_is_not_collectable(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let needs = |task: Task, n| {
        task.with(|task| task.depends_on = vec![Dependency { task: id(n), when: DependsWhen::Success }])
    };
    let waiting = needs(task(4), 1);
    commit(&store, term, &[ended_at(1, 11).row(), ended_at(2, 12).row(), needs(ended_at(3, 13), 2).row()]).await;
    commit(&store, term, &[waiting.row()]).await;
    assert_eq!(collectable(&store, retention(100, 0)).await, [2, 3]);
    assert_eq!(collectable(&store, retention(0, 1)).await, [2]);
    commit(&store, term, &[needs(task(4), 1).in_status(Status::Completed, "w1").row()]).await;
    assert_eq!(collectable(&store, retention(100, 0)).await, [1, 2, 3]);
}

fn removed(n: u64, status: Status) -> Row {
    Row::TaskRemoved(id(n), status)
}

pub(crate) async fn a_removed_task_is_gone_with_its_files_and_its_key_is_free(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let rows =
        [task(1).key("k").named("n").in_status(Status::Failed, "w1").row(), ended_at(2, 12).row(), task(3).row()];
    commit(&store, term, &rows).await;
    commit(&store, term, &[outputs(attempt(1, 1), &["a"]), outputs(attempt(1, 2), &["b"])]).await;
    commit(&store, term, &[outputs(attempt(2, 1), &["c"])]).await;
    for _ in 0..2 {
        commit(&store, term, &[removed(1, Status::Failed)]).await;
        assert_eq!(store.task(id(1)).await.unwrap(), None);
        assert_eq!(store.outputs(attempt(1, 1)).await.unwrap(), []);
        assert_eq!(store.outputs(attempt(1, 2)).await.unwrap(), []);
        assert_eq!(store.outputs(attempt(2, 1)).await.unwrap(), [file("c")]);
        assert_eq!(store.task_by_key(&"ann".parse().unwrap(), "k").await.unwrap(), None);
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.ended, BTreeMap::from([("completed".to_owned(), 1)]));
        assert_eq!((loaded.tasks.len(), loaded.last_order), (1, 3));
        let all = TaskQuery { limit: 10, ..TaskQuery::default() };
        assert_eq!(walk(&store, &all).await, [2]);
    }
    commit(&store, term, &[task(4).key("k").row()]).await;
    assert_eq!(store.task_by_key(&"ann".parse().unwrap(), "k").await.unwrap().unwrap().id, id(4));
    // The last task that ever was may go too: its place is not given again.
    commit(&store, term, &[task(4).key("k").in_status(Status::Failed, "w1").row(), removed(4, Status::Failed)]).await;
    assert_eq!(store.task(id(4)).await.unwrap(), None);
    assert_eq!(store.load().await.unwrap().last_order, 4);
}

pub(crate) async fn only_a_task_that_has_ended_so_is_removed_and_a_refused_removal_leaves_all(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let ended = task(1).key("k").in_status(Status::Failed, "w1").record();
    commit(&store, term, &[Row::Task(ended.clone()), outputs(attempt(1, 1), &["a"]), task(2).row()]).await;
    for wrong in [removed(2, Status::Completed), removed(2, Status::Queued)] {
        let (row, why) = refused(&store, term, &[removed(1, Status::Failed), wrong]).await;
        assert_eq!(row, 1);
        assert!(why.contains("only a task that has ended"), "{why}");
        assert_eq!(store.task(id(1)).await.unwrap().as_ref(), Some(&ended));
        assert_eq!(store.outputs(attempt(1, 1)).await.unwrap(), [file("a")]);
        assert_eq!(store.task_by_key(&"ann".parse().unwrap(), "k").await.unwrap().as_ref(), Some(&ended));
    }
    assert_eq!(refused(&store, term, &[removed(1, Status::Completed)]).await.0, 0);
}

pub(crate) async fn what_an_owners_files_come_to_follows_their_rows(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let (ann, bob): (UserId, UserId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
    let sum = |files, bytes| Usage { files, bytes };
    assert_eq!(store.usage(&ann, &[]).await.unwrap(), Usage::default());
    commit(&store, term, &[ended_at(1, 11).row(), ended_at(2, 12).row(), ended_at(3, 13).owner("bob").row()]).await;
    // Each file is as long as its path.
    commit(&store, term, &[outputs(attempt(1, 1), &["a", "bc"]), outputs(attempt(3, 1), &["defg"])]).await;
    commit(&store, term, &[outputs(attempt(1, 2), &["x"]), outputs(attempt(2, 1), &["12345"])]).await;
    assert_eq!(store.usage(&ann, &[]).await.unwrap(), sum(4, 9));
    assert_eq!(store.usage(&bob, &[]).await.unwrap(), sum(1, 4));
    assert_eq!(store.usage(&ann, &[attempt(1, 1), attempt(2, 1), attempt(2, 7)]).await.unwrap(), sum(1, 1));
    commit(&store, term, &[outputs(attempt(1, 1), &["abc"]), outputs(attempt(1, 2), &[])]).await;
    assert_eq!(store.usage(&ann, &[]).await.unwrap(), sum(2, 8));
    let (row, _) = refused(&store, term, &[removed(1, Status::Completed), removed(2, Status::Failed)]).await;
    assert_eq!((row, store.usage(&ann, &[]).await.unwrap()), (1, sum(2, 8)), "what was refused changed nothing");
    for _ in 0..2 {
        commit(&store, term, &[removed(1, Status::Completed)]).await;
        assert_eq!(store.usage(&ann, &[]).await.unwrap(), sum(1, 5));
    }
    commit(&store, term, &[removed(2, Status::Completed)]).await;
    assert_eq!(store.usage(&ann, &[]).await.unwrap(), Usage::default());
    assert_eq!(store.usage(&bob, &[]).await.unwrap(), sum(1, 4));
}
