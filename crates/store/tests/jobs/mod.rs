//! Jobs: read back, loaded with what became of their tasks, listed, let go.

mod rejected;

use super::common::*;
use super::retention::{collectable, retention};
use super::{commit, walk};
use cloudai_core::effect::Row;
use cloudai_core::ids::{JobId, TaskId, Term, UserId};
use cloudai_core::job::{
    Counts, Dropped, Elements, Fate, Group, GroupProgress, Groups, JobEnd, JobPlan, JobRecord, JobStatus, Need, On,
    Place, Ranges, Stop,
};
use cloudai_core::state::Status;
use cloudai_core::task::{DependsWhen, Step};
use cloudai_store::query::{JobQuery, Page, Sort, TaskQuery};
use cloudai_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use rejected::*;

/// A job of the user `ann`; a test names only what it is about.
#[derive(Clone)]
struct Job {
    record: JobRecord,
    plan: Arc<JobPlan>,
}

/// The id of the `n`th job; no task of another has one of its tasks' ids.
fn job_id(n: u64) -> JobId {
    JobId::new(id(n).ulid())
}

/// An array of these elements, or one task.
fn group(name: &str, elements: Option<&str>, needs: &[On]) -> Group {
    let elements =
        elements.map(|text| Elements { indexes: text.parse().unwrap(), at_once: None, gang: false, each: Vec::new() });
    let needs = needs.iter().map(|on| Need { on: *on, when: DependsWhen::Any }).collect();
    Group { name: name.into(), spec: Arc::clone(&task(1).record().spec), elements, needs }
}

/// The `n`th job, of which the first task is the `order`th submission.
fn job(n: u64, order: u64, groups: Vec<Group>) -> Job {
    let plan = JobPlan { name: None, max_fails: None, groups };
    let record = JobRecord {
        id: job_id(n),
        owner: "ann".parse().unwrap(),
        name: None,
        idempotency_key: None,
        retry_of: None,
        version: 1,
        order,
        groups: u32::try_from(plan.groups.len()).unwrap(),
        arrays: None,
        tasks: plan.tasks(),
        created_at: at(order),
        started_at: None,
        held: None,
        stop: None,
        dropped: Vec::new(),
        done: Vec::new(),
        sweeps: Vec::new(),
        counts: Counts::default(),
        end: None,
    };
    Job { record, plan: Arc::new(plan) }
}

/// One that needs something, and has one task.
fn job_that_needs(n: u64, order: u64, needs: &[TaskId]) -> Job {
    let needs: Vec<On> = needs.iter().map(|task| On::Task(*task)).collect();
    job(n, order, vec![group("after", None, &needs)])
}

impl Job {
    fn with(mut self, change: impl FnOnce(&mut JobRecord)) -> Self {
        change(&mut self.record);
        self
    }

    fn owner(self, owner: &str) -> Self {
        self.with(|job| job.owner = owner.parse().unwrap())
    }

    fn named(self, name: &str) -> Self {
        self.with(|job| job.name = Some(name.into()))
    }

    fn key(self, key: &str) -> Self {
        self.with(|job| job.idempotency_key = Some(key.into()))
    }

    fn version(self, version: u64) -> Self {
        self.with(|job| job.version = version)
    }

    /// Cancelled, and not over yet; a new version.
    fn stopping(self) -> Self {
        self.with(|job| {
            job.version += 1;
            job.stop = Some(Stop::Cancelled { by: "ann".parse().unwrap(), at: at(7) });
        })
    }

    /// Its end; a new version.
    fn ended(self, status: JobStatus, millis: u64) -> Self {
        self.with(|job| {
            job.version += 1;
            job.end = Some(JobEnd { status, at: at(millis) });
        })
    }

    fn id(&self) -> JobId {
        self.record.id
    }

    fn task_id(&self, group: u32, ordinal: u32) -> TaskId {
        self.plan.task_id(self.id(), Place { group, ordinal })
    }

