//! Every error as a problem document (RFC 9457): one status and one stable word for each kind.

use super::dto;
use crate::auth::{self, AuthError};
use crate::mailbox::AskError;
use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cloudai_core::event::Rejected;
use cloudai_core::ids::{IdError, JobId, TaskId, WorkerId};
use cloudai_core::spec::{FieldError, SpecError};
use cloudai_store::StoreError;
use cloudai_store::bulk::BulkError;
use tracing::error;

/// The most wrong fields that one answer names: a large document can hold millions of them.
const MAX_ERRORS: usize = 1000;
/// When to come back while the store is away, in seconds.
const STORE_PATIENCE: u32 = 5;
/// When to come back while its disk is full, in seconds.
const FULL_PATIENCE: u32 = 60;

/// The kind of a problem: a status and the word that programs branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Invalid,
    BadBackup,
    Unauthenticated,
    Forbidden,
    PolicyDenied,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    TooLarge,
    Unsupported,
    Unsatisfiable,
    RateLimited,
    Internal,
    NotPossible,
    Unavailable,
    Full,
    /// What was asked for is no more.
    Gone,
    /// It is not what the caller takes it for.
    Changed,
}

impl Code {
    pub(super) const fn word(self) -> &'static str {
        self.both().0
    }

    pub(super) const fn status(self) -> StatusCode {
        self.both().1
    }

    const fn both(self) -> (&'static str, StatusCode) {
        match self {
            Self::Invalid => ("invalid", StatusCode::BAD_REQUEST),
            Self::BadBackup => ("bad_backup", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
            Self::PolicyDenied => ("policy_denied", StatusCode::FORBIDDEN),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::Timeout => ("timeout", StatusCode::REQUEST_TIMEOUT),
            Self::Conflict => ("conflict", StatusCode::CONFLICT),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::Unsupported => ("unsupported", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Unsatisfiable => ("unsatisfiable", StatusCode::UNPROCESSABLE_ENTITY),
            Self::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Self::NotPossible => ("not_possible", StatusCode::NOT_IMPLEMENTED),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::Full => ("full", StatusCode::INSUFFICIENT_STORAGE),
            Self::Gone => ("gone", StatusCode::GONE),
            Self::Changed => ("precondition_failed", StatusCode::PRECONDITION_FAILED),
        }
    }
}

/// The word of the problem that an answer is, for those whom it passes.
#[derive(Clone, Debug)]
pub(super) struct Word(pub(super) String);

/// A refused request on its way to the client.
#[derive(Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    body: dto::Problem,
    retry_after: Option<u32>,
}

