//! Why a task waits, for people: where it stands, the workers, what helps, what strategies do.

use super::Screen;
use super::quantity::{NOTHING, cores, gigabytes, long_gigabytes, until};
use super::table::{Cell, Column, Cut, Table, printable};
use super::task::{needs, status};
use crate::id::short;
use cloudai_master::http::dto::Resources;
use cloudai_master::http::dto::explain::{Change, Explanation, Looked, Outlook, Score, Start};
use jiff::Timestamp;

/// From this width on there are columns of amounts.
const ROOMY: usize = 120;
/// A sentence among others is not cut below this.
const LEAST: usize = 20;

/// The answer of `task explain`; `asked` tells whether another strategy was asked about.
#[must_use]
pub(crate) fn card(told: &Explanation, asked: bool, now: Timestamp, screen: &Screen) -> String {
    let mut lines = vec![head(told, now, screen), sentence(&told.message, told)];
    if !told.workers.is_empty() {
        lines.push(workers(told, now, screen));
    }
    lines.extend(others(told));
    lines.extend(changes("smallest change", &told.changes));
    lines.extend(changes("possible", &told.possible));
    lines.extend(scores(told));
    let outlooks = [(&told.now, "now"), (&told.other, "instead")];
    lines.extend(
        outlooks
            .into_iter()
            .filter_map(|(outlook, title)| outlook.as_ref().map(|outlook| field(title, &strategy(outlook, told, now)))),
    );
    if asked && told.other.is_none() {
        lines.push(field("instead", "no strategy does anything with a task that does not wait for a place"));
    }
    if told.start.as_ref().is_some_and(|start| start.guessed) {
        lines.push(field("estimate", "a task whose length nobody knows is taken for 5 minutes"));
    }
    lines.push(field("next", &next(told)));
    lines.join("\n")
}

fn field(title: &str, text: &str) -> String {
    format!("  {title:<17}{text}")
}

/// `7K3M9QZD  o queued  4c 8G 1gpu (a100)  place 4 of 900  room in 5m00s`.
fn head(told: &Explanation, now: Timestamp, screen: &Screen) -> String {
    let model = told.gpu_model.as_deref().map(|model| format!(" ({})", printable(model)));
    let status = if screen.terminal { status(&told.status, screen).text().to_owned() } else { told.status.clone() };
    let mut parts = vec![short(&told.id), status, needs(&told.needs) + &model.unwrap_or_default()];
    parts.extend(told.place.zip(told.of).map(|(place, of)| format!("place {place} of {of}")));
    let room = told.start.as_ref().filter(|start| start.after.is_some()).map(|start| room(start, now));
    parts.extend(told.now.as_ref().and_then(|outlook| planned(outlook, now)).or(room));
    parts.join("  ")
}

/// When it is planned to start: `start in 5m00s`.
fn planned(outlook: &Outlook, now: Timestamp) -> Option<String> {
    outlook.planned.as_ref().map(|planned| format!("start {}", until(&planned.at, now)))
}

/// When there is room: `room in 5m00s`.
fn room(start: &Start, now: Timestamp) -> String {
    format!("room {}", until(&start.at, now))
}

/// A sentence whose ids are as lists show them.
fn sentence(text: &str, told: &Explanation) -> String {
    let ids = [&told.now, &told.other].into_iter().flatten().filter_map(|outlook| outlook.behind.as_deref());
    ids.fold(printable(text), |text, id| text.replace(id, &short(id)))
}

fn strategy(outlook: &Outlook, told: &Explanation, now: Timestamp) -> String {
    let mut text = sentence(&outlook.message, told);
    if let Some(start) = outlook.behind_start.as_ref().filter(|start| start.after.is_some()) {
        text.push_str(&format!(" ({})", room(start, now)));
    }
    text.extend(planned(outlook, now).map(|start| format!(" ({start})")));
    text
}

