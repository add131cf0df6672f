//! `/api/v1/tasks`: submit, list, find, look at, cancel, hold, release, retry.

use super::audited::Noted;
use super::columns::{Columns, OF_TASKS};
use super::dto::{List, Submitted, Task};
use super::extract::{Caller, Document, Perhaps, TaskPath};
use super::problem::{Code, Problem, batch_errors};
use super::query::Parameters;
use super::{job_view, single, view};
use crate::handle::Handle;
use crate::handle::listed::Listed;
use crate::mailbox::AskError;
use crate::model::SeenTask;
use crate::principal::{Principal, Role};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::event::{Rejected, Submitted as Fate};
use cloudai_core::ids::{IdError, TaskId, UserId};
use cloudai_core::job::TaskFile;
use cloudai_core::spec::{SpecError, TaskSpec, Value};
use cloudai_core::state::Status;
use cloudai_core::template::Named;
use cloudai_store::query::{Cursor, MAX_LIMIT, Page, Sort, TaskQuery};
use std::sync::Arc;
use std::time::Duration;

/// The largest body with one task: a spec, or one with all items of its `each`.
const MAX_TASK: usize = 16 << 20;
/// The largest body with many.
const MAX_BATCH: usize = 16 << 20;
/// The most tasks of one body.
const MAX_TASKS: usize = 1000;
/// Rows of a page when nothing is said.
const DEFAULT_LIMIT: u64 = 50;
/// Characters of an id that are worth looking for.
const LEAST_PART: usize = 4;
/// The most tasks that a part of an id is answered with.
const MAX_FOUND: usize = 20;
/// The longest wait for a task's end, in seconds: clients and proxies give up later than that.
const MAX_WAIT: f64 = 60.0;

const KEY_HEADER: &str = "idempotency-key";
const KEY_FIELD: &str = "idempotency_key";

/// Accepts one task, or a job of one.
pub(super) async fn submit(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    headers: HeaderMap,
    document: Document<MAX_TASK>,
) -> Result<Response, Problem> {
    query.close()?;
    let key = key_of(&headers)?;
    let document = with_key(document.parse()?, key)?;
    if let Some(named) = Named::from_value(&document)? {
        return single::run_template(&handle, &who, named).await;
    }
    let spec = match single::read(document).await? {
        TaskFile::Task(spec) => Arc::from(spec),
        TaskFile::Job(file) => {
            let accepted = handle.submit_job(&who, file).await.map_err(of_the_only_one)?;
            return single::answer(&handle, &who, accepted).await;
        }
    };
    let fates = handle.submit(&who, vec![spec]).await.map_err(of_the_only_one)?;
    let fate = fates.first().ok_or_else(|| Problem::new(Code::Internal, "the task got no answer"))?;
    answer(&handle, &who, *fate).await
}

/// The only task needs no path to be found by.
pub(super) fn of_the_only_one(error: AskError) -> Problem {
    match error {
        AskError::Specs(errors) => SpecError(errors.iter().flat_map(|(_, error)| error.0.clone()).collect()).into(),
        AskError::Denied(errors) => Problem::denied(errors.iter().flat_map(|(_, error)| error.0.clone())),
        other => Problem::from(other).without_errors(),
    }
}

/// The task that a submission led to, a new one or that of an earlier submission.
pub(super) async fn answer(handle: &Handle, who: &Principal, fate: Fate) -> Result<Response, Problem> {
    let task = whole(handle, &handle.task(who, fate.id).await?).await?;
    let location = [(LOCATION, format!("/api/v1/tasks/{}", fate.id))];
    let status = if fate.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, location, Json(task)).into_response())
}

