//! From jobs to the JSON of `dto/jobs.rs`: words and sentences that people read.

use super::dto::{ArrayCounts, Job, JobCounts, JobNeed, JobPart, Task};
use super::view::{choice, demand, time};
use crate::model::{SeenJob, array_status};
use cloudai_core::job::{Counts, Fate, GroupProgress, JobRecord, JobStatus, graph};
use cloudai_core::state::{Phase, Status};
use cloudai_core::task::DependsWhen;
use std::collections::BTreeMap;

/// The most named tasks of one answer.
pub(super) const MOST_PARTS: usize = 1000;
/// So many names are told of a longer list.
const NAMED: usize = 3;

/// Of some groups the first tasks that failed.
pub(super) type Failed = BTreeMap<u32, FirstFailed>;

/// The first tasks of a group that failed.
pub(super) struct FirstFailed {
    /// Their indexes, where it is an array.
    pub(super) indexes: Vec<u32>,
    /// What is said of the end of the first.
    pub(super) why: String,
}

fn counts(counts: &Counts, tasks: u64) -> JobCounts {
    JobCounts {
        queued: counts.queued(tasks),
        pending: counts.pending,
        running: counts.running,
        completed: counts.completed,
        failed: counts.failed,
        cancelled: counts.cancelled,
    }
}

/// A job of a list.
pub(super) fn job(record: &JobRecord) -> Job {
    Job {
        id: record.id.to_string(),
        name: record.name.as_deref().map(ToOwned::to_owned),
        user_id: record.owner.to_string(),
        status: record.status().word().into(),
        message: message(record),
        tasks: record.tasks,
        groups: record.groups,
        counts: counts(&record.counts, record.tasks),
        max_fails: None,
        retry_of: record.retry_of.map(|id| id.to_string()),
        held_by: record.held.as_ref().map(ToString::to_string),
        created_at: time(record.created_at),
        started_at: record.started_at.map(time),
        finished_at: record.end.map(|end| time(end.at)),
        version: record.version,
        parts: Vec::new(),
        next_part: None,
    }
}

/// A job with its named tasks, from a place in its file on.
pub(super) fn whole(seen: &SeenJob, from: usize, failed: &Failed) -> Job {
    let levels = graph::levels(&seen.plan);
    let all = seen.plan.groups.len();
    let to = all.min(from.saturating_add(MOST_PARTS));
    let parts = (from..to).filter_map(|number| {
        let number = u32::try_from(number).ok()?;
        part(seen, number, levels.get(number as usize).copied().unwrap_or_default(), failed)
    });
    let mut shown = job(&seen.record);
    shown.message = story(seen);
    Job { max_fails: seen.plan.max_fails, parts: parts.collect(), next_part: (to < all).then_some(to), ..shown }
}

/// What goes on, by the record alone.
fn message(record: &JobRecord) -> String {
    let (id, counts) = (record.id, &record.counts);
    match record.status() {
        JobStatus::Held => match &record.held {
            Some(by) => format!("held by {by}; let it go with: cloudai job release {id}"),
            None => String::new(),
        },
        JobStatus::Queued => "none of its tasks has a place yet".into(),
        JobStatus::Running => format!("{} of {} have ended", counts.ended(), record.tasks),
        JobStatus::Cancelling => {
            let left = counts.pending + counts.running;
            let why = record.stop.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{why}; {left} still to be stopped")
        }
        JobStatus::Completed => String::new(),
        JobStatus::Failed => {
            let why = record.stop.as_ref().map(|stop| format!("{stop}; ")).unwrap_or_default();
            format!(
                "{why}{} of {} failed; run what did not complete again with: cloudai job retry {id}",
                counts.failed, record.tasks
            )
        }
        JobStatus::Cancelled => {
            let why =
                record.stop.as_ref().map_or_else(|| "some of its tasks were cancelled".into(), ToString::to_string);
            format!("{why}; run what did not complete again with: cloudai job retry {id}")
        }
    }
}

/// What goes on, with the names of those that matter.
fn story(seen: &SeenJob) -> String {
    let record = &seen.record;
    let names = |which: &dyn Fn(&GroupProgress) -> bool| {
        let groups = seen.plan.groups.iter().zip(seen.groups.iter());
        let names: Vec<&str> = groups.filter(|(_, state)| which(state)).map(|(group, _)| &*group.name).collect();
        match names.len() {
            0..=NAMED => names.join(", "),
            more => format!("{} and {} more", names[..NAMED].join(", "), more - NAMED),
        }
    };
    match record.status() {
        JobStatus::Failed => {
            let failed = names(&|state| state.failed > 0);
            let lost = names(&|state| state.fate == Some(Fate::Failed));
            let lost = if lost.is_empty() { String::new() } else { format!(", so {lost} did not run") };
            let stopped = record.stop.as_ref().map(|stop| format!("; {stop}")).unwrap_or_default();
            let id = record.id;
            format!(
                "{failed} failed{lost}{stopped}; see why: cloudai job tasks {id} --status failed; then run what did not complete again: cloudai job retry {id}"
            )
        }
        JobStatus::Running => {
            let runs = names(&|state| state.pending + state.running > 0);
            let waits = names(&|state| state.queued > 0 && state.pending + state.running == 0);
            let runs = if runs.is_empty() { String::new() } else { format!("; {runs} at work") };
            let waits = if waits.is_empty() { String::new() } else { format!("; {waits} waiting for a place") };
            let held = if record.held.is_some() {
                format!("; it is held, what has not had its turn waits for: cloudai job release {}", record.id)
            } else {
                String::new()
            };
            format!("{} of {} have ended{runs}{waits}{held}", record.counts.ended(), record.tasks)
        }
        JobStatus::Queued => {
            let waits = names(&|state| state.queued > 0);
            if waits.is_empty() { message(record) } else { format!("{waits} waiting for a place") }
        }
        JobStatus::Held | JobStatus::Cancelling | JobStatus::Completed | JobStatus::Cancelled => message(record),
    }
}