    /// One of its tasks.
    fn task(&self, group: u32, ordinal: u32, status: Status) -> Task {
        let order = self.record.order + self.plan.offsets()[group as usize] + u64::from(ordinal);
        let (id, job) = (self.task_id(group, ordinal), self.id());
        let task = task(order).in_status(status, "w1");
        task.with(|task| (task.id, task.job) = (id, Some(job)))
    }

    fn planned(&self) -> Row {
        Row::JobPlanned(self.id(), Arc::clone(&self.plan))
    }

    /// Its record, with groups as they are when nothing happened to them.
    fn row(&self) -> Row {
        self.row_with(self.plan.groups.iter().map(|_| GroupProgress::default()).collect())
    }

    fn row_with(&self, groups: Groups) -> Row {
        Row::Job(Arc::new(self.record.clone()), groups)
    }

    fn rows(&self) -> Vec<Row> {
        vec![self.planned(), self.row()]
    }
}

/// How far a group is; what is not named is nothing.
fn progress(change: impl FnOnce(&mut GroupProgress)) -> GroupProgress {
    let mut group = GroupProgress::default();
    change(&mut group);
    group
}

/// What a store keeps of groups.
fn faces(groups: &Groups) -> Vec<(u32, u32, Option<Fate>)> {
    groups.iter().map(|group| (group.born, group.ended(), group.fate)).collect()
}

async fn put(store: &Arc<dyn Store>, term: Term, jobs: &[&Job]) {
    let rows: Vec<Row> = jobs.iter().flat_map(|job| job.rows()).collect();
    commit(store, term, &rows).await;
}

fn ann() -> UserId {
    "ann".parse().unwrap()
}

pub(crate) async fn a_job_is_found_by_its_id_its_key_and_every_task_of_it(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let map = || group("map", Some("3-5"), &[On::Group(1)]);
    let first = job(1, 1, vec![map(), group("split", None, &[])]).key("k").named("first");
    let second = job(2, 5, vec![group("a", None, &[])]).key("l");
    put(&store, term, &[&first, &second, &job(3, 6, vec![group("map", Some("3-5"), &[])]).owner("bob").key("k")]).await;

    assert_eq!(store.job(first.id()).await.unwrap().as_deref(), Some(&first.record));
    assert_eq!(store.job_plan(first.id()).await.unwrap(), Some(Arc::clone(&first.plan)));
    assert_eq!(store.job(job_id(9)).await.unwrap(), None);
    assert_eq!(store.job_plan(job_id(9)).await.unwrap(), None);
    assert_eq!(store.job_groups(first.id()).await.unwrap(), None, "it is neither stopped nor over");
    let by_key = async |owner: &UserId, key| store.job_by_key(owner, key).await.unwrap().map(|job| job.id);
    assert_eq!(by_key(&ann(), "k").await, Some(first.id()));
    assert_eq!(by_key(&ann(), "l").await, Some(second.id()));
    assert_eq!(by_key(&ann(), "m").await, None);
    assert_eq!(by_key(&"bob".parse().unwrap(), "k").await, Some(job_id(3)));
    let with = async |task| store.job_with(task).await.unwrap().map(|job| job.id);
    let map = first.id().group(0);
    for task in [map, map.element(4), map.element(3), first.id().group(1)] {
        assert_eq!(with(task).await, Some(first.id()), "{task}");
    }
    for task in [first.id().group(2), second.id().group(1), TaskId::new(first.id().ulid()), id(9)] {
        assert_eq!(with(task).await, None, "{task}");
    }
}

pub(crate) async fn an_older_version_of_a_job_changes_nothing(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let needed = ended_task(1);
    let live = job_that_needs(2, 2, &[id(1)]);
    let fate = progress(|group| (group.gone, group.fate) = (1, Some(Fate::Failed)));
    let over = live.clone().ended(JobStatus::Failed, 50);
    let batch = [needed.row(), live.planned(), live.row(), over.row_with([fate].into_iter().collect())];
    commit(&store, term, &batch).await;
    let older = live.clone().stopping();
    commit(&store, term, &[older.row(), live.version(2).row()]).await;
    for _ in 0..2 {
        assert_eq!(store.job(over.id()).await.unwrap().as_deref(), Some(&over.record));
        let groups = store.job_groups(over.id()).await.unwrap().unwrap();
        assert_eq!(faces(&groups), [(0, 1, Some(Fate::Failed))]);
        assert_eq!(store.ended(over.task_id(0, 0)).await.unwrap(), Some(Status::Failed));
        assert!(store.load().await.unwrap().jobs.is_empty());
        assert_eq!(collectable(&store, retention(1000, 0)).await, [1], "nobody needs it any more");
        // As a commit that is tried again.
        commit(&store, term, &batch).await;
    }
}

