//! Workers and the cluster for people.

use super::Screen;
use super::quantity::{NOTHING, age, cores, count, duration, gigabytes, moment};
use super::table::{Cell, Column, Table, printable};
use cloudai_core::label::Words;
use cloudai_master::http::dto::{Cluster, Worker, WorkerCounts};
use jiff::Timestamp;
use std::time::Duration;

/// So many images of a worker are named.
const IMAGES: usize = 3;

/// The table of `worker list`.
#[must_use]
pub(crate) fn list(workers: &[Worker], now: Timestamp, screen: &Screen) -> String {
    let mut columns = vec![
        Column::name("WORKER", 0),
        Column::text("STATE", 0),
        Column::number("CPU", 1),
        Column::number("MEM", 2),
        Column::number("GPU", 5),
        Column::number("TASKS", 3),
        Column::number("SEEN", 4),
    ];
    if screen.wide() {
        columns.extend([
            Column::number("DISK", 6),
            Column::text("ENGINE", 7),
            Column::text("ADDRESS", 8),
            Column::text("VERSION", 9),
            Column::text("LABELS", 10),
            Column::text("WHY", 11),
        ]);
    }
    let mut table = Table::new(&columns);
    for worker in workers {
        table.row(row(worker, now, screen));
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

fn row(worker: &Worker, now: Timestamp, screen: &Screen) -> Vec<Cell> {
    let (held, all) = (&worker.allocated, &worker.capacity);
    let mut row: Vec<Cell> = vec![
        Cell::coloured(worker.id.as_str(), "1"),
        state(shown_state(worker), screen),
        format!("{}/{}", cores(held.cpu_cores), cores(all.cpu_cores)).into(),
        format!("{}/{}", gigabytes(held.memory_gb), gigabytes(all.memory_gb)).into(),
        format!("{}/{}", cores(held.gpu_cores), cores(all.gpu_cores)).into(),
        worker.tasks.to_string().into(),
        worker.last_seen.as_deref().map_or_else(|| NOTHING.into(), |seen| age(seen, now)).into(),
    ];
    if screen.wide() {
        let labels: Vec<_> = worker.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let or_nothing = |text: &str| if text.is_empty() { NOTHING.into() } else { Cell::from(text) };
        row.extend([
            format!("{}/{}", gigabytes(held.storage_gb), gigabytes(all.storage_gb)).into(),
            // Its name and version; what runs no containers of an engine has none.
            or_nothing(if worker.engine.is_empty() { &worker.executor } else { &worker.engine }),
            or_nothing(worker.address.as_deref().unwrap_or_default()),
            or_nothing(&worker.version),
            or_nothing(&labels.join(",")),
            or_nothing(&why_idle(worker).unwrap_or_default()),
        ]);
    }
    row
}

/// What keeps a connected worker from work, else its status.
#[must_use]
pub(super) fn shown_state(worker: &Worker) -> &str {
    match &worker.duty {
        Some(duty) if worker.status == "active" => &duty.state,
        Some(_) | None => &worker.status,
    }
}

/// Why a worker gets no work, where there is more to say than its state.
#[must_use]
pub(crate) fn why_idle(worker: &Worker) -> Option<String> {
    if let Some(why) = worker.engine_away.as_ref().or(worker.disk_pressure.as_ref()) {
        return Some(printable(why));
    }
    if worker.status == "deaf" {
        return Some(
            "the master hears it, but it takes no command in: something between them (a proxy, a firewall) lets \
             nothing through to the worker; look there, and at the worker's log"
                .into(),
        );
    }
    let duty = worker.duty.as_ref()?;
    let by = duty.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let reason = if duty.reason.is_empty() { String::new() } else { format!(": {}", printable(&duty.reason)) };
    Some(format!("{}{by}{reason}", duty.state))
}

/// The answer to an order about a worker's work.
#[must_use]
pub(crate) fn duty_line(worker: &Worker, now: Timestamp) -> String {
    let Some(duty) = &worker.duty else { return format!("{}  {}", worker.id, worker.status) };
    let tasks = match worker.tasks {
        0 => String::new(),
        1 => "  1 task on it".into(),
        more => format!("  {more} tasks on it"),
    };
    let until = duty.until.as_deref().map(|at| format!("  until {}", moment(at, now))).unwrap_or_default();
    format!("{}  {}{tasks}{until}", worker.id, duty.state)
}

/// The card of `worker info`.
#[must_use]
pub(crate) fn card(worker: &Worker, now: Timestamp) -> String {
    let mut lines = vec![format!("{}  {}", worker.id, shown_state(worker))];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10}{value}"));
        }
    };
    let at = |moment_of: &Option<String>| moment_of.as_deref().map(|at| moment(at, now)).unwrap_or_default();
    field("status", worker.status.clone());
    field("no work", why_idle(worker).unwrap_or_default());
    if let Some(duty) = &worker.duty {
        field("since", moment(&duty.since, now));
        field("until", at(&duty.until));
        field("probes", duty.tries.map(|tries| format!("{tries} failed")).unwrap_or_default());
        field("probe at", at(&duty.next_probe));
        field("probe", duty.probe.clone().unwrap_or_default());
        field("next", format!("cloudai worker undrain {}", worker.id));
    }
    if worker.status == "inactive" {
        field("silent", format!("since {}", at(&worker.last_seen)));
        field("holds", while_silent(worker, now));
        field(
            "next",
            format!(
                "see on its machine whether it runs and what its log says of the master; if it is gone for good: \
                 cloudai worker remove {}{}",
                worker.id,
                if worker.tasks > 0 { " --force" } else { "" }
            ),
        );
    }
    let (held, all) = (&worker.allocated, &worker.capacity);
    field("tasks", worker.tasks.to_string());
    field("cpu", format!("{}/{}", cores(held.cpu_cores), cores(all.cpu_cores)));
    field("memory", format!("{}/{}", gigabytes(held.memory_gb), gigabytes(all.memory_gb)));
    field("disk", format!("{}/{}", gigabytes(held.storage_gb), gigabytes(all.storage_gb)));
    field("gpu", worker.gpus.iter().map(|gpu| format!("{} {}", gpu.id, gpu.model)).collect::<Vec<_>>().join(", "));
    field("labels", labels(worker));
    let said = printable(&Words(&worker.operator_labels).to_string());
    field("relabeled", if said.is_empty() { said } else { format!("{said}  (worker label)") });
    field("offers", offers(worker));
    field("images", images(worker));
    let off = "off: exec.enabled is false on it, or its version can not run programs in containers (task exec)";
    field("exec", if worker.exec == Some(false) { off.into() } else { String::new() });
    field("engine", printable(if worker.engine.is_empty() { &worker.executor } else { &worker.engine }));
    field("version", printable(&worker.version));
    field("address", worker.address.clone().unwrap_or_default());
    field("seen", at(&worker.last_seen));
    field("added", moment(&worker.registered_at, now));
    lines.join("\n")
}

