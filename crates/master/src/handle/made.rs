//! What stored documents make: a task or a job, submitted for their owner, looked after by its id.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_core::event::Rejected;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{JobFile, TaskFile};
use cloudai_core::spec::{FieldError, SpecError, Value};
use cloudai_core::template::Makes;
use cloudai_store::StoreError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A task or a job that a document made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Made {
    Task(TaskId),
    Job(JobId),
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(id) => id.fmt(f),
            Self::Job(id) => id.fmt(f),
        }
    }
}

/// The fate of a submitted document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) made: Made,
    /// False when an earlier submission had the same idempotency key.
    pub(crate) fresh: bool,
}

/// Where something that was made stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The word of its status.
    pub(crate) status: &'static str,
    /// Nothing changes it any more.
    pub(crate) ended: bool,
}

impl Handle {
    /// Submits the document of a task or a job.
    pub(crate) async fn submit_document(
        &self,
        who: &Principal,
        makes: Makes,
        document: &Value,
    ) -> Result<Run, AskError> {
        match makes {
            Makes::Task => match TaskFile::from_value(document).map_err(wrong)? {
                TaskFile::Task(spec) => {
                    let fates = self.submit(who, vec![Arc::from(spec)]).await?;
                    let fate = fates.first().ok_or_else(|| AskError::Internal("a task got no answer".into()))?;
                    Ok(Run { made: Made::Task(fate.id), fresh: fate.fresh })
                }
                TaskFile::Job(file) => {
                    let accepted = self.submit_job(who, file).await?;
                    Ok(Run { made: Made::Job(accepted.id), fresh: accepted.fresh })
                }
            },
            Makes::Job => {
                let file = JobFile::from_value(document).map_err(wrong)?;
                let accepted = self.submit_job(who, file).await.map_err(of_a_job)?;
                Ok(Run { made: Made::Job(accepted.id), fresh: accepted.fresh })
            }
        }
    }

    /// Where a task or a job stands; none when it is not kept any more.
    pub(crate) async fn standing(&self, made: Made) -> Result<Option<Standing>, StoreError> {
        Ok(match made {
            Made::Task(id) => self.record(id).await?.map(|task| {
                let status = task.status();
                Standing { status: status.word(), ended: status.is_final() }
            }),
            Made::Job(id) => {
                let record = match self.shared.model.job(id) {
                    Some(seen) => Some(seen.record),
                    None => self.shared.store.job(id).await?,
                };
                record.map(|job| {
                    let status = job.status();
                    Standing { status: status.word(), ended: status.is_final() }
                })
            }
        })
    }

    /// Asks for the end of a task or a job; one that has ended, or is not kept any more, stays as it is.
    pub(crate) async fn cancel_made(&self, who: &Principal, made: Made) -> Result<(), AskError> {
        let cancelled = match made {
            Made::Task(id) => self.cancel(who, id).await.map(drop),
            Made::Job(id) => self.cancel_job(who, id, Vec::new()).await.map(drop),
        };
        match cancelled {
            Err(AskError::Rejected(Rejected::NoSuchTask(_) | Rejected::NoSuchJob(_))) => Ok(()),
            other => other,
        }
    }
}

/// What is wrong with tasks of a job, as what is wrong with its document.
fn of_a_job(error: AskError) -> AskError {
    let within = |tasks: &[(usize, SpecError)]| {
        let mut fields = Vec::new();
        for (place, task) in tasks {
            let within =
                |field: &FieldError| FieldError { path: format!("tasks[{place}].{}", field.path), ..field.clone() };
            fields.extend(task.0.iter().map(within));
        }
        SpecError(fields)
    };
    match &error {
        AskError::Specs(tasks) => wrong(within(tasks)),
        AskError::Denied(tasks) => AskError::Denied(Arc::new(vec![(0, within(tasks))])),
        AskError::Rejected(_)
        | AskError::Forbidden(_)
        | AskError::Unavailable(_)
        | AskError::Store(_)
        | AskError::Bulk(_)
        | AskError::Keys(_)
        | AskError::Stopped
        | AskError::Internal(_) => error,
    }
}

/// What is wrong with the only document.
pub(crate) fn wrong(error: SpecError) -> AskError {
    AskError::Specs(Arc::new(vec![(0, error)]))
}
