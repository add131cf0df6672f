//! What tasks print and leave.

use super::*;
use crate::http::dto::{File, Files};

pub(in crate::http) const READ: Doc = Doc::new(
    "tasks_logs",
    "The log of a task, as it is or followed",
    &[Answer::raw(
        200,
        "JSON lines of `LogLine` (see docs/rest.md), or the bytes alone",
        &["application/x-ndjson", "application/octet-stream"],
    )],
)
.params(&[
    Param::word("format", &["jsonl", "raw"], "Lines that tell, or the bytes alone").default("jsonl"),
    Param::word("stream", &["stdout", "stderr"], "Only this one"),
    Param::whole("attempt", (1, 4_294_967_295), "Of which attempt; the latest where nothing is said"),
    Param::whole("from", (0, u64::MAX), "The number of the first record"),
    Param::whole("tail", (0, 1_000_000), "Only so many of the last records; not with from"),
    Param::text("since", "Only from this time on, as 2026-01-31T08:00:00Z"),
    Param::text("grep", "Only lines in which this regular expression is found"),
    Param::flag("follow", "Goes on until the task has ended"),
]);

pub(in crate::http) const OLD_READ: Doc = READ.named("reference_tasks_logs");

pub(in crate::http) const ARCHIVE: Doc = Doc::new(
    "tasks_archive",
    "The files that a task left, as one",
    &[Answer::raw(200, "The archive", &["application/x-tar", "application/zip"])],
)
.params(&[
    Param::text("under", "Only those in this folder"),
    Param::texts("path", "Only these files and folders, one each time"),
    Param::word("format", &["tar", "zip"], "In which form").default("tar"),
])
.problems(&[Code::Conflict]);

pub(in crate::http) const LIST: Doc = Doc::new(
    "tasks_files",
    "The files that a task left",
    &[Answer::json(200, "Those of its accepted attempt", list_of::<File>)],
)
.problems(&[Code::Conflict]);

pub(in crate::http) const OLD_LIST: Doc = LIST.named("reference_tasks_files");

pub(in crate::http) const DOWNLOAD: Doc = Doc::new(
    "tasks_file",
    "One file that a task left",
    &[
        Answer::raw(200, "Its content; with presign JSON of `Link`", &["application/octet-stream", "application/json"])
            .with("ETag", "Its SHA-256"),
        Answer::nothing(304, "It is the one that If-None-Match names"),
    ],
)
.params(&[
    Param::flag("presign", "An address at which the bucket serves it, instead of the content"),
    Param::header("If-None-Match", "An `ETag` that is known"),
])
.problems(&[Code::Conflict]);

pub(in crate::http) const OLD_DOWNLOAD: Doc = DOWNLOAD.named("reference_tasks_file");

pub(in crate::http) const KEPT: Doc = Doc::new(
    "files_list",
    "What the tasks of a user left, of the newest task first",
    &[Answer::json(200, "The page", of::<Files>)],
)
.params(&[
    Param::text("user", "Whose; the caller's where nothing is said; not with task"),
    Param::text("task", "Of which task"),
    LIMIT,
    CURSOR,
])
.problems(&[Code::Conflict, Code::NotFound]);

pub(in crate::http) const OLD_KEPT: Doc = KEPT.named("reference_files_list");
