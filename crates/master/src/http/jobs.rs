//! `/api/v1/jobs`: submit, list, find, look at, cancel, hold, release.

use super::columns::{Columns, OF_JOBS};
use super::dto::{Job, List, Task};
use super::extract::{Caller, Document, JobPath};
use super::job_forecast;
use super::job_view::{self, Failed, FirstFailed};
use super::problem::{Code, Problem};
use super::query::Parameters;
use super::tasks::{Whose, id_part, key_of, wait, with_key};
use super::view;
use crate::handle::Handle;
use crate::handle::job_tasks::JobTaskQuery;
use crate::handle::jobs::JobAccepted;
use crate::mailbox::AskError;
use crate::model::SeenJob;
use crate::principal::Principal;
use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cloudai_core::event::Part;
use cloudai_core::job::{Indexes, JobFile, JobStatus, graph};
use cloudai_core::spec::{FieldError, SpecError};
use cloudai_core::state::{Reason, Status};
use cloudai_core::task::TaskRecord;
use cloudai_core::text::shortened;
use cloudai_store::query::{Cursor, JobQuery, MAX_LIMIT, Page, Sort};

/// The largest body with a job: 100,000 tasks and more.
const MAX_JOB: usize = 64 << 20;
/// Rows of a page when nothing is said.
const DEFAULT_LIMIT: u64 = 50;
/// The most jobs that a part of an id is answered with.
const MAX_FOUND: usize = 20;
/// Of so many arrays it is looked up which elements failed.
const MOST_FAILED: usize = 20;
/// So many of them are told.
const FAILED_TOLD: usize = 4;
/// The most that is said of one's end, in bytes.
const MOST_WORDS: usize = 200;

/// Accepts a job; with `dry_run` tells what would become of it.
pub(super) async fn submit(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
    headers: HeaderMap,
    document: Document<MAX_JOB>,
) -> Result<Response, Problem> {
    let dry_run = query.flag("dry_run");
    query.close()?;
    let key = key_of(&headers)?.map(ToOwned::to_owned);
    // Up to 64 MiB of text: too long for a thread that serves others.
    let read = tokio::task::spawn_blocking(move || {
        let document = with_key(document.parse()?, key.as_deref())?;
        JobFile::from_value(&document).map_err(Problem::from)
    });
    let file = read.await.map_err(|error| Problem::internal(&error))??;
    if dry_run {
        let foreseen = handle.foresee_job(&who, file).await.map_err(of_a_job)?;
        return Ok(Json(job_forecast::forecast(&foreseen)).into_response());
    }
    let accepted = handle.submit_job(&who, file).await.map_err(of_a_job)?;
    answer(&handle, &who, accepted).await
}

/// What is wrong with a task of a job stands under its place in the file.
fn of_a_job(error: AskError) -> Problem {
    let within = |errors: &[(usize, SpecError)]| -> Vec<FieldError> {
        let fields = errors.iter().flat_map(|(index, error)| {
            let of_task = move |field: &FieldError| FieldError {
                path: format!("tasks[{index}].{}", field.path),
                ..field.clone()
            };
            error.0.iter().map(of_task)
        });
        fields.collect()
    };
    match error {
        AskError::Specs(errors) => SpecError(within(&errors)).into(),
        AskError::Denied(errors) => Problem::denied(within(&errors)),
        other => other.into(),
    }
}

/// The job that a submission led to, a new one or that of an earlier submission.
pub(super) async fn answer(handle: &Handle, who: &Principal, accepted: JobAccepted) -> Result<Response, Problem> {
    let job = handle.job(who, accepted.id).await?;
    let location = [(LOCATION, format!("/api/v1/jobs/{}", accepted.id))];
    let status = if accepted.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, location, Json(whole(handle, &job, 0).await?)).into_response())
}

/// One page of jobs, the latest first.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let whose = Whose::of(&mut query);
    let mut asked = JobQuery {
        statuses: query.parsed("status", statuses).unwrap_or_default(),
        owner: None,
        name_prefix: query.text("name"),
        sort: Sort::Newest,
        limit: limit(&mut query),
        cursor: query.parsed("cursor", cursor),
    };
    let columns = Columns::read(&mut query, &OF_JOBS);
    query.close()?;
    asked.owner = whose.owner(&who)?;
    let Page { items, next } = handle.jobs(&who, asked).await?;
    let next_cursor = next.map(|Cursor(at)| at.to_string());
    columns.answer(List { items: items.iter().map(|job| job_view::job(job)).collect(), next_cursor })
}