fn ended_task(n: u64) -> Task {
    task(n).in_status(Status::Completed, "w1").with(|task| task.finished_at = Some(at(20)))
}

pub(crate) async fn a_leader_loads_live_jobs_with_what_became_of_their_tasks(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let groups = vec![
        group("split", None, &[]),
        group("map", Some("10-90:10"), &[On::Group(0)]),
        group("reduce", None, &[On::Group(1)]),
    ];
    // Committed in another order than submitted, beside one that is over and a task of nobody.
    let later = job(1, 40, vec![group("a", None, &[])]);
    let live = job(2, 3, groups.clone());
    let over = job(3, 20, groups).ended(JobStatus::Completed, 9);
    put(&store, term, &[&later, &live, &over]).await;
    let mut rows = vec![task(1).row(), live.task(0, 0, Status::Completed).row()];
    for (status, ordinal) in Status::ALL.iter().zip(0..) {
        rows.push(live.task(1, ordinal, *status).row());
    }
    rows.push(live.task(1, 6, Status::Queued).row());
    rows.push(over.task(1, 3, Status::Completed).row());
    commit(&store, term, &rows).await;

    let loaded = store.load().await.unwrap();
    let [first, second] = &loaded.jobs[..] else { panic!("{:?}", loaded.jobs) };
    let (first, second) = if first.record.id == live.id() { (first, second) } else { (second, first) };
    assert_eq!((&*first.record, &first.plan), (&live.record, &live.plan));
    assert_eq!((&*second.record, second.groups.len()), (&later.record, 0));
    assert!(first.stopped.is_none() && first.outside.is_empty());
    let split = progress(|group| (group.born, group.completed) = (1, 1));
    let map = progress(|group| {
        (group.born, group.queued) = (7, 2);
        (group.pending, group.running, group.completed, group.failed, group.cancelled) = (1, 1, 1, 1, 1);
    });
    assert_eq!(first.groups, BTreeMap::from([(0, split), (1, map)]), "reduce has no record");
    // Four of the map, and the task of nobody.
    assert_eq!(loaded.tasks.len(), 5);
}

pub(crate) async fn a_leader_loads_how_the_groups_of_a_job_were_when_it_was_stopped(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let live = job(1, 1, vec![group("map", Some("0-9"), &[]), group("reduce", None, &[On::Group(0)])]);
    put(&store, term, &[&live]).await;
    let map = |ended: u32| {
        progress(|group| {
            (group.born, group.running, group.cancelled) = (4, 4 - ended, ended);
            (group.gone, group.fate) = (6, Some(Fate::Stopped));
        })
    };
    let reduce = progress(|group| (group.gone, group.fate) = (1, Some(Fate::Failed)));
    let stopping = live.stopping();
    for (version, ended) in [(2, 0), (3, 2)] {
        let groups = [map(ended), reduce].into_iter().collect();
        commit(&store, term, &[stopping.clone().version(version).row_with(groups)]).await;
        let loaded = store.load().await.unwrap();
        let stopped = loaded.jobs[0].stopped.as_ref().unwrap();
        let fates: Vec<_> = stopped.iter().map(|group| group.fate).collect();
        assert_eq!(fates, [Some(Fate::Stopped), Some(Fate::Failed)]);
        assert_eq!(loaded.jobs[0].record.version, version);
    }
    let over = stopping.version(3).ended(JobStatus::Cancelled, 9);
    commit(&store, term, &[over.row_with([map(4), reduce].into_iter().collect())]).await;
    let groups = store.job_groups(over.id()).await.unwrap().unwrap();
    assert_eq!(faces(&groups), [(4, 10, Some(Fate::Stopped)), (0, 1, Some(Fate::Failed))]);
    assert!(store.load().await.unwrap().jobs.is_empty());
}

