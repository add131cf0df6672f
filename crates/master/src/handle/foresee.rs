//! What would become of a job: the same checks as of a submission, and nothing is submitted.

use super::Handle;
use super::jobs::{as_tasks, groups_to_run};
use crate::mailbox::{AskError, NotNow};
use crate::model::{Living, SeenJob};
use crate::principal::Principal;
use cloudai_core::event::NewJob;
use cloudai_core::feasible;
use cloudai_core::ids::TaskId;
use cloudai_core::job::{Group, JobFile, JobPlan, On, StoredJob};
use cloudai_core::spec::TaskSpec;
use cloudai_core::state::Status;
use cloudai_core::strategy::{EXTERNAL, Fleet, Knobs, Strategy, View, by_name, make};
use cloudai_core::task::TaskRecord;
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerRecord;
use cloudai_sim::foresee::{Ask, Bounds, Forecast, foresee};
use cloudai_store::StoreError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Who asks is answered with what was seen by then; others who think about copies wait so long.
const LONGEST: Duration = Duration::from_secs(15);
/// What places in the look ahead where nothing else can.
const PLAIN: &str = "greedy";

/// What would become of a job.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// What it is made of.
    pub(crate) plan: Arc<JobPlan>,
    /// Of each group who could run it.
    pub(crate) able: Vec<Able>,
    /// When and where.
    pub(crate) forecast: Forecast,
    /// What is taken to place.
    pub(crate) strategy: &'static str,
    /// So many tasks are held: nobody knows when they would start, so they do not.
    pub(crate) held: u64,
}

/// Who could run a task.
#[derive(Clone, Debug)]
pub(crate) struct Able {
    /// So many workers, if nothing else ran there.
    pub(crate) ever: usize,
    /// So many have room now.
    pub(crate) now: usize,
    /// Why no worker ever could.
    pub(crate) never: Option<String>,
}

/// Tells the thread that looks ahead that nobody waits any more.
struct Enough(Arc<AtomicBool>);

impl Drop for Enough {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Handle {
    /// Plays what would become of a job if it were submitted now. Nothing changes.
    /// # Errors
    /// As [`Handle::submit_job`], but for what no worker could run: that is told; unavailable when too many ask.
    pub(crate) async fn foresee_job(&self, who: &Principal, file: JobFile) -> Result<Foreseen, AskError> {
        let now = self.now();
        let plan = Arc::new(file.plan);
        let mut new = NewJob {
            id: super::job_id_at(now),
            owner: who.user.clone(),
            plan: Arc::clone(&plan),
            held: false,
            idempotency_key: None,
            retry_of: None,
            done: Vec::new(),
            ended: BTreeMap::new(),
        };
        self.check_policy(groups_to_run(&new))?;
        let (tasks, places) = as_tasks(&new);
        self.check_secrets(&tasks, &places).await?;
        self.look_for_inputs(who, &tasks, &places).await?;
        new.ended = self.ended_outside(who, &new).await?;
        let model = Arc::clone(&self.shared.model);
        // As many as live: too long for a thread that serves others.
        let living = tokio::task::spawn_blocking(move || model.living()).await;
        let living = living.map_err(|error| AskError::Internal(error.to_string()))?;
        let held = living.held();
        let there = self.with_ends(living, now).await?;
        let enough = Enough(Arc::default());
        let (knobs, asked) = (self.shared.choice.now().knobs, Arc::clone(&enough.0));
        let think = move |view: &View, strategy: &dyn Strategy| look_ahead(view, strategy, &knobs, there, new, asked);
        let thought = self.shared.placing.ponder(think);
        let thought = async {
            tokio::pin!(thought);
            tokio::select! {
                biased;
                told = &mut thought => return told,
                () = tokio::time::sleep(LONGEST) => enough.0.store(true, Ordering::Relaxed),
            }
            thought.await
        };
        match self.shared.stopping.run_until_cancelled(thought).await {
            Some(Some(Some((able, forecast, strategy)))) => Ok(Foreseen { plan, able, forecast, strategy, held }),
            Some(Some(None)) => Err(AskError::Internal("no strategy could be made to look ahead".into())),
            Some(None) => Err(AskError::Unavailable(NotNow::BUSY)),
            None => Err(AskError::Stopped),
        }
    }
}

/// What there is when the look ahead begins.
struct There {
    now: Timestamp,
    tasks: Vec<Arc<TaskRecord>>,
    jobs: Vec<StoredJob>,
    workers: Vec<Arc<WorkerRecord>>,
}

impl Handle {
    /// What lives, with the ends of what its jobs need of others.
    async fn with_ends(&self, living: Living, now: Timestamp) -> Result<There, StoreError> {
        let Living { tasks, jobs, workers } = living;
        let mut stored = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut outside = BTreeMap::new();
            for need in job.plan.groups.iter().flat_map(|group| &group.needs) {
                let On::Task(task) = need.on else { continue };
                if !outside.contains_key(&task)
                    && let Some(status) = self.shared.store.ended(task).await?
                {
                    outside.insert(task, status);
                }
            }
            stored.push(as_stored(job, outside));
        }
        Ok(There { now, tasks, jobs: stored, workers })
    }
}

