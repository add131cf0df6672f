//! The task or the job that something stored made, as the answer; and why it made none.

use super::problem::{Code, Problem};
use super::{jobs, tasks};
use crate::handle::Handle;
use crate::handle::jobs::JobAccepted;
use crate::handle::made::{Made, Run};
use crate::handle::templates::NotMade;
use crate::principal::Principal;
use axum::response::Response;
use cloudai_core::event::Submitted;

/// A new one, or that of an earlier submission under the same key.
pub(super) async fn answer(handle: &Handle, who: &Principal, run: Run) -> Result<Response, Problem> {
    match run.made {
        Made::Task(id) => tasks::answer(handle, who, Submitted { id, fresh: run.fresh }).await,
        Made::Job(id) => jobs::answer(handle, who, JobAccepted { id, fresh: run.fresh }).await,
    }
}

/// Why nothing was made.
pub(super) fn refused(error: NotMade) -> Problem {
    match error {
        NotMade::NoTemplate(_) => Problem::new(Code::NotFound, error.to_string()).next("cloudai template list"),
        NotMade::NoVersion { ref name, .. } => {
            Problem::new(Code::NotFound, error.to_string()).next(format!("cloudai template show {name}"))
        }
        NotMade::Failed(error) => tasks::of_the_only_one(error),
    }
}