pub(crate) async fn a_leader_loads_how_that_ended_which_jobs_need_of_others(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let three = |name: &str| {
        vec![group(name, None, &[]), group("map", Some("0-3"), &[]), group("reduce", None, &[On::Group(1)])]
    };
    let over = job(3, 10, three("over")).with(|job| {
        let mut ordinals = Ranges::default();
        ordinals.add(3, 4);
        job.dropped = vec![Dropped { group: 1, ordinals, by: ann(), at: at(5) }];
    });
    let over = over.stopping().ended(JobStatus::Cancelled, 9);
    let live = job(4, 20, three("live"));
    let of = |job: &Job, group: u32| job.id().group(group);
    let rows = [
        (id(1), Some(Status::Completed)),
        (id(2), None),
        (id(8), None),
        (of(&over, 0), Some(Status::Completed)),
        (of(&over, 1), Some(Status::Failed)),
        (of(&over, 1).element(0), Some(Status::Failed)),
        (of(&over, 1).element(2), Some(Status::Cancelled)),
        (of(&over, 1).element(3), Some(Status::Cancelled)),
        (of(&over, 1).element(4), None),
        (of(&over, 2), Some(Status::Failed)),
        (of(&over, 3), None),
        (of(&live, 0), Some(Status::Completed)),
        (of(&live, 1), None),
        (of(&live, 1).element(1), None),
        (of(&live, 1).element(2), None),
    ];
    let waits = job_that_needs(5, 30, &rows.map(|(task, _)| task));
    let stopped = progress(|group| {
        (group.born, group.completed, group.failed) = (2, 1, 1);
        (group.gone, group.fate) = (2, Some(Fate::Stopped));
    });
    let doomed = progress(|group| (group.gone, group.fate) = (1, Some(Fate::Failed)));
    let plain = progress(|group| (group.born, group.completed) = (1, 1));
    put(&store, term, &[&live, &waits]).await;
    let tasks = [
        task(1).in_status(Status::Completed, "w1"),
        task(2).in_status(Status::Running, "w1"),
        over.task(0, 0, Status::Completed),
        over.task(1, 0, Status::Failed),
        over.task(1, 1, Status::Completed),
        live.task(0, 0, Status::Completed),
        live.task(1, 1, Status::Running),
    ];
    commit(&store, term, &tasks.map(Task::row)).await;
    commit(&store, term, &[over.planned(), over.row_with([plain, stopped, doomed].into_iter().collect())]).await;

    for (task, ended) in rows {
        assert_eq!(store.ended(task).await.unwrap(), ended, "{task}");
    }
    let loaded = store.load().await.unwrap();
    let found = loaded.jobs.iter().find(|job| job.record.id == waits.id()).unwrap();
    let expected = rows.into_iter().filter_map(|(task, ended)| Some((task, ended?)));
    assert_eq!(found.outside, expected.collect::<BTreeMap<_, _>>());
}

pub(crate) async fn the_orders_that_a_job_reserves_are_not_given_again(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    put(&store, term, &[&job(1, 4, vec![group("map", Some("0-9"), &[]), group("reduce", None, &[])])]).await;
    assert_eq!(store.load().await.unwrap().last_order, 14);
    commit(&store, term, &[task(2).row()]).await;
    assert_eq!(store.load().await.unwrap().last_order, 14);
}

async fn walk_jobs(store: &Arc<dyn Store>, query: &JobQuery) -> Vec<u64> {
    let (mut query, mut orders) = (query.clone(), Vec::new());
    loop {
        let Page { items, next } = store.jobs(&query).await.unwrap();
        assert!(items.len() <= query.limit && (next.is_none() || items.len() == query.limit));
        orders.extend(items.iter().map(|job| job.order));
        match next {
            Some(cursor) => query.cursor = Some(cursor),
            None => return orders,
        }
    }
}

