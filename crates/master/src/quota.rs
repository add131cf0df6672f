//! Limits of what tasks leave: of one attempt and of one user, held while the files come in.
//!
//! What an attempt under way has sent is counted here, by the names of its paths, so that nothing that is sent twice counts
//! twice: some 50 bytes a file until the attempt has ended. What was kept before stands with the records
//! ([`cloudai_store::Store::usage`]): of attempts under way those are left out, so that a file counts once, whichever it
//! is. With a limit of a user one upload is decided on after the other, so of two at once one sees the other; the counts themselves are never
//! locked while anything is waited for.

use crate::model::Model;
use cloudai_core::ids::{Attempt, UserId};
use cloudai_core::resources::Bytes;
use cloudai_core::sha256::Sha256;
use cloudai_core::state::Status;
use cloudai_store::bulk::{BulkError, BulkStore};
use cloudai_store::query::TaskQuery;
use cloudai_store::{Store, StoreError, Usage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most files of one attempt that any setting allows: workers collect no more, and no end tells of more.
pub const MOST_FILES: u32 = 10_000;
/// What one attempt may leave when nothing is said: more than most disks of workers give to one task.
const TASK_BYTES: u64 = 100 << 30;
/// Attempts that are remembered before those are looked for that have ended without a word.
const LEAST_LOOK: usize = 64;

/// What tasks may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Bytes of the files of one attempt; none is no limit but the storage that the task asks for.
    pub task: Option<u64>,
    /// Files of one attempt (1..=[`MOST_FILES`]).
    pub task_count: u32,
    /// Bytes of all kept files of one user; none is no limit.
    pub user: Option<u64>,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { task: Some(TASK_BYTES), task_count: MOST_FILES, user: None }
    }
}

