//! Tasks for people: lists, the card of one, the line of an outcome.

use super::quantity::{self, NOTHING, age, between, cores, gigabytes, moment, typed_gigabytes, typed_seconds};
use super::table::{Cell, Column, Table, printable};
use super::{Format, Screen, array, used};
use crate::id::short;
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::{Attempt, File, Queued, Resources, Task};
use jiff::Timestamp;
use std::time::Duration;

/// The sign and the colour (SGR) of a status.
pub(super) fn look(status: &str) -> (&'static str, &'static str) {
    match status {
        "queued" => ("o", "90"),
        "pending" => ("~", "33"),
        "running" => (">", "36"),
        "completed" => ("+", "32"),
        "failed" => ("x", "31"),
        "cancelled" | "cancelling" => ("-", "35"),
        // Of jobs and their tasks.
        "held" => ("!", "33"),
        "waiting" => (".", "90"),
        "skipped" => ("-", "90"),
        _ => ("?", "0"),
    }
}

/// A status with its sign where signs are shown.
#[must_use]
pub(crate) fn status(word: &str, screen: &Screen) -> Cell {
    let (sign, colour) = look(word);
    let text = if screen.terminal { format!("{sign} {word}") } else { word.to_owned() };
    Cell::coloured(text, colour)
}

/// The same as a text of its own.
#[must_use]
pub(super) fn status_text(word: &str, screen: &Screen) -> String {
    let (sign, colour) = look(word);
    match (screen.terminal, screen.colour) {
        (true, true) => format!("\u{1b}[{colour}m{sign} {word}\u{1b}[0m"),
        (true, false) => format!("{sign} {word}"),
        (false, _) => word.to_owned(),
    }
}

/// Why a task stands where it stands: its reason, else a phase that says more than its status.
#[must_use]
pub(crate) fn reason(task: &Task) -> &str {
    let phase = task.phase.as_deref().filter(|phase| *phase != task.status);
    // What an earlier attempt came to is told by the attempts.
    if phase == Some("held") {
        return "held";
    }
    task.reason.as_deref().or(phase).unwrap_or(NOTHING)
}

/// What a task is called in its job, as `map.7`; none of a task without one.
#[must_use]
pub(crate) fn label(task: &Task) -> Option<String> {
    let name = printable(task.job_task.as_deref()?);
    Some(match task.index {
        Some(index) => format!("{name}.{index}"),
        None => name,
    })
}

/// A task's name, else what it is called in its job, else its image.
fn title(task: &Task) -> String {
    task.name.as_deref().map(printable).or_else(|| label(task)).unwrap_or_else(|| printable(&task.image))
}

/// What a task asks for: `4c 8G 1gpu`.
#[must_use]
pub(crate) fn needs(asked: &Resources) -> String {
    let gpus = if asked.gpu_cores > 0.0 { format!(" {}gpu", cores(asked.gpu_cores)) } else { String::new() };
    format!("{}c {}{gpus}", cores(asked.cpu_cores), gigabytes(asked.memory_gb))
}

/// The table of `task list`.
#[must_use]
pub(crate) fn list(tasks: &[Task], now: Timestamp, screen: &Screen) -> String {
    let mut columns = vec![
        Column::text("ID", 0),
        Column::text("STATUS", 0),
        Column::name("NAME", 1),
        Column::text("REASON", 0),
        Column::name("WORKER", 3),
        Column::number("CPU", 4),
        Column::number("MEM", 5),
    ];
    if screen.wide() {
        columns.extend([
            Column::number("GPU", 6),
            Column::text("USER", 7),
            Column::number("ATT", 8),
            Column::number("PRIO", 9),
            Column::name("IMAGE", 10),
        ]);
    }
    columns.push(Column::number("AGE", 2));
    let mut table = Table::new(&columns);
    for task in tasks {
        let asked = &task.resources;
        let mut row: Vec<Cell> = vec![
            Cell::coloured(short(&task.id), "1"),
            array::status(task, screen),
            title(task).into(),
            reason(task).into(),
            task.worker_id.as_deref().unwrap_or(NOTHING).into(),
            cores(asked.cpu_cores).into(),
            gigabytes(asked.memory_gb).into(),
        ];
        if screen.wide() {
            row.extend::<[Cell; 5]>([
                cores(asked.gpu_cores).into(),
                task.user_id.as_str().into(),
                task.attempt.to_string().into(),
                task.priority.to_string().into(),
                task.image.as_str().into(),
            ]);
        }
        row.push(age(&task.created_at, now).into());
        table.row(row);
    }
    let width = if screen.format == Format::Wide { None } else { screen.width };
    table.render(width, screen.colour)
}