/// Every filter, alone and with others, by pages of 1, 7 and 1000.
fn job_queries() -> Vec<JobQuery> {
    let several = vec![JobStatus::Cancelled, JobStatus::Completed, JobStatus::Held];
    let mut queries = Vec::new();
    for statuses in [vec![], vec![JobStatus::Failed], several] {
        for owner in [None, "bob".parse::<UserId>().ok()] {
            for name in [None, Some("train"), Some("train-")] {
                for limit in [1, 7, 1000] {
                    let (statuses, owner) = (statuses.clone(), owner.clone());
                    let name_prefix = name.map(str::to_owned);
                    queries.push(JobQuery { statuses, owner, name_prefix, limit, ..JobQuery::default() });
                }
            }
        }
    }
    queries
}

pub(crate) async fn ended_jobs_are_listed_newest_first_with_every_filter(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let ends = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];
    let made = |n: u64| {
        let pick = |count: u64| usize::try_from(n % count).unwrap();
        let made = job(n, 2 * n, vec![group("map", Some("0-1"), &[])]).owner(["ann", "bob"][pick(2)]);
        let made = [made.clone(), made.clone().named("train"), made.named("train-2")][pick(3)].clone();
        if n.is_multiple_of(7) { made } else { made.ended(ends[pick(5).min(2)], n) }
    };
    let all: Vec<Job> = (1..=60).map(made).collect();
    put(&store, term, &all.iter().collect::<Vec<_>>()).await;
    for query in job_queries() {
        let wanted = |job: &&JobRecord| {
            let ends_so = |end: JobEnd| query.statuses.is_empty() || query.statuses.contains(&end.status);
            let named = |prefix: &String| job.name.as_ref().is_some_and(|name| name.starts_with(prefix.as_str()));
            job.end.is_some_and(ends_so)
                && query.owner.as_ref().is_none_or(|owner| *owner == job.owner)
                && query.name_prefix.as_ref().is_none_or(named)
        };
        let mut expected: Vec<u64> = all.iter().map(|job| &job.record).filter(wanted).map(|job| job.order).collect();
        expected.reverse();
        assert!(!expected.is_empty(), "{query:?}");
        assert_eq!(walk_jobs(&store, &query).await, expected, "{query:?}");
        expected.reverse();
        assert_eq!(walk_jobs(&store, &JobQuery { sort: Sort::Oldest, ..query }).await, expected);
    }
    for limit in [0, 1001] {
        let refused = store.jobs(&JobQuery { limit, ..JobQuery::default() }).await;
        assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{limit}");
    }
}

pub(crate) async fn jobs_are_found_by_the_beginning_and_the_end_of_their_ids(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let all: Vec<Job> = (1..=40).map(|n| job(n, n, vec![group("a", None, &[])])).collect();
    let ended: Vec<Job> = all.iter().map(|job| job.clone().ended(JobStatus::Completed, 9)).collect();
    put(&store, term, &all.iter().chain(&ended[..20]).collect::<Vec<_>>()).await;
    let text = |n: u64| job_id(n).to_string()["job-".len()..].to_owned();
    for part in ["", &text(7), &text(7)[..12], &text(7)[18..], &text(30)[25..], &text(8)[1..], "U", "job-"] {
        let fits = |n: &u64| text(*n).starts_with(part) || text(*n).ends_with(part);
        let expected: Vec<_> = (1..=40).rev().filter(fits).map(job_id).collect();
        for limit in [1, 3, 1000] {
            let found = store.jobs_like(part, limit).await.unwrap();
            assert_eq!(found, expected[..limit.min(expected.len())], "{part:?} {limit}");
        }
    }
}