/// Accepts many tasks, all or none.
pub(super) async fn submit_batch(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    headers: HeaderMap,
    document: Document<MAX_BATCH>,
) -> Result<Response, Problem> {
    query.close()?;
    let key = key_of(&headers)?.map(ToOwned::to_owned);
    // Up to 16 MiB of text: too long for a thread that serves others.
    let read = tokio::task::spawn_blocking(move || specs(document.parse()?, key.as_deref())).await;
    let specs = read.map_err(|error| Problem::internal(&error))??;
    let fates = handle.submit(&who, specs).await?;
    let status = if fates.iter().any(|fate| fate.fresh) { StatusCode::CREATED } else { StatusCode::OK };
    let noted = noted(&fates);
    let items = fates.into_iter().map(|fate| Submitted { id: fate.id.to_string(), fresh: fate.fresh }).collect();
    Ok((status, Extension(noted), Json(List::<Submitted> { items, next_cursor: None })).into_response())
}

/// A batch is one row of the audit log, however many it brings.
fn noted(fates: &[Fate]) -> Noted {
    let fresh = fates.iter().filter(|fate| fate.fresh).count();
    let noted = Noted::default().detail("tasks", fates.len()).detail("new", fresh);
    match (fates.first(), fates.last()) {
        (Some(first), Some(last)) => noted.on(first.id.to_string()).detail("last", last.id.to_string()),
        (None, _) | (_, None) => noted,
    }
}

/// The key of the header; the field of the same meaning stands in the document.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut keys = headers.get_all(KEY_HEADER).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().map_err(|_| Problem::field("Idempotency-Key", "must be plain ASCII"))?;
    if keys.next().is_some() {
        return Err(Problem::field("Idempotency-Key", "is given twice"));
    }
    if key.is_empty() {
        return Err(Problem::field("Idempotency-Key", "must not be empty"));
    }
    Ok(Some(key))
}

/// Puts the header's key into the document, which may say the same but nothing else.
pub(super) fn with_key(document: Value, key: Option<&str>) -> Result<Value, Problem> {
    let Some(key) = key else { return Ok(document) };
    let mut fields = match document {
        Value::Map(fields) => fields,
        other => return Ok(other),
    };
    fields.retain(|(name, value)| name != KEY_FIELD || *value != Value::Null);
    match fields.iter().find(|(name, _)| name == KEY_FIELD) {
        None => fields.push((KEY_FIELD.into(), Value::Text(key.into()))),
        Some((_, Value::Text(same))) if same == key => {}
        Some(_) => {
            let problem = "differs from the header Idempotency-Key: give one of them";
            return Err(Problem::field(KEY_FIELD, problem));
        }
    }
    Ok(Value::Map(fields))
}

/// The specs of a batch; under a key of its own each task gets that key with its place.
fn specs(document: Value, key: Option<&str>) -> Result<Vec<Arc<TaskSpec>>, Problem> {
    let tasks = tasks_of(document)?;
    let (mut specs, mut errors) = (Vec::with_capacity(tasks.len()), Vec::<(usize, SpecError)>::new());
    for (index, task) in tasks.into_iter().enumerate() {
        let own = matches!(&task, Value::Map(fields) if fields.iter().any(|(name, _)| name == KEY_FIELD));
        let key = key.filter(|_| !own).map(|key| format!("{key}#{index}"));
        match TaskSpec::from_value(&with_key(task, key.as_deref())?) {
            // Tasks of one sort share what they have in common: a million of them are one spec.
            Ok(spec) => match specs.last().filter(|last: &&Arc<TaskSpec>| ***last == spec) {
                Some(same) => specs.push(Arc::clone(same)),
                None => specs.push(Arc::new(spec)),
            },
            Err(error) => errors.push((index, error)),
        }
    }
    if errors.is_empty() { Ok(specs) } else { Err(batch_errors(&errors)) }
}