/// The answer to a change of its labels.
#[must_use]
pub(crate) fn labels_line(worker: &Worker) -> String {
    let labels = labels(worker);
    format!("{}  {}", worker.id, if labels.is_empty() { "no labels" } else { labels.as_str() })
}

fn labels(worker: &Worker) -> String {
    let labels = worker.labels.iter().map(|(key, value)| printable(&format!("{key}={value}")));
    labels.collect::<Vec<_>>().join(" ")
}

/// What of its host it lets tasks see; nothing is said of one that never came.
fn offers(worker: &Worker) -> String {
    if worker.offers.is_empty() && !worker.version.is_empty() {
        return "no folders or volumes of its host (worker start --allow-path DIR, --allow-volume NAME)".into();
    }
    worker.offers.iter().map(|offer| printable(offer)).collect::<Vec<_>>().join(" ")
}

/// How many images its engine has, and the first of them.
fn images(worker: &Worker) -> String {
    let first: Vec<_> = worker.images.iter().take(IMAGES).map(|image| printable(image)).collect();
    match worker.images.len() {
        0 => String::new(),
        count if count > IMAGES => format!("{count} ({}, ...; all: -o json)", first.join(", ")),
        count => format!("{count} ({})", first.join(", ")),
    }
}

/// What becomes of what a silent worker holds, and when.
fn while_silent(worker: &Worker, now: Timestamp) -> String {
    let (tasks, they) = match worker.tasks {
        0 => return "nothing".into(),
        1 => ("1 task".to_owned(), "it waits"),
        more => (format!("{more} tasks"), "they wait"),
    };
    match &worker.gives_up_at {
        Some(at) => {
            let at = moment(at, now);
            format!("{tasks}, until its lease ends at {at}: unless it is heard before, {they} for another place then")
        }
        None => format!("{tasks} (on_disconnect = keep), until it is back or removed"),
    }
}

fn state(word: &str, screen: &Screen) -> Cell {
    let (sign, colour) = match word {
        "active" => ("+", "32"),
        "draining" | "engine_away" | "disk_pressure" | "cordoned" | "drained" => ("~", "33"),
        "inactive" | "deaf" | "quarantined" => ("!", "31"),
        _ => ("o", "90"),
    };
    Cell::coloured(if screen.terminal { format!("{sign} {word}") } else { word.into() }, colour)
}

/// How many workers are in which state: `3 active, 1 cordoned`; those that take work come first.
fn workers(counts: &WorkerCounts) -> String {
    let WorkerCounts { total, active, states } = counts;
    if states.is_empty() {
        // None at all, or an older master, which tells no more.
        return format!("{active}/{total}");
    }
    let others = states.iter().filter(|(word, _)| *word != "active");
    let others = others.map(|(word, number)| format!("{number} {word}"));
    std::iter::once(format!("{active} active")).chain(others).collect::<Vec<_>>().join(", ")
}