/// The table of `queue list`, in its order.
#[must_use]
pub(crate) fn queue(queue: &[Queued], now: Timestamp, screen: &Screen) -> String {
    let starts = queue.iter().any(|queued| start(&queued.task).is_some());
    let mut columns = vec![
        Column::number("PLACE", 0),
        Column::text("ID", 0),
        Column::name("NAME", 4),
        Column::text("USER", 6),
        Column::text("NEEDS", 3),
        Column::number("PRIO", 5),
        Column::text("REASON", 0),
        Column::number("AGE", 2),
    ];
    columns.extend(starts.then(|| Column::text("START", 1)));
    columns.push(Column::sentence("WHY"));
    let mut table = Table::new(&columns);
    for Queued { task, place } in queue {
        let mut row: Vec<Cell> = vec![
            place.map_or_else(|| NOTHING.into(), |place| place.to_string()).into(),
            Cell::coloured(short(&task.id), "1"),
            title(task).into(),
            task.user_id.as_str().into(),
            needs(&task.resources).into(),
            task.priority.to_string().into(),
            reason(task).into(),
            age(&task.created_at, now).into(),
        ];
        if starts {
            row.push(start(task).map_or_else(|| NOTHING.into(), |at| quantity::until(at, now)).into());
        }
        row.push(printable(&task.message).into());
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

/// Before this a waiting task is not placed: its next try, or its start time, or its place in a plan.
fn start(task: &Task) -> Option<&str> {
    let planned = || task.planned.as_ref().map(|planned| planned.at.as_str());
    task.next_try_at.as_deref().or(task.starts_at.as_deref()).or_else(planned)
}

/// One line that says where a task stands: `1B8WX0TC  failed  exit_code 1  12m04s`.
#[must_use]
pub(crate) fn outcome(task: &Task, screen: &Screen) -> String {
    let mut parts = vec![short(&task.id), status_text(&task.status, screen)];
    match (reason(task), task.exit_code) {
        ("exit_code", Some(code)) => parts.push(format!("exit_code {code}")),
        (NOTHING, Some(code)) => parts.push(format!("exit code {code}")),
        (NOTHING, None) => {}
        (reason, Some(code)) => parts.push(format!("{reason} (exit code {code})")),
        (reason, None) => parts.push(reason.to_owned()),
    }
    if let Some(took) = between(task.started_at.as_deref(), task.finished_at.as_deref()) {
        parts.push(quantity::duration(took));
    }
    parts.extend(task.warnings.iter().map(|warning| format!("! {warning}")));
    if task.status != "completed" && !task.message.is_empty() {
        parts.push(printable(&task.message));
    }
    parts.join("  ")
}

/// What to do next with a task where it stands; `files` says whether it left any.
#[must_use]
pub(crate) fn next(task: &Task, files: bool) -> Vec<String> {
    if let Some(next) = array::next(task) {
        return next;
    }
    let id = short(&task.id);
    let of = |verb: &str| format!("cloudai task {verb} {id}");
    let (follow, cancel) = (format!("{} --follow", of("logs")), of("cancel"));
    match (task.status.as_str(), task.phase.as_deref()) {
        ("queued", Some("held")) => vec![of("release"), cancel],
        ("queued", Some("unsatisfiable" | "waiting_capacity")) => vec![of("explain"), cancel],
        ("queued", _) => vec!["cloudai queue".into(), cancel],
        (_, Some("cancelling")) => vec![of("wait"), follow],
        (_, Some("worker_unreachable")) => {
            let worker = task.worker_id.as_deref().unwrap_or("ID");
            vec![format!("cloudai worker info {worker}"), cancel]
        }
        ("pending" | "running", _) => vec![follow, cancel],
        (status, _) => {
            let again = match &task.retried_by {
                Some(other) => Some(format!("cloudai task info {}", short(other))),
                None => (status != "completed").then(|| of("retry") + &more(task)),
            };
            let left = files.then(|| of("download"));
            let logs = (task.attempt > 0).then(|| of("logs"));
            // What waits among the dead letters waits to be run again.
            let all = if task.dead { [again, logs, left] } else { [logs, again, left] };
            all.into_iter().flatten().collect()
        }
    }
}

/// The flag of a retry that gives twice of what was too little.
fn more(task: &Task) -> String {
    let limit = |field: &str| task.spec.as_ref().and_then(|spec| spec.get(field)?.as_f64());
    let time = |flag: &str, field: &str| {
        limit(field).map(|limit| format!(" {flag} {}", typed_seconds(limit * 2.0))).unwrap_or_default()
    };
    let took = || between(Some(&task.created_at), task.finished_at.as_deref());
    let overdue = || limit("total_timeout_s").zip(took()).is_some_and(|(limit, took)| took.as_secs_f64() >= limit);
    match task.reason.as_deref() {
        Some("oom_killed") => format!(" --mem {}", typed_gigabytes(task.resources.memory_gb * 2.0)),
        Some("storage_exceeded") => format!(" --disk {}", typed_gigabytes((task.resources.storage_gb * 2.0).max(1.0))),
        Some("queue_timeout") => time("--queue-timeout", "queue_timeout_s"),
        // One word for two limits: that of the whole task counts from its submission.
        Some("timed_out") if overdue() => time("--total-timeout", "total_timeout_s"),
        Some("timed_out") => time("--timeout", "timeout_s"),
        _ => String::new(),
    }
}

/// The card of `task info`; `files` says whether the task left any.
#[must_use]
pub(crate) fn card(task: &Task, files: bool, now: Timestamp, screen: &Screen) -> String {
    let at = task.worker_id.as_deref().map(|worker| format!("  attempt {} on {worker}", task.attempt));
    let head = format!(
        "{}  {}  {}{}  {}",
        title(task),
        short(&task.id),
        status_text(&task.status, screen),
        at.unwrap_or_default(),
        reason(task)
    );
    let mut lines = vec![head.trim_end_matches(NOTHING).trim_end().to_owned()];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10}{value}"));
        }
    };
    field("message", printable(&task.message));
    field("id", task.id.clone());
    let own = label(task).map(|label| format!("{label}: ")).unwrap_or_default();
    let job = task.job_id.as_deref().map(|job| format!("{own}cloudai job info {}", short(job)));
    field("job", job.unwrap_or_default());
    field("array", array::line(task));
    field("image", printable(&task.image));
    field("command", command(task));
    field("asks for", asked(task));
    inputs(task).for_each(|input| field("finds", input));
    volumes(task).for_each(|volume| field("sees", volume));
    secrets(task).for_each(|secret| field("secret", secret));
    entries(task, "constraints").filter_map(|one| one.as_str()).for_each(|one| field("needs", printable(one)));
    weighed(task, "affinity", "expr").for_each(|preference| field("prefers", preference));
    entries(task, "anti_affinity").filter_map(|one| one.as_str()).for_each(|one| field("apart by", printable(one)));
    weighed(task, "spread", "label").for_each(|over| field("spread", over));
    field("priority", if task.priority == 0 { String::new() } else { task.priority.to_string() });
    field("labels", task.labels.iter().map(|(k, v)| printable(&format!("{k}={v}"))).collect::<Vec<_>>().join(" "));
    field("exit code", task.exit_code.map(|code| code.to_string()).unwrap_or_default());
    field("warnings", task.warnings.join(", "));
    let other = |id: &Option<String>| id.as_deref().map(short).unwrap_or_default();
    field("retry of", other(&task.retry_of));
    field("again as", other(&task.retried_by));
    field("owner", task.user_id.clone());
    field("created", moment(&task.created_at, now));
    field("started", task.started_at.as_deref().map(|at| moment(at, now)).unwrap_or_default());
    field("finished", task.finished_at.as_deref().map(|at| moment(at, now)).unwrap_or_default());
    field("starts", task.starts_at.as_deref().map(|at| moment(at, now)).unwrap_or_default());
    let planned = task.planned.as_ref().map(|planned| format!("{} on {}", moment(&planned.at, now), planned.worker_id));
    field("planned", planned.unwrap_or_default());
    field("next try", task.next_try_at.as_deref().map(|at| moment(at, now)).unwrap_or_default());
    let estimate = task.estimate_s.and_then(|estimate| Duration::try_from_secs_f64(estimate).ok());
    field("estimate", estimate.map(quantity::duration).unwrap_or_default());
    field("due", task.due_at.as_deref().map(|at| moment(at, now)).unwrap_or_default());
    field("time out", task.deadline.as_deref().map(|at| moment(at, now)).unwrap_or_default());
    let took = between(task.started_at.as_deref(), task.finished_at.as_deref());
    field("ran for", took.map(quantity::duration).unwrap_or_default());
    field("used", used::line(task));
    if !task.attempts.is_empty() {
        lines.push("  attempts".into());
        lines.extend(task.attempts.iter().map(|attempt| format!("    {}", attempt_line(attempt, task))));
    }
    for (at, next) in next(task, files).into_iter().enumerate() {
        lines.push(format!("  {:<10}{next}", if at == 0 { "next" } else { "" }));
    }
    lines.join("\n")
}