/// The documents of a batch: `{"tasks": [...]}` and nothing else.
fn tasks_of(document: Value) -> Result<Vec<Value>, Problem> {
    let expected = "expected {\"tasks\": [...]} with 1 to 1,000 tasks";
    let Value::Map(fields) = document else {
        return Err(Problem::new(Code::Invalid, format!("the body is {}: {expected}", document.kind())));
    };
    let mut lists = Vec::new();
    for (name, value) in fields {
        if name != "tasks" {
            let shown: String = name.chars().take(80).collect();
            return Err(Problem::field(&shown, format!("is no field of a batch: {expected}")));
        }
        lists.push(value);
    }
    match (lists.pop(), lists.len()) {
        (Some(Value::List(tasks)), 0) if (1..=MAX_TASKS).contains(&tasks.len()) => Ok(tasks),
        (Some(Value::List(tasks)), 0) => {
            Err(Problem::field("tasks", format!("has {} entries: {expected}", tasks.len())))
        }
        (Some(other), 0) => Err(Problem::field("tasks", format!("is {}: {expected}", other.kind()))),
        (Some(_), _) => Err(Problem::field("tasks", "is given twice")),
        (None, _) => Err(Problem::field("tasks", format!("is missing: {expected}"))),
    }
}

/// One page of tasks, an array in one row.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let (whose, mut asked) = task_query(&mut query);
    let columns = Columns::read(&mut query, &OF_TASKS);
    query.close()?;
    asked.owner = match whose {
        // No index serves both: it is narrowed down to what the caller sees.
        Whose::Own if asked.worker.is_some() && asked.name_prefix.is_none() => None,
        whose => whose.owner(&who)?,
    };
    let sort = asked.sort;
    let Page { items, next } = handle.listed(&who, asked).await?;
    let next_cursor = next.map(|cursor| write_cursor(sort, cursor));
    let row = |listed: &Listed| match listed {
        Listed::Task(task) => Some(view::task(task)),
        Listed::Array(job, number) => job_view::array(job, *number),
    };
    columns.answer(List { items: items.iter().filter_map(row).collect(), next_cursor })
}

fn task_query(query: &mut Parameters) -> (Whose, TaskQuery) {
    let sort = query.parsed("sort", |text| match text {
        "-created" => Ok(Sort::Newest),
        "created" => Ok(Sort::Oldest),
        _ => Err("takes -created (newest first) or created (oldest first)".into()),
    });
    let sort = sort.unwrap_or_default();
    let statuses = query.parsed("status", |text| text.split(',').map(|word| word.trim().parse::<Status>()).collect());
    let limit = query.whole("limit", 1..=MAX_LIMIT as u64).unwrap_or(DEFAULT_LIMIT);
    let whose = Whose::of(query);
    let asked = TaskQuery {
        statuses: statuses.unwrap_or_default(),
        owner: None,
        worker: query.parsed("worker", |text| text.parse().map_err(|error: IdError| error.to_string())),
        name_prefix: query.text("name"),
        dead: query.flag("dead"),
        orders: None,
        expand: query.flag("expand"),
        sort,
        limit: usize::try_from(limit).unwrap_or(MAX_LIMIT),
        cursor: query.parsed("cursor", |text| read_cursor(text, sort)),
    };
    (whose, asked)
}

/// Whose tasks or jobs a list has.
#[derive(Debug)]
pub(super) enum Whose {
    Own,
    Everybody,
    Of(UserId),
}

impl Whose {
    /// What `user=` says.
    pub(super) fn of(query: &mut Parameters) -> Self {
        let whose = query.parsed("user", |text| match text {
            "*" => Ok(Self::Everybody),
            name => name.parse().map(Self::Of).map_err(|error: IdError| error.to_string()),
        });
        whose.unwrap_or(Self::Own)
    }

    /// The owner of what is listed; none for everybody's.
    pub(super) fn owner(self, who: &Principal) -> Result<Option<UserId>, Problem> {
        match self {
            Self::Own => Ok(Some(who.user.clone())),
            Self::Of(name) => Ok(Some(name)),
            Self::Everybody if who.has(Role::Operator) => Ok(None),
            Self::Everybody => {
                let why = format!(
                    "user=* is everybody's, which takes the role operator: {} has the role {}",
                    who.user,
                    who.role()
                );
                Err(Problem::new(Code::Forbidden, why).next("leave it out for your own, or name one of your projects"))
            }
        }
    }
}

