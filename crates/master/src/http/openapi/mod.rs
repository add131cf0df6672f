//! The API as an OpenAPI document, made from the table of routes, and a page that shows it.
//!
//! `doc` has what a route says of itself, `shapes` the schemas of what is sent, `page` the page.

pub(in crate::http) mod doc;
mod page;
pub(in crate::http) mod shapes;

use super::dto::events::Event;
use super::dto::{Link, LogLine};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::table::{Access, Route};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doc::{Answer, Body, Content, Kind, Param, Place};
pub(super) use page::page;
use serde_json::{Map, Value, json};
use shapes::{Schemas, Shape};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const BYTES: &str = "application/octet-stream";
/// The name of the one way to say who asks.
const SECURITY: &str = "bearerAuth";

/// What stands in streams and texts, for which operations have no place.
const IN_STREAMS: [Shape; 3] = [shapes::of::<Event>, shapes::of::<LogLine>, shapes::of::<Link>];

/// Made once: it says the same for as long as the process lives.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| text(&super::routes()).into());

/// The document.
pub(super) async fn serve(query: Parameters) -> Result<Response, Problem> {
    query.close()?;
    Ok(([(CONTENT_TYPE, JSON)], TEXT.clone()).into_response())
}

/// The document as it is served and committed: the same bytes whatever else is built along.
pub(super) fn text(routes: &[Route]) -> String {
    let document = sorted(document(routes));
    // Plain data with text keys always is JSON.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Keys in their order, also where a map keeps another.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn document(routes: &[Route]) -> Value {
    let mut schemas = Schemas::default();
    for shape in IN_STREAMS {
        shape(&mut schemas);
    }
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let call = paths.entry(plain(route.path)).or_default();
        call.insert(route.method.as_str().to_ascii_lowercase(), operation(route, &mut schemas));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CloudAI",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs container tasks on a cluster. What holds for every call: docs/rest.md.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.into_map(),
            "securitySchemes": {
                SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT or API key",
                    "description": "An access token of `POST /api/v1/auth/login`, or an API key (`caik_...`) of \
                                    `POST /api/v1/keys`. A browser that is signed in sends its cookie instead. A master \
                                    that was started with --insecure asks nobody who they are.",
                },
            },
        },
        "security": [{ SECURITY: [] }],
    })
}

/// The path as OpenAPI writes it.
pub(super) fn plain(path: &str) -> String {
    path.replace("{*", "{")
}

/// The names in braces of a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let doc = route.doc;
    let path = plain(route.path);
    let in_path = names(&path).map(|name| of_path(&path, name));
    let parameters: Vec<Value> = in_path.chain(doc.params.iter().map(parameter)).collect();
    let (security, role) = match route.access {
        Access::Open => (json!([]), "open"),
        Access::Least(role) => (json!([{ SECURITY: [] }]), role.word()),
    };
    let mut fields = json!({
        "operationId": doc.id,
        "summary": doc.summary,
        "tags": [tag(&path)],
        "security": security,
        "x-cloudai-role": role,
        "responses": responses(route, schemas),
    });
    if !doc.about.is_empty() {
        fields["description"] = doc.about.into();
    }
    if !parameters.is_empty() {
        fields["parameters"] = parameters.into();
    }
    let content = |kind: &str, schema: Value| json!({ kind: { "schema": schema } });
    match doc.body {
        Body::None => {}
        Body::Json(shape) => {
            fields["requestBody"] = json!({ "required": true, "content": content(JSON, shape(schemas)) });
        }
        Body::Perhaps(shape) => {
            fields["requestBody"] = json!({ "required": false, "content": content(JSON, shape(schemas)) });
        }
        Body::Bytes => fields["requestBody"] = json!({ "required": true, "content": { BYTES: {} } }),
    }
    fields
}

/// The noun that a call is about.
fn tag(path: &str) -> &str {
    let plain = path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/api/")).unwrap_or("master");
    plain.split('/').next().unwrap_or(plain)
}

