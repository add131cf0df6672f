//! `/api/v1/schedules`: what is submitted again and again, and where each stands.

use super::dto::{List, Schedule, ScheduleError, ScheduleRun, TemplateUse};
use super::extract::{Caller, Document, SchedulePath};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::templates::not_too_large;
use super::view::time;
use super::{made, only, tasks};
use crate::handle::Handle;
use crate::handle::made::Made;
use crate::handle::templates::NotMade;
use crate::mailbox::AskError;
use crate::principal::Principal;
use crate::schedules::definition::{self, What};
use crate::schedules::state::{Failed, Last};
use crate::schedules::{Entry, MAX_SCHEDULE, MAX_SCHEDULES, Put};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cloudai_core::ids::ScheduleName;
use cloudai_core::spec::{FieldError, SpecError, Value};

/// The largest body: the largest schedule, and blanks.
const MAX_BODY: usize = 2 * MAX_SCHEDULE;
/// How many times to come are told.
const NEXT: usize = 3;

/// The caller's schedules in the order of their names.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<List<Schedule>>, Problem> {
    query.close()?;
    let mut items = Vec::new();
    for (name, entry) in handle.schedules(&who) {
        items.push(shown(&handle, &name, &entry).await?);
    }
    Ok(Json(List { items, next_cursor: None }))
}

