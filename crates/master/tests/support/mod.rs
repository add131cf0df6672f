//! A whole master for tests, on free ports of this machine.

#![allow(dead_code, reason = "not every test needs all of it")]

pub(crate) mod worker;

use async_trait::async_trait;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, JobId, TaskId, Term, UserId};
use cloudai_core::job::{Groups, JobPlan, JobRecord};
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_master::principal::Principal;
use cloudai_master::{Config, Ended, Fallback, FileLimits, Master, Retention, Rules, RunError, Security};
use cloudai_store::audit::{AuditQuery, AuditRow};
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::consumed::Consumed;
use cloudai_store::memory::MemoryStore;
use cloudai_store::query::{Collectable, JobQuery, Page, RetentionQuery, TaskQuery};
use cloudai_store::{CommitError, Loaded, Store, StoreError, Usage};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything in these tests takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running master.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) token: String,
    pub(crate) store: Arc<Switched>,
    pub(crate) stop: CancellationToken,
    ended: JoinHandle<Result<Ended, RunError>>,
    pub(crate) dir: TempDir,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::over(Switched::default(), Timing::default(), Retention::default()).await
    }

    /// A master that keeps so many bytes of a log at most.
    pub(crate) async fn limiting_logs(max_bytes: u64) -> Self {
        Self::by(Rules { max_log_bytes: max_bytes, ..Rules::default() }).await
    }

    /// A master that takes in no more of what tasks leave.
    pub(crate) async fn limited(files: FileLimits) -> Self {
        Self::by(Rules { files, ..Rules::default() }).await
    }

    async fn by(rules: Rules) -> Self {
        Self::placing_by("greedy", Fallback::default(), Switched::default(), Timing::default(), rules).await
    }

    /// A master over this store.
    pub(crate) async fn over(store: Switched, timing: Timing, retention: Retention) -> Self {
        let rules = Rules { retention, ..Rules::default() };
        Self::placing_by("greedy", Fallback::default(), store, timing, rules).await
    }

    /// A master that leaves placing to an agent, and to `greedy` when that is late.
    pub(crate) async fn external(patience: Duration) -> Self {
        let fallback = Fallback { patience, ..Fallback::default() };
        Self::placing_by("external", fallback, Switched::default(), Timing::default(), Rules::default()).await
    }

    async fn placing_by(strategy: &str, fallback: Fallback, store: Switched, timing: Timing, rules: Rules) -> Self {
        let data = (Arc::new(store), tempfile::tempdir().unwrap());
        Self::on(data, strategy, fallback, timing, rules).await
    }

    async fn on(
        (store, dir): (Arc<Switched>, TempDir),
        strategy: &str,
        fallback: Fallback,
        timing: Timing,
        rules: Rules,
    ) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let master = Master::bind(Config {
            grpc: any,
            http: any,
            store: Arc::clone(&store) as Arc<dyn Store>,
            bulk: Arc::new(LocalBulk::open(dir.path()).unwrap()),
            strategy: strategy.into(),
            fallback,
            timing,
            rules: Rules { exec: true, ..rules },
            security: Security::Insecure,
        });
        let master = master.await.unwrap();
        let (http, grpc, stop) = (master.http_address(), master.grpc_address(), CancellationToken::new());
        let token = master.handle().join_token(&Principal::local()).to_owned();
        let ended = tokio::spawn(master.run(stop.clone()));
        Self { http, grpc, token, store, stop, ended, dir }
    }

    /// Stops it; the next one begins on the same data, at other addresses.
    pub(crate) async fn next(self, timing: Timing) -> Self {
        self.stop.cancel();
        let Self { store, dir, ended, .. } = self;
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("the master did not stop").unwrap().unwrap();
        Self::on((store, dir), "greedy", Fallback::default(), timing, Rules::default()).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await;
    }

    /// Waits for the end, which must be a good one.
    pub(crate) async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        ended.expect("the master did not stop").unwrap().unwrap();
    }
}