/// A place in a list as a word without meaning for clients: the order, then the place.
fn write_cursor(sort: Sort, Cursor(at): Cursor) -> String {
    let mut bytes = vec![order_byte(sort)];
    bytes.extend(at.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str, sort: Sort) -> Result<Cursor, String> {
    let wrong = || "is no cursor: pass next_cursor of the page before as it is".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let (order, at) = bytes.split_first().ok_or_else(wrong)?;
    let at = at.try_into().map(u64::from_be_bytes).map_err(|_| wrong())?;
    if ![Sort::Newest, Sort::Oldest].map(order_byte).contains(order) {
        return Err(wrong());
    }
    if *order != order_byte(sort) {
        return Err("belongs to a list in another order: keep sort as it was".into());
    }
    Ok(Cursor(at))
}

const fn order_byte(sort: Sort) -> u8 {
    match sort {
        Sort::Newest => b'n',
        Sort::Oldest => b'o',
    }
}

/// The tasks whose id begins or ends with a part.
pub(super) async fn resolve(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Task>>, Problem> {
    let part = query.parsed("part", id_part);
    query.close()?;
    let part = part.ok_or_else(|| Problem::field("part", "is missing: give 4 or more characters of an id"))?;
    let tasks: Vec<SeenTask> = handle.resolve(&who, &part, MAX_FOUND + 1).await?;
    let arrays = handle.resolve_arrays(&who, &part, MAX_FOUND + 1);
    let arrays = arrays.iter().filter_map(|(job, number)| job_view::array(job, *number));
    let mut found: Vec<Task> = tasks.iter().map(view::task).chain(arrays).collect();
    if found.is_empty() {
        for id in handle.resolve_places(&who, &part).await? {
            found.push(match handle.array(&who, id).await {
                Ok((job, number)) => job_view::array(&job, number).ok_or_else(|| Problem::no_task(id))?,
                Err(_) => view::task(&handle.task(&who, id).await?),
            });
        }
    }
    found.sort_unstable_by(|one, other| other.id.cmp(&one.id));
    // The list has no second page: a longer part finds the rest.
    let next_cursor = (found.len() > MAX_FOUND).then(|| "more".to_owned());
    found.truncate(MAX_FOUND);
    Ok(Json(List { items: found, next_cursor }))
}

pub(super) fn id_part(text: &str) -> Result<String, String> {
    let part = text.strip_prefix(TaskId::PREFIX).unwrap_or(text);
    if !part.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
        return Err("holds characters that no id has".into());
    }
    if part.len() < LEAST_PART {
        return Err(format!("is too short: give {LEAST_PART} or more characters of an id"));
    }
    Ok(part.to_owned())
}

/// One task; with `wait_s` once it has ended.
pub(super) async fn get(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Task>, Problem> {
    let wait = query.parsed("wait_s", wait);
    query.close()?;
    let found = match wait {
        Some(patience) => handle.wait_for_end(&who, id, patience).await,
        None => handle.task(&who, id).await,
    };
    match found {
        Err(error) if single::is_no_task(&error, id) => Ok(Json(single::array(&handle, &who, id, wait).await?)),
        found => whole(&handle, &found?).await.map(Json),
    }
}

/// A task with what only one that is asked for alone has.
pub(super) async fn whole(handle: &Handle, task: &SeenTask) -> Result<Task, Problem> {
    let retried_by = handle.successor(task).await?.map(|id| id.to_string());
    Ok(Task { retried_by, ..view::whole_task(task) })
}

pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.0..=MAX_WAIT).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("takes 0 to {MAX_WAIT} seconds"))
}

/// Asks for a task's end.
pub(super) async fn cancel(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Response, Problem> {
    query.close()?;
    let had_ended = match handle.task(&who, id).await {
        Err(error) if single::is_no_task(&error, id) => return single::cancel_array(&handle, &who, id).await,
        found => found?.record.finished().is_some(),
    };
    let task = handle.cancel(&who, id).await?;
    let status = if had_ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(whole(&handle, &task).await?)).into_response())
}