/// A parameter of the path, as its name and what stands before it say.
fn of_path(path: &str, name: &str) -> Value {
    let (about, pattern) = match name {
        "id" if path.contains("/tasks/") => ("The task's id", Some("^task-[0-9A-HJKMNP-TV-Z]{26}(\\.[0-9]{1,10})?$")),
        "id" if path.contains("/jobs/") => ("The job's id", Some("^job-[0-9A-HJKMNP-TV-Z]{26}$")),
        "id" if path.contains("/join-tokens/") => ("What the token is called", None),
        "id" if path.contains("/keys/") => ("What the key is removed by", None),
        "id" => ("The worker's name", None),
        "code" => ("What the link ends with", None),
        "sha256" => ("The SHA-256 of the content", Some("^[0-9a-f]{64}$")),
        "path" => ("The path of a file, slashes included", None),
        "host" => ("The registry, as ghcr.io", None),
        _ => ("Its name", None),
    };
    let mut schema = json!({ "type": "string", "minLength": 1 });
    if let Some(pattern) = pattern {
        schema["pattern"] = pattern.into();
    }
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
}

fn parameter(param: &Param) -> Value {
    let mut schema = match param.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        // Greater numbers mean that there is no bound.
        Kind::Whole(least, u64::MAX) => json!({ "type": "integer", "minimum": least }),
        Kind::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => json!({ "type": "array", "items": { "type": "string", "enum": words } }),
    };
    if let Some(default) = param.default {
        schema["default"] = match param.kind {
            Kind::Whole(..) | Kind::Number(..) | Kind::Flag => serde_json::from_str(default).unwrap_or_default(),
            Kind::Text | Kind::Texts | Kind::Word(_) | Kind::Words(_) => default.into(),
        };
    }
    let place = match param.place {
        Place::Query => "query",
        Place::Header => "header",
    };
    let mut fields = json!({
        "name": param.name,
        "in": place,
        "required": param.required,
        "description": param.about,
        "schema": schema,
    });
    if matches!(param.kind, Kind::Words(_)) {
        fields["explode"] = false.into();
    }
    fields
}

fn responses(route: &Route, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for answer in route.doc.answers {
        responses.insert(answer.status.to_string(), response(answer, schemas));
    }
    let problem = json!({ PROBLEM: { "schema": shapes::problem(schemas) } });
    let mut codes: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for code in problems(route) {
        codes.entry(code.status().as_u16()).or_default().insert(code.word());
    }
    for (status, words) in codes {
        let words: Vec<_> = words.into_iter().collect();
        let told = json!({
            "description": format!("A problem: `{}`", words.join("`, `")),
            "content": problem,
            "x-cloudai-codes": words,
        });
        match responses.get_mut(&status.to_string()) {
            // The same status with another body, as of a probe.
            Some(known) => {
                if let (Some(content), Some(more)) = (known["content"].as_object_mut(), problem.as_object()) {
                    content.extend(more.clone());
                }
            }
            None => drop(responses.insert(status.to_string(), told)),
        }
    }
    responses.insert("default".into(), json!({ "description": "A problem", "content": problem }));
    Value::Object(responses)
}

fn response(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut fields = json!({ "description": answer.about });
    match answer.content {
        Content::Nothing => {}
        Content::Json(shape) => fields["content"] = json!({ JSON: { "schema": shape(schemas) } }),
        Content::JsonOr(shape, other) => {
            fields["content"] = json!({ JSON: { "schema": shape(schemas) }, other: raw(other) });
        }
        Content::Raw(kinds) => {
            let content: Map<String, Value> = kinds.iter().map(|kind| ((*kind).to_owned(), raw(kind))).collect();
            fields["content"] = Value::Object(content);
        }
    }
    if let Some((name, about)) = answer.header {
        fields["headers"] = json!({ name: { "description": about, "schema": { "type": "string" } } });
    }
    fields
}

/// Text is one; of bytes nothing is said.
fn raw(kind: &str) -> Value {
    if kind.starts_with("text/") { json!({ "schema": { "type": "string" } }) } else { json!({}) }
}

/// The problems that a call may answer: those of its kind, and those that it names.
fn problems(route: &Route) -> impl Iterator<Item = Code> {
    let doc = route.doc;
    let has_id = route.path.contains('{');
    let reads = !matches!(doc.body, Body::None);
    let of_kind = [
        (Code::Invalid, has_id || reads || route.path.starts_with("/api/")),
        (Code::Unauthenticated, route.access != Access::Open),
        (Code::Forbidden, true),
        (Code::NotFound, has_id),
        (Code::Timeout, reads),
        (Code::TooLarge, reads),
        (Code::Unsupported, reads),
        (Code::Internal, true),
        (Code::Unavailable, true),
    ];
    of_kind.into_iter().filter(|(_, may)| *may).map(|(code, _)| code).chain(doc.problems.iter().copied())
}