/// Posts JSON; the status of the answer.
pub(crate) async fn post(master: &Running, path: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(master.http).await.unwrap();
    let (host, length) = (master.http, body.len());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: application/json\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("no answer").unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A store whose commits can be switched off, or held up.
#[derive(Debug)]
pub(crate) struct Switched {
    store: Box<dyn Store>,
    away: AtomicBool,
    no_audit: AtomicBool,
    hold: tokio::sync::RwLock<()>,
    loads: AtomicUsize,
    collected: Mutex<Vec<usize>>,
}

impl Default for Switched {
    fn default() -> Self {
        Self::of(MemoryStore::new())
    }
}

impl Switched {
    pub(crate) fn of(store: impl Store) -> Self {
        Self {
            store: Box::new(store),
            away: AtomicBool::new(false),
            no_audit: AtomicBool::new(false),
            hold: tokio::sync::RwLock::default(),
            loads: AtomicUsize::new(0),
            collected: Mutex::default(),
        }
    }

    /// How many tasks each commit let go that let any go.
    pub(crate) fn collected(&self) -> Vec<usize> {
        self.collected.lock().unwrap().clone()
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Takes no rows of the audit log, while everything else goes on.
    pub(crate) fn set_no_audit(&self, away: bool) {
        self.no_audit.store(away, Ordering::SeqCst);
    }

    /// Commits wait until the answer is dropped.
    pub(crate) async fn hold(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.hold.write().await
    }

    /// How often its state was loaded.
    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for Switched {
    async fn lead(&self) -> Result<Term, StoreError> {
        self.store.lead().await
    }
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.store.load().await
    }
    async fn commit(&self, term: Term, now: Timestamp, rows: &[Row]) -> Result<(), CommitError> {
        let _held_up = self.hold.read().await;
        if self.away.load(Ordering::SeqCst) {
            return Err(CommitError::Unavailable(std::io::Error::other("switched off")));
        }
        let gone = rows.iter().filter(|row| matches!(row, Row::TaskRemoved(..))).count();
        if gone > 0 {
            self.collected.lock().unwrap().push(gone);
        }
        self.store.commit(term, now, rows).await
    }
    async fn task(&self, id: TaskId) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        self.store.task(id).await
    }
    async fn task_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        self.store.task_by_key(owner, key).await
    }
    async fn tasks_like(&self, part: &str, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        self.store.tasks_like(part, limit).await
    }
    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Arc<TaskRecord>>, StoreError> {
        self.store.tasks(query).await
    }
    async fn collectable(&self, query: &RetentionQuery) -> Result<Page<Collectable>, StoreError> {
        self.store.collectable(query).await
    }
    async fn output(&self, attempt: Attempt, path: &str) -> Result<Option<OutputFile>, StoreError> {
        self.store.output(attempt, path).await
    }
    async fn outputs(&self, attempt: Attempt) -> Result<Vec<OutputFile>, StoreError> {
        self.store.outputs(attempt).await
    }
    async fn usage(&self, owner: &UserId, but: &[Attempt]) -> Result<Usage, StoreError> {
        // As a disk does: whoever asks at the same time asks before this is answered.
        tokio::task::yield_now().await;
        self.store.usage(owner, but).await
    }
    async fn job(&self, id: JobId) -> Result<Option<Arc<JobRecord>>, StoreError> {
        self.store.job(id).await
    }
    async fn job_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<JobRecord>>, StoreError> {
        self.store.job_by_key(owner, key).await
    }
    async fn job_with(&self, task: TaskId) -> Result<Option<Arc<JobRecord>>, StoreError> {
        self.store.job_with(task).await
    }
    async fn job_plan(&self, id: JobId) -> Result<Option<Arc<JobPlan>>, StoreError> {
        self.store.job_plan(id).await
    }
    async fn job_groups(&self, id: JobId) -> Result<Option<Groups>, StoreError> {
        self.store.job_groups(id).await
    }
    async fn jobs_like(&self, part: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.store.jobs_like(part, limit).await
    }
    async fn jobs(&self, query: &JobQuery) -> Result<Page<Arc<JobRecord>>, StoreError> {
        self.store.jobs(query).await
    }
    async fn collectable_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.store.collectable_jobs(before, limit).await
    }
    async fn ended(&self, task: TaskId) -> Result<Option<Status>, StoreError> {
        self.store.ended(task).await
    }
    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.store.fact(name).await
    }
    async fn keep_fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        self.store.keep_fact(name, value).await
    }
    async fn set_fact(&self, term: Term, name: &str, value: &str) -> Result<(), CommitError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(CommitError::Unavailable(std::io::Error::other("switched off")));
        }
        self.store.set_fact(term, name, value).await
    }
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        self.store.facts(prefix).await
    }
    async fn drop_fact(&self, term: Term, name: &str) -> Result<bool, CommitError> {
        self.store.drop_fact(term, name).await
    }
    async fn append_audit(&self, term: Term, rows: &[AuditRow], head: &str) -> Result<(), CommitError> {
        if self.away.load(Ordering::SeqCst) || self.no_audit.load(Ordering::SeqCst) {
            return Err(CommitError::Unavailable(std::io::Error::other("switched off")));
        }
        self.store.append_audit(term, rows, head).await
    }
    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
        self.store.audit(query).await
    }
    async fn audit_after(&self, seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.store.audit_after(seq, limit).await
    }
    async fn consumed(
        &self,
        hours: std::ops::Range<u64>,
        owner: Option<&UserId>,
    ) -> Result<Vec<(UserId, Consumed)>, StoreError> {
        self.store.consumed(hours, owner).await
    }
}