/// Why files are not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// More files than one attempt may leave.
    #[error(
        "the task left {have} files or more to keep, and files.max_task_count allows {limit}: pack them into an archive, \
         or keep fewer (outputs)"
    )]
    TaskCount {
        /// With those that were refused.
        have: u64,
        /// The most.
        limit: u32,
    },
    /// More bytes than one attempt may leave.
    #[error(
        "the task left {} or more to keep, and files.max_task allows {}: keep less (outputs), or have files.max_task of \
         the master raised",
        size(*have), size(*limit)
    )]
    Task {
        /// With those that were refused.
        have: u64,
        /// The most.
        limit: u64,
    },
    /// More bytes than one user may have.
    #[error(
        "{owner} has {} of files, kept or on their way, this task would add {} or more, and files.max_user allows {}: files go with their \
         tasks (retention.tasks_days, retention.tasks_max), or have files.max_user of the master raised; what is kept: \
         cloudai files",
        size(*kept), size(*own), size(*limit)
    )]
    User {
        /// Whose.
        owner: UserId,
        /// What is kept, and what other attempts are leaving.
        kept: u64,
        /// The attempt's own, with those that were refused.
        own: u64,
        /// The most.
        limit: u64,
    },
    /// What was sent before is not known now.
    #[error(transparent)]
    Bulk(#[from] BulkError),
    /// What is kept is not known now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Rounded for people, and exactly: the one may look like the limit.
fn size(bytes: u64) -> String {
    if bytes < 1024 { Bytes(bytes).to_string() } else { format!("{} ({bytes} bytes)", Bytes(bytes)) }
}

/// Decides which files come in.
#[derive(Debug)]
pub(crate) struct Quota {
    limits: FileLimits,
    store: Arc<dyn Store>,
    bulk: Arc<dyn BulkStore>,
    model: Arc<Model>,
    under_way: Mutex<UnderWay>,
    /// Held while an upload is held against the limit of a user.
    deciding: tokio::sync::Mutex<()>,
}

/// What attempts have sent that have not ended.
#[derive(Debug, Default)]
struct UnderWay {
    attempts: BTreeMap<Attempt, Sent>,
    /// Whose attempts are all known, those included that sent to an earlier life of the master.
    whole: BTreeSet<UserId>,
    /// With so many attempts those are looked for that ended without a word.
    look_at: usize,
}

/// What one attempt has sent, or is sending.
#[derive(Debug)]
struct Sent {
    owner: UserId,
    /// Sizes by the names of the paths.
    files: BTreeMap<Sha256, u64>,
    usage: Usage,
}

impl Sent {
    fn new(owner: &UserId, files: Vec<(Sha256, u64)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let usage = files.values().fold(Usage::default(), |sum, size| sum.plus(Usage::of_file(*size)));
        Self { owner: owner.clone(), files, usage }
    }

    /// What it comes to with these files; none where they are among it.
    fn with(&self, files: &BTreeMap<Sha256, u64>) -> Option<Usage> {
        let mut usage = self.usage;
        let mut fresh = false;
        for (name, size) in files {
            let known = self.files.get(name);
            fresh |= known != Some(size);
            usage = usage.less(known.map_or_else(Usage::default, |known| Usage::of_file(*known)));
            usage = usage.plus(Usage::of_file(*size));
        }
        fresh.then_some(usage)
    }
}

impl Quota {
    pub(crate) fn new(limits: FileLimits, store: Arc<dyn Store>, bulk: Arc<dyn BulkStore>, model: Arc<Model>) -> Self {
        Self { limits, store, bulk, model, under_way: Mutex::default(), deciding: tokio::sync::Mutex::default() }
    }

    /// Lets files of an attempt of this owner's come in, all or none: the names of their paths and their sizes. What was
    /// let in stays so, however often it is asked for.
    /// # Errors
    /// [`NotAdmitted`]; nothing of it counts then.
    pub(crate) async fn admit(
        &self,
        owner: &UserId,
        attempt: Attempt,
        files: &BTreeMap<Sha256, u64>,
    ) -> Result<(), NotAdmitted> {
        self.begin(owner, attempt).await?;
        let Some(limit) = self.limits.user else {
            return self.under_way().take_in(attempt, files, |usage| self.check_task(usage));
        };
        let _one = self.deciding.lock().await;
        let Some(usage) = self.under_way().with(attempt, files) else { return Ok(()) };
        self.check_task(usage)?;
        let kept = self.others(owner, attempt, limit.saturating_sub(usage.bytes)).await?;
        if kept.saturating_add(usage.bytes) > limit {
            return Err(NotAdmitted::User { owner: owner.clone(), kept, own: usage.bytes, limit });
        }
        self.under_way().take_in(attempt, files, |_| Ok(()))
    }

    /// Counts an attempt from now on, with what an earlier life of the master has of it.
    async fn begin(&self, owner: &UserId, attempt: Attempt) -> Result<(), NotAdmitted> {
        if self.under_way().attempts.contains_key(&attempt) {
            return Ok(());
        }
        let before = self.bulk.finished_files(attempt).await?;
        let mut under_way = self.under_way();
        self.forget_ended(&mut under_way);
        under_way.attempts.entry(attempt).or_insert_with(|| Sent::new(owner, before));
        Ok(())
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_task(&self, usage: Usage) -> Result<(), NotAdmitted> {
        let FileLimits { task, task_count, .. } = self.limits;
        if usage.files > u64::from(task_count) {
            return Err(NotAdmitted::TaskCount { have: usage.files, limit: task_count });
        }
        match task {
            Some(limit) if usage.bytes > limit => Err(NotAdmitted::Task { have: usage.bytes, limit }),
            Some(_) | None => Ok(()),
        }
    }

    /// The bytes of an owner's kept files, and of those that other attempts are leaving; perhaps more where even that is no
    /// more than `enough`.
    async fn others(&self, owner: &UserId, but: Attempt, enough: u64) -> Result<u64, NotAdmitted> {
        self.remember(owner).await?;
        // First who is under way: of one that ends meanwhile the records are left out, or are there.
        let (attempts, sending) = self.under_way().others(owner, but, |attempt| is_under_way(&self.model, attempt));
        // Counts twice what has ended just now: mostly even that is far from the limit.
        let most = self.store.usage(owner, &[]).await?.plus(sending).bytes;
        if most <= enough {
            return Ok(most);
        }
        let kept = self.store.usage(owner, &attempts).await?;
        Ok(kept.plus(sending).bytes)
    }

    /// Looks once what those of an owner's attempts have sent to an earlier life of the master that are still under way.
    async fn remember(&self, owner: &UserId) -> Result<(), NotAdmitted> {
        if self.under_way().whole.contains(owner) {
            return Ok(());
        }
        let query = TaskQuery {
            // What is queued sends nothing; there may be a million of those.
            statuses: vec![Status::Pending, Status::Running],
            owner: Some(owner.clone()),
            expand: true,
            limit: usize::MAX,
            ..TaskQuery::default()
        };
        for task in self.model.live(&query)? {
            self.begin(owner, task.attempt()).await?;
        }
        self.under_way().whole.insert(owner.clone());
        Ok(())
    }

    /// Attempts whose end nobody told, as those of a worker that was lost, are looked for now and then.
    fn forget_ended(&self, under_way: &mut UnderWay) {
        let UnderWay { attempts, look_at, .. } = under_way;
        if attempts.len() >= (*look_at).max(LEAST_LOOK) {
            attempts.retain(|attempt, _| is_under_way(&self.model, *attempt));
            *look_at = attempts.len().saturating_mul(2);
        }
    }

    /// An attempt has ended, and its records tell what is kept: whether it had sent anything to this life of the master.
    pub(crate) fn ended(&self, attempt: Attempt) -> bool {
        let sent = self.under_way().attempts.remove(&attempt);
        sent.is_some_and(|sent| !sent.files.is_empty())
    }
}

impl UnderWay {
    /// What an attempt comes to with these files; none where they are among it, or it has ended.
    fn with(&self, attempt: Attempt, files: &BTreeMap<Sha256, u64>) -> Option<Usage> {
        self.attempts.get(&attempt)?.with(files)
    }

    /// Takes files in if the attempt may leave what it comes to with them.
    fn take_in(
        &mut self,
        attempt: Attempt,
        files: &BTreeMap<Sha256, u64>,
        check: impl FnOnce(Usage) -> Result<(), NotAdmitted>,
    ) -> Result<(), NotAdmitted> {
        let Some(usage) = self.with(attempt, files) else { return Ok(()) };
        check(usage)?;
        if let Some(sent) = self.attempts.get_mut(&attempt) {
            sent.files.extend(files);
            sent.usage = usage;
        }
        Ok(())
    }

    /// An owner's attempts that are under way, with this one, and what all of them but this one have sent.
    fn others(&self, owner: &UserId, but: Attempt, is_under_way: impl Fn(Attempt) -> bool) -> (Vec<Attempt>, Usage) {
        let (mut attempts, mut sending) = (vec![but], Usage::default());
        for (attempt, sent) in self.attempts.iter().filter(|(attempt, sent)| **attempt != but && sent.owner == *owner) {
            if is_under_way(*attempt) {
                attempts.push(*attempt);
                sending = sending.plus(sent.usage);
            }
        }
        (attempts, sending)
    }
}

/// Whether an attempt is the one that its task has now.
fn is_under_way(model: &Model, attempt: Attempt) -> bool {
    model.task(attempt.task).is_some_and(|task| task.active().is_some() && task.attempt() == attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes as Data;
    use cloudai_core::task::{Outcome, OutputFile};
    use cloudai_core::testing::{TestCluster, cores};
    use cloudai_store::bulk::local::LocalBulk;
    use cloudai_store::bulk::{SmallFile, path_name};
    use cloudai_store::memory::MemoryStore;
    use sha2::Digest;
    use tempfile::TempDir;

    /// A cluster with one worker whose commits a quota reads.
    struct World {
        cluster: TestCluster,
        published: usize,
        term: cloudai_core::ids::Term,
        store: Arc<dyn Store>,
        bulk: Arc<dyn BulkStore>,
        model: Arc<Model>,
        _dir: TempDir,
    }

    impl World {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let term = store.lead().await.unwrap();
            let mut cluster = TestCluster::default();
            cluster.worker("w1", cores(4));
            let bulk = Arc::new(LocalBulk::open(dir.path()).unwrap());
            let model = Arc::new(Model::new([], BTreeMap::new()));
            Self { cluster, published: 0, term, store, bulk, model, _dir: dir }
        }

        /// A master's life over it.
        fn quota(&self, limits: FileLimits) -> Quota {
            Quota::new(limits, Arc::clone(&self.store), Arc::clone(&self.bulk), Arc::clone(&self.model))
        }

        async fn publish(&mut self) {
            let rows = &self.cluster.rows[self.published..];
            self.store.commit(self.term, self.cluster.now, rows).await.unwrap();
            self.model.publish(self.cluster.now, rows);
            self.published = self.cluster.rows.len();
        }

        /// A new task that was placed.
        async fn attempt(&mut self, number: u128) -> Attempt {
            let task = self.cluster.task(number);
            let attempt = self.cluster.place(task, "w1");
            self.publish().await;
            attempt
        }

        async fn end(&mut self, attempt: Attempt, files: &[(&str, u64)]) {
            let outputs = files.iter().map(|(path, size)| OutputFile {
                path: (*path).into(),
                size: *size,
                sha256: Sha256([0; 32]),
            });
            let outcome = Outcome { outputs: outputs.collect(), ..Outcome::exit(0) };
            self.cluster.end(attempt, outcome).unwrap();
            self.publish().await;
        }

        fn owner(&self, attempt: Attempt) -> UserId {
            self.cluster.record(attempt.task).owner.clone()
        }

        async fn admit(&self, quota: &Quota, attempt: Attempt, files: &[(&str, u64)]) -> Result<(), NotAdmitted> {
            let files = files.iter().map(|(path, size)| (path_name(path), *size)).collect();
            quota.admit(&self.owner(attempt), attempt, &files).await
        }
    }

    fn user(limit: u64) -> FileLimits {
        FileLimits { user: Some(limit), ..FileLimits::default() }
    }

    #[tokio::test]
    async fn an_attempt_leaves_no_more_files_and_bytes_than_allowed_however_often_it_sends_them() {
        let mut world = World::new().await;
        let attempt = world.attempt(1).await;
        let quota = world.quota(FileLimits { task: Some(10), task_count: 3, user: None });
        for _ in 0..3 {
            world.admit(&quota, attempt, &[("a", 4), ("b", 5)]).await.unwrap();
        }
        let large = world.admit(&quota, attempt, &[("c", 2)]).await.unwrap_err();
        assert!(matches!(large, NotAdmitted::Task { have: 11, limit: 10 }), "{large}");
        let many = world.admit(&quota, attempt, &[("c", 0), ("d", 0)]).await.unwrap_err();
        assert!(matches!(many, NotAdmitted::TaskCount { have: 4, limit: 3 }), "{many}");
        world.admit(&quota, attempt, &[("c", 1)]).await.unwrap();
        // One that changed on its way counts as it is now.
        assert!(world.admit(&quota, attempt, &[("c", 2)]).await.is_err());
        world.admit(&quota, attempt, &[("a", 3), ("c", 2)]).await.unwrap();
    }

    #[tokio::test]
    async fn a_user_has_no_more_than_allowed_of_what_is_kept_and_under_way() {
        let mut world = World::new().await;
        let (first, second) = (world.attempt(1).await, world.attempt(2).await);
        let quota = world.quota(user(10));
        world.admit(&quota, first, &[("a", 6)]).await.unwrap();
        let full = world.admit(&quota, second, &[("a", 5)]).await.unwrap_err();
        assert!(matches!(full, NotAdmitted::User { kept: 6, own: 5, limit: 10, .. }), "{full}");
        world.admit(&quota, second, &[("a", 4)]).await.unwrap();
        // Its records count once, also before it is known here that it has ended.
        world.end(first, &[("a", 6)]).await;
        assert!(world.admit(&quota, second, &[("b", 1)]).await.is_err());
        assert!(quota.ended(first) && !quota.ended(first));
        assert!(world.admit(&quota, second, &[("b", 1)]).await.is_err());
        // What an attempt sent and is not kept gives its room back.
        world.end(second, &[]).await;
        let third = world.attempt(3).await;
        world.admit(&quota, third, &[("a", 4)]).await.unwrap();
        let row = cloudai_core::effect::Row::TaskRemoved(first.task, Status::Completed);
        world.store.commit(world.term, world.cluster.now, &[row]).await.unwrap();
        world.admit(&quota, third, &[("b", 6)]).await.unwrap();
        assert!(world.admit(&quota, third, &[("c", 1)]).await.is_err());
    }

    #[tokio::test]
    async fn a_new_life_of_the_master_counts_what_came_to_the_one_before() {
        let mut world = World::new().await;
        let (first, second) = (world.attempt(1).await, world.attempt(2).await);
        let data = Data::from("123456");
        let sha256 = Sha256(sha2::Sha256::digest(&data).into());
        world.bulk.put_files(first, vec![SmallFile { path: "a".into(), sha256, data }]).await.unwrap();
        let quota = world.quota(FileLimits { task: Some(7), ..user(10) });
        let full = world.admit(&quota, second, &[("a", 5)]).await.unwrap_err();
        assert!(matches!(full, NotAdmitted::User { kept: 6, own: 5, limit: 10, .. }), "{full}");
        let large = world.admit(&quota, first, &[("b", 2)]).await.unwrap_err();
        assert!(matches!(large, NotAdmitted::Task { have: 8, limit: 7 }), "{large}");
        world.admit(&quota, first, &[("a", 6), ("b", 1)]).await.unwrap();
    }

    #[tokio::test]
    async fn of_many_uploads_at_once_no_more_come_in_than_there_is_room_for() {
        let mut world = World::new().await;
        let attempts = [world.attempt(1).await, world.attempt(2).await, world.attempt(3).await];
        let quota = world.quota(user(10));
        let paths: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        let (world, quota) = (&world, &quota);
        // What looks for files of before goes to the disk: each of these waits there while others go on.
        let all = paths.iter().zip(attempts.iter().cycle()).map(|(path, attempt)| async move {
            let file = [(path.as_str(), 1)];
            world.admit(quota, *attempt, &file).await.is_ok()
        });
        let admitted = futures::future::join_all(all).await;
        assert_eq!(admitted.into_iter().filter(|admitted| *admitted).count(), 10);
    }

    #[tokio::test]
    async fn attempts_that_ended_without_a_word_are_not_remembered_for_ever() {
        let mut world = World::new().await;
        let quota = world.quota(FileLimits::default());
        for number in 1..=200 {
            let attempt = world.attempt(number).await;
            world.admit(&quota, attempt, &[("a", 1)]).await.unwrap();
            world.end(attempt, &[("a", 1)]).await;
        }
        assert!(quota.under_way().attempts.len() <= LEAST_LOOK);
    }

    #[test]
    fn a_refusal_names_the_limit_its_value_and_what_helps() {
        let owner: UserId = "ann".parse().unwrap();
        let rows = [
            (NotAdmitted::TaskCount { have: 4, limit: 3 }, vec!["4 files or more", "files.max_task_count allows 3"]),
            (
                NotAdmitted::Task { have: (1 << 30) + 1, limit: 1 << 30 },
                vec!["1 GiB (1073741825 bytes)", "files.max_task allows 1 GiB (1073741824 bytes)", "outputs"],
            ),
            (
                NotAdmitted::User { owner, kept: 6, own: 5, limit: 10 },
                vec![
                    "ann has 6 B",
                    "would add 5 B",
                    "files.max_user allows 10 B",
                    "retention.tasks_max",
                    "cloudai files",
                ],
            ),
        ];
        for (refusal, parts) in rows {
            let said = refusal.to_string();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
