//! What is said of tasks that have no record: they wait for their turn, or never had one.

use super::{Fate, GroupProgress, Groups, JobPlan, JobRecord, Need, On, Place, Stop};
use crate::state::{Phase, Reason, Status};
use crate::task::{DependsWhen, Finished, Queued, State, TaskRecord};
use std::sync::Arc;

/// So many names are told of a longer list.
const NAMED: usize = 3;

/// A job with all that is known of it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The record.
    pub record: Arc<JobRecord>,
    /// What it is made of.
    pub plan: Arc<JobPlan>,
    /// How far each of its groups is.
    pub groups: Groups,
}

impl Whole {
    /// Whether a task of it has, or had, a record.
    #[must_use]
    pub fn was_born(&self, place: Place) -> bool {
        let group = self.groups.get(place.group);
        let had = group.is_some_and(|group| place.ordinal < group.born);
        had && !self.is_dropped(place) && self.record.done_in(place).is_none()
    }

    fn is_dropped(&self, Place { group, ordinal }: Place) -> bool {
        self.record.dropped_of(group).is_some_and(|dropped| dropped.ordinals.contains(ordinal))
    }

    /// What a task of it counts as that has no record.
    #[must_use]
    pub fn unborn_status(&self, place: Place) -> Status {
        if self.record.done_in(place).is_some() {
            return Status::Completed;
        }
        if self.is_dropped(place) {
            return Status::Cancelled;
        }
        let fate = self.groups.get(place.group).and_then(|group| group.fate);
        fate.map_or(Status::Queued, Fate::status)
    }

    /// A task of it that has no record, as one that has.
    #[must_use]
    pub fn unborn(&self, place: Place) -> Option<TaskRecord> {
        let (record, group) = (&self.record, self.plan.group(place.group)?);
        let state = self.state(place)?;
        let cancelled = matches!(&state, State::Finished(end) if end.status == Status::Cancelled);
        let ended_at = record.stop.as_ref().map(Stop::at).or_else(|| record.end.map(|end| end.at));
        let finished_at = matches!(state, State::Finished(_)).then(|| ended_at.unwrap_or(record.created_at));
        let dropped_at = record.dropped_of(place.group).map(|dropped| dropped.at);
        let spec = group.spec_of(place.ordinal).unwrap_or_else(|_| Arc::clone(&group.spec));
        let (id, owner, order) = (self.plan.task_id(record.id, place), record.owner.clone(), self.offset(place));
        let fresh = TaskRecord::new(id, owner, spec, record.order_of(order), record.created_at);
        let dropped = cancelled && self.is_dropped(place);
        let finished_at = if dropped { dropped_at } else { finished_at };
        Some(TaskRecord { job: Some(record.id), finished_at, state, ..fresh })
    }

    /// The place of a task among all of the job.
    #[must_use]
    pub fn offset(&self, place: Place) -> u64 {
        let before = self.plan.groups.iter().take(place.group as usize).map(|group| u64::from(group.count()));
        before.sum::<u64>() + u64::from(place.ordinal)
    }

    fn state(&self, place: Place) -> Option<State> {
        let group = self.groups.get(place.group)?;
        if let Some(job) = self.record.done_in(place) {
            let before = self.plan.task_id(job, place);
            return Some(State::Finished(Finished {
                status: Status::Completed,
                reason: None,
                message: format!("completed before, as {before}; see: cloudai task info {before}"),
                ..nothing()
            }));
        }
        if self.is_dropped(place) {
            let by = self.record.dropped_of(place.group).map(|dropped| dropped.by.as_str()).unwrap_or_default();
            return Some(ended(Status::Cancelled, Reason::User, format!("{by} cancelled it before it started")));
        }
        if let Some(fate) = group.fate {
            return Some(self.ended_by(place.group, fate));
        }
        let (phase, message) = self.waits_for(place.group, group);
        let since = self.record.created_at;
        Some(State::Queued(Queued { phase, since, until: None, reason: None, message }))
    }

    fn ended_by(&self, group: u32, fate: Fate) -> State {
        let reason = match (fate, &self.record.stop) {
            (Fate::Failed, _) => Reason::DependencyFailed,
            (Fate::Stopped, Some(Stop::Cancelled { .. })) => Reason::User,
            (Fate::Cancelled | Fate::NotNeeded | Fate::Stopped, _) => Reason::Dependency,
        };
        ended(fate.status(), reason, self.why_ended(group, fate))
    }