/// Each of its requests, where it has several.
fn asked(task: &Task) -> String {
    let requests = entries(task, "requests").filter_map(|one| serde_json::from_value(one.clone()).ok());
    let requests: Vec<String> = requests.map(|one: Resources| asks_for(&one)).collect();
    if requests.is_empty() { asks_for(&task.resources) } else { requests.join(", or ") }
}

fn asks_for(asked: &Resources) -> String {
    let (memory, disk) = (quantity::long_gigabytes(asked.memory_gb), quantity::long_gigabytes(asked.storage_gb));
    let gpus = if asked.gpu_cores > 0.0 { format!(", {} gpu", cores(asked.gpu_cores)) } else { String::new() };
    format!("{} cpu, {memory} memory, {disk} disk{gpus}", cores(asked.cpu_cores))
}

/// `command` and `args` of the spec, as typed after `--`.
fn command(task: &Task) -> String {
    let words = |field: &str| {
        let list = task.spec.as_ref().and_then(|spec| spec.get(field)?.as_array().cloned());
        list.unwrap_or_default().into_iter().filter_map(|word| word.as_str().map(printable))
    };
    let quoted = |word: String| if word.is_empty() || word.contains(' ') { format!("'{word}'") } else { word };
    words("command").chain(words("args")).map(quoted).collect::<Vec<_>>().join(" ")
}

