//! The routes over a fake engine: the real core, read model and stores, driven by the test, so
//! that every moment of a task's life can be held still and looked at.

mod advice;
mod audit;
mod auth;
mod edited;
mod events;
mod explain;
mod follow;
mod foresee;
mod kept;
mod live;
mod logs;
mod openapi;
mod policy;
mod probes;
mod reference;
mod registries;
mod roles;
mod routes;
mod schedules;
mod sealing;
mod single;
mod tasks;
mod templates;
mod workers;

use super::{Live, dto, router};
use crate::auth::tests::CHEAP;
use crate::auth::{AuthRules, Identity, Parts};
use crate::clock::Clock;
use crate::external::{External, Fallback};
use crate::handle::{Facts, Handle, Shared};
use crate::heartbeats::Heartbeats;
use crate::logs::Logs;
use crate::machine::{Clocks, Threads};
use crate::mailbox::{Ask, AskError, StoreHealth, mailboxes};
use crate::model::Model;
use crate::placing::{self, Stage};
use crate::policy::Policies;
use crate::principal::Principal;
use crate::quota::{FileLimits, Quota};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, Incarnation, TaskId, Term};
use cloudai_core::policy::Policy;
use cloudai_core::strategy::View;
use cloudai_core::task::{LogCut, LogEnd, Outcome, OutputFile};
use cloudai_core::testing::TestCluster;
use cloudai_core::timing::Timing;
use cloudai_store::Store;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::{BulkStore, LogRecord, LogStream};
use cloudai_store::memory::MemoryStore;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc, watch};
use tower::ServiceExt;

/// A master without engine loop, placing and workers: the test is all three.
struct Fake {
    handle: Handle,
    core: Arc<Mutex<Core>>,
    health: Arc<watch::Sender<StoreHealth>>,
    _dir: TempDir,
}

struct Core {
    cluster: TestCluster,
    term: Term,
    published: usize,
    store: Arc<dyn Store>,
    model: Arc<Model>,
}

impl Core {
    /// Stores and shows what has changed.
    async fn publish(&mut self) {
        let rows = &self.cluster.rows[self.published..];
        self.store.commit(self.term, self.cluster.now, rows).await.unwrap();
        self.model.publish(self.cluster.now, rows);
        self.published = self.cluster.rows.len();
    }
}

/// The engine: applies what is asked, and shows it.
async fn answer(core: Arc<Mutex<Core>>, mut users: mpsc::Receiver<Ask>) {
    while let Some(Ask { events, reply, .. }) = users.recv().await {
        let mut core = core.lock().await;
        let answers: Vec<_> = events.into_iter().map(|event| core.cluster.apply(event)).collect();
        core.publish().await;
        let _ = reply.send(answers.into_iter().map(|answer| answer.map_err(AskError::from)).collect());
    }
}

impl Fake {
    async fn start() -> Self {
        Self::with(Live::default()).await
    }

    async fn with(live: Live) -> Self {
        Self::made(live, crate::feed::KEPT, None).await
    }

    /// One whose callers have to say who they are.
    async fn secured(rules: AuthRules) -> Self {
        Self::made(Live::default(), crate::feed::KEPT, Some(AuthRules { costs: CHEAP, ..rules })).await
    }

    /// One that keeps so many changes for those who follow.
    async fn made(live: Live, changes: usize, users: Option<AuthRules>) -> Self {
        Self::of(live, changes, users, Policies::default()).await
    }

    /// One whose operator lets tasks ask for no more than this.
    async fn under(policy: Policy) -> Self {
        Self::of(Live::default(), crate::feed::KEPT, None, policy.into()).await
    }