fn statuses(text: &str) -> Result<Vec<JobStatus>, String> {
    let word = |word: &str| {
        let known = JobStatus::ALL.into_iter().find(|status| status.word() == word.trim());
        known.ok_or_else(|| {
            let words: Vec<_> = JobStatus::ALL.iter().map(|status| status.word()).collect();
            format!("{word:?} is not one of {}", words.join(", "))
        })
    };
    text.split(',').map(word).collect()
}

fn limit(query: &mut Parameters) -> usize {
    let limit = query.whole("limit", 1..=MAX_LIMIT as u64).unwrap_or(DEFAULT_LIMIT);
    usize::try_from(limit).unwrap_or(MAX_LIMIT)
}

fn cursor(text: &str) -> Result<Cursor, String> {
    text.parse().map(Cursor).map_err(|_| "is no cursor: pass next_cursor of the page before as it is".into())
}

/// The jobs whose id begins or ends with a part.
pub(super) async fn resolve(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Job>>, Problem> {
    let part = query.parsed("part", |text| id_part(text.strip_prefix("job-").unwrap_or(text)));
    query.close()?;
    let part = part.ok_or_else(|| Problem::field("part", "is missing: give 4 or more characters of an id"))?;
    let mut found = handle.resolve_job(&who, &part, MAX_FOUND + 1).await?;
    // The list has no second page: a longer part finds the rest.
    let next_cursor = (found.len() > MAX_FOUND).then(|| "more".to_owned());
    found.truncate(MAX_FOUND);
    Ok(Json(List { items: found.iter().map(|job| job_view::job(&job.record)).collect(), next_cursor }))
}

/// One job; with `wait_s` once it has ended.
pub(super) async fn get(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Job>, Problem> {
    let patience = query.parsed("wait_s", wait);
    let from = query.whole("from_part", 0..=u64::from(u32::MAX)).unwrap_or(0);
    query.close()?;
    let job = match patience {
        Some(patience) => handle.wait_for_job(&who, id, patience).await?,
        None => handle.job(&who, id).await?,
    };
    whole(&handle, &job, usize::try_from(from).unwrap_or(usize::MAX)).await.map(Json)
}

/// A job with its named tasks, and which elements of its arrays failed first.
pub(super) async fn whole(handle: &Handle, job: &SeenJob, from: usize) -> Result<Job, Problem> {
    let mut failed = Failed::new();
    let shown = job.groups.iter().zip(0u32..).skip(from).take(job_view::MOST_PARTS);
    for (_, number) in shown.filter(|(state, _)| state.failed > 0).take(MOST_FAILED) {
        let query = JobTaskQuery {
            group: Some(number),
            statuses: vec![Status::Failed],
            limit: FAILED_TOLD,
            ..JobTaskQuery::default()
        };
        let tasks = handle.job_tasks(job, &query).await?.items;
        let indexes = tasks.iter().filter_map(|task| task.record.id.index()).collect();
        let why = tasks.first().map(|task| cause(&task.record)).unwrap_or_default();
        failed.insert(number, FirstFailed { indexes, why });
    }
    Ok(job_view::whole(job, from, &failed))
}

/// Why a task failed, in few words: what is to be done next stands beside it.
fn cause(task: &TaskRecord) -> String {
    let Some(end) = task.finished() else { return String::new() };
    let said = match (end.reason, end.exit_code) {
        (Some(Reason::ExitCode), Some(code)) => format!("exit code {code}"),
        _ => end.message.clone(),
    };
    shortened(&said, MOST_WORDS)
}

/// A named task of a job, and elements of it.
struct Asked {
    group: Option<u32>,
    indexes: Option<Indexes>,
}

fn asked(query: &mut Parameters) -> (Option<String>, Option<Indexes>) {
    let task = query.text("task");
    let indexes = query.parsed("index", |text| text.parse::<Indexes>());
    if indexes.is_some() && task.is_none() {
        query.wrong("index", None, "needs task: say of which array");
    }
    (task, indexes)
}

fn found(job: &SeenJob, (task, indexes): (Option<String>, Option<Indexes>)) -> Result<Asked, Problem> {
    let Some(name) = task else { return Ok(Asked { group: None, indexes: None }) };
    let Some(group) = job.plan.group_named(&name) else {
        let id = job.record.id;
        let problem = format!("{name:?} is no task of {id}: cloudai job info {id} lists them");
        return Err(Problem::field("task", problem));
    };
    if indexes.is_some() && job.plan.group(group).is_some_and(|group| group.elements.is_none()) {
        return Err(Problem::field("index", format!("{name} is no array")));
    }
    Ok(Asked { group: Some(group), indexes })
}

/// The tasks of a job.
pub(super) async fn tasks(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Task>>, Problem> {
    let which = asked(&mut query);
    let words = |text: &str| text.split(',').map(|word| word.trim().parse::<Status>()).collect();
    let statuses = query.parsed("status", words).unwrap_or_default();
    let limit = limit(&mut query);
    let from = query.parsed("cursor", cursor).map_or(0, |Cursor(at)| at);
    query.close()?;
    let job = handle.job(&who, id).await?;
    let Asked { group, indexes } = found(&job, which)?;
    let tasks = handle.job_tasks(&job, &JobTaskQuery { group, indexes, statuses, limit, from }).await?;
    let item = |seen| {
        let mut task: Task = view::task(seen);
        task.job_task = name_in(&job, seen.record.id);
        task
    };
    let items = tasks.items.iter().map(item).collect();
    Ok(Json(List { items, next_cursor: tasks.next.map(|next| next.to_string()) }))
}

fn name_in(job: &SeenJob, id: cloudai_core::ids::TaskId) -> Option<String> {
    let group = job.record.id.group_of(id)?;
    job.plan.group(group).map(|group| group.name.to_string())
}

/// Asks for the end of a job, or of a part of it.
pub(super) async fn cancel(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let which = asked(&mut query);
    query.close()?;
    let job = handle.job(&who, id).await?;
    let had_ended = job.record.end.is_some();
    let parts = parts(&job, &found(&job, which)?);
    let job = handle.cancel_job(&who, id, parts).await?;
    let status = if had_ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(whole(&handle, &job, 0).await?)).into_response())
}

/// What is asked for as ranges of ordinals; nothing for the whole job.
fn parts(job: &SeenJob, asked: &Asked) -> Vec<Part> {
    let Some(number) = asked.group else { return Vec::new() };
    let elements = job.plan.group(number).and_then(|group| group.elements.as_ref());
    let (Some(indexes), Some(elements)) = (&asked.indexes, elements) else {
        return vec![Part { group: number, from: 0, to: u32::MAX }];
    };
    let part = |from, to| Part { group: number, from, to };
    let mut parts = Vec::new();
    for span in indexes.spans() {
        let (from, to) = (elements.indexes.before(span.first), elements.indexes.before(span.last.saturating_add(1)));
        if span.step == 1 {
            parts.push(part(from, to));
        } else {
            let hit =
                |ordinal: &u32| elements.indexes.nth(*ordinal).is_some_and(|index| indexes.ordinal_of(index).is_some());
            parts.extend((from..to).filter(hit).map(|ordinal| part(ordinal, ordinal + 1)));
        }
    }
    // Neighbours are cancelled together.
    parts.dedup_by(|next, before| {
        let touch = before.to == next.from;
        before.to = if touch { next.to } else { before.to };
        touch
    });
    parts.retain(|part| part.from < part.to);
    if parts.is_empty() {
        // An empty part is none of the job, and not all of it.
        parts.push(part(0, 0));
    }
    parts
}

/// Lets no more tasks of a job have their turn.
pub(super) async fn hold(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Job>, Problem> {
    query.close()?;
    let job = handle.hold_job(&who, id, true).await?;
    whole(&handle, &job, 0).await.map(Json)
}

/// Lets a held job go.
pub(super) async fn release(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Job>, Problem> {
    query.close()?;
    let job = handle.hold_job(&who, id, false).await?;
    whole(&handle, &job, 0).await.map(Json)
}

/// Runs what did not complete of an ended job again.
pub(super) async fn retry(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Response, Problem> {
    query.close()?;
    let accepted = handle.retry_job(&who, id).await.map_err(of_a_job)?;
    answer(&handle, &who, accepted).await
}

/// A drawing of a job, with what became of each of its tasks.
pub(super) async fn graph(
    Caller(who): Caller,
    JobPath(id): JobPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let format = query.parsed("format", |text| match text {
        "text" | "dot" | "svg" => Ok(text.to_owned()),
        _ => Err("takes text, dot or svg".into()),
    });
    query.close()?;
    let job = handle.job(&who, id).await?;
    let words = |number| job_view::part_status(&job, number);
    let (kind, drawing) = match format.as_deref() {
        Some("dot") => ("text/vnd.graphviz", graph::dot(&job.plan, Some(&words))),
        Some("svg") => {
            let drawing = graph::svg(&job.plan, Some(&words));
            let too_large = |error: graph::TooLarge| Problem::new(Code::Invalid, error.to_string());
            ("image/svg+xml", drawing.map_err(too_large)?)
        }
        Some(_) | None => ("text/plain; charset=utf-8", graph::text(&job.plan, Some(&words))),
    };
    Ok(([(CONTENT_TYPE, kind)], drawing).into_response())
}