/// The line of `cluster status`; the wide form adds what is rarely asked for.
#[must_use]
pub(crate) fn cluster(cluster: &Cluster, screen: &Screen) -> String {
    let tasks = |word: &str| count(cluster.tasks.get(word).copied().unwrap_or(0));
    let later = match cluster.without_turn {
        0 => String::new(),
        tasks => format!(" (+{} that wait for others)", count(tasks)),
    };
    let line = format!(
        "{}  term {}  workers {}  queue {}{later}  run {}  store {}",
        cluster.cluster,
        cluster.term,
        workers(&cluster.workers),
        tasks("queued"),
        tasks("running"),
        cluster.store
    );
    if !screen.wide() {
        return line;
    }
    let words: Vec<_> = cluster.tasks.iter().map(|(word, number)| format!("{word} {}", count(*number))).collect();
    let (held, all) = (&cluster.allocated, &cluster.capacity);
    format!(
        "{line}\n  strategy  {}\n  version   {}\n  up for    {}\n  life      {}\n  tasks     {}\n  \
         held      cpu {}/{}  mem {}/{}  disk {}/{}  gpu {}/{}",
        cluster.strategy,
        cluster.version,
        duration(Duration::from_secs(cluster.uptime_s)),
        cluster.incarnation,
        words.join(", "),
        cores(held.cpu_cores),
        cores(all.cpu_cores),
        gigabytes(held.memory_gb),
        gigabytes(all.memory_gb),
        gigabytes(held.storage_gb),
        gigabytes(all.storage_gb),
        cores(held.gpu_cores),
        cores(all.gpu_cores),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(fields: serde_json::Value) -> String {
        let none = json!({ "cpu_cores": 0.0, "memory_gb": 0.0, "storage_gb": 0.0, "gpu_cores": 0.0 });
        let mut worker = json!({
            "id": "w4", "status": "inactive", "address": null, "capacity": none, "allocated": none, "available": none,
            "gpus": [], "tasks": 0, "labels": {}, "version": "", "executor": "fake", "engine": "",
            "last_seen": "2026-01-31T08:00:00Z", "registered_at": "2026-01-31T07:00:00Z",
        });
        for (name, value) in fields.as_object().unwrap() {
            worker[name] = value.clone();
        }
        card(&serde_json::from_value(worker).unwrap(), "2026-01-31T08:01:00Z".parse().unwrap())
    }

    fn silent(tasks: usize, gives_up_at: Option<&str>) -> String {
        shown(json!({ "tasks": tasks, "gives_up_at": gives_up_at }))
    }

    #[test]
    fn a_worker_says_in_words_that_it_offers_nothing_of_its_host_and_runs_no_programs() {
        let bare = shown(json!({ "status": "active", "version": "0.1.0", "exec": false }));
        assert!(bare.contains("offers    no folders or volumes of its host (worker start --allow-path"), "{bare}");
        assert!(bare.contains("exec      off: exec.enabled is false"), "{bare}");
        let rich = shown(json!({ "status": "active", "version": "0.1.0", "exec": true, "offers": ["/data:ro", "s"] }));
        assert!(rich.contains("offers    /data:ro s") && !rich.contains("exec "), "{rich}");
        let never = shown(json!({ "status": "registered" }));
        assert!(!never.contains("offers") && !never.contains("exec "), "{never}");
    }

    #[test]
    fn of_many_images_the_first_are_named() {
        let rows: [(&[&str], &str); 3] = [
            (&["a:1"], "images    1 (a:1)"),
            (&["a:1", "b:1", "c:1"], "images    3 (a:1, b:1, c:1)"),
            (&["a:1", "b:1", "c:1", "d:1"], "images    4 (a:1, b:1, c:1, ...; all: -o json)"),
        ];
        for (images, said) in rows {
            let card = shown(json!({ "images": images }));
            assert!(card.lines().any(|line| line.trim() == said), "{card}");
        }
        assert!(!shown(json!({})).contains("images"), "an older worker tells none");
    }

    #[test]
    fn an_inactive_worker_says_since_when_it_is_silent_what_becomes_of_its_tasks_and_what_to_do() {
        let shown = silent(2, Some("2026-01-31T08:02:10Z"));
        let seen = moment("2026-01-31T08:00:00Z", "2026-01-31T08:01:00Z".parse().unwrap());
        assert!(shown.contains(&format!("silent    since {seen}")), "{shown}");
        assert!(
            shown.contains("holds     2 tasks, until its lease ends at ") && shown.contains("they wait"),
            "{shown}"
        );
        assert!(shown.contains("next      see on its machine") && shown.contains("remove w4 --force"), "{shown}");
        assert!(silent(1, None).contains("holds     1 task (on_disconnect = keep), until it is back"));
        assert!(silent(0, None).contains("holds     nothing"));
    }
}