    async fn of(live: Live, changes: usize, users: Option<AuthRules>, policies: Policies) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let term = store.lead().await.unwrap();
        let model = Arc::new(Model::new([], BTreeMap::new()).keeping(changes));
        let (mailboxes, inbox) = mailboxes();
        let facts =
            Facts { cluster: "the-cluster".into(), incarnation: Incarnation(1), term, timing: Timing::default() };
        let cluster = TestCluster::default();
        let core = Core { cluster, term, published: 0, store: Arc::clone(&store), model: Arc::clone(&model) };
        let core = Arc::new(Mutex::new(core));
        let bulk: Arc<dyn BulkStore> = Arc::new(LocalBulk::open(dir.path()).unwrap());
        let parts = (Arc::clone(&store), Arc::clone(&bulk), Arc::clone(&model));
        let secrets =
            crate::secrets::Secrets::open(crate::secrets::SecretRules::default(), Arc::clone(&store)).unwrap();
        let clock = Arc::new(Clock::start(Clocks::default(), cloudai_core::testing::START));
        let identity = match users {
            Some(rules) => {
                let parts = Parts {
                    store: Arc::clone(&store),
                    secrets: &secrets,
                    clock: Arc::clone(&clock),
                    term,
                    cluster: (facts.cluster.clone(), facts.incarnation),
                };
                Some(Identity::open(rules, parts).await.unwrap().0)
            }
            None => None,
        };
        let shared = Shared {
            audit: audit_log(&store, &secrets, &clock, &facts).await,
            join_token: "cai1-0-token".into(),
            pki: None,
            facts,
            mailboxes: Arc::new(mailboxes),
            placing: Arc::default(),
            secrets,
            identity,
            policies,
            templates: crate::templates::Templates::new(Arc::clone(&store)),
            schedules: crate::schedules::Schedules::new(Arc::clone(&store)),
            inputs: crate::addresses::InputRules::default(),
            store,
            model,
            heartbeats: Arc::new(Heartbeats::default()),
            logs: Arc::new(Logs::new(bulk)),
            quota: Quota::new(FileLimits::default(), parts.0, parts.1, parts.2),
            clock,
            trail: Arc::default(),
            choice: Arc::new(crate::choice::Choice::new(greedy())),
            saved: crate::predictions::Saved::default(),
            live,
            execs: Arc::default(),
            restoring: crate::handle::restore::Restoring::default(),
            stopping: tokio_util::sync::CancellationToken::new(),
        };
        // It sees no tasks, and places none.
        let external = External::new(Fallback::default(), Arc::clone(&shared.placing.word)).unwrap();
        let stage = Stage::new(View::default(), greedy().make().unwrap(), external);
        let mailboxes = Arc::clone(&shared.mailboxes);
        let (clock, model, choice) = (Arc::clone(&shared.clock), Arc::clone(&shared.model), Arc::clone(&shared.choice));
        tokio::spawn(placing::run(
            Arc::clone(&shared.placing),
            stage,
            clock,
            mailboxes,
            model,
            choice,
            Threads::Shared,
        ));
        tokio::spawn(answer(Arc::clone(&core), inbox.users));
        Self { handle: Handle { shared: Arc::new(shared) }, core, health: inbox.health, _dir: dir }
    }

    /// Lets something happen in the cluster, and commits it.
    async fn cluster<T>(&self, happen: impl FnOnce(&mut TestCluster) -> T) -> T {
        let mut core = self.core.lock().await;
        let done = happen(&mut core.cluster);
        core.publish().await;
        done
    }

    /// A small task that was submitted and waits.
    async fn task(&self) -> TaskId {
        let answer = self.post("/api/v1/tasks", r#"{"image":"busybox"}"#).await;
        assert_eq!(answer.status, 201, "{:?}", answer.text());
        answer.json::<dto::Task>().id.parse().unwrap()
    }

    /// Ends an attempt with exit code 0, these files and so many log records.
    async fn end(&self, attempt: Attempt, records: u64, outputs: Vec<OutputFile>) {
        let log = LogEnd { records, bytes: 0, complete: true, cut: None };
        let outcome = Outcome { log, outputs, ..Outcome::exit(0) };
        self.cluster(|cluster| cluster.end(attempt, outcome)).await.unwrap();
    }

    /// Writes lines to the standard output of an attempt, the first with this number.
    async fn write(&self, attempt: Attempt, first: u64, lines: &[&str]) {
        let records: Vec<_> = lines.iter().map(|line| record(LogStream::Stdout, line.as_bytes())).collect();
        self.handle.logs(&Principal::local()).append(attempt, first, &records).await.unwrap();
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(json(Method::POST, path, body)).await
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        Answer::of(self.open(request).await).await
    }

    /// An answer whose body has not been read.
    async fn open(&self, request: Request<Body>) -> Response {
        router(self.handle.clone(), true).oneshot(request).await.unwrap()
    }
}

/// An audit log whose rows are written.
async fn audit_log(
    store: &Arc<dyn Store>,
    secrets: &crate::secrets::Secrets,
    clock: &Arc<Clock>,
    facts: &Facts,
) -> crate::audit::Auditor {
    let opened = crate::audit::Auditor::open(store, secrets, clock, facts.term, &facts.cluster);
    let (audit, auditing) = opened.await.unwrap();
    tokio::spawn(auditing.run(tokio_util::sync::CancellationToken::new()));
    audit
}

fn greedy() -> crate::choice::Chosen {
    crate::choice::Chosen::of("greedy", cloudai_core::strategy::Knobs::default()).unwrap()
}

fn json(method: Method, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

fn record(stream: LogStream, data: &[u8]) -> LogRecord {
    LogRecord { time_ns: 1_731_677_400_000_000_000, stream, data: Bytes::copy_from_slice(data) }
}

/// A whole answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Self { status: parts.status, headers: parts.headers, body }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The answer as a problem, which is well-formed.
    fn problem(&self) -> dto::Problem {
        let problem: dto::Problem = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem.status, self.status.as_u16());
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
        assert!(self.headers.contains_key("x-request-id"));
        problem
    }

    /// Asserts a refusal; answers its `detail`.
    fn refused(&self, status: u16, code: &str) -> String {
        let problem = self.problem();
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}", problem.detail);
        problem.detail
    }
}
