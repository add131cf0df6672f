//! Tasks: submit, list, find, look at, cancel, hold, release, retry, explain, run beside; and the queue.

use super::*;
use crate::http::dto::explain::Explanation;
use crate::http::dto::{Job, Queued, Submitted, Task};
use serde_json::{Value, json};

const STATUS: Param = Param::words("status", STATUSES, "Where they stand");
const LOCATION: (&str, &str) = ("Location", "Where it is found");
const SUBMITTED: &[Answer] = &[
    Answer::json(201, "It is accepted", shapes::either::<Task, Job>).with(LOCATION.0, LOCATION.1),
    Answer::json(200, "It was accepted before, under the same key", shapes::either::<Task, Job>),
];
const CHANGED: &[Answer] = &[Answer::json(200, "The task", of::<Task>)];

pub(in crate::http) const LIST: Doc =
    Doc::new("tasks_list", "One page of tasks", &[Answer::json(200, "The page", shapes::rows_of::<Task>)])
        .about("An array is one row, with `array` in it, unless its elements are asked for.")
        .params(&[
            Param::word("sort", &["-created", "created"], "The newest first, or the oldest").default("-created"),
            STATUS,
            LIMIT,
            USER,
            Param::text("worker", "Those that have this worker, or had it last"),
            NAME,
            Param::flag("dead", "Those that failed with their retries used up; alone or with user"),
            Param::flag("expand", "Elements of arrays instead of the arrays"),
            CURSOR,
            FIELDS,
        ]);

pub(in crate::http) const OLD_LIST: Doc = LIST.named("reference_tasks_list");

pub(in crate::http) const SUBMIT: Doc = Doc::new("tasks_submit", "Submits a task", SUBMITTED)
    .about("A document with `array`, `each` or `depends_on` is a job of one task, one with `template` a run of that.")
    .params(&[KEY])
    .body(Body::Json(shapes::task))
    .problems(&[Code::Conflict, Code::Unsatisfiable, Code::NotFound, Code::Full]);

pub(in crate::http) const OLD_SUBMIT: Doc = SUBMIT.named("reference_tasks_submit");

pub(in crate::http) const BATCH: Doc = Doc::new(
    "tasks_submit_batch",
    "Submits 1 to 1,000 tasks, all or none",
    &[
        Answer::json(201, "They are accepted", list_of::<Submitted>),
        Answer::json(200, "All were accepted before", list_of::<Submitted>),
    ],
)
.params(&[KEY])
.body(Body::Json(shapes::batch))
.problems(&[Code::Conflict, Code::Unsatisfiable, Code::Full]);

pub(in crate::http) const RESOLVE: Doc = Doc::new(
    "tasks_resolve",
    "Finds tasks by a part of their id",
    &[Answer::json(200, "At most 20; with `next_cursor` there are more: give a longer part", list_of::<Task>)],
)
.params(&[PART]);

pub(in crate::http) const GET: Doc =
    Doc::new("tasks_get", "One task", &[Answer::json(200, "The task, with its document", of::<Task>)]).params(&[WAIT]);

pub(in crate::http) const OLD_GET: Doc = GET.named("reference_tasks_get");

pub(in crate::http) const EXPLAIN: Doc = Doc::new(
    "tasks_explain",
    "Why a task stands where it stands",
    &[Answer::json(200, "Worker by worker, and what would help", of::<Explanation>)],
)
.params(&[Param::text("strategy", "What another strategy would do as well")]);

pub(in crate::http) const EXEC: Doc = Doc::new(
    "tasks_exec",
    "Runs a program in the container of a task, over a WebSocket",
    &[Answer::nothing(101, "It has begun: docs/exec.md has the frames")],
)
.params(&[
    Param::texts("command", "The program and its arguments, a word each time; a shell where nothing is said"),
    Param::texts("env", "A variable each time, as NAME=VALUE"),
    Param::flag("tty", "With a terminal"),
    Param::flag("stdin", "With standard input"),
    Param::text("user", "Who it runs as"),
    Param::text("workdir", "The folder in which it begins"),
    Param::whole("cols", (1, 65_535), "Columns of the terminal"),
    Param::whole("rows", (1, 65_535), "Rows of the terminal"),
])
.problems(&[Code::Conflict, Code::NotPossible]);

pub(in crate::http) const CANCEL: Doc = Doc::new(
    "tasks_cancel",
    "Asks for the end of a task",
    &[
        Answer::json(202, "It is being cancelled, or is", of::<Task>),
        Answer::json(200, "It had ended and stays as it is", of::<Task>),
    ],
);

pub(in crate::http) const OLD_CANCEL: Doc = CANCEL.named("reference_tasks_cancel");

pub(in crate::http) const HOLD: Doc =
    Doc::new("tasks_hold", "Keeps a waiting task from being placed", CHANGED).problems(&[Code::Conflict]);

pub(in crate::http) const RELEASE: Doc =
    Doc::new("tasks_release", "Lets a held task go", CHANGED).problems(&[Code::Conflict]);

pub(in crate::http) const RETRY: Doc = Doc::new(
    "tasks_retry",
    "Submits the document of an ended task again",
    &[
        Answer::json(201, "The new task, with `retry_of`", of::<Task>).with(LOCATION.0, LOCATION.1),
        Answer::json(200, "It was retried before", of::<Task>),
    ],
)
.body(Body::Perhaps(other_values))
.problems(&[Code::Conflict, Code::Unsatisfiable, Code::Full]);

pub(in crate::http) const QUEUE: Doc = Doc::new(
    "queue_list",
    "What waits, in the order in which it gets its turn",
    &[Answer::json(200, "The page", list_of::<Queued>)],
)
.params(&[Param::whole("limit", (1, 1000), "Rows of a page").default("1000"), CURSOR]);

/// Fields of the document that a retry may say otherwise.
fn other_values(_schemas: &mut Schemas) -> Value {
    let fields = [
        "cpu_cores",
        "memory_gb",
        "storage_gb",
        "gpu_cores",
        "priority",
        "timeout_s",
        "queue_timeout_s",
        "total_timeout_s",
    ];
    let field = |name: &str| (name.to_owned(), json!({ "type": ["number", "null"] }));
    shapes::closed(&Value::Object(fields.into_iter().map(field).collect()), &[])
}
