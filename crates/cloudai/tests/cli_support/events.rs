//! Events: shown as they come, over lost connections.

use super::server::{ID, Reply, Server, problem};
use serde_json::{Value, json};

fn event(seq: u64, kind: &str, fields: &Value) -> String {
    let mut event = json!({ "id": format!("1.2.{seq}"), "seq": seq, "type": kind, "at": "2026-01-01T10:20:30.000Z" });
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    format!("id: 1.2.{seq}\nevent: {kind}\ndata: {event}\n\n")
}

fn task(seq: u64, status: &str, attempt: u32) -> String {
    let worker = (attempt > 0).then_some("w1");
    event(
        seq,
        "task",
        &json!({ "task_id": ID, "status": status, "phase": status, "attempt": attempt, "worker_id": worker }),
    )
}

#[test]
fn events_are_shown_as_they_come_and_asked_for_on_from_where_a_connection_was_lost() {
    let parts = [
        [event(4, "start", &json!({})), task(5, "queued", 0), "id: 1.2.7\n\n".into()].concat(),
        [event(7, "start", &json!({})), task(8, "running", 1)].concat(),
        [event(8, "start", &json!({})), event(9, "worker", &json!({ "worker_id": "w1", "status": "inactive" }))]
            .concat(),
    ];
    let server = Server::start(move |_, before| Reply::Bytes(parts[before.min(2)].clone().into_bytes()));
    let ran = server.run("event stream --types task,worker --limit 3");
    let expected = [
        "10:20:30  task      7K3M9QZD      queued",
        "10:20:30  task      7K3M9QZD      running  attempt 1 on w1",
        "10:20:30  worker    w1            inactive",
        "",
    ];
    assert_eq!((ran.code, ran.out), (0, expected.join("\n")), "{}", ran.err);
    let queries: Vec<_> = server.asked("GET /api/v1/events").into_iter().map(|one| one.query).collect();
    let types = "types=task%2Cworker";
    assert_eq!(queries, [types.to_owned(), format!("{types}&from_seq=1.2.8"), format!("{types}&from_seq=1.2.9")]);
}

#[test]
fn programs_get_an_event_a_line_as_the_master_says_it() {
    let text = [event(4, "start", &json!({})), task(5, "queued", 0)].concat();
    let server = Server::start(move |_, _| Reply::Bytes(text.clone().into_bytes()));
    let ran = server.run("event stream --limit 1 --json");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &told["task_id"], &told["seq"]), (0, &json!(ID), &json!(5)), "{}", ran.err);
    assert_eq!(server.run("event stream --limit 1 -o quiet").out, format!("{ID}\n"));
}

#[test]
fn events_that_were_lost_are_said_to_be_and_the_rest_goes_on() {
    let first = [event(4, "start", &json!({})), task(5, "queued", 0)].concat();
    let last = [event(1, "start", &json!({})), task(2, "running", 1)].concat();
    let server = Server::start(move |_, before| match before {
        0 => Reply::Bytes(first.clone().into_bytes()),
        1 => problem(410, "gone", "event 6 is of another life of the master"),
        _ => Reply::Bytes(last.clone().into_bytes()),
    });
    let ran = server.run("event stream --limit 2");
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}", ran.err);
    assert!(ran.err.contains("events were lost: event 6 is of another life"), "{}", ran.err);
    let queries: Vec<_> = server.asked("GET /api/v1/events").into_iter().map(|one| one.query).collect();
    assert_eq!(queries, ["", "from_seq=1.2.6", ""]);
    let ran = Server::start(|_, _| problem(410, "gone", "event 3 is not kept")).run("event stream --from 1.2.3");
    assert_eq!((ran.code, ran.err.contains("event 3 is not kept")), (1, true), "{}", ran.err);
}