pub(crate) async fn lists_of_tasks_leave_elements_out_unless_they_are_asked_for(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let over = job(9, 11, vec![group("map", Some("0-5"), &[]), group("reduce", None, &[])]);
    put(&store, term, &[&over.clone().ended(JobStatus::Failed, 9)]).await;
    let name = |task: Task| task.named("train");
    let map = |ordinal| name(over.task(0, ordinal, Status::Completed)).row();
    let letter = name(over.task(0, 4, Status::Running)).dead().row();
    let rows = [ended_task(1).row(), map(0), map(1), map(2), letter, over.task(1, 0, Status::Failed).row()];
    commit(&store, term, &rows).await;
    let all = TaskQuery { limit: 2, sort: Sort::Oldest, ..TaskQuery::default() };
    let (owner, worker) = (Some(ann()), "w1".parse().ok());
    for (query, expected) in [
        (all.clone(), vec![1, 17]),
        (TaskQuery { owner: owner.clone(), ..all.clone() }, vec![1, 17]),
        (TaskQuery { statuses: vec![Status::Failed], ..all.clone() }, vec![17]),
        (TaskQuery { worker: worker.clone(), ..all.clone() }, vec![1, 11, 12, 13, 15, 17]),
        (TaskQuery { name_prefix: Some("tr".into()), ..all.clone() }, vec![]),
        (TaskQuery { name_prefix: Some("tr".into()), expand: true, ..all.clone() }, vec![11, 12, 13, 15]),
        (TaskQuery { expand: true, ..all.clone() }, vec![1, 11, 12, 13, 15, 17]),
        (TaskQuery { owner: owner.clone(), expand: true, ..all.clone() }, vec![1, 11, 12, 13, 15, 17]),
        (TaskQuery { dead: true, ..all.clone() }, vec![15]),
        (TaskQuery { dead: true, owner, ..all.clone() }, vec![15]),
        (TaskQuery { orders: Some((11, 17)), ..all.clone() }, vec![11, 12, 13, 15, 17]),
    ] {
        assert_eq!(walk(&store, &query).await, expected, "{query:?}");
    }
    let narrow = TaskQuery { orders: Some((11, 17)), worker, ..all };
    assert!(matches!(store.tasks(&narrow).await, Err(StoreError::Unsupported(_))));
    let ended = store.load().await.unwrap().ended;
    assert_eq!(ended, BTreeMap::from([("completed".to_owned(), 4), ("failed".to_owned(), 2)]), "all are counted");
}

pub(crate) async fn the_tasks_of_a_job_are_those_of_its_orders(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let ends = [Status::Completed, Status::Failed, Status::Cancelled, Status::Running];
    let two = || vec![group("map", Some("0-19"), &[]), group("reduce", None, &[])];
    let (before, it, after) = (job(1, 11, two()), job(2, 32, two()), job(3, 53, two()));
    put(&store, term, &[&before, &it, &after]).await;
    let status = |n: u32| ends[n as usize % ends.len()];
    for job in [&before, &it, &after] {
        let rows: Vec<_> = (0..20).map(|n| job.task(0, n, status(n)).row()).collect();
        commit(&store, term, &rows).await;
        commit(&store, term, &[job.task(1, 0, Status::Completed).row()]).await;
    }
    for statuses in [vec![], vec![Status::Completed], vec![Status::Failed, Status::Running]] {
        let wanted = |status: Status| status.is_final() && (statuses.is_empty() || statuses.contains(&status));
        let map = (0..20).filter(|n| wanted(status(*n))).map(|n| 32 + u64::from(n));
        let mut expected: Vec<u64> = map.chain(wanted(Status::Completed).then_some(52)).collect();
        for sort in [Sort::Oldest, Sort::Newest] {
            for limit in [1, 4, 1000] {
                let orders = Some((it.record.order, it.record.last_order()));
                let query = TaskQuery { orders, statuses: statuses.clone(), sort, limit, ..TaskQuery::default() };
                assert_eq!(walk(&store, &query).await, expected, "{query:?}");
            }
            expected.reverse();
        }
    }
}