/// What becomes of every task in the end.
const KEPT_FOR_A_TIME: &str = "ended tasks are kept for a time (retention.tasks_days, retention.tasks_max)";

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = code.status();
        let body = dto::Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            code: code.word().into(),
            detail: detail.into(),
            next: None,
            errors: Vec::new(),
        };
        Self(Box::new(Inner { status, body, retry_after: None }))
    }

    /// The call or command that helps.
    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.0.body.next = Some(next.into());
        self
    }

    /// When to try again, in seconds.
    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    fn errors(mut self, errors: Vec<dto::FieldProblem>) -> Self {
        self.0.body.errors = errors;
        self
    }

    /// Fields or parameters with what is wrong with each.
    pub(super) fn fields(errors: Vec<dto::FieldProblem>) -> Self {
        Self::new(Code::Invalid, told(&errors)).errors(errors)
    }

    /// Fields that the operator's policy denies, each with the rule.
    pub(super) fn denied(errors: impl IntoIterator<Item = FieldError>) -> Self {
        Self::denied_fields(errors.into_iter().take(MAX_ERRORS).map(field_problem).collect())
    }

    fn denied_fields(errors: Vec<dto::FieldProblem>) -> Self {
        Self::new(Code::PolicyDenied, told(&errors)).errors(errors).next("cloudai policy show")
    }

    /// One field or parameter.
    pub(super) fn field(path: &str, problem: impl Into<String>) -> Self {
        Self::fields(vec![dto::FieldProblem { path: path.into(), value: None, problem: problem.into() }])
    }

    /// No job has this id, or it is another's.
    pub(super) fn no_job(id: JobId) -> Self {
        Self::new(Code::NotFound, format!("no job {id}")).next("cloudai job list --all")
    }

    /// A task that is not there, or not the caller's.
    pub(super) fn no_task(id: TaskId) -> Self {
        Self::new(
            Code::NotFound,
            format!("there is no {id}, or no longer: {KEPT_FOR_A_TIME}; of an array its job tells (cloudai job list)"),
        )
        .next("cloudai task list --all")
    }

    /// A worker that is not there.
    pub(super) fn no_worker(id: &WorkerId) -> Self {
        Self::new(Code::NotFound, format!("there is no worker {id}")).next("cloudai worker list")
    }

    /// A fault of the master's own. What exactly stands in its log, not in the answer.
    pub(super) fn internal(what: &dyn std::error::Error) -> Self {
        error!(error = %Chain(what), "request failed");
        Self::new(Code::Internal, "the master made a mistake; its log tells more under this answer's X-Request-Id")
    }

    /// A submitted task that nothing could ever run.
    fn unsatisfiable(index: usize, message: &str) -> Self {
        let path = format!("tasks[{index}]");
        let field = dto::FieldProblem { path, value: None, problem: format!("can not be run: {message}") };
        Self::new(Code::Unsatisfiable, format!("no worker could ever run this: {message}"))
            .next("ask for what a worker has, or wait for one that fits: allow_pending = true in the file, --allow-pending of task submit")
            .errors(vec![field])
    }

    /// The same without its list of fields.
    pub(super) fn without_errors(mut self) -> Self {
        self.0.body.errors.clear();
        self
    }

    fn bulk(error: &BulkError) -> Self {
        match error {
            BulkError::NotFound => Self::new(Code::NotFound, error.to_string()),
            BulkError::BadPath(_) | BulkError::NoFolder(_) | BulkError::NotWhole(_) => {
                Self::new(Code::Invalid, error.to_string())
            }
            BulkError::Full => {
                error!(error = %Chain(error), "nothing more can be kept");
                Self::new(Code::Full, error.to_string()).retry_after(FULL_PATIENCE)
            }
            BulkError::Unavailable(_) => {
                error!(error = %Chain(error), "logs and files not readable");
                Self::new(Code::Unavailable, error.to_string()).retry_after(STORE_PATIENCE)
            }
            BulkError::Bucket(_) => {
                error!(error = %Chain(error), "contents in the bucket not reachable");
                Self::new(Code::Unavailable, error.to_string()).retry_after(STORE_PATIENCE)
            }
            BulkError::Claimed { .. } => Self::internal(error),
            BulkError::Gap { .. } | BulkError::Checksum | BulkError::Damaged { .. } | BulkError::Sealed { .. } => {
                Self::internal(error)
            }
        }
    }

    fn rejected(rejected: &Rejected) -> Self {
        match rejected {
            Rejected::NoSuchTask(id) => Self::no_task(*id),
            Rejected::NoSuchWorker(id) => Self::no_worker(id),
            Rejected::Unsatisfiable { index, message } => Self::unsatisfiable(*index, message),
            Rejected::KeyReused(id) | Rejected::NotWaiting(id, _) => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai task info {id}"))
            }
            Rejected::NoSuchJob(id) => Self::no_job(*id),
            Rejected::OnlyInJob(_, job) => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai job retry {job}"))
            }
            Rejected::NoTurnYet(_, job) => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai job hold {job}"))
            }
            Rejected::JobNotEnded(id, _) => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai job wait {id}"))
            }
            Rejected::JobKeyReused(id) | Rejected::JobEnded(id, _) => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai job info {id}"))
            }
            Rejected::NotEnded(id, _) => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai task cancel {id}"))
            }
            Rejected::WorkerBusy { worker, .. } => {
                Self::new(Code::Conflict, rejected.to_string()).next(format!("cloudai worker remove {worker} --force"))
            }
            Rejected::WorkerLive(_) => Self::new(Code::Conflict, rejected.to_string()),
            Rejected::TooManyLabels { .. } => Self::new(Code::Invalid, rejected.to_string()),
            Rejected::TaskExists(_)
            | Rejected::JobExists(_)
            | Rejected::TooManyAtOnce { .. }
            | Rejected::Superseded(_)
            | Rejected::WrongIncarnation
            | Rejected::StaleSession => Self::internal(rejected),
        }
    }
}

