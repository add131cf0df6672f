//! `/api/v1/join-tokens`: what lets workers join; made, listed, taken back.

use super::audited::Noted;
use super::dto::{FieldProblem, IssuedToken, List};
use super::extract::{Caller, Perhaps, TokenPath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::view::time;
use crate::handle::Handle;
use crate::pki::Pki;
use crate::pki::tokens::{MOST, TokenRecord};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use cloudai_core::spec::Value;
use std::sync::Arc;
use std::time::Duration;

/// The largest body of these routes: a few fields.
const MAX_BODY: usize = 64 * 1024;
/// The longest that a token with an end may be good for: a hundred years.
pub(super) const LONGEST_S: i64 = 100 * 365 * 24 * 60 * 60;

/// The certificates of this cluster.
fn pki(handle: &Handle) -> Result<&Arc<Pki>, Problem> {
    handle.pki().ok_or_else(|| {
        let why = "this master was started with --insecure: workers show it the one join token that it has";
        Problem::new(Code::Conflict, why).next("cloudai worker token")
    })
}

fn shown(pki: &Pki, id: String, token: Option<String>, record: &TokenRecord) -> IssuedToken {
    IssuedToken {
        id,
        token,
        reusable: record.reusable,
        state: record.state(pki.now()).word().into(),
        uses: record.uses,
        created_at: time(record.created_at),
        expires_at: record.expires_at.map(time),
    }
}

/// All of them, in the order of their ids, without the tokens themselves.
pub(super) async fn list(
    Caller(_who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<IssuedToken>>, Problem> {
    query.close()?;
    let pki = pki(&handle)?;
    let items = pki.tokens().into_iter().map(|(id, record)| shown(pki, id, None, &record)).collect();
    Ok(Json(List { items, next_cursor: None }))
}

/// Makes one; this answer is the only one that has it.
pub(super) async fn create(
    Caller(_who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    document: Perhaps<MAX_BODY>,
) -> Result<Response, Problem> {
    query.close()?;
    let pki = pki(&handle)?;
    let (reusable, life) = wish(document.parse()?)?;
    let made = pki.make_token(reusable, life).await?;
    let Some((id, token, record)) = made else {
        let why = format!("there are {MOST} join tokens that are good, the most there may be");
        return Err(Problem::new(Code::Conflict, why).next("cloudai worker token --revoke ID"));
    };
    let location = [(LOCATION, format!("/api/v1/join-tokens/{id}"))];
    let noted = Noted::default().detail("reusable", reusable);
    Ok((StatusCode::CREATED, location, Extension(noted), Json(shown(pki, id, Some(token), &record))).into_response())
}

/// Takes one back: it lets nobody in any more, and workers that it let in stay.
pub(super) async fn revoke(
    Caller(_who): Caller,
    TokenPath(id): TokenPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<StatusCode, Problem> {
    query.close()?;
    if pki(&handle)?.revoke_token(&id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(Code::NotFound, format!("there is no join token {id}")).next("cloudai worker token --list"))
}

/// Reads `{"reusable": true, "expires_in_s": 3600}`, either of which may be left out.
fn wish(document: Option<Value>) -> Result<(bool, Option<Duration>), Problem> {
    let fields = match document {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Map(fields)) => fields,
        Some(other) => {
            let problem = format!("is {}: expected {{\"reusable\": true, \"expires_in_s\": 3600}}", other.kind());
            return Err(Problem::field("token", problem));
        }
    };
    let (mut reusable, mut life, mut errors) = (true, None, Vec::new());
    for (name, value) in fields {
        let problem = match (name.as_str(), value) {
            ("reusable" | "expires_in_s", Value::Null) => continue,
            ("reusable", Value::Bool(wanted)) => {
                reusable = wanted;
                continue;
            }
            ("expires_in_s", Value::Int(seconds)) if (1..=LONGEST_S).contains(&seconds) => {
                life = Some(Duration::from_secs(seconds.unsigned_abs()));
                continue;
            }
            ("reusable", other) => format!("is {}: expected true or false", other.kind()),
            ("expires_in_s", _) => format!("is no time: expected whole seconds, 1 to {LONGEST_S}"),
            _ => "is no field of a join token: it takes reusable and expires_in_s".into(),
        };
        errors.push(FieldProblem { path: name.chars().take(80).collect(), value: None, problem });
    }
    if errors.is_empty() { Ok((reusable, life)) } else { Err(Problem::fields(errors)) }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::refused;
    use super::*;

    fn read(json: &str) -> Result<(bool, Option<Duration>), Problem> {
        wish(Some(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn a_token_lets_any_number_of_workers_in_for_ever_unless_it_is_said_otherwise() {
        assert_eq!(wish(None).unwrap(), (true, None));
        assert_eq!(read("{}").unwrap(), (true, None));
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(read(r#"{"reusable": false, "expires_in_s": 3600}"#).unwrap(), (false, hour));
        assert_eq!(read(r#"{"reusable": null, "expires_in_s": null}"#).unwrap(), (true, None));
    }

    #[tokio::test]
    async fn every_wrong_field_is_named() {
        let rows = [
            (r#"{"reusable": 1}"#, "reusable", "true or false"),
            (r#"{"expires_in_s": 0}"#, "expires_in_s", "1 to"),
            (r#"{"expires_in_s": "1h"}"#, "expires_in_s", "whole seconds"),
            (r#"{"wombat": 1}"#, "wombat", "takes reusable"),
            ("[]", "token", "expected"),
        ];
        for (json, path, part) in rows {
            let said = refused(read(json).unwrap_err()).await;
            assert!(said[0].0 == path && said[0].1.contains(part), "{json}: {said:?}");
        }
    }
}