fn part(seen: &SeenJob, number: u32, level: u32, failed: &Failed) -> Option<JobPart> {
    let (group, state) = (seen.plan.group(number)?, seen.groups.get(number)?);
    let array = group.elements.as_ref();
    let need = |need: &cloudai_core::job::Need| JobNeed {
        task: seen.name(need.on),
        when: match need.when {
            DependsWhen::Success => "success",
            DependsWhen::Failure => "failure",
            DependsWhen::Any => "any",
        }
        .into(),
    };
    Some(JobPart {
        name: group.name.to_string(),
        id: seen.record.id.group(number).to_string(),
        image: group.spec.image.clone(),
        array: array.map(|elements| elements.indexes.to_string()),
        at_once: array.and_then(|elements| elements.at_once),
        tasks: group.count(),
        status: part_status(seen, number).into(),
        message: part_message(seen, number, failed.get(&number)),
        counts: part_counts(seen, number, state, group.count()),
        needs: group.needs.iter().map(need).collect(),
        level,
    })
}

fn part_counts(seen: &SeenJob, number: u32, state: &GroupProgress, count: u32) -> JobCounts {
    let dropped = seen.record.dropped_of(number).map_or(0, |dropped| dropped.ordinals.count());
    let gone_as_failed = if state.fate == Some(Fate::Failed) { state.gone.saturating_sub(dropped) } else { 0 };
    JobCounts {
        queued: u64::from(count.saturating_sub(state.ended() + state.pending + state.running)),
        pending: state.pending.into(),
        running: state.running.into(),
        completed: u64::from(state.completed + state.done),
        failed: u64::from(state.failed + gone_as_failed),
        cancelled: u64::from(state.cancelled + state.gone - gone_as_failed),
    }
}

/// An array as a whole, as a row of a list of tasks.
pub(super) fn array(seen: &SeenJob, number: u32) -> Option<Task> {
    let (record, group, state) = (&seen.record, seen.plan.group(number)?, seen.groups.get(number)?);
    let status = array_status(seen, number)?;
    let phase = if status != Status::Queued {
        None
    } else if state.unmet > 0 {
        Some(Phase::WaitingDependencies)
    } else {
        record.held.is_some().then_some(Phase::Held)
    };
    // When one of several arrays began and ended stands nowhere.
    let only = seen.plan.groups.len() == 1;
    let ended = record.end.filter(|_| status.is_final());
    let counts = part_counts(seen, number, state, group.count());
    Some(Task {
        id: record.id.group(number).to_string(),
        name: group.spec.name.clone(),
        image: group.spec.image.clone(),
        user_id: record.owner.to_string(),
        job_id: Some(record.id.to_string()),
        job_task: Some(group.name.to_string()),
        index: None,
        array: Some(ArrayCounts { total: group.count().into(), counts }),
        status: status.word().into(),
        phase: phase.map(|phase| phase.word().into()),
        reason: None,
        message: part_message(seen, number, None),
        attempt: 0,
        exit_code: None,
        oom_killed: false,
        dead: false,
        retry_of: None,
        retried_by: None,
        warnings: Vec::new(),
        worker_id: None,
        priority: group.spec.priority,
        resources: demand(&group.spec.demand),
        requests: choice(&group.spec),
        labels: group.spec.labels.clone(),
        created_at: time(record.created_at),
        started_at: record.started_at.filter(|_| only).map(time),
        finished_at: ended.map(|end| time(end.at)),
        starts_at: None,
        next_try_at: None,
        planned: None,
        deadline: None,
        estimate_s: group.spec.estimate.map(|estimate| estimate.as_secs_f64()),
        due_at: None,
        not_before: None,
        version: record.version,
        attempts: Vec::new(),
        spec: None,
    })
}

/// Where a named task stands, in one word.
pub(super) fn part_status(seen: &SeenJob, number: u32) -> &'static str {
    let (Some(group), Some(state)) = (seen.plan.group(number), seen.groups.get(number)) else { return "waiting" };
    if state.ended() == group.count() {
        return if state.fate == Some(Fate::NotNeeded) { "skipped" } else { state.end().word() };
    }
    if state.running > 0 {
        "running"
    } else if state.pending > 0 {
        "pending"
    } else if state.unmet > 0 {
        "waiting"
    } else if state.ended() > 0 {
        "running"
    } else {
        "queued"
    }
}

fn part_message(seen: &SeenJob, number: u32, failed: Option<&FirstFailed>) -> String {
    let (Some(group), Some(state)) = (seen.plan.group(number), seen.groups.get(number)) else { return String::new() };
    if let Some(fate) = state.fate {
        return seen.why_ended(number, fate);
    }
    let why = failed.map(|first| first.why.as_str()).unwrap_or_default();
    if state.failed > 0 && group.elements.is_none() {
        return why.to_owned();
    }
    if state.failed > 0 {
        let indexes = failed.map(|first| first.indexes.as_slice()).unwrap_or_default();
        let named: Vec<String> = indexes.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if state.failed as usize > named.len() { ", ..." } else { "" };
        let named = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        return format!("{} of {} failed{named}{why}", state.failed, group.count());
    }
    if state.unmet > 0 { seen.unmet(number) } else { String::new() }
}