/// One, with what it is of.
pub(super) async fn get(
    Caller(who): Caller,
    SchedulePath(name): SchedulePath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Response, Problem> {
    query.close()?;
    let entry = handle.schedule(&who, &name).ok_or_else(|| absent(&name))?;
    Ok(only::tagged(&entry.tag(), Json(whole(&handle, &name, &entry).await?)))
}

/// Keeps a schedule, in the place of an earlier one of the name.
pub(super) async fn put(
    Caller(who): Caller,
    SchedulePath(name): SchedulePath,
    State(handle): State<Handle>,
    query: Parameters,
    headers: HeaderMap,
    body: Document<MAX_BODY>,
) -> Result<Response, Problem> {
    query.close()?;
    let only = only::only(&headers)?;
    let document = body.parse()?;
    let given = definition::read(&document)?;
    if let Some(other) = given.name.as_ref().filter(|other| **other != name) {
        return Err(Problem::field("name", format!("is {other}, and it is to be kept as {name}: leave it out")));
    }
    not_too_large(&document, MAX_SCHEDULE, "schedule")?;
    check_template(&handle, &who, &given.definition.what).await?;
    let (status, entry) = match handle.put_schedule(&who, &name, given, handle.wall(), &only).await? {
        Put::New(entry) => (StatusCode::CREATED, entry),
        Put::Replaced(entry) => (StatusCode::OK, entry),
        Put::Changed => return Err(only::changed("schedule")),
        Put::TooMany => {
            let why = format!("you have {MAX_SCHEDULES} schedules, the most there may be");
            return Err(Problem::new(Code::Conflict, why).next("cloudai schedule remove NAME"));
        }
    };
    Ok(only::tagged(&entry.tag(), (status, Json(whole(&handle, &name, &entry).await?))))
}

/// Whether what it names is there and can be filled so, as things are now.
async fn check_template(handle: &Handle, who: &Principal, what: &What) -> Result<(), Problem> {
    let What::Template(used) = what else { return Ok(()) };
    let wrong = match handle.filled(who, used).await {
        Ok((makes, document)) => match makes.check_within(&document) {
            Ok(()) => return Ok(()),
            Err(wrong) => wrong.0,
        },
        Err(NotMade::Failed(AskError::Specs(wrong))) => {
            wrong.iter().flat_map(|(_, error)| error.0.iter().cloned()).collect()
        }
        Err(NotMade::Failed(error)) => return Err(error.into()),
        Err(ref error @ NotMade::NoTemplate(ref name)) => {
            let problem = format!("{error}: cloudai template put {name} FILE keeps one");
            return Err(Problem::field("template.name", problem));
        }
        Err(error @ NotMade::NoVersion { .. }) => return Err(Problem::field("template.version", error.to_string())),
    };
    let within = |error: FieldError| FieldError { path: format!("template.{}", error.path), ..error };
    Err(SpecError(wrong.into_iter().map(within).collect()).into())
}

/// Removes it; what it made goes on.
pub(super) async fn remove(
    Caller(who): Caller,
    SchedulePath(name): SchedulePath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<StatusCode, Problem> {
    query.close()?;
    if handle.remove_schedule(&who, &name).await? { Ok(StatusCode::NO_CONTENT) } else { Err(absent(&name)) }
}

/// Keeps its times from coming.
pub(super) async fn pause(
    Caller(who): Caller,
    SchedulePath(name): SchedulePath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Schedule>, Problem> {
    query.close()?;
    set_paused(&handle, &who, &name, true).await
}

/// Lets its times come again, from now on.
pub(super) async fn resume(
    Caller(who): Caller,
    SchedulePath(name): SchedulePath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Schedule>, Problem> {
    query.close()?;
    set_paused(&handle, &who, &name, false).await
}

async fn set_paused(
    handle: &Handle,
    who: &Principal,
    name: &ScheduleName,
    paused: bool,
) -> Result<Json<Schedule>, Problem> {
    let entry = handle.pause_schedule(who, name, paused, handle.wall()).await?;
    whole(handle, name, &entry.ok_or_else(|| absent(name))?).await.map(Json)
}

/// Submits now what it is of.
pub(super) async fn run(
    Caller(who): Caller,
    SchedulePath(name): SchedulePath,
    State(handle): State<Handle>,
    query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.close()?;
    let key = tasks::key_of(&headers)?;
    let run = handle.run_schedule(&who, &name, key, handle.wall()).await.map_err(made::refused)?;
    made::answer(&handle, &who, run.ok_or_else(|| absent(&name))?).await
}

fn absent(name: &ScheduleName) -> Problem {
    Problem::new(Code::NotFound, format!("there is no schedule {name}")).next("cloudai schedule list")
}

/// A schedule of a list.
async fn shown(handle: &Handle, name: &ScheduleName, entry: &Entry) -> Result<Schedule, Problem> {
    let (definition, state) = (&entry.kept.definition, &entry.state);
    let last = match state.last {
        Some(last) => Some(run_of(handle, last).await?),
        None => None,
    };
    let template = match &definition.what {
        What::Task(_) | What::Job(_) => None,
        What::Template(used) => Some(TemplateUse { name: used.name.to_string(), version: used.version, params: None }),
    };
    Ok(Schedule {
        name: name.to_string(),
        description: definition.description.clone(),
        cron: definition.cron.clone(),
        time_zone: definition.time_zone.clone(),
        overlap: definition.overlap.word().into(),
        catch_up: definition.catch_up.word().into(),
        paused: state.paused,
        what: definition.what.word().into(),
        task: None,
        job: None,
        template,
        next: entry.next_times(handle.wall(), NEXT).into_iter().map(time).collect(),
        waiting: state.waiting.iter().copied().map(time).collect(),
        last,
        last_error: error_of(handle, entry),
        runs: state.runs,
        skipped: state.skipped,
        created_at: time(entry.kept.created_at),
        updated_at: time(entry.kept.updated_at),
    })
}

/// A schedule with what it is of.
async fn whole(handle: &Handle, name: &ScheduleName, entry: &Entry) -> Result<Schedule, Problem> {
    let mut schedule = shown(handle, name, entry).await?;
    let json = |value: &Value| serde_json::to_value(value).ok();
    match &entry.kept.definition.what {
        What::Task(document) => schedule.task = json(document),
        What::Job(document) => schedule.job = json(document),
        What::Template(used) => {
            let params = json(&used.params).filter(|params| !params.is_null());
            schedule.template = schedule.template.map(|template| TemplateUse { params, ..template });
        }
    }
    Ok(schedule)
}

async fn run_of(handle: &Handle, last: Last) -> Result<ScheduleRun, Problem> {
    let standing = handle.standing(last.made).await.map_err(AskError::from)?;
    let (task_id, job_id) = match last.made {
        Made::Task(id) => (Some(id.to_string()), None),
        Made::Job(id) => (None, Some(id.to_string())),
    };
    Ok(ScheduleRun {
        time: last.time.map(time),
        submitted_at: time(last.at),
        task_id,
        job_id,
        status: standing.map(|standing| standing.status.into()),
    })
}

/// Why nothing was submitted the last time, or why nothing ever will be.
fn error_of(handle: &Handle, entry: &Entry) -> Option<ScheduleError> {
    if let Some(why) = entry.unreadable() {
        let now = time(handle.wall());
        let message = format!("its times are not known to this version any more: {why}");
        return Some(ScheduleError { time: now.clone(), at: now, message, again: false });
    }
    let told = |failed: &Failed| ScheduleError {
        time: time(failed.time),
        at: time(failed.at),
        message: failed.message.clone(),
        again: failed.again,
    };
    entry.state.last_error.as_ref().map(told)
}
