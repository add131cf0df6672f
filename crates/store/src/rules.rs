//! What every backend refuses alike, so that a batch has one fate wherever it is stored.

use cloudai_core::effect::Row;
use cloudai_core::ids::{TaskId, UserId};
use cloudai_core::job::JobRecord;
use cloudai_core::task::TaskRecord;
use std::sync::Arc;

/// A version, order, size or time as backends keep it: at most 2^63 - 1.
pub(crate) fn number(value: u64) -> Result<i64, String> {
    i64::try_from(value).map_err(|_| format!("{value} is above the largest number that is kept"))
}

/// The idempotency key that names this task; the elements of an array have none of their own.
pub(crate) fn key(task: &TaskRecord) -> Option<&Arc<str>> {
    task.id.index().is_none().then_some(task.spec.idempotency_key.as_ref())?
}

/// What a task keeps for life: a newer version that differs here is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fixed<'a> {
    pub(crate) order: u64,
    pub(crate) owner: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

impl<'a> Fixed<'a> {
    pub(crate) fn of(task: &'a TaskRecord) -> Self {
        Self {
            order: task.order,
            owner: task.owner.as_str(),
            name: task.spec.name.as_deref(),
            key: key(task).map(AsRef::as_ref),
        }
    }
}

/// The same of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FixedJob<'a> {
    pub(crate) order: u64,
    pub(crate) tasks: u64,
    pub(crate) owner: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
}

impl<'a> FixedJob<'a> {
    pub(crate) fn of(job: &'a JobRecord) -> Self {
        Self {
            order: job.order,
            tasks: job.tasks,
            owner: job.owner.as_str(),
            name: job.name.as_deref(),
            key: job.idempotency_key.as_deref(),
        }
    }
}

pub(crate) const NOT_FIXED: &str = "a task's order, owner, name and idempotency key never change";
pub(crate) const NO_TASK: &str = "its task is not stored";
pub(crate) const NOT_ENDED: &str = "only a task that has ended, and with that status, is removed";
pub(crate) const JOB_NOT_FIXED: &str = "a job's order, size, owner, name and idempotency key never change";
pub(crate) const NO_PLAN: &str = "the plan of the job is not stored";
pub(crate) const JOB_NOT_ENDED: &str = "only a job that has ended is removed";
pub(crate) const TWICE: &str = "a path or an attempt is there twice";

pub(crate) fn key_taken(owner: &UserId) -> String {
    format!("{owner} has another task with this idempotency key")
}

pub(crate) fn seq_taken(seq: u64) -> String {
    format!("the audit log has a row {seq} already")
}

pub(crate) fn order_taken(order: u64) -> String {
    format!("another task has the submission order {order}")
}

pub(crate) fn job_key_taken(owner: &UserId) -> String {
    format!("{owner} has another job with this idempotency key")
}

pub(crate) fn job_order_taken(order: u64) -> String {
    format!("another job begins with the submission order {order}")
}

/// The highest submission order that a row takes.
pub(crate) fn last_order(row: &Row) -> u64 {
    match row {
        Row::Task(task) => task.order,
        Row::Job(job, _) => job.last_order(),
        Row::Worker(_)
        | Row::WorkerRemoved(_)
        | Row::Outputs(..)
        | Row::TaskRemoved(..)
        | Row::JobPlanned(..)
        | Row::JobRemoved(_) => 0,
    }
}

/// Whether every number of a row can be kept.
pub(crate) fn numbers(row: &Row) -> Result<(), String> {
    match row {
        Row::Task(task) => task_numbers(task),
        Row::Worker(worker) => number(worker.version).map(drop),
        Row::Job(job, _) => job_numbers(job),
        Row::WorkerRemoved(_) | Row::TaskRemoved(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => Ok(()),
        Row::Outputs(_, files) => files.iter().try_for_each(|file| number(file.size).map(drop)),
    }
}

pub(crate) fn job_numbers(job: &JobRecord) -> Result<(), String> {
    let end = job.end.iter().map(|end| end.at.as_millis());
    let own = [job.version, job.order, job.tasks, job.last_order()];
    own.into_iter().chain(end).try_for_each(|value| number(value).map(drop))
}

fn task_numbers(task: &TaskRecord) -> Result<(), String> {
    let own = [task.version, task.order, task.created_at.as_millis()];
    let finished = task.finished_at.iter().map(|at| at.as_millis());
    let attempts = task.attempts.iter().flat_map(|attempt| [Some(attempt.assigned_at), attempt.ended_at]).flatten();
    own.into_iter()
        .chain(finished)
        .chain(attempts.map(|at| at.as_millis()))
        .try_for_each(|value| number(value).map(drop))
}

/// A name for new data: 128 random bits in 26 characters.
///
/// Only a name, no secret: where the system offers no randomness it is made of time and process.
pub(crate) fn new_cluster_id() -> String {
    let mut bytes = [0; 16];
    let random =
        std::fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    let id = random.map_or_else(|_| by_time(), |()| u128::from_be_bytes(bytes));
    crate::query::short(TaskId::new(id))
}

fn by_time() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() << 32) | u128::from(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_data_gets_a_name_of_26_characters_that_no_other_has() {
        let (one, other) = (new_cluster_id(), new_cluster_id());
        assert_eq!(one.len(), 26);
        assert_ne!(one, other);
    }
}