/// What all is wrong, in one sentence.
fn told(errors: &[dto::FieldProblem]) -> String {
    let first = errors.first().map_or_else(String::new, |first| match &first.value {
        Some(value) => format!("{}: {value} {}", first.path, first.problem),
        None => format!("{}: {}", first.path, first.problem),
    });
    match errors.len() {
        0 | 1 => first,
        more => format!("{first} (and {} more)", more - 1),
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Rejected(rejected) => Self::rejected(rejected),
            AskError::Unavailable(not_now) => {
                Self::new(Code::Unavailable, not_now.to_string()).retry_after(not_now.again_s)
            }
            AskError::Stopped => Self::new(Code::Unavailable, error.to_string()).retry_after(STORE_PATIENCE),
            AskError::Store(store) => match &**store {
                StoreError::Unsupported(why) => Self::new(Code::Invalid, why.clone()),
                StoreError::Unavailable(_)
                | StoreError::Folder(..)
                | StoreError::Locked(_)
                | StoreError::TooNew { .. }
                | StoreError::Corrupt(_) => {
                    error!(error = %Chain(store), "store not readable");
                    Self::new(Code::Unavailable, store.to_string()).retry_after(STORE_PATIENCE)
                }
            },
            AskError::Bulk(bulk) => Self::bulk(bulk),
            AskError::Keys(keys) => {
                error!(error = %Chain(keys), "secrets can not be sealed or opened");
                Self::new(Code::Unavailable, keys.to_string()).next("docs/secrets.md: where the keys are")
            }
            AskError::Specs(errors) => batch_errors(errors),
            AskError::Forbidden(why) => {
                Self::new(Code::Forbidden, why.to_string()).next("cloudai whoami shows who you are, and what you may")
            }
            AskError::Denied(errors) => Self::denied_fields(placed(errors)),
            AskError::Internal(_) => Self::internal(&error),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let said = error.to_string();
        match error {
            AuthError::NoUsers => {
                Self::new(Code::Conflict, said).next("start the master without --insecure, and it has users")
            }
            AuthError::WrongPassword => Self::new(Code::Unauthenticated, said)
                .next("try again, or ask an administrator for another password: cloudai user passwd NAME"),
            AuthError::Later(wait) => Self::new(Code::RateLimited, said).retry_after(auth::seconds(wait)),
            AuthError::Ended => Self::new(Code::Unauthenticated, said).next("cloudai login"),
            AuthError::Field { path, value, problem } => {
                let value = value.map(|value| format!("{value:?}"));
                Self::fields(vec![dto::FieldProblem { path: path.into(), value, problem }])
            }
            AuthError::NoSuch(_) => Self::new(Code::NotFound, said),
            AuthError::Taken(_) | AuthError::TooMany(_) => Self::new(Code::Conflict, said),
            AuthError::LastAdmin(_) => Self::new(Code::Conflict, said).next("cloudai user role NAME admin"),
            AuthError::Closed => {
                Self::new(Code::Forbidden, said).next("ask an administrator of the cluster: cloudai user add NAME")
            }
            AuthError::Ask(error) => error.into(),
        }
    }
}

impl From<BulkError> for Problem {
    fn from(error: BulkError) -> Self {
        Self::bulk(&error)
    }
}

impl From<SpecError> for Problem {
    fn from(error: SpecError) -> Self {
        Self::fields(error.0.into_iter().take(MAX_ERRORS).map(field_problem).collect())
    }
}

impl From<IdError> for Problem {
    /// An id in a path that can not be one: nothing has it.
    fn from(error: IdError) -> Self {
        let next = match error.kind {
            "worker id" => "cloudai worker list",
            "job id" => "cloudai job list --all",
            _ => "cloudai task list --all",
        };
        Self::new(Code::NotFound, error.to_string()).next(next)
    }
}

/// The errors of the documents of a batch, each under its place, as many as one answer holds.
pub(super) fn batch_errors(errors: &[(usize, SpecError)]) -> Problem {
    Problem::fields(placed(errors))
}