/// A job as a store has it.
fn as_stored(job: SeenJob, outside: BTreeMap<TaskId, Status>) -> StoredJob {
    let SeenJob { record, plan, groups } = job;
    let born = (0_u32..).zip(groups.iter()).filter(|(_, group)| group.born > 0);
    let born = born.map(|(number, group)| (number, *group)).collect();
    let stopped = record.stop.is_some().then_some(groups);
    StoredJob { record, plan, groups: born, stopped, outside }
}

/// Who could run the job, when and where, and by which strategy; none where that strategy can not be made.
fn look_ahead(
    view: &View,
    strategy: &dyn Strategy,
    knobs: &Knobs,
    there: There,
    new: NewJob,
    enough: Arc<AtomicBool>,
) -> Option<(Vec<Able>, Forecast, &'static str)> {
    // Plans are made and not improved: that may take seconds, each time that something ends.
    let knobs = Knobs { planner_evaluations: 0, ..*knobs };
    let made = make(strategy.name(), &knobs).filter(|made| made.name() != EXTERNAL);
    let strategy = made.or_else(|| by_name(PLAIN))?;
    let name = strategy.name();
    let able = able(&new.plan, view.fleet());
    let ask = Ask {
        now: there.now,
        workers: there.workers,
        tasks: there.tasks,
        jobs: there.jobs,
        job: new.id,
        owner: new.owner,
        plan: JobPlan::clone(&new.plan),
        ended: new.ended,
        strategy,
        learner: view.learner().clone(),
        bounds: Bounds::default(),
        enough,
    };
    Some((able, foresee(ask), name))
}

/// Of each group who could run it; of many that ask for alike it is looked for once.
fn able(plan: &JobPlan, fleet: &Fleet) -> Vec<Able> {
    let mut known = BTreeMap::new();
    let of_group = |group: &Group| {
        let (spec, size) = (&group.spec, if group.is_gang() { group.count() } else { 1 });
        let demands = spec.demands().cloned().collect::<Vec<_>>();
        let asked = (demands, spec.anti_affinity.clone(), spec.worker_id.clone(), spec.needs(), size);
        known.entry(asked).or_insert_with(|| Able::of(spec, size, fleet)).clone()
    };
    plan.groups.iter().map(of_group).collect()
}

impl Able {
    /// What so many at once ask for, where they start together.
    fn of(spec: &TaskSpec, size: u32, fleet: &Fleet) -> Self {
        let known = || fleet.each().filter(|seen| seen.record().connected_at.is_some());
        Self {
            ever: known().filter(|seen| feasible::could_ever(spec, seen.record()).is_ok()).count(),
            now: known().filter(|seen| feasible::fits(spec, seen.record(), seen.free()).is_ok()).count(),
            never: feasible::gang_satisfiable(spec, size, fleet.workers().map(AsRef::as_ref)).err(),
        }
    }
}
