//! `/api/v1/templates`: documents with places for parameters, kept by their versions, filled and submitted.

use super::dto::{List, Template, TemplateVersion};
use super::extract::{Caller, Document, Perhaps, TemplatePath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::view::time;
use super::{made, only, tasks};
use crate::handle::Handle;
use crate::handle::templates::TemplateUse;
use crate::templates::{Head, Kept, MAX_TEMPLATE, MAX_TEMPLATES, Version};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cloudai_core::ids::TemplateName;
use cloudai_core::resources::Bytes;
use cloudai_core::spec::Value;
use cloudai_core::template;

/// The largest body: the largest template, and blanks.
const MAX_BODY: usize = 2 * MAX_TEMPLATE;

/// The caller's templates in the order of their names.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<Template>>, Problem> {
    query.close()?;
    let templates = handle.templates(&who).await?;
    let items = templates.iter().filter_map(|(name, head)| Some(shown(name, head, head.latest()?)));
    Ok(Json(List { items: items.collect(), next_cursor: None }))
}

/// One, with its document.
pub(super) async fn get(
    Caller(who): Caller,
    TemplatePath(name): TemplatePath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let version = version(&mut query);
    query.close()?;
    let (head, version, document) = handle.template(&who, &name, version).await.map_err(made::refused)?;
    Ok(only::tagged(&version.tag(), Json(whole(&name, &head, version, &document))))
}

/// Keeps the body as the next version, unless it is the latest already.
pub(super) async fn put(
    Caller(who): Caller,
    TemplatePath(name): TemplatePath,
    State(handle): State<Handle>,
    query: Parameters,
    headers: HeaderMap,
    body: Document<MAX_BODY>,
) -> Result<Response, Problem> {
    query.close()?;
    let only = only::only(&headers)?;
    let document = body.parse()?;
    let template = template::Template::from_value(&document)?;
    if let Some(other) = template.name.as_ref().filter(|other| **other != name) {
        return Err(Problem::field("name", format!("is {other}, and it is to be kept as {name}: leave it out")));
    }
    not_too_large(&document, MAX_TEMPLATE, "template")?;
    let (status, head) = match handle.put_template(&who, &name, (&document, &template), &only).await? {
        Kept::New(head) => (StatusCode::CREATED, head),
        Kept::Same(head) => (StatusCode::OK, head),
        Kept::Changed => return Err(only::changed("template")),
        Kept::TooMany => {
            let why = format!("you have {MAX_TEMPLATES} templates, the most there may be");
            return Err(Problem::new(Code::Conflict, why).next("cloudai template remove NAME"));
        }
    };
    let latest = head.latest().ok_or_else(|| Problem::new(Code::Internal, "the template has no version"))?;
    Ok(only::tagged(&latest.tag(), (status, Json(shown(&name, &head, latest)))))
}

/// Removes it with all of its versions: schedules that name it come to nothing.
pub(super) async fn remove(
    Caller(who): Caller,
    TemplatePath(name): TemplatePath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<StatusCode, Problem> {
    query.close()?;
    if handle.remove_template(&who, &name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(Code::NotFound, format!("no template {name} is stored")).next("cloudai template list"))
}

/// Fills it and submits what comes of it.
pub(super) async fn run(
    Caller(who): Caller,
    TemplatePath(name): TemplatePath,
    State(handle): State<Handle>,
    mut query: Parameters,
    headers: HeaderMap,
    body: Perhaps<MAX_BODY>,
) -> Result<Response, Problem> {
    let version = version(&mut query);
    query.close()?;
    let key = tasks::key_of(&headers)?;
    let used = TemplateUse { name, version, params: params(body.parse()?)? };
    let run = handle.run_template(&who, &used, key).await.map_err(made::refused)?;
    made::answer(&handle, &who, run).await
}

fn version(query: &mut Parameters) -> Option<u32> {
    query.whole("version", 1..=u64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok())
}

/// The parameters of a body that has nothing else.
fn params(body: Option<Value>) -> Result<Value, Problem> {
    let Some(body) = body else { return Ok(Value::Null) };
    let expected = "expected {\"params\": {...}}";
    let Value::Map(fields) = body else {
        return Err(Problem::new(Code::Invalid, format!("the body is {}: {expected}", body.kind())));
    };
    let mut params = None;
    for (name, value) in fields {
        let shown: String = name.chars().take(80).collect();
        if name != "params" {
            return Err(Problem::field(&shown, format!("is no field of a run: {expected}")));
        }
        if params.replace(value).is_some() {
            return Err(Problem::field(&shown, "is given twice"));
        }
    }
    Ok(params.unwrap_or(Value::Null))
}

/// Refuses what is larger than may be stored.
pub(super) fn not_too_large(document: &Value, most: usize, what: &str) -> Result<(), Problem> {
    let bytes = serde_json::to_vec(document).map_err(|error| Problem::internal(&error))?.len();
    if bytes <= most {
        return Ok(());
    }
    let (bytes, most) = (Bytes(bytes as u64), Bytes(most as u64));
    Err(Problem::new(Code::TooLarge, format!("the {what} has {bytes} as JSON: at most {most} are kept")))
}

/// What is known without the document.
fn shown(name: &TemplateName, head: &Head, version: Version) -> Template {
    Template {
        name: name.to_string(),
        version: version.number,
        kind: head.makes.word().into(),
        description: head.description.clone(),
        params: head.params.clone(),
        created_at: time(version.created_at),
        versions: Vec::new(),
        document: None,
    }
}

/// One version as it was put.
fn whole(name: &TemplateName, head: &Head, version: Version, document: &Value) -> Template {
    let versions = head.versions.iter().map(|version| TemplateVersion {
        version: version.number,
        created_at: time(version.created_at),
        bytes: version.bytes,
    });
    let versions = versions.collect();
    let mut shown = Template { versions, document: serde_json::to_value(document).ok(), ..shown(name, head, version) };
    // Of another version than the latest these may be others.
    if let Ok(template) = template::Template::from_value(document) {
        shown.kind = template.makes.word().into();
        shown.description = template.description;
        shown.params = template.params.into_iter().map(|param| param.name).collect();
    }
    shown
}