fn placed(errors: &[(usize, SpecError)]) -> Vec<dto::FieldProblem> {
    let all = errors.iter().flat_map(|(index, error)| error.0.iter().map(move |field| (*index, field)));
    let named = all.take(MAX_ERRORS).map(|(index, field)| {
        let path = match field.path.as_str() {
            "task" => format!("tasks[{index}]"),
            path => format!("tasks[{index}].{path}"),
        };
        dto::FieldProblem { path, ..field_problem(field.clone()) }
    });
    named.collect()
}

fn field_problem(field: FieldError) -> dto::FieldProblem {
    dto::FieldProblem { path: field.path, value: field.value, problem: field.problem }
}

/// An error with all its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(cause) = error.source() {
            write!(f, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { status, body, retry_after } = *self.0;
        let word = Word(body.code.clone());
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(word);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cloudai\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::NotNow;
    use std::sync::Arc;

    fn told_of(error: impl Into<Problem>) -> (u16, String, Option<u32>) {
        let Problem(inner) = error.into();
        assert_eq!(inner.status.as_u16(), inner.body.status);
        (inner.body.status, inner.body.code, inner.retry_after)
    }

    fn store(error: StoreError) -> AskError {
        AskError::Store(Arc::new(error))
    }

    #[test]
    fn every_refusal_has_its_status_and_word() {
        let (task, worker) = (TaskId::new(1), "w1".parse::<WorkerId>().unwrap());
        let away = || std::io::Error::other("away");
        let rows: Vec<(AskError, u16, &str, Option<u32>)> = vec![
            (Rejected::NoSuchTask(task).into(), 404, "not_found", None),
            (Rejected::NoSuchWorker(worker.clone()).into(), 404, "not_found", None),
            (Rejected::Unsatisfiable { index: 0, message: "cpu".into() }.into(), 422, "unsatisfiable", None),
            (Rejected::KeyReused(task).into(), 409, "conflict", None),
            (Rejected::NotEnded(task, cloudai_core::state::Status::Running).into(), 409, "conflict", None),
            (Rejected::NotWaiting(task, cloudai_core::state::Status::Running).into(), 409, "conflict", None),
            (Rejected::WorkerBusy { worker, attempts: 2 }.into(), 409, "conflict", None),
            (Rejected::StaleSession.into(), 500, "internal", None),
            (AskError::Unavailable(NotNow::BUSY), 503, "unavailable", Some(1)),
            (AskError::Unavailable(NotNow::STORE_AWAY), 503, "unavailable", Some(STORE_PATIENCE)),
            (AskError::Stopped, 503, "unavailable", Some(STORE_PATIENCE)),
            (store(StoreError::Unsupported("pair".into())), 400, "invalid", None),
            (store(StoreError::Unavailable(away())), 503, "unavailable", Some(STORE_PATIENCE)),
            (store(StoreError::Corrupt("row".into())), 503, "unavailable", Some(STORE_PATIENCE)),
            (AskError::Bulk(Arc::new(BulkError::Full)), 507, "full", Some(FULL_PATIENCE)),
            (AskError::Bulk(Arc::new(BulkError::NotFound)), 404, "not_found", None),
            (AskError::Denied(Arc::default()), 403, "policy_denied", None),
            (AskError::Internal("x".into()), 500, "internal", None),
        ];
        for (error, status, code, retry) in rows {
            let shown = error.to_string();
            assert_eq!(told_of(error), (status, code.to_owned(), retry), "{shown}");
        }
    }

    #[test]
    fn an_internal_error_keeps_its_cause_to_the_log() {
        let Problem(inner) = AskError::Internal("secret cause".into()).into();
        assert!(!inner.body.detail.contains("secret"), "{}", inner.body.detail);
        assert!(inner.body.detail.contains("X-Request-Id"));
    }

    #[test]
    fn an_answer_names_no_more_wrong_fields_than_it_can_hold() {
        let field = FieldError { path: "task".into(), value: None, problem: "is bad".into() };
        let Problem(inner) = batch_errors(&[(3, SpecError(vec![field; MAX_ERRORS + 5]))]);
        assert_eq!(inner.body.errors.len(), MAX_ERRORS);
        assert_eq!(inner.body.errors[0].path, "tasks[3]");
        assert_eq!(inner.body.detail, "tasks[3]: is bad (and 999 more)");
    }
}
