//! Jobs: submit, list, find, look at, cancel, hold, release, retry, draw.

use super::*;
use crate::http::dto::{Job, JobForecast, Task};

const STATUS: Param = Param::words(
    "status",
    &["held", "queued", "running", "cancelling", "completed", "failed", "cancelled"],
    "Where they stand",
);
const TASK: Param = Param::text("task", "Only this named task of it");
const INDEX: Param = Param::text("index", "Only these elements of the array that `task` names, as 0-9,12");
const CHANGED: &[Answer] = &[Answer::json(200, "The job", of::<Job>)];

pub(in crate::http) const LIST: Doc = Doc::new(
    "jobs_list",
    "One page of jobs, the latest first",
    &[Answer::json(200, "The page", shapes::rows_of::<Job>)],
)
.params(&[STATUS, USER, NAME, LIMIT, CURSOR, FIELDS]);

pub(in crate::http) const SUBMIT: Doc = Doc::new(
    "jobs_submit",
    "Submits a job, or tells what would become of it",
    &[
        Answer::json(201, "It is accepted", of::<Job>).with("Location", "Where it is found"),
        Answer::json(
            200,
            "It was accepted before; with dry_run what would become of it",
            shapes::either::<Job, JobForecast>,
        ),
    ],
)
.params(&[Param::flag("dry_run", "Nothing is submitted: tells what would become of it"), KEY])
.body(Body::Json(shapes::job))
.problems(&[Code::Conflict, Code::Unsatisfiable, Code::Full]);

pub(in crate::http) const RESOLVE: Doc = Doc::new(
    "jobs_resolve",
    "Finds jobs by a part of their id",
    &[Answer::json(200, "At most 20; with `next_cursor` there are more: give a longer part", list_of::<Job>)],
)
.params(&[PART]);

pub(in crate::http) const GET: Doc =
    Doc::new("jobs_get", "One job", &[Answer::json(200, "The job, with its named tasks", of::<Job>)]).params(&[
        WAIT,
        Param::whole("from_part", (0, 4_294_967_295), "`next_part` of the answer before").default("0"),
    ]);

pub(in crate::http) const TASKS: Doc = Doc::new(
    "jobs_tasks",
    "The tasks of a job, in the order of its file",
    &[Answer::json(200, "The page", list_of::<Task>)],
)
.params(&[TASK, INDEX, Param::words("status", STATUSES, "Where they stand"), LIMIT, CURSOR]);

pub(in crate::http) const GRAPH: Doc = Doc::new(
    "jobs_graph",
    "A drawing of a job, with what became of each task",
    &[Answer::raw(200, "The drawing", &["text/plain", "text/vnd.graphviz", "image/svg+xml"])],
)
.params(&[Param::word("format", &["text", "dot", "svg"], "In which form").default("text")]);

pub(in crate::http) const CANCEL: Doc = Doc::new(
    "jobs_cancel",
    "Asks for the end of a job, or of a part of it",
    &[
        Answer::json(202, "It is being cancelled", of::<Job>),
        Answer::json(200, "It had ended and stays as it is", of::<Job>),
    ],
)
.params(&[TASK, INDEX]);

pub(in crate::http) const HOLD: Doc =
    Doc::new("jobs_hold", "Lets no more tasks of a job have their turn", CHANGED).problems(&[Code::Conflict]);

pub(in crate::http) const RELEASE: Doc =
    Doc::new("jobs_release", "Lets a held job go", CHANGED).problems(&[Code::Conflict]);

pub(in crate::http) const RETRY: Doc = Doc::new(
    "jobs_retry",
    "Runs what did not complete of an ended job again",
    &[
        Answer::json(201, "The new job, with `retry_of`", of::<Job>).with("Location", "Where it is found"),
        Answer::json(200, "It was retried before", of::<Job>),
    ],
)
.problems(&[Code::Conflict, Code::Unsatisfiable, Code::Full]);
