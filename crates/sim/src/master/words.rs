//! Lines of the trace about what the master does.

use crate::context::Short;
use cloudai_core::event::{Answer, Event};
use cloudai_core::ids::Attempt;

pub(super) fn short(event: &Event) -> String {
    match event {
        Event::Submit(tasks) => format!("submit of {:?}", tasks.iter().map(|task| task.id.ulid()).collect::<Vec<_>>()),
        Event::Cancel(cancel) => format!("cancel of {}", Short(cancel.task)),
        Event::SubmitJob(job) => format!("submit of {} with {} tasks", job.id, job.plan.tasks()),
        Event::CancelJob(cancel) => format!("cancel of {}, {:?}", cancel.job, cancel.part),
        Event::HoldJob(job, _) => format!("hold of {job}"),
        Event::ReleaseJob(job) => format!("release of {job}"),
        Event::Hold(task, _) => format!("hold of {}", Short(*task)),
        Event::Release(task) => format!("release of {}", Short(*task)),
        Event::Place(placements) => {
            let list: Vec<_> = placements
                .iter()
                .map(|place| format!("{}#{}@{}", Short(place.attempt.task), place.attempt.number, place.worker))
                .collect();
            format!("placements {list:?}")
        }
        Event::Preempt(preemption) => {
            let victims: Vec<_> =
                preemption.victims.iter().map(|one| format!("{}#{}", Short(one.task), one.number)).collect();
            format!("preemption for {} on {}: {victims:?}", Short(preemption.for_.task), preemption.worker)
        }
        Event::Register(registration) => format!("registration of {}", registration.worker),
        Event::Heartbeat(heartbeat) => format!("heartbeat of {}", heartbeat.worker),
        Event::Progress(held) => {
            let Attempt { task, number } = held.attempt;
            format!("{}#{number} {:?}", Short(task), held.stage)
        }
        Event::Ended(report) => {
            let Attempt { task, number } = report.attempt;
            format!("end of {}#{number}, {:?} {:?}", Short(task), report.outcome.cause, report.outcome.exit_code)
        }
        Event::Admit(admission) => format!("admission of {}", admission.worker),
        Event::Duty(order) => format!("order for {}, {:?}", order.worker, order.wish),
        Event::SetLabels(order) => format!("labels of {}, {:?} without {:?}", order.worker, order.set, order.remove),
        Event::Remove(removal) => format!("removal of {}, force {}", removal.worker, removal.force),
        Event::Collect(tasks) => format!("collection of {} tasks", tasks.len()),
        Event::CollectJobs(jobs) => format!("collection of {} jobs", jobs.len()),
        Event::Reconcile { .. }
        | Event::Inspect { .. }
        | Event::Sent(_)
        | Event::Subscribed(..)
        | Event::Leave(..)
        | Event::Paused(_)
        | Event::Tick => {
            format!("{event:?}")
        }
    }
}

pub(super) fn short_answer(answer: &Answer) -> String {
    match answer {
        Answer::Placed { taken, refused } => {
            let why: Vec<_> =
                refused.iter().map(|(place, why)| format!("{}: {why}", Short(place.attempt.task))).collect();
            format!("{taken} taken, refused {why:?}")
        }
        Answer::Done
        | Answer::Reconciled(_)
        | Answer::State(_)
        | Answer::Sent(_)
        | Answer::Preempted { .. }
        | Answer::Submitted(_)
        | Answer::JobSubmitted { .. }
        | Answer::Registered(_)
        | Answer::Ended { .. } => {
            format!("{answer:?}")
        }
    }
}