/// The maps of a list of the spec.
fn entries<'a>(task: &'a Task, list: &str) -> std::slice::Iter<'a, serde_json::Value> {
    let list = task.spec.as_ref().and_then(|spec| spec.get(list)?.as_array());
    list.map(Vec::as_slice).unwrap_or_default().iter()
}

/// A text of such a map.
fn text(of: &serde_json::Value, name: &str) -> Option<String> {
    of.get(name).and_then(|text| text.as_str()).map(printable)
}

/// Where each input lies, and whose content it is.
fn inputs(task: &Task) -> impl Iterator<Item = String> {
    entries(task, "inputs").map(|input| {
        let text = |name: &str| text(input, name).unwrap_or_default();
        let own = if input.get("writable").is_some() { " (a copy of its own)" } else { "" };
        format!("{} from {}{own}", text("path"), text("from"))
    })
}

/// What to say of an attempt's log of which the end was not kept.
#[must_use]
pub(crate) fn log_cut(attempt: &Attempt, task: &Task) -> Option<String> {
    let cut = attempt.log_cut?;
    let whose = if task.attempts.len() > 1 { format!(" of attempt {}", attempt.attempt) } else { String::new() };
    let (records, after) = (quantity::count(cut.records), Bytes(attempt.log_bytes.unwrap_or_default()));
    let bytes = Bytes(cut.bytes);
    Some(format!("the log{whose} was cut after {after} (logs.max_bytes): {records} records, {bytes} were not kept"))
}

