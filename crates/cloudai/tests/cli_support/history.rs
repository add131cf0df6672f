//! `sim run` and `sim compare --from-history`: what the master is asked, and what is said when there is nothing.

use crate::server::{Reply, Request, Server, list, run_in, task, worker};
use serde_json::{Value, json};

/// A task that ran for ten seconds from the second of the day on at which it was submitted.
fn ran(second: u32) -> Value {
    let at = |second: u32| format!("2026-01-01T00:{:02}:{:02}.000Z", second / 60, second % 60);
    let (created, ended) = (at(second), at(second + 10));
    let attempt = json!({
        "attempt": 1, "worker_id": "w1", "status": "completed", "reason": null, "message": "", "exit_code": 0,
        "accepted": true, "assigned_at": created, "started_at": created, "ended_at": ended, "log_records": 0,
        "log_bytes": 0
    });
    task(json!({
        "id": format!("task-{second}"), "status": "completed", "phase": null, "created_at": created,
        "started_at": created, "finished_at": ended, "attempts": [attempt]
    }))
}

/// A master with one worker and these pages of tasks.
fn master(pages: Vec<Vec<Value>>) -> Server {
    Server::start(move |request: &Request, before| {
        if request.path == "/api/v1/workers" {
            return Reply::Json(200, list(vec![worker("w1")]));
        }
        let mut page = list(pages[before].clone());
        if before + 1 < pages.len() {
            page["next_cursor"] = format!("c{}", before + 1).into();
        }
        Reply::Json(200, page)
    })
}

const TASKS: &str = "GET /api/v1/tasks";
const RUN: &str = "sim run --from-history --strategy greedy --out reports -o json";

#[test]
fn a_history_is_read_page_by_page_until_it_is_older_than_asked_for() {
    let server = master(vec![vec![ran(300), ran(200)], vec![ran(150), ran(100)], vec![ran(50)], vec![ran(10)]]);
    let ran = server.run(&format!("{RUN} --user ann --since 2026-01-01T00:02:00Z --until 2026-01-01T00:03:20Z"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["metrics"]["tasks"], &told["history"]["completed"]), (&2.into(), &2.into()), "{told:#}");
    assert_eq!(told["history"]["more"], false);
    let queries: Vec<String> = server.asked(TASKS).into_iter().map(|request| request.query).collect();
    let common = "sort=-created&limit=1000&expand=true&user=ann";
    assert_eq!(queries, [common.to_owned(), format!("{common}&cursor=c1"), format!("{common}&cursor=c2")]);
}

#[test]
fn a_comparison_of_one_users_tasks_says_that_others_are_not_replayed() {
    let line = "sim compare --from-history --user ann --strategies greedy --baseline greedy --out reports";
    let ran = master(vec![vec![ran(200), ran(100)]]).run(line);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("What others ran is not replayed"), "{}", ran.err);
    assert!(ran.out.contains("as_it_happened") && !ran.out.contains("Against"), "{}", ran.out);
}

#[test]
fn a_limit_takes_the_newest_and_says_that_there_are_more() {
    let server = master(vec![vec![ran(300), ran(200)], vec![ran(100)], vec![ran(50)]]);
    let ran = server.run(&format!("{RUN} --limit 2"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("the newest 2 of those that were asked for; older ones too: --limit N"), "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["metrics"]["tasks"], &told["history"]["more"]), (&2.into(), &true.into()));
    assert_eq!(server.asked(TASKS).len(), 2);
}

#[test]
fn a_history_with_nothing_to_replay_says_why_and_what_to_do() {
    let cases = [
        (vec![], RUN.to_owned(), "the master has no tasks\n  next: cloudai task submit IMAGE --wait"),
        (vec![task(json!({}))], RUN.to_owned(), "left out: 1 still waiting or running"),
        (vec![ran(10)], format!("{RUN} --since 2026-01-02"), "next: cloudai task list --all, then a wider --since"),
    ];
    for (tasks, line, said) in cases {
        let ran = master(vec![tasks]).run(&line.replace(" -o json", ""));
        assert_eq!(ran.code, 5, "{}", ran.err);
        assert!(ran.err.contains("there is nothing to replay") && ran.err.contains(said), "{}", ran.err);
    }
    let ran = Server::always(200, list(vec![])).run(RUN);
    assert!(ran.code == 5 && ran.err.contains("no worker is registered"), "{}", ran.err);
}

#[test]
fn a_history_without_a_master_and_beside_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let words = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
    let rows = [
        ("--tasks t.csv --workers w.csv", 64, "'--from-history' cannot be used with"),
        ("--swf t.swf", 64, "'--from-history' cannot be used with"),
        ("--since soon", 64, "expected how long ago, as 7d or 12h"),
        ("--since 1d --until 2d", 8, "no master at http://127.0.0.1:1"),
        ("", 8, "no master at http://127.0.0.1:1"),
    ];
    for (more, code, said) in rows {
        let line = [words("--addr :1 sim compare --from-history --strategies ai --out reports"), words(more)].concat();
        let ran = run_in(dir.path(), &[], &line);
        assert_eq!(ran.code, code, "{more}: {}", ran.err);
        assert!(ran.err.contains(said), "{more}: {}", ran.err);
    }
    let alone = run_in(dir.path(), &[], &words("sim run --since 7d --strategy ai --out reports"));
    assert!(alone.code == 64 && alone.err.contains("--from-history"), "{}", alone.err);
    assert!(!dir.path().join("reports").exists());
    let turned = master(vec![vec![ran(10)]]).run(&format!("{RUN} --since 1d --until 2d"));
    assert!(turned.code == 64 && turned.err.contains("is later than --until"), "{}", turned.err);
}
