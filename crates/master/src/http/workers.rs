//! `/api/v1/workers`: list, look at, add, take out, and what a new one needs to join.

use super::columns::{Columns, OF_WORKERS};
use super::dto::{JoinToken, List, Worker};
use super::extract::{Caller, Document, WorkerPath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::{dto, view};
use crate::delivery::check_address;
use crate::handle::Handle;
use crate::pki::tokens::TokenState;
use crate::principal::Principal;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use cloudai_core::event::{Admission, Removal};
use cloudai_core::ids::WorkerId;
use cloudai_core::spec::Value;

/// The largest body of these routes: a name and an address.
const MAX_BODY: usize = 64 * 1024;

/// Every worker.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let columns = Columns::read(&mut query, &OF_WORKERS);
    query.close()?;
    let workers = handle.workers(&who);
    let up = up(&handle);
    let show =
        |worker: &crate::model::SeenWorker| view::worker(worker, handle.heard(&who, &worker.record.id).as_ref(), &up);
    columns.answer(List { items: workers.iter().map(show).collect(), next_cursor: None })
}

/// One worker.
pub(super) async fn get(
    Caller(who): Caller,
    WorkerPath(id): WorkerPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Worker>, Problem> {
    query.close()?;
    show(&handle, &who, &id).map(Json)
}

pub(super) fn show(handle: &Handle, who: &Principal, id: &WorkerId) -> Result<Worker, Problem> {
    let worker = handle.worker(who, id).ok_or_else(|| Problem::no_worker(id))?;
    let images = worker.record.about.images.names().to_vec();
    Ok(Worker { images, ..view::worker(&worker, handle.heard(who, id).as_ref(), &up(handle)) })
}

fn up(handle: &Handle) -> view::Up {
    let now = handle.now();
    view::Up { now, since: now - handle.uptime(), timing: handle.facts().timing }
}

/// Adds a worker before it comes, or gives a known one another address.
pub(super) async fn create(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    document: Document<MAX_BODY>,
) -> Result<Response, Problem> {
    query.close()?;
    let admission = admission(document.parse()?)?;
    let id = admission.worker.clone();
    let was_known = handle.worker(&who, &id).is_some();
    handle.admit(&who, admission).await?;
    let worker = show(&handle, &who, &id)?;
    let status = if was_known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, [(LOCATION, format!("/api/v1/workers/{id}"))], Json(worker)).into_response())
}

/// Reads `NewWorker`, naming every wrong field.
fn admission(document: Value) -> Result<Admission, Problem> {
    let Value::Map(fields) = document else {
        let problem = format!("is {}: expected {{\"id\": \"...\", \"address\": \"ip:port\"}}", document.kind());
        return Err(Problem::field("worker", problem));
    };
    let (mut id, mut address, mut errors) = (None, None, Vec::new());
    let mut wrong = |path: &str, problem: String| {
        errors.push(dto::FieldProblem { path: path.chars().take(80).collect(), value: None, problem });
    };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("id", Value::Text(text)) => match text.parse::<WorkerId>() {
                Ok(worker) if id.is_none() => id = Some(worker),
                Ok(_) => wrong("id", "is given twice".into()),
                Err(error) => wrong("id", error.to_string()),
            },
            ("address", Value::Null) => {}
            ("address", Value::Text(text)) => match check_address(&text) {
                Ok(()) if address.is_none() => address = Some(text),
                Ok(()) => wrong("address", "is given twice".into()),
                Err(problem) => wrong("address", problem),
            },
            ("id" | "address", other) => wrong(&name, format!("is {}: expected a text", other.kind())),
            _ => wrong(&name, "is no field of a worker: it takes id and address".into()),
        }
    }
    match id {
        Some(worker) if errors.is_empty() => Ok(Admission { worker, address }),
        None if errors.is_empty() => Err(Problem::field("id", "is missing: give the worker a name")),
        Some(_) | None => Err(Problem::fields(errors)),
    }
}

/// Takes a worker out; with `force` also one that holds attempts.
pub(super) async fn remove(
    Caller(who): Caller,
    WorkerPath(worker): WorkerPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<StatusCode, Problem> {
    let force = query.flag("force");
    query.close()?;
    handle.remove(&who, Removal { worker, force }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a worker shows to join.
pub(super) async fn token(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<JoinToken>, Problem> {
    query.close()?;
    match handle.pki().map(|pki| pki.first_token_state()) {
        None | Some(TokenState::Valid) => Ok(Json(JoinToken { join_token: handle.join_token(&who).to_owned() })),
        Some(TokenState::Used | TokenState::Expired | TokenState::Revoked) => {
            let why = "the join token that the first start made was revoked";
            Err(Problem::new(Code::NotFound, why).next("cloudai worker token --new"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::refused;
    use super::*;

    fn read(json: &str) -> Result<Admission, Problem> {
        admission(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_worker_is_a_name_and_perhaps_an_address() {
        let rows = [
            (r#"{"id":"w1"}"#, None),
            (r#"{"id":"w1","address":null}"#, None),
            (r#"{"id":"w1","address":"10.0.0.7:50052"}"#, Some("10.0.0.7:50052")),
            (r#"{"id":"w1","address":"gpu-01.lan:1"}"#, Some("gpu-01.lan:1")),
            (r#"{"id":"w1","address":"[::1]:50052"}"#, Some("[::1]:50052")),
        ];
        for (json, address) in rows {
            let admission = read(json).unwrap();
            assert_eq!((admission.worker.as_str(), admission.address.as_deref()), ("w1", address), "{json}");
        }
    }

    #[tokio::test]
    async fn every_wrong_field_of_a_worker_is_named() {
        let rows = [
            ("[]", "worker", "is a list"),
            ("{}", "id", "is missing"),
            (r#"{"id":7}"#, "id", "expected a text"),
            (r#"{"id":"a b"}"#, "id", "is no worker id"),
            (r#"{"id":"a","id":"b"}"#, "id", "given twice"),
            (r#"{"id":"a","adress":"x"}"#, "adress", "takes id and address"),
        ];
        for (json, path, part) in rows {
            let said = refused(read(json).unwrap_err()).await;
            assert!(said[0].0 == path && said[0].1.contains(part), "{json}: {said:?}");
        }
        for bad in ["", "x", ":1", "h:0", "h:65536", "a b:1", "::1:5", "[x]:1", "h:1/x"] {
            assert!(check_address(bad).unwrap_err().contains("ip:port"), "{bad}");
        }
    }
}