    /// Why those of a group that have no record never had one.
    #[must_use]
    pub fn why_ended(&self, group: u32, fate: Fate) -> String {
        let names = |which: &dyn Fn(&Need) -> bool| {
            let needs = self.plan.group(group).map(|group| group.needs.as_slice()).unwrap_or_default();
            listed(needs.iter().filter(|need| which(need)).map(|need| self.name(need.on)))
        };
        // How those outside ended is not known here: of several it is one.
        let or_outside = |named: String| {
            let outside = names(&|need| need.when == DependsWhen::Success && need.group().is_none());
            match (named.is_empty(), outside.contains(", ")) {
                (false, _) => named,
                (true, false) => outside,
                (true, true) => format!("one of {outside}"),
            }
        };
        let ended = |need: &Need, as_what: Status| match need.on {
            On::Group(on) => self.groups.get(on).is_some_and(|on| on.end() == as_what),
            // How that ended is not known here.
            On::Task(_) => false,
        };
        match fate {
            Fate::Failed => {
                let failed = names(&|need| need.when == DependsWhen::Success && ended(need, Status::Failed));
                format!("it needs {}, which failed", or_outside(failed))
            }
            Fate::Cancelled => {
                let cancelled = names(&|need| need.when == DependsWhen::Success && ended(need, Status::Cancelled));
                format!("it needs {}, which was cancelled", or_outside(cancelled))
            }
            Fate::NotNeeded => {
                let handled = names(&|need| need.when == DependsWhen::Failure);
                if handled.is_empty() {
                    let skipped = names(&|need| need.when == DependsWhen::Success && ended(need, Status::Cancelled));
                    return format!("it is not needed, as {} is not", or_outside(skipped));
                }
                format!("it is for the case that {handled} fails, and that completed")
            }
            Fate::Stopped => match &self.record.stop {
                Some(stop) => format!("{stop} before it started"),
                None => "the job was stopped before it started".into(),
            },
        }
    }

    fn waits_for(&self, number: u32, group: &GroupProgress) -> (Phase, String) {
        if group.unmet > 0 {
            return (Phase::WaitingDependencies, self.unmet(number));
        }
        if let Some(by) = &self.record.held {
            let next = format!("let it go with: cloudai job release {}", self.record.id);
            return (Phase::Held, format!("the job is held by {by}; {next}"));
        }
        let at_once = self.plan.group(number).and_then(|group| group.elements.as_ref()).and_then(|all| all.at_once);
        let message = match at_once {
            Some(most) if group.live() >= most => format!("at most {most} of the array at a time: others go first"),
            Some(_) | None => "others of the array go first".into(),
        };
        (Phase::WaitingCapacity, message)
    }

    /// What a group still waits for: `waits for map (3 of 20 have ended)`.
    #[must_use]
    pub fn unmet(&self, number: u32) -> String {
        let needs = self.plan.group(number).map(|group| group.needs.as_slice()).unwrap_or_default();
        let open = needs.iter().filter_map(|need| match need.on {
            On::Task(task) => Some(task.to_string()),
            On::Group(on) => {
                let (group, state) = (self.plan.group(on)?, self.groups.get(on)?);
                let (ended, count) = (state.ended(), group.count());
                let far = if count > 1 { format!(" ({ended} of {count} have ended)") } else { String::new() };
                (ended < count).then(|| format!("{}{far}", group.name))
            }
        });
        format!("waits for {}", listed(open))
    }

    /// What people call something that is needed.
    #[must_use]
    pub fn name(&self, on: On) -> String {
        match on {
            On::Group(group) => self.plan.group(group).map_or_else(String::new, |group| group.name.to_string()),
            On::Task(task) => task.to_string(),
        }
    }
}

fn ended(status: Status, reason: Reason, message: String) -> State {
    State::Finished(Finished { status, reason: Some(reason), message, ..nothing() })
}

/// The end of a task that never ran.
fn nothing() -> Finished {
    Finished {
        status: Status::Cancelled,
        reason: None,
        exit_code: None,
        oom_killed: false,
        dead: false,
        message: String::new(),
        warnings: Vec::new(),
    }
}

/// The first of some names, and how many more there are.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.len() {
        0..=NAMED => names.join(", "),
        more => format!("{} and {} more", names[..NAMED].join(", "), more - NAMED),
    }
}
