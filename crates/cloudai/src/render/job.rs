//! Jobs for people: lists, the story of one, its tasks, how far it is.

use super::Screen;
use super::quantity::{self, NOTHING, age, between, cores, count, gigabytes, moment};
use super::table::{Cell, Column, Cut, Table, printable};
use super::task::{label, reason, status, status_text};
use crate::id::short;
use cloudai_core::ids::TaskId;
use cloudai_core::resources::Bytes;
use cloudai_core::text::shortened;
use cloudai_master::http::dto::{Job, JobCounts, JobNeed, JobPart, LogCut, Task};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// So many named tasks are told of one by one; of more, those that need somebody.
const ROWS: usize = 40;
/// So many names of what a task needs are told.
const NAMED: usize = 3;
/// Cells of a bar.
const BAR: u64 = 20;
/// Bytes of a name beside a bar, so that the line is not longer than 80 columns.
const BESIDE: usize = 20;

/// The table of `job list`.
#[must_use]
pub(crate) fn list(jobs: &[Job], now: Timestamp, screen: &Screen) -> String {
    let mut columns = vec![
        Column::text("ID", 0),
        Column::text("STATUS", 0),
        Column::name("NAME", 1),
        Column::number("DONE", 0),
        Column::number("FAILED", 0),
    ];
    if screen.wide() {
        columns.extend([
            Column::number("RUNNING", 4),
            Column::number("WAITING", 4),
            Column::number("CANCELLED", 4),
            Column::number("STEPS", 4),
            Column::text("USER", 4),
        ]);
    }
    columns.extend([Column::number("AGE", 2), Column::number("TOOK", 3)]);
    columns.extend(screen.wide().then(|| Column::sentence("WHY")));
    let mut table = Table::new(&columns);
    for job in jobs {
        let counts = &job.counts;
        let mut row: Vec<Cell> = vec![
            Cell::coloured(short(&job.id), "1"),
            status(&job.status, screen),
            job.name.as_deref().unwrap_or(NOTHING).into(),
            share(counts.completed, job.tasks).into(),
            count(counts.failed).into(),
        ];
        if screen.wide() {
            row.extend::<[Cell; 5]>([
                count(counts.pending + counts.running).into(),
                count(counts.queued).into(),
                count(counts.cancelled).into(),
                job.groups.to_string().into(),
                job.user_id.as_str().into(),
            ]);
        }
        row.push(age(&job.created_at, now).into());
        row.push(took(job, now).unwrap_or_else(|| NOTHING.into()).into());
        row.extend(screen.wide().then(|| Cell::from(or_nothing(&job.message))));
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { NOTHING } else { text }
}

/// `12/22`.
fn share(some: u64, all: u64) -> String {
    format!("{}/{}", count(some), count(all))
}

fn plural(number: u64, word: &str) -> String {
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

/// How long a job ran, or has run by now; none of one that never began.
fn took(job: &Job, now: Timestamp) -> Option<String> {
    lasted(job.started_at.as_deref(), job.finished_at.as_deref(), now)
}

fn lasted(started: Option<&str>, ended: Option<&str>, now: Timestamp) -> Option<String> {
    match ended {
        Some(_) => between(started, ended).map(quantity::duration),
        None => started.map(|started| age(started, now)),
    }
}

/// What was accepted: `job-... accepted: 22 tasks in 3 steps; see: cloudai job info 7K3M9QZD`.
#[must_use]
pub(crate) fn accepted(job: &Job) -> String {
    let (tasks, steps) = (plural(job.tasks, "task"), plural(job.groups.into(), "step"));
    format!("{} accepted: {tasks} in {steps}; see: cloudai job info {}", job.id, short(&job.id))
}

/// One line that says where a job stands: `7K3M9QZD  failed  nightly  18/22 done  3 failed  12m04s`.
#[must_use]
pub(crate) fn outcome(job: &Job, screen: &Screen) -> String {
    let mut parts = vec![short(&job.id), status_text(&job.status, screen)];
    parts.extend(job.name.as_deref().map(printable));
    parts.push(format!("{} done", share(job.counts.completed, job.tasks)));
    parts.extend((job.counts.failed > 0).then(|| format!("{} failed", count(job.counts.failed))));
    parts.extend(between(job.started_at.as_deref(), job.finished_at.as_deref()).map(quantity::duration));
    if job.status != "completed" && !job.message.is_empty() {
        parts.push(printable(&job.message));
    }
    parts.join("  ")
}

/// How far a job is, as a bar or in words: `fit [######----] 62 %  620/1,000 done  20 failed  3 running`.
#[must_use]
pub(crate) fn progress(job: &Job, bar: bool) -> String {
    let JobCounts { queued: _, pending, running, completed, failed, cancelled } = job.counts;
    let (ended, all) = (completed + failed + cancelled, job.tasks.max(1));
    let mut parts = Vec::new();
    if bar {
        let cells = usize::try_from(ended.min(all) * BAR / all).unwrap_or_default();
        let rest = usize::try_from(BAR).unwrap_or_default().saturating_sub(cells);
        let name = job.name.as_deref().map_or_else(|| short(&job.id), |name| shortened(&printable(name), BESIDE));
        parts.push(format!("{name} [{}{}] {} %", "#".repeat(cells), "-".repeat(rest), ended.min(all) * 100 / all));
    } else {
        parts.push(format!("{}  {}", short(&job.id), job.status));
    }
    parts.push(format!("{} done", share(completed, job.tasks)));
    let more = [(failed, "failed"), (cancelled, "cancelled"), (pending + running, "running")];
    parts.extend(more.into_iter().filter(|(number, _)| *number > 0).map(|(n, word)| format!("{} {word}", count(n))));
    parts.join("  ")
}

/// What to do next with a job where it stands.
#[must_use]
pub(crate) fn next(job: &Job) -> Vec<String> {
    let id = short(&job.id);
    let of = |verb: &str| format!("cloudai job {verb} {id}");
    let failures = || format!("{} --status failed", of("tasks"));
    match job.status.as_str() {
        "held" => vec![of("release"), of("cancel")],
        "queued" => vec!["cloudai queue".into(), of("cancel")],
        "running" if job.counts.failed > 0 => vec![failures(), format!("{} --follow", of("logs")), of("cancel")],
        "running" => vec![format!("{} --follow", of("logs")), of("wait"), of("cancel")],
        "cancelling" => vec![of("wait")],
        "completed" => vec![of("logs")],
        "failed" => {
            let first = in_order(&job.parts).into_iter().find(|part| part.status == "failed");
            let logs = first.map(|part| format!("{} --task {}", of("logs"), printable(&part.name)));
            logs.into_iter().chain([failures(), of("retry")]).collect()
        }
        _ => vec![of("retry"), of("logs")],
    }
}

/// The story of `job info`.
#[must_use]
pub(crate) fn card(job: &Job, now: Timestamp, screen: &Screen) -> String {
    let name = job.name.as_deref().map_or_else(|| "job".into(), printable);
    let head = [name, short(&job.id), status_text(&job.status, screen), format!("by {}", job.user_id), times(job, now)];
    let mut lines = vec![head.join("  ")];
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10}{value}"));
        }
    };
    field(if job.finished_at.is_some() { "outcome" } else { "now" }, &standing(job));
    field("why", &printable(&job.message));
    for (at, next) in next(job).iter().enumerate() {
        field(if at == 0 { "next" } else { "" }, next);
    }
    field("id", &job.id);
    let other = |id: &Option<String>| id.as_deref().map(short).unwrap_or_default();
    field("retry of", &other(&job.retry_of));
    field("held by", job.held_by.as_deref().unwrap_or_default());
    let most = |most: u32| format!("what is left is cancelled when more than {most} failed");
    field("max fails", &job.max_fails.map(most).unwrap_or_default());
    let at = |moment_of: &Option<String>| moment_of.as_deref().map(|at| moment(at, now)).unwrap_or_default();
    field("created", &moment(&job.created_at, now));
    field("started", &at(&job.started_at));
    field("finished", &at(&job.finished_at));
    if !job.parts.is_empty() {
        lines.push(String::new());
        lines.extend(parts(job, screen).lines().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

/// When, and how long: `runs for 5m12s`.
fn times(job: &Job, now: Timestamp) -> String {
    match (took(job, now), job.finished_at.as_deref()) {
        (Some(took), Some(ended)) => format!("took {took}, ended {} ago", age(ended, now)),
        (Some(took), None) => format!("runs for {took}"),
        (None, Some(ended)) => format!("never began, ended {} ago", age(ended, now)),
        (None, None) => format!("submitted {} ago", age(&job.created_at, now)),
    }
}

/// How its tasks stand, in one sentence: `12 of 22 tasks completed, 6 running, 4 waiting`.
fn standing(job: &Job) -> String {
    let completed = job.counts.completed;
    let lead = match job.status.as_str() {
        "held" => "nothing of it starts until it is released: ",
        "cancelling" => "what is left is being stopped: ",
        _ => "",
    };
    // Of a job that completed they were for a case that did not come.
    let dropped = if job.status == "completed" { "not needed" } else { "cancelled" };
    let done = if completed == job.tasks && job.tasks > 1 {
        format!("all {} completed", plural(job.tasks, "task"))
    } else {
        format!("{} of {} completed", count(completed), plural(job.tasks, "task"))
    };
    let others: String = others(&job.counts, dropped).map(|others| format!(", {others}")).collect();
    format!("{lead}{done}{others}")
}

/// How many did not complete, or not yet: `6 running`, `4 waiting`.
fn others(counts: &JobCounts, dropped: &'static str) -> impl Iterator<Item = String> {
    let JobCounts { queued, pending, running, completed: _, failed, cancelled } = *counts;
    let all =
        [(failed, "failed"), (running, "running"), (pending, "starting"), (queued, "waiting"), (cancelled, dropped)];
    let some = all.into_iter().filter(|(number, _)| *number > 0);
    some.map(|(number, word)| format!("{} {word}", count(number)))
}

/// The parts in the order of the graph; beside each other those of its file.
fn in_order(parts: &[JobPart]) -> Vec<&JobPart> {
    let mut parts: Vec<&JobPart> = parts.iter().collect();
    parts.sort_by_key(|part| part.level);
    parts
}

/// The table of the parts, and how many are left out.
fn parts(job: &Job, screen: &Screen) -> String {
    let (shown, rest) = chosen(in_order(&job.parts), if screen.wide() { usize::MAX } else { ROWS });
    let arrays = shown.iter().any(|part| part.array.is_some());
    let mut columns = vec![Column::text("STATUS", 0), Column::name("TASK", 0)];
    columns.extend(arrays.then(|| Column::text("", 3)));
    columns.push(Column::number("DONE", 0));
    columns.push(Column { title: "NEEDS", rank: 2, right: false, cut: Cut::End(12) });
    if screen.wide() {
        columns.extend([Column::text("ID", 4), Column::text("INDEXES", 4), Column::name("IMAGE", 4)]);
    }
    columns.push(Column::sentence("WHY"));
    let mut table = Table::new(&columns);
    for part in shown {
        let mut row = vec![status(&part.status, screen), part.name.as_str().into()];
        row.extend(arrays.then(|| Cell::from(size(part))));
        row.push(share(part.counts.completed, part.tasks.into()).into());
        row.push(needs(&part.needs).into());
        if screen.wide() {
            let indexes = part.array.as_deref().unwrap_or(NOTHING);
            row.extend::<[Cell; 3]>([short(&part.id).into(), indexes.into(), part.image.as_str().into()]);
        }
        row.push(why(part).into());
        table.row(row);
    }
    // What stands before each line is not the table's.
    let width = if screen.wide() { None } else { screen.width.map(|width| width.saturating_sub(2)) };
    let mut text = table.render(width, screen.colour);
    if !rest.is_empty() {
        let all: usize = rest.values().sum();
        let words: Vec<_> = rest.iter().map(|(word, number)| format!("{number} {word}")).collect();
        text.push_str(&format!("\nand {all} more: {}; all of them: add -o wide", words.join(", ")));
    }
    text
}

/// As many as there is room for, in their order, those first that need somebody; and of the others how many there are.
fn chosen(parts: Vec<&JobPart>, room: usize) -> (Vec<&JobPart>, BTreeMap<&str, usize>) {
    let calm = |part: &JobPart| match part.status.as_str() {
        "failed" => 0,
        "running" => 1,
        "pending" => 2,
        "queued" => 3,
        "cancelled" => 4,
        "waiting" => 5,
        "skipped" => 6,
        _ => 7,
    };
    let mut places: Vec<usize> = (0..parts.len()).collect();
    places.sort_by_key(|place| calm(parts[*place]));
    let shown: BTreeSet<usize> = places.iter().copied().take(room).collect();
    let mut rest = BTreeMap::new();
    for place in places.into_iter().skip(room) {
        *rest.entry(parts[place].status.as_str()).or_insert(0) += 1;
    }
    (shown.into_iter().map(|place| parts[place]).collect(), rest)
}

/// `x20`, of an array of which only some go at a time `x20, 4 at once`.
fn size(part: &JobPart) -> String {
    if part.array.is_none() {
        return String::new();
    }
    let at_once = part.at_once.map(|most| format!(", {most} at once")).unwrap_or_default();
    format!("x{}{at_once}", part.tasks)
}

/// What a part needs: `split, map fails`.
fn needs(needs: &[JobNeed]) -> String {
    let name = |need: &JobNeed| {
        let outside = need.task.starts_with(TaskId::PREFIX);
        let task = if outside { short(&need.task) } else { need.task.clone() };
        match need.when.as_str() {
            "failure" => format!("{task} fails"),
            "any" => format!("{task} ends"),
            _ => task,
        }
    };
    let names = needs.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    match needs.len() {
        0 => NOTHING.into(),
        1..=NAMED => names,
        all => format!("{names} and {} more", all - NAMED),
    }
}

/// What the master says of a part, else how its elements stand.
fn why(part: &JobPart) -> String {
    if !part.message.is_empty() || part.tasks == 1 {
        return part.message.clone();
    }
    others(&part.counts, "cancelled").collect::<Vec<_>>().join(", ")
}

/// The table of `job tasks`.
#[must_use]
pub(crate) fn tasks(tasks: &[Task], now: Timestamp, screen: &Screen) -> String {
    let arrays = tasks.iter().any(|task| task.index.is_some());
    let mut columns = vec![Column::text("ID", 0), Column::text("STATUS", 0), Column::name("TASK", 0)];
    columns.extend(arrays.then(|| Column::number("INDEX", 0)));
    columns.extend([
        Column::text("REASON", 0),
        Column::name("WORKER", 3),
        Column::number("CPU", 4),
        Column::number("MEM", 5),
    ]);
    if screen.wide() {
        columns.extend([Column::number("GPU", 6), Column::number("ATT", 7), Column::name("IMAGE", 8)]);
    }
    columns.push(Column::number("TOOK", 2));
    columns.extend(screen.wide().then(|| Column::sentence("WHY")));
    let mut table = Table::new(&columns);
    for task in tasks {
        let asked = &task.resources;
        let name = task.job_task.as_deref().or(task.name.as_deref()).unwrap_or(&task.image);
        let mut row = vec![Cell::coloured(short(&task.id), "1"), status(&task.status, screen), name.into()];
        row.extend(arrays.then(|| {
            let index = task.index.map(|index| index.to_string());
            Cell::from(index.unwrap_or_else(|| NOTHING.into()))
        }));
        row.extend::<[Cell; 4]>([
            reason(task).into(),
            task.worker_id.as_deref().unwrap_or(NOTHING).into(),
            cores(asked.cpu_cores).into(),
            gigabytes(asked.memory_gb).into(),
        ]);
        if screen.wide() {
            row.extend::<[Cell; 3]>([
                cores(asked.gpu_cores).into(),
                task.attempt.to_string().into(),
                task.image.as_str().into(),
            ]);
        }
        let took = lasted(task.started_at.as_deref(), task.finished_at.as_deref(), now);
        row.push(took.unwrap_or_else(|| NOTHING.into()).into());
        row.extend(screen.wide().then(|| Cell::from(or_nothing(&task.message))));
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

/// What a task is called beside its output: `map.7`.
#[must_use]
pub(crate) fn called(task: &Task) -> String {
    label(task).unwrap_or_else(|| short(&task.id))
}

/// What to say of a log of which the end was not kept.
#[must_use]
pub(crate) fn log_cut(cut: &LogCut) -> String {
    let (records, bytes) = (count(cut.records), Bytes(cut.bytes));
    format!("the end of its log was not kept (logs.max_bytes): {records} records, {bytes}")
}

#[cfg(test)]
mod tests;