pub(crate) async fn what_a_live_job_has_or_needs_is_not_collectable(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let earlier = job(3, 3, vec![group("map", Some("0-1"), &[])]);
    let over = earlier.clone().ended(JobStatus::Completed, 20);
    let live = job_that_needs(5, 5, &[id(1), over.task_id(0, 1)]);
    put(&store, term, &[&over, &live]).await;
    let old = |task: Task| task.with(|task| task.finished_at = Some(at(20))).row();
    let element = |ordinal| old(earlier.task(0, ordinal, Status::Completed));
    let own = old(live.task(0, 0, Status::Completed));
    commit(&store, term, &[ended_task(1).row(), ended_task(2).row(), element(0), element(1), own]).await;
    assert_eq!(collectable(&store, retention(1000, 0)).await, [2, 3]);
    assert_eq!(collectable(&store, retention(0, 9)).await, [2, 3]);
    assert_eq!(store.collectable_jobs(at(1000), 9).await.unwrap(), [], "its tasks are stored");
    commit(&store, term, &[live.ended(JobStatus::Completed, 30).row()]).await;
    assert_eq!(collectable(&store, retention(1000, 0)).await, [1, 2, 3, 4, 5]);
}

pub(crate) async fn ended_jobs_are_collectable_by_age_once_no_task_of_them_is_stored(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let two = || vec![group("map", Some("0-1"), &[]), group("never", None, &[])];
    let ended = |n: u64, millis| job(n, 10 * n, two()).ended(JobStatus::Cancelled, millis);
    let (first, second, third) = (ended(1, 30), ended(2, 20), ended(3, 20));
    let needed = ended(4, 10);
    let live = job_that_needs(5, 50, &[needed.task_id(1, 0)]);
    put(&store, term, &[&first, &second, &third, &needed, &live]).await;
    let removed = |job: &Job| Row::TaskRemoved(job.task_id(0, 1), Status::Failed);
    commit(&store, term, &[second.task(0, 1, Status::Failed).row()]).await;
    let collectable = async |before, limit| store.collectable_jobs(at(before), limit).await.unwrap();
    let ids = |jobs: &[&Job]| jobs.iter().map(|job| job.id()).collect::<Vec<_>>();
    assert_eq!(collectable(100, 9).await, ids(&[&third, &first]));
    commit(&store, term, &[removed(&second)]).await;
    assert_eq!(collectable(100, 9).await, ids(&[&second, &third, &first]), "the earliest ended first");
    assert_eq!(collectable(100, 2).await, ids(&[&second, &third]));
    assert_eq!(collectable(30, 9).await, ids(&[&second, &third]));
    assert_eq!(collectable(20, 9).await, []);
    commit(&store, term, &[live.ended(JobStatus::Completed, 40).row()]).await;
    assert_eq!(collectable(u64::MAX, 9).await, ids(&[&needed, &second, &third, &first, &job(5, 50, Vec::new())]));
}

pub(crate) async fn a_removed_job_is_gone_with_its_plan_and_its_key_is_free(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    let over = job_that_needs(2, 2, &[id(1)]).key("k").named("n").ended(JobStatus::Completed, 20);
    put(&store, term, &[&over, &job(3, 3, vec![group("a", None, &[])]).ended(JobStatus::Failed, 20)]).await;
    for _ in 0..2 {
        commit(&store, term, &[Row::JobRemoved(over.id())]).await;
        assert_eq!(store.job(over.id()).await.unwrap(), None);
        assert_eq!(store.job_plan(over.id()).await.unwrap(), None);
        assert_eq!(store.job_groups(over.id()).await.unwrap(), None);
        assert_eq!(store.job_by_key(&ann(), "k").await.unwrap(), None);
        assert_eq!(store.job_with(over.id().group(0)).await.unwrap(), None);
        assert_eq!(store.ended(over.id().group(0)).await.unwrap(), None);
        assert_eq!(store.jobs_like("", 9).await.unwrap(), [job_id(3)]);
        assert_eq!(walk_jobs(&store, &JobQuery { limit: 9, ..JobQuery::default() }).await, [3]);
        assert_eq!(store.load().await.unwrap().last_order, 3, "its places are not given again");
    }
    put(&store, term, &[&job(4, 4, vec![group("a", None, &[])]).key("k")]).await;
    assert_eq!(store.job_by_key(&ann(), "k").await.unwrap().map(|job| job.id), Some(job_id(4)));
}