/// Keeps a waiting task from being placed.
pub(super) async fn hold(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Task>, Problem> {
    query.close()?;
    Ok(Json(view::whole_task(&handle.hold(&who, id).await?)))
}

/// Lets a held task go.
pub(super) async fn release(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Task>, Problem> {
    query.close()?;
    Ok(Json(view::whole_task(&handle.release(&who, id).await?)))
}

/// A document of nothing, or of nulls, asks for no other values.
fn names_something(changes: &Value) -> bool {
    !matches!(changes, Value::Map(fields) if fields.iter().all(|(_, value)| *value == Value::Null))
}

/// Submits the spec of an ended task again, with other limits where the body names them.
pub(super) async fn retry(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    query: Parameters,
    changes: Perhaps<MAX_TASK>,
) -> Result<Response, Problem> {
    query.close()?;
    let changed = match changes.parse()?.filter(names_something) {
        Some(changes) => Some(handle.task(&who, id).await?.record.spec.run_again_with(&changes)?),
        None => None,
    };
    let fate = handle.retry(&who, id, changed).await.map_err(|error| match error {
        AskError::Rejected(Rejected::KeyReused(other)) => {
            let problem = format!("{id} was submitted again before, with other values, as {other}");
            Problem::new(Code::Conflict, problem).next(format!("once that one has ended: cloudai task retry {other}"))
        }
        AskError::Rejected(why @ Rejected::Unsatisfiable { .. }) => Problem::from(AskError::Rejected(why))
            .without_errors()
            .next("ask for what a worker offers, or add such a worker: cloudai worker list"),
        error => of_the_only_one(error),
    })?;
    answer(&handle, &who, fate).await
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::{of, refused};
    use super::*;

    fn document(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_cursor_is_read_back_in_its_own_order_only() {
        for (sort, other) in [(Sort::Newest, Sort::Oldest), (Sort::Oldest, Sort::Newest)] {
            for at in [0, 1, u64::MAX] {
                let text = write_cursor(sort, Cursor(at));
                assert_eq!(read_cursor(&text, sort), Ok(Cursor(at)));
                assert!(read_cursor(&text, other).unwrap_err().contains("another order"));
            }
        }
        for bad in ["x", "====", "bm9wZQ", &write_cursor(Sort::Newest, Cursor(7))[1..]] {
            assert!(read_cursor(bad, Sort::Newest).unwrap_err().contains("is no cursor"), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_list_names_every_parameter_that_it_can_not_serve() {
        let mut query = of("status=queued,lost&limit=1001&sort=name&worker=a%20b&cursor=zz&user=-&statsu=x");
        task_query(&mut query);
        let said = refused(query.close().unwrap_err()).await;
        let paths: Vec<&str> = said.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["sort", "status", "limit", "user", "worker", "cursor", "statsu"]);
        assert!(said[6].1.contains("did you mean status?"));
    }

    #[test]
    fn a_list_is_read_with_its_filters() {
        let mut query = of("status=queued,running&worker=w1&name=train-&sort=created&limit=7");
        let (whose, asked) = task_query(&mut query);
        assert!(matches!(whose, Whose::Own));
        assert!(query.close().is_ok());
        let expected = TaskQuery {
            statuses: vec![Status::Queued, Status::Running],
            worker: "w1".parse().ok(),
            name_prefix: Some("train-".into()),
            sort: Sort::Oldest,
            limit: 7,
            ..TaskQuery::default()
        };
        assert_eq!(asked, expected);
        assert_eq!(task_query(&mut of("")).1, TaskQuery { limit: 50, ..TaskQuery::default() });
    }

    #[test]
    fn everybodys_tasks_are_for_operators_and_a_name_is_looked_up_whoever_asks() {
        let who = |role| Principal::person("ann".parse().unwrap(), role, Arc::default());
        let owner = |text: &str, role| Whose::of(&mut of(text)).owner(&who(role)).map_err(|_| "refused");
        assert_eq!(owner("", Role::Admin).unwrap(), "ann".parse().ok());
        assert_eq!(owner("user=bob", Role::Viewer).unwrap(), "bob".parse().ok());
        assert_eq!(owner("user=*", Role::Operator).unwrap(), None);
        assert!(owner("user=*", Role::User).is_err());
    }

    #[test]
    fn the_headers_key_goes_into_the_document_unless_that_says_another() {
        let rows = [
            (r#"{"image":"a"}"#, Some("k"), Some(r#"{"image":"a","idempotency_key":"k"}"#)),
            (r#"{"idempotency_key":null}"#, Some("k"), Some(r#"{"idempotency_key":"k"}"#)),
            (r#"{"idempotency_key":"k"}"#, Some("k"), Some(r#"{"idempotency_key":"k"}"#)),
            (r#"{"idempotency_key":"k"}"#, None, Some(r#"{"idempotency_key":"k"}"#)),
            (r#"{"idempotency_key":"other"}"#, Some("k"), None),
            (r#"{"idempotency_key":7}"#, Some("7"), None),
            ("[]", Some("k"), Some("[]")),
        ];
        for (given, key, expected) in rows {
            let merged = with_key(document(given), key).ok();
            assert_eq!(merged, expected.map(document), "{given} {key:?}");
        }
    }

    #[test]
    fn a_batch_gives_each_task_without_a_key_one_of_its_own() {
        let batch = r#"{"tasks":[{"image":"a"},{"image":"b","idempotency_key":"mine"}]}"#;
        let specs = specs(document(batch), Some("k")).unwrap();
        let keys: Vec<_> = specs.iter().map(|spec| spec.idempotency_key.as_deref()).collect();
        assert_eq!(keys, [Some("k#0"), Some("mine")]);
    }

    #[tokio::test]
    async fn a_batch_names_the_wrong_fields_of_every_task() {
        let batch = r#"{"tasks":[{"image":"a"},7,{"imag":"b"},{"image":"c","cpu_cores":-1}]}"#;
        let said = refused(specs(document(batch), None).unwrap_err()).await;
        let paths: Vec<&str> = said.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["tasks[1]", "tasks[2].imag", "tasks[2].image", "tasks[3].cpu_cores"]);
    }

    #[tokio::test]
    async fn a_batch_is_a_map_with_one_list_of_1_to_1000_tasks() {
        let many = format!(r#"{{"tasks":[{}1]}}"#, "1,".repeat(MAX_TASKS));
        let rows = [
            ("{}", "tasks", "is missing"),
            (r#"{"tasks":[]}"#, "tasks", "has 0 entries"),
            (&many, "tasks", "has 1001 entries"),
            (r#"{"tasks":{}}"#, "tasks", "is a map"),
            (r#"{"tasks":[],"tasks":[]}"#, "tasks", "given twice"),
            (r#"{"jobs":[]}"#, "jobs", "is no field of a batch"),
        ];
        for (given, path, part) in rows {
            let said = refused(tasks_of(document(given)).unwrap_err()).await;
            assert!(said[0].0 == path && said[0].1.contains(part), "{said:?}");
        }
        assert!(tasks_of(document("[]")).is_err());
    }

    #[test]
    fn a_wait_is_0_to_60_seconds() {
        assert_eq!(wait("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["-1", "61", "NaN", "inf", "x"] {
            assert!(wait(bad).unwrap_err().contains("0 to 60"), "{bad}");
        }
    }

    #[test]
    fn a_part_of_an_id_has_4_characters_or_more() {
        assert_eq!(id_part("task-7k3m"), Ok("7k3m".into()));
        for bad in ["7k3", "task-", "7k%m", "a b c"] {
            assert!(id_part(bad).is_err(), "{bad}");
        }
    }
}
