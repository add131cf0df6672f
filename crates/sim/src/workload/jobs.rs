//! Jobs of a workload: tasks and arrays that need each other, and what users do to them.

use super::{EXIT, Program, Workload, retries, spec};
use crate::rng::Rng;
use cloudai_core::event::Part;
use cloudai_core::ids::WorkerId;
use cloudai_core::job::{Elements, Group, Indexes, Item, JobPlan, Need, On, Place};
use cloudai_core::resources::{Capacity, Demand, WHOLE};
use cloudai_core::spec::{OnDisconnect, SpecError, TaskSpec};
use cloudai_core::task::DependsWhen;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The latest moment at which users do something to a job, in milliseconds after it was acknowledged.
const LATEST: u64 = 120_000;

/// A job that somebody will submit.
#[derive(Clone, Debug)]
pub struct JobArrival {
    /// Milliseconds from the start.
    pub at: u64,
    /// What it is made of.
    pub plan: Arc<JobPlan>,
    /// Without one it is not sent again.
    pub key: Option<Arc<str>>,
    /// None of it is placed until somebody releases it.
    pub held: bool,
    /// Groups that need one thing more each, of what was acknowledged when the job is sent first.
    pub after: Vec<(u32, DependsWhen)>,
    /// What users do to it, each in milliseconds after it was acknowledged.
    pub deeds: Vec<(u64, Deed)>,
}

/// One thing that users do to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Cancel all of it.
    Cancel,
    /// Cancel some of one group.
    CancelPart(Part),
    /// Cancel one task by its id, whether it has a record or not.
    CancelTask(Place),
    /// Cancel a group by its id.
    CancelGroup(u32),
    /// Keep what waits of it from being placed. Only of one that is released later.
    Hold,
    /// Let it go.
    Release,
}

impl Workload {
    /// Adds the jobs of a seed: none in some, else up to four within so many milliseconds. A user may submit the same
    /// again under the same key, long after the first.
    /// # Errors
    /// None for the images that are used.
    pub fn with_jobs(mut self, rng: &mut Rng, horizon: u64) -> Result<Self, SpecError> {
        let count = if rng.chance(700) { rng.between((1, 4)) } else { 0 };
        let latest = horizon * 8 / 10;
        for index in 0..count {
            let job = job(rng, &self.workers, index)?;
            let at = rng.below(latest);
            if job.key.is_some() && job.after.is_empty() && rng.chance(250) {
                let again = JobArrival { at: rng.between((at, latest)), ..job.clone() };
                self.jobs.push(again);
            }
            self.jobs.push(JobArrival { at, ..job });
        }
        Ok(self)
    }
}

fn job(rng: &mut Rng, workers: &[(WorkerId, Capacity)], index: u64) -> Result<JobArrival, SpecError> {
    let mut groups = Vec::new();
    for number in 0..u32::try_from(rng.between((1, 6))).unwrap_or(1) {
        groups.push(group(rng, workers, number)?);
    }
    if rng.chance(300) {
        turn_round(&mut groups);
    }
    let max_fails = rng.chance(350).then(|| u32::try_from(rng.below(3)).unwrap_or(0));
    let plan = JobPlan { name: None, max_fails, groups };
    let mut after = Vec::new();
    if rng.chance(300) {
        for _ in 0..rng.between((1, 2)) {
            after.push((any_group(rng, &plan), when(rng)));
        }
    }
    let (deeds, held) = deeds(rng, &plan);
    let key = rng.chance(700).then(|| format!("job-{index}").into());
    Ok(JobArrival { at: 0, plan: Arc::new(plan), key, held, after, deeds })
}

/// One task or an array, that needs up to two of the groups before it.
fn group(rng: &mut Rng, workers: &[(WorkerId, Capacity)], number: u32) -> Result<Group, SpecError> {
    let mut spec = task(rng, workers)?;
    let elements = rng.chance(500).then(|| elements(rng, &mut spec));
    let mut needs = BTreeMap::new();
    for _ in 0..[0, 1, 1, 2][rng.index(4)] {
        if number > 0 {
            needs.insert(u32::try_from(rng.below(u64::from(number))).unwrap_or(0), when(rng));
        }
    }
    let needs = needs.into_iter().map(|(group, when)| Need { on: On::Group(group), when }).collect();
    Ok(Group { name: format!("g{number}").into(), spec: Arc::new(spec), elements, needs })
}

