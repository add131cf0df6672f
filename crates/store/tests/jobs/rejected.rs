//! What is not stored of jobs.

use super::super::{commit, refused};
use super::*;

pub(crate) async fn rows_of_jobs_that_contradict_what_is_stored_are_refused(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let one = || vec![group("a", None, &[])];
    let (live, over) = (job(1, 1, one()).key("k"), job(2, 2, one()).ended(JobStatus::Completed, 5));
    put(&store, term, &[&live, &over]).await;
    let next = || live.clone().version(2);
    let new = || job(3, 3, one());
    let rows = [
        (vec![next().owner("bob").row()], "never change"),
        (vec![next().named("n").row()], "never change"),
        (vec![next().key("l").row()], "never change"),
        (vec![next().with(|job| job.order = 9).row()], "never change"),
        (vec![next().with(|job| job.tasks = 9).row()], "never change"),
        (vec![new().row()], "the plan of the job is not stored"),
        (new().key("k").rows(), "ann has another job with this idempotency key"),
        (new().with(|job| job.order = 2).rows(), "another job begins with the submission order 2"),
        (new().with(|job| job.order = u64::MAX).rows(), "above the largest number"),
        (new().ended(JobStatus::Failed, u64::MAX).rows(), "above the largest number"),
        (vec![next().version(u64::MAX).row()], "above the largest number"),
        (vec![Row::JobRemoved(live.id())], "only a job that has ended"),
    ];
    for (rows, sentence) in rows {
        let (row, why) = refused(&store, term, &rows).await;
        assert_eq!(row, rows.len() - 1, "{rows:?}");
        assert!(why.contains(sentence), "{rows:?}: {why}");
    }
    put(&store, term, &[&next(), &new()]).await;
}

pub(crate) async fn a_refused_batch_leaves_jobs_as_they_were(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let live = job(3, 3, vec![group("map", Some("0-1"), &[])]).key("k");
    let over = job(5, 5, vec![group("a", None, &[])]).ended(JobStatus::Failed, 9);
    let failed = progress(|group| (group.gone, group.fate) = (1, Some(Fate::Failed)));
    commit(&store, term, &[ended_task(1).row()]).await;
    put(&store, term, &[&live]).await;
    commit(&store, term, &[over.planned(), over.row_with([failed].into_iter().collect())]).await;
    let new = job_that_needs(7, 7, &[id(1)]).key("l");
    let rows = [
        new.rows(),
        vec![live.clone().stopping().row(), Row::JobRemoved(over.id()), live.task(0, 0, Status::Queued).row()],
        vec![task(9).with(|task| task.order = 1).on("w1", Step::Running).row()],
    ];
    assert_eq!(refused(&store, term, &rows.concat()).await.0, 5);
    assert_eq!(store.job(new.id()).await.unwrap(), None);
    assert_eq!(store.job_plan(new.id()).await.unwrap(), None);
    assert_eq!(store.job_by_key(&ann(), "l").await.unwrap(), None);
    assert_eq!(collectable(&store, retention(1000, 0)).await, [1], "what it needs is needed by nobody");
    assert_eq!(store.job(live.id()).await.unwrap().as_deref(), Some(&live.record));
    assert_eq!(store.job_groups(live.id()).await.unwrap(), None);
    assert_eq!(store.job(over.id()).await.unwrap().as_deref(), Some(&over.record));
    assert_eq!(store.job_plan(over.id()).await.unwrap(), Some(Arc::clone(&over.plan)));
    assert_eq!(faces(&store.job_groups(over.id()).await.unwrap().unwrap()), [(0, 1, Some(Fate::Failed))]);
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.jobs.len(), loaded.jobs[0].groups.len(), loaded.last_order), (1, 0, 5));
}