/// Where each folder of its worker lies, which it is, and whether it may be changed.
fn volumes(task: &Task) -> impl Iterator<Item = String> {
    entries(task, "volumes").map(|volume| {
        let host = text(volume, "host_path").map(|path| format!("host path {path}"));
        let named = || text(volume, "volume").map(|name| format!("volume {name}"));
        let origin = host.or_else(named).unwrap_or_default();
        let read_only = volume.get("read_only").and_then(serde_json::Value::as_bool).unwrap_or(true);
        let right = if read_only { "read-only" } else { "may be changed" };
        format!("{} from {origin} ({right})", text(volume, "container_path").unwrap_or_default())
    })
}

/// Which secrets it is given and where: never what they are.
fn secrets(task: &Task) -> impl Iterator<Item = String> {
    entries(task, "secrets").map(|secret| {
        let name = text(secret, "name").unwrap_or_default();
        match text(secret, "env") {
            Some(variable) => format!("{name} as the variable {variable}"),
            None => format!("{name} at {}", text(secret, "file").unwrap_or_default()),
        }
    })
}

/// What it would rather have of its worker, and how much: the entries of a list, each by this field.
fn weighed(task: &Task, list: &'static str, by: &'static str) -> impl Iterator<Item = String> {
    entries(task, list).map(move |one| {
        let weight = one.get("weight").and_then(serde_json::Value::as_i64).unwrap_or_default();
        format!("{} (weight {weight})", text(one, by).unwrap_or_default())
    })
}

/// What the task itself says already is left out.
fn attempt_line(attempt: &Attempt, task: &Task) -> String {
    let mut parts = vec![format!("#{}", attempt.attempt), attempt.worker_id.clone(), attempt.status.clone()];
    parts.extend(attempt.request.zip(task.requests).map(|(request, of)| format!("request {request} of {of}")));
    parts.extend(attempt.reason.clone());
    parts.extend(attempt.exit_code.map(|code| format!("exit code {code}")));
    parts.extend(
        between(attempt.started_at.as_deref(), attempt.ended_at.as_deref())
            .map(|took| format!("ran {}", quantity::duration(took))),
    );
    parts.extend(attempt.log_records.map(|records| format!("{} log records", quantity::count(records))));
    parts.extend(attempt.log_cut.map(|cut| format!("{} records cut (logs.max_bytes)", quantity::count(cut.records))));
    if !attempt.message.is_empty() && attempt.message != task.message {
        parts.push(printable(&attempt.message));
    }
    parts.join("  ")
}

/// One kept file: `out/model.bin  1.2 GiB  sha256 ok  14s`.
#[must_use]
pub(crate) fn downloaded(path: &std::path::Path, file: &File, took: Duration) -> String {
    let size = Bytes(file.size);
    format!("{}  {size}  sha256 ok  {}", printable(&path.display().to_string()), quantity::duration(took))
}

#[cfg(test)]
mod tests;