/// What they run: as other tasks, but for less long.
fn task(rng: &mut Rng, workers: &[(WorkerId, Capacity)]) -> Result<TaskSpec, SpecError> {
    let mut spec = spec(rng, workers, 0)?;
    spec.idempotency_key = None;
    spec.retries = rng.chance(200).then(|| retries(rng));
    if rng.chance(100) {
        spec.on_disconnect = OnDisconnect::Keep;
    }
    let duration = if rng.chance(500) { rng.between((0, 500)) } else { rng.between((500, 20_000)) };
    let exit_code = if rng.chance(150) { i32::try_from(rng.between((1, 127))).unwrap_or(1) } else { 0 };
    Program { duration, exit_code, ignores_term: rng.chance(100), cannot_start: rng.chance(20) }.put(&mut spec);
    Ok(spec)
}

/// The elements of an array; in some each has the code with which its program ends as its parameter.
fn elements(rng: &mut Rng, spec: &mut TaskSpec) -> Elements {
    let count = if rng.chance(700) { rng.between((1, 8)) } else { rng.between((1, 40)) };
    let (first, step) = (rng.below(5), rng.between((1, 3)));
    let text = format!("{first}-{}:{step}", first + (count - 1) * step);
    let count = u32::try_from(count).unwrap_or(1);
    let indexes = text.parse().unwrap_or_else(|_| Indexes::up_to(count));
    // Small ones: workers come and go, and all of it must have room at once now and then.
    let gang = count <= 8 && rng.chance(800);
    if gang {
        together(&mut spec.demand, count.into());
        // What they ask for is said once.
        spec.alternatives.clear();
    }
    let at_once = (!gang && rng.chance(400)).then(|| u32::try_from(rng.between((1, 5))).unwrap_or(1));
    let mut each = Vec::new();
    if rng.chance(300) {
        spec.container.env.insert(EXIT.into(), "${item}".into());
        for _ in 0..count {
            let code = if rng.chance(150) { rng.between((1, 3)) } else { 0 };
            each.push(Item::Plain(code.to_string().into()));
        }
    }
    Elements { indexes, at_once, gang, each }
}

/// Makes a demand so small that so many fit where one did.
fn together(demand: &mut Demand, count: u64) {
    let part = |amount: &mut u64| *amount = (*amount / count).max(1);
    [&mut demand.cpu_milli, &mut demand.memory, &mut demand.storage].into_iter().for_each(part);
    if demand.gpu_milli > 0 {
        demand.gpu_milli = (demand.gpu_milli.min(WHOLE - 1) / count).max(1);
    }
}

fn when(rng: &mut Rng) -> DependsWhen {
    use DependsWhen::{Any, Failure, Success};
    [Success, Success, Success, Failure, Any][rng.index(5)]
}

/// What is needed stands behind what needs it.
fn turn_round(groups: &mut [Group]) {
    let last = u32::try_from(groups.len().saturating_sub(1)).unwrap_or(0);
    groups.reverse();
    for need in groups.iter_mut().flat_map(|group| &mut group.needs) {
        if let On::Group(group) = &mut need.on {
            *group = last - *group;
        }
    }
}

fn any_group(rng: &mut Rng, plan: &JobPlan) -> u32 {
    u32::try_from(rng.index(plan.groups.len())).unwrap_or(0)
}

fn deeds(rng: &mut Rng, plan: &JobPlan) -> (Vec<(u64, Deed)>, bool) {
    let mut deeds = Vec::new();
    if rng.chance(200) {
        deeds.push((rng.below(LATEST), Deed::Cancel));
    }
    let parts = if rng.chance(400) { rng.between((1, 3)) } else { 0 };
    for _ in 0..parts {
        let group = any_group(rng, plan);
        let count = u64::from(plan.group(group).map_or(1, Group::count));
        let mut ordinal = || u32::try_from(rng.below(count)).unwrap_or(0);
        let (from, ordinal) = (ordinal(), ordinal());
        let deed = match rng.below(4) {
            0 => Deed::CancelTask(Place { group, ordinal }),
            1 => Deed::CancelGroup(group),
            _ => Deed::CancelPart(Part { group, from, to: from + 1 + ordinal }),
        };
        deeds.push((rng.below(LATEST), deed));
    }
    let held = rng.chance(200);
    if held {
        deeds.push((rng.below(LATEST), Deed::Release));
    }
    if !held && rng.chance(250) {
        let at = rng.below(LATEST);
        deeds.push((at, Deed::Hold));
        deeds.push((rng.between((at, LATEST)), Deed::Release));
    }
    (deeds, held)
}
