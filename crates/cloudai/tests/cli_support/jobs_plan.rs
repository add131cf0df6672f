//! What would become of a job: what is asked of the master, what is told of its answer, and how the command ends.

use super::server::{Ran, Server};
use serde_json::{Value, json};

const JOB: &str = "
name: train
defaults: {image: a}
tasks:
  - {name: split, inputs: [{from: data.csv, path: /in/data.csv}]}
  - {name: map, needs: split, array: 10}
";

fn part(name: &str, fields: &Value) -> Value {
    let mut part = json!({
        "name": name, "tasks": 1, "level": 0, "workers_able": 3, "workers_now": 2, "never": null, "skipped": false,
        "first_start_s": 0.0, "last_end_s": 10.0, "workers": 1, "on": ["w1"]
    });
    for (name, value) in fields.as_object().unwrap() {
        part[name] = value.clone();
    }
    part
}

fn forecast(map: &Value, ends_in_s: Option<f64>) -> Value {
    json!({
        "tasks": 11, "groups": 2, "levels": 2, "parts": [part("split", &json!({})), part("map", map)],
        "ends_in_s": ends_in_s, "at_most_at_once": 8, "workers": 5, "critical": ["split", "map"],
        "assumed": "every task completes", "cut": false
    })
}

fn planned(server: &Server, more: &[&str]) -> Ran {
    std::fs::write(server.dir().join("job.yaml"), JOB).unwrap();
    let words: Vec<&str> = ["job", "plan", "job.yaml"].iter().chain(more).copied().collect();
    server.words(&words)
}

#[test]
fn a_plan_is_a_table_and_its_last_line_says_how_long_it_takes() {
    let map = json!({
        "tasks": 10, "level": 1, "first_start_s": 10.0, "last_end_s": 190.0, "workers": 5, "on": ["w1", "w2", "w3"]
    });
    let server = Server::always(200, forecast(&map, Some(190.0)));
    let ran = planned(&server, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let lines: Vec<String> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "TASK N LEVEL CAN NOW STARTS ENDS ON",
        "split 1 3 2 now in 10s w1",
        "map x10 2 3 2 in 10s in 3m10s w1, w2, w3 and 2 more",
        "would take about 3m10s on 5 workers (8 tasks at once at most); the longest way: split, map",
    ];
    assert_eq!(lines, expected);
    let asked = server.asked("POST /api/v1/jobs");
    assert_eq!((asked.len(), asked[0].query.as_str(), &asked[0].key), (1, "dry_run=true", &None));
    assert_eq!(asked[0].json()["tasks"][1]["array"], 10);
    assert_eq!(server.seen().len(), 1, "no input is sent, nor read");
    let mut with_held = forecast(&map, Some(190.0));
    with_held["not_counted"] = json!({"held": 2});
    let ran = planned(&Server::always(200, with_held), &[]);
    assert_eq!(ran.out.lines().last(), Some("not counted: 2 held tasks"), "{}", ran.out);
    let ran = planned(&server, &["-o", "json"]);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["ends_in_s"], &told["parts"][1]["tasks"]), (&json!(190.0), &json!(10)));
}

#[test]
fn what_never_could_run_is_told_first_and_the_exit_is_2() {
    let nothing = json!({"first_start_s": null, "last_end_s": null, "workers": 0, "on": []});
    let mut never = nothing.clone();
    never["never"] = "it asks for 64 cores, the largest worker offers 8 cores".into();
    let ran = planned(&Server::always(200, forecast(&never, None)), &[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.out.starts_with("map can never run: it asks for 64 cores, the largest worker offers 8"), "{}", ran.out);
    assert!(ran.out.ends_with("would not end: no worker could ever run map\n"), "{}", ran.out);
    let ran = planned(&Server::always(200, forecast(&nothing, None)), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("no worker that takes work now would run map; see: cloudai worker list"), "{}", ran.out);
}
