//! The last events that the engine applied, for whoever looks for a fault: kind, time and ids. No
//! words of users, no specs.

use cloudai_core::event::{Event, Rejected};
use cloudai_core::ids::{Attempt, TaskId, WorkerId};
use cloudai_core::time::Timestamp;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many are kept: some minutes of a busy cluster, about a megabyte.
pub const KEPT: usize = 10_000;

/// The last events, the earliest first.
#[derive(Debug, Default)]
pub struct Trail(Mutex<VecDeque<Noted>>);

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When it was applied.
    pub at: Timestamp,
    /// What kind.
    pub kind: &'static str,
    /// About which task; the first of several.
    pub task: Option<TaskId>,
    /// About which attempt of it.
    pub number: Option<u32>,
    /// About which worker.
    pub worker: Option<WorkerId>,
    /// How many tasks it is about.
    pub count: usize,
    /// Why it changed nothing, in one word.
    pub refused: Option<String>,
}

impl Trail {
    /// Keeps the events of a batch.
    pub(crate) fn note<'a>(&self, at: Timestamp, events: impl Iterator<Item = (&'a Event, Option<&'a Rejected>)>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for noted in events.filter_map(|(event, refused)| Noted::of(at, event, refused)) {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(noted);
        }
    }

    /// The last so many.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Noted> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().skip(kept.len().saturating_sub(count)).cloned().collect()
    }
}

/// What an event is about.
#[derive(Default)]
struct About<'a> {
    task: Option<TaskId>,
    number: Option<u32>,
    worker: Option<&'a WorkerId>,
    count: usize,
}

impl Noted {
    /// None for what comes all the time and changes little: heartbeats that are heard, ticks, looks.
    fn of(at: Timestamp, event: &Event, refused: Option<&Rejected>) -> Option<Self> {
        let (kind, About { task, number, worker, count }) = told(event, refused.is_some())?;
        // The name of the variant: its fields may have words of users.
        let word =
            |refused: &Rejected| format!("{refused:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
        Some(Self { at, kind, task, number, worker: worker.cloned(), count, refused: refused.map(word) })
    }
}

fn told(event: &Event, refused: bool) -> Option<(&'static str, About<'_>)> {
    let of_task = |task: TaskId| About { task: Some(task), count: 1, ..About::default() };
    let of_worker = |worker| About { worker: Some(worker), ..About::default() };
    let of_attempt = |one: Attempt| About { number: Some(one.number), ..of_task(one.task) };
    Some(match event {
        Event::Submit(tasks) => {
            ("submit", About { task: tasks.first().map(|task| task.id), count: tasks.len(), ..About::default() })
        }
        Event::Cancel(cancel) => ("cancel", of_task(cancel.task)),
        Event::SubmitJob(job) => {
            let count = usize::try_from(job.plan.tasks()).unwrap_or(usize::MAX);
            ("submit_job", About { task: Some(job.id.group(0)), count, ..About::default() })
        }
        Event::CancelJob(cancel) => ("cancel_job", of_task(cancel.job.group(cancel.part.map_or(0, |part| part.group)))),
        Event::HoldJob(job, _) => ("hold_job", of_task(job.group(0))),
        Event::ReleaseJob(job) => ("release_job", of_task(job.group(0))),
        Event::Hold(task, _) => ("hold", of_task(*task)),
        Event::Release(task) => ("release", of_task(*task)),
        Event::Place(placements) => {
            let first = placements.first();
            let about = first.map_or_else(About::default, |first| of_attempt(first.attempt));
            ("place", About { worker: first.map(|first| &first.worker), count: placements.len(), ..about })
        }
        Event::Preempt(preemption) => {
            let about = About { worker: Some(&preemption.worker), ..of_attempt(preemption.for_) };
            ("preempt", About { count: preemption.victims.len(), ..about })
        }
        Event::Register(registration) => ("register", of_worker(&registration.worker)),
        Event::Admit(admission) => ("admit", of_worker(&admission.worker)),
        Event::Duty(order) => ("duty", of_worker(&order.worker)),
        Event::SetLabels(order) => ("labels", of_worker(&order.worker)),
        Event::Remove(removal) => ("remove", of_worker(&removal.worker)),
        Event::Subscribed(worker, _) => ("subscribed", of_worker(worker)),
        Event::Heartbeat(heartbeat) if refused => ("heartbeat", of_worker(&heartbeat.worker)),
        Event::Leave(worker, _) => ("leave", of_worker(worker)),
        Event::Progress(held) => ("progress", of_attempt(held.attempt)),
        Event::Ended(report) => ("ended", of_attempt(report.attempt)),
        Event::Collect(tasks) => {
            ("collect", About { task: tasks.first().map(|(task, _)| *task), count: tasks.len(), ..About::default() })
        }
        Event::CollectJobs(jobs) => {
            let task = jobs.first().map(|job| job.group(0));
            ("collect_jobs", About { task, count: jobs.len(), ..About::default() })
        }
        Event::Reconcile { .. } => ("reconcile", About::default()),
        Event::Paused(_) => ("paused", About::default()),
        Event::Heartbeat(_) | Event::Inspect { .. } | Event::Sent(_) | Event::Tick => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::testing::task_id;

    #[test]
    fn the_last_events_are_kept_and_no_more() {
        let trail = Trail::default();
        let events: Vec<_> = (0..KEPT as u128 + 5).map(|number| Event::Release(task_id(number))).collect();
        trail.note(Timestamp::ZERO, events.iter().chain([&Event::Tick]).map(|event| (event, None)));
        let kept = trail.last(KEPT * 2);
        assert_eq!((kept.len(), kept[0].task), (KEPT, Some(task_id(5))));
        let refused = Rejected::NoSuchTask(task_id(1));
        trail.note(Timestamp::ZERO, std::iter::once((&events[0], Some(&refused))));
        assert_eq!(trail.last(1)[0].refused.as_deref(), Some("NoSuchTask"));
    }
}