/// The table of the workers.
fn workers(told: &Explanation, now: Timestamp, screen: &Screen) -> String {
    let roomy = screen.wide() || screen.width.is_some_and(|width| width >= ROOMY);
    let why = |title, rank| Column { title, rank, right: false, cut: Cut::End(LEAST) };
    let mut columns = vec![Column::name("WORKER", 0), Column::text("FITS", 0)];
    if roomy {
        let amounts = [("CPU", 1), ("MEM", 2), ("GPU", 3), ("DISK", 4)];
        columns.extend(amounts.map(|(title, rank)| Column::number(title, rank)));
    }
    columns.extend([why("WHY", 0), why("SMALLEST CHANGE", 0)]);
    let mut table = Table::new(&columns);
    for worker in &told.workers {
        let fits = if worker.fits { Cell::coloured("yes", "32") } else { Cell::coloured("no", "31") };
        let mut row: Vec<Cell> = vec![worker.id.as_str().into(), fits];
        if roomy {
            let needs = worker.needs.as_ref().unwrap_or(&told.needs);
            row.extend(amounts(needs, &worker.free).map(Cell::from));
        }
        let against: Vec<_> = worker.against.iter().map(|against| against.message.as_str()).collect();
        row.push(if worker.fits { NOTHING.into() } else { against.join("; ").into() });
        row.push(change(worker, now).into());
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

/// Every resource as need/free.
fn amounts(need: &Resources, free: &Resources) -> [String; 4] {
    [
        format!("{}/{}", cores(need.cpu_cores), cores(free.cpu_cores)),
        format!("{}/{}", gigabytes(need.memory_gb), gigabytes(free.memory_gb)),
        format!("{}/{}", cores(need.gpu_cores), cores(free.gpu_cores)),
        format!("{}/{}", gigabytes(need.storage_gb), gigabytes(free.storage_gb)),
    ]
}

/// What would make the task fit a worker: time, or that it asks for less.
fn change(worker: &Looked, now: Timestamp) -> String {
    let time = worker.start.as_ref().filter(|start| start.after.is_some()).map(|start| room(start, now));
    let mut less = Vec::new();
    for against in &worker.against {
        let Some(free) = against.free.filter(|free| *free > 0.0) else { return time.unwrap_or_else(|| NOTHING.into()) };
        less.push(match against.code.as_str() {
            "short_of_cpu" => format!("cpu {}", cores(free)),
            "short_of_gpu" => format!("gpu {}", cores(free)),
            "short_of_memory" => format!("mem {}", long_gigabytes(free)),
            _ => format!("disk {}", long_gigabytes(free)),
        });
    }
    let less = (!less.is_empty()).then(|| format!("ask for {}", less.join(", ")));
    let both: Vec<_> = time.into_iter().chain(less).collect();
    if both.is_empty() { NOTHING.into() } else { both.join(", or ") }
}

/// The workers that are not told one by one.
fn others(told: &Explanation) -> Option<String> {
    let all: usize = told.counts.values().sum();
    let rest = all.checked_sub(told.workers.len()).filter(|rest| *rest > 0)?;
    let counts: Vec<_> = told.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    Some(format!("and {rest} more; of all {all}: {}", counts.join(", ")))
}

fn changes(title: &'static str, changes: &[Change]) -> impl Iterator<Item = String> {
    let title = move |at: usize| if at == 0 { title } else { "" };
    changes.iter().enumerate().map(move |(at, change)| field(title(at), &printable(&change.message)))
}

/// How full the workers are among which the choice is.
fn scores(told: &Explanation) -> impl Iterator<Item = String> {
    let titles = if told.standing == "placed" { ["worker now", "", ""] } else { ["would choose", "then", "then"] };
    told.scores.iter().zip(titles).map(|(of, title)| field(title, &score(of)))
}

#[allow(clippy::cast_possible_truncation, reason = "a part of a whole as percent")]
fn score(score: &Score) -> String {
    let percent = |part: f64| (part * 100.0).round() as i64;
    let used: Vec<_> = score.used.iter().map(|(kind, used)| format!("{kind} {}%", percent(*used))).collect();
    let preferred = score.preference.map(|weight| format!("preference {weight}  ")).unwrap_or_default();
    let worker = printable(&score.worker_id);
    format!("{worker}  {preferred}level {}%  ({} used)", percent(score.level), used.join(", "))
}

fn next(told: &Explanation) -> String {
    let of = |verb: &str| format!("cloudai task {verb} {}", short(&told.id));
    match (told.standing.as_str(), told.phase.as_deref()) {
        ("not_ready", Some("held")) => of("release"),
        ("never", _) => {
            let label = told.possible.iter().find(|change| change.kind == "label");
            let command =
                label.and_then(|change| change.message.split_once(": ")).map(|(_, command)| printable(command));
            command.unwrap_or_else(|| "submit it asking for less, or start a larger worker".into())
        }
        ("placed", _) => of("logs --follow"),
        ("waits", _) if told.other.is_none() => {
            let other = if told.strategy.starts_with("ai") { "greedy" } else { "ai" };
            format!("{} --strategy {other}", of("explain"))
        }
        ("waits", _) => "cloudai queue".into(),
        _ => of("info"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use serde_json::json;

    fn told(fields: serde_json::Value) -> Explanation {
        let resources =
            |cpu: f64, gpu: f64| json!({"cpu_cores": cpu, "memory_gb": 8.0, "storage_gb": 1.0, "gpu_cores": gpu});
        let start =
            json!({"at": "2026-01-01T00:11:12.000Z", "after": "task-01JD0000000000000007K3MA001", "guessed": true});
        let gpu = json!({"code": "short_of_gpu", "message": "gpu need 1 free 0 of 2", "need": 1.0, "free": 0.0, "total": 2.0});
        let cpu = json!({"code": "short_of_cpu", "message": "cpu need 4 free 3 of 8", "need": 4.0, "free": 3.0, "total": 8.0});
        let mut told = json!({
            "id": "task-01JD0000000000000007K3M9QZD", "status": "queued", "phase": "waiting_capacity", "standing": "waits",
            "message": "waits: no worker has room; gpu-01 comes nearest", "strategy": "greedy", "needs": resources(4.0, 1.0),
            "gpu_model": "a100", "place": 4, "of": 900, "start": start,
            "workers": [
                {"id": "gpu-01", "fits": false, "ever": true, "against": [gpu], "free": resources(6.0, 0.0),
                 "total": resources(8.0, 2.0), "start": start},
                {"id": "gpu-02", "fits": false, "ever": true, "against": [cpu], "free": resources(3.0, 1.0),
                 "total": resources(8.0, 2.0)},
                {"id": "cpu-07", "fits": false, "ever": false, "free": resources(6.0, 0.0), "total": resources(8.0, 0.0),
                 "against": [{"code": "draining", "message": "draining"}]}
            ],
            "counts": {"short_of_gpu": 13, "short_of_cpu": 1, "draining": 1},
            "changes": [{"kind": "ask", "message": "with 3 cpu or less it fits gpu-02", "worker_id": "gpu-02"}],
            "now": {"strategy": "greedy", "turn": "no_room", "message": "greedy lets it wait: no worker has room",
                    "before": [], "starts": 0}
        });
        for (name, value) in fields.as_object().unwrap() {
            told[name] = value.clone();
        }
        serde_json::from_value(told).unwrap()
    }

    fn screen(width: usize) -> Screen {
        let (format, width) = (Format::Table, Some(width));
        Screen { format, format_given: true, terminal: true, messages_terminal: false, width, colour: false }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:06:12Z".parse().unwrap()
    }

    #[test]
    fn a_waiting_task_of_80_columns_has_a_line_for_each_worker_and_what_helps() {
        let expected = "\
7K3M9QZD  o queued  4c 8G 1gpu (a100)  place 4 of 900  room in 5m00s
waits: no worker has room; gpu-01 comes nearest
WORKER  FITS  WHY                     SMALLEST CHANGE
gpu-01  no    gpu need 1 free 0 of 2  room in 5m00s
gpu-02  no    cpu need 4 free 3 of 8  ask for cpu 3
cpu-07  no    draining                -
and 12 more; of all 15: 1 draining, 1 short_of_cpu, 13 short_of_gpu
  smallest change  with 3 cpu or less it fits gpu-02
  now              greedy lets it wait: no worker has room
  estimate         a task whose length nobody knows is taken for 5 minutes
  next             cloudai task explain 7K3M9QZD --strategy ai";
        let shown = card(&told(json!({})), false, now(), &screen(80));
        assert_eq!(shown, expected);
        assert!(shown.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn a_wide_screen_has_every_resource_as_need_and_free() {
        let shown = card(&told(json!({})), false, now(), &screen(140));
        let line = shown.lines().find(|line| line.starts_with("gpu-02")).unwrap();
        let words: Vec<_> = line.split_whitespace().take(6).collect();
        assert_eq!(words, ["gpu-02", "no", "4/3", "8G/8G", "1/1", "1G/1G"]);
    }

    #[test]
    fn another_strategy_and_the_choice_are_told_with_short_ids() {
        let first = "task-01JD0000000000000007K3MA001";
        let fields = json!({
            "message": format!("greedy lets it wait: {first} goes first"),
            "now": {"strategy": "greedy", "turn": "behind", "message": format!("greedy lets it wait: {first} goes first"),
                    "behind": first, "before": [], "starts": 0},
            "other": {"strategy": "ai", "turn": "now", "message": "ai starts it next, on w1", "worker_id": "w1",
                      "before": [], "starts": 0},
            "scores": [
                {"worker_id": "w1", "used": {"cpu": 0.75, "memory": 0.125}, "level": 0.75, "rest": 1.1},
                {"worker_id": "w2", "used": {"cpu": 0.5}, "level": 0.5, "rest": 0.5, "preference": -5}
            ]
        });
        let shown = card(&told(fields), true, now(), &screen(80));
        for line in [
            "greedy lets it wait: 7K3MA001 goes first",
            "  would choose     w1  level 75%  (cpu 75%, memory 13% used)",
            "  then             w2  preference -5  level 50%  (cpu 50% used)",
            "  now              greedy lets it wait: 7K3MA001 goes first",
            "  instead          ai starts it next, on w1",
            "  next             cloudai queue",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line:?} is not in\n{shown}");
        }
        assert!(!shown.contains(first));
    }

    #[test]
    fn what_is_planned_is_told_with_its_start_instead_of_room() {
        let fields = json!({
            "now": {"strategy": "ai", "turn": "no_room", "message": "ai plans it for gpu-01: no worker has room",
                    "before": [], "starts": 0, "planned": {"worker_id": "gpu-01", "at": "2026-01-01T00:07:12.000Z"}}
        });
        let shown = card(&told(fields), false, now(), &screen(80));
        assert!(
            shown.starts_with("7K3M9QZD  o queued  4c 8G 1gpu (a100)  place 4 of 900  start in 1m00s\n"),
            "{shown}"
        );
        assert!(
            shown.contains("  now              ai plans it for gpu-01: no worker has room (start in 1m00s)\n"),
            "{shown}"
        );
    }

    #[test]
    fn the_next_command_fits_the_standing() {
        let of = |standing: &str, phase: &str| {
            let shown = card(&told(json!({"standing": standing, "phase": phase})), false, now(), &screen(80));
            shown.lines().last().unwrap().trim_start_matches("  next").trim().to_owned()
        };
        assert_eq!(of("not_ready", "held"), "cloudai task release 7K3M9QZD");
        assert_eq!(of("placed", "running"), "cloudai task logs --follow 7K3M9QZD");
        assert_eq!(of("ended", ""), "cloudai task info 7K3M9QZD");
        assert_eq!(of("never", "unsatisfiable"), "submit it asking for less, or start a larger worker");
        let message = "with the labels zone=eu it fits w1: cloudai worker label w1 zone=eu";
        let label = json!([{"kind": "label", "message": message, "worker_id": "w1", "labels": {"zone": "eu"}}]);
        let shown = card(&told(json!({"standing": "never", "possible": label})), false, now(), &screen(80));
        assert!(shown.ends_with("  next             cloudai worker label w1 zone=eu"), "{shown}");
    }
}
