//! Recorded workloads from the command line, as a user runs them.

use crate::cluster::{Plan, fake_worker};
use crate::process::run;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/data");
    data.join(name).display().to_string()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.sort();
    names
}

const OF_A_STRATEGY: [&str; 6] =
    ["assignments.csv", "gantt.svg", "metrics.json", "performance_metrics.txt", "utilization.svg", "waits.svg"];

#[tokio::test]
async fn a_strategy_runs_on_a_recorded_workload_and_leaves_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, workers) = (fixture("small20_1.tasks.csv"), fixture("small20_1.workers.csv"));
    let words = ["sim", "run", "--tasks", &tasks, "--workers", &workers, "--strategy", "greedy", "--out", "reports"];
    let words = [&words[..], &["--knob", "patience=5", "--seed", "3"]].concat();
    let ran = run(dir.path(), &[], &words).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("\nset: patience=5, seed 3, run times: estimate\n"), "{}", ran.out);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
    let report = dir.path().join("reports/greedy");
    assert_eq!(files(&report), OF_A_STRATEGY.map(PathBuf::from));
    let metrics: Value = serde_json::from_slice(&std::fs::read(report.join("metrics.json")).unwrap()).unwrap();
    assert_eq!((metrics["feasible"].as_bool(), metrics["tasks"].as_u64()), (Some(true), Some(20)));
    let replay = &metrics["replay"];
    assert_eq!(
        (&replay["strategy"], &replay["runtimes"], &replay["seed"], &replay["patience"], &replay["utilization"]),
        (&json!("greedy"), &json!("estimate"), &json!(3), &json!(5.0), &json!(0.45))
    );
    let text = std::fs::read_to_string(report.join("performance_metrics.txt")).unwrap();
    assert!(text.contains("\nRun with\nstrategy               greedy\nruntimes               estimate\n"), "{text}");
    let schedule = std::fs::read_to_string(report.join("assignments.csv")).unwrap();
    assert_eq!(schedule.lines().count(), 21);
}

#[tokio::test]
async fn all_strategies_are_compared_on_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, workers) = (fixture("tight20_1.tasks.csv"), fixture("tight20_1.workers.csv"));
    let words = ["sim", "compare", "--tasks", &tasks, "--workers", &workers, "--out", "reports", "--json"];
    let ran = run(dir.path(), &[], &words).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let strategies = told["strategies"].as_array().unwrap();
    assert!(strategies.len() >= 2);
    for one in strategies {
        assert_eq!(one["metrics"]["feasible"], true);
        let report = dir.path().join("reports").join(one["strategy"].as_str().unwrap());
        assert_eq!(files(&report), OF_A_STRATEGY.map(PathBuf::from));
    }
    let page = std::fs::read_to_string(dir.path().join(told["page"].as_str().unwrap())).unwrap();
    assert!(page.contains("greedy") && page.contains("lower bound"));
    assert!(dir.path().join("reports/comparison.svg").exists());
}

#[tokio::test]
async fn what_can_not_be_run_is_refused_with_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let (tasks, workers) = (fixture("small20_1.tasks.csv"), fixture("small20_1.workers.csv"));
    let of = |strategy: &'static str, tasks: &str| {
        let words = ["sim", "run", "--tasks", tasks, "--workers", &workers, "--strategy", strategy, "--out", "o"];
        words.map(ToOwned::to_owned)
    };
    std::fs::write(dir.path().join("t.csv"), "task_id,arrival_s,cpu,mem_gb,storage_gb,gpu,runtime_s\na,0,x,1,1,0,5\n")
        .unwrap();
    let cases = [
        (of("fastest", &tasks), "error: no strategy is called \"fastest\"\n  there are "),
        (
            of("greedy", "t.csv"),
            "error: t.csv, line 2, column cpu: \"x\" is not a number\n  a number of cores from 0 to 1e9\n  next: ",
        ),
    ];
    let with = |word: &str, value: &str| [&of("ai", &tasks)[..], &[word.to_owned(), value.to_owned()]].concat();
    let more = [
        (with("--since", "7d"), "error: the argument '--tasks <FILE>' cannot be used with '--since <TIME>'"),
        (with("--limit", "5"), "error: the argument '--tasks <FILE>' cannot be used with '--limit <N>'"),
        (
            with("--knob", "patience=-1"),
            "error: --knob patience=-1: patience can not be \"-1\": it takes a number from 0 to 1000\n",
        ),
        (
            [with("--knob", "patience=5"), vec!["--knob".to_owned(), "patience=6".to_owned()]].concat(),
            "error: --knob patience=6: it is given twice\n",
        ),
        (with("--knob", "foo=5"), "error: --knob foo=5: there is no knob \"foo\": there are utilization, "),
        (
            of("external", &tasks).to_vec(),
            "error: external can not be simulated: a program outside decides\n  there are ",
        ),
    ];
    let cases = cases.map(|(words, said)| (words.to_vec(), said)).into_iter().chain(more);
    for (words, said) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = run(dir.path(), &[], &words).await;
        assert_eq!(ran.code, 64, "{}", ran.err);
        assert!(ran.err.starts_with(said), "{}", ran.err);
    }
    assert!(!dir.path().join("o").exists());
}

/// A task that runs so long, in milliseconds.
fn lasting(millis: u32, cores: f64) -> Value {
    json!({"image": "fake:x", "cpu_cores": cores, "env": {"FAKE_DURATION_MS": millis.to_string()}})
}

/// Seconds between two moments of a task.
fn between(task: &Value, from: &str, to: &str) -> f64 {
    let at = |field: &str| task[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    at(to).duration_since(at(from)).as_secs_f64()
}

#[tokio::test]
async fn the_history_of_a_cluster_is_replayed_compared_with_what_happened_and_kept() {
    let cluster = Plan::new().strategy("greedy").worker(fake_worker("w1")).start().await;
    let mut fails = lasting(100, 1.0);
    fails["env"]["FAKE_EXIT"] = "3".into();
    let mut tasks = vec![lasting(400, 2.0), lasting(300, 1.0), lasting(100, 2.0), lasting(200, 1.0), fails];
    tasks[1]["estimate_s"] = 0.5.into();
    tasks[2]["deadline"] = 3600.into();
    let ids = cluster.rest.submit_all(tasks).await;
    let mut ran = Vec::new();
    for id in &ids {
        ran.push(cluster.rest.ended(id).await);
    }
    let held = json!({"image": "fake:x", "hold": true});
    let cancelled = cluster.rest.submit(held.clone()).await;
    assert_eq!(cluster.run(&["cancel", &cancelled]).await.code, 0);
    cluster.rest.submit(held).await;

    let words = ["sim", "compare", "--from-history", "--since", "1h", "--strategies", "greedy,ai"];
    let words = [&words[..], &["--out", "reports", "--workload-out", "kept", "--json"]].concat();
    let compared = cluster.run(&words).await;
    assert_eq!(compared.code, 0, "{}", compared.err);
    let said = "Replays 5 tasks of the history (4 completed, 1 failed) on 1 worker; left out: 1 ended without having run \
                (cancelled or failed before a start), 1 still waiting or running.";
    assert_eq!(compared.err.lines().next(), Some(said), "{}", compared.err);
    let told: Value = serde_json::from_str(&compared.out).unwrap();
    assert_eq!((&told["history"]["failed"], &told["history"]["live"]), (&1.into(), &1.into()), "{told:#}");

    // What really happened is what the tasks themselves tell.
    let real = &told["as_it_happened"]["metrics"];
    let waits = ran.iter().map(|task| between(task, "created_at", "started_at"));
    let wait_mean = waits.sum::<f64>() / 5.0;
    assert!((real["wait_mean_s"].as_f64().unwrap() - wait_mean).abs() < 1e-6, "{wait_mean}: {real:#}");
    assert_eq!((&real["tasks"], &real["workers"], &real["deadlines"]), (&5.into(), &1.into(), &1.into()));
    let schedule = std::fs::read_to_string(cluster.dir().join("reports/as_it_happened/assignments.csv")).unwrap();
    assert!(ids.iter().all(|id| schedule.contains(&format!("{id},w1,"))), "{schedule}");
    let page = std::fs::read_to_string(cluster.dir().join("reports/index.html")).unwrap();
    for said in ["as_it_happened <small>baseline</small>", "greedy", "Replays 5 tasks of the history", "a master knows"]
    {
        assert!(page.contains(said), "the page does not say {said}");
    }

    // The replay runs each task as long as it ran, on the worker as it is.
    let strategies = told["strategies"].as_array().unwrap();
    let names: Vec<_> = strategies.iter().map(|one| one["strategy"].as_str().unwrap()).collect();
    assert_eq!(names, ["greedy", "ai"]);
    let replayed = std::fs::read_to_string(cluster.dir().join("reports/ai/assignments.csv")).unwrap();
    for task in &ran {
        let row = replayed.lines().find(|line| line.starts_with(task["id"].as_str().unwrap())).unwrap();
        let times: Vec<f64> = row.split(',').skip(2).map(|number| number.parse().unwrap()).collect();
        assert!((times[1] - times[0] - between(task, "started_at", "finished_at")).abs() < 1e-6, "{row}: {task:#}");
    }

    // The same from the files, without a master.
    let words = ["sim", "compare", "--tasks", "kept.tasks.csv", "--workers", "kept.workers.csv"];
    let words = [&words[..], &["--strategies", "greedy,ai", "--out", "again", "--json"]].concat();
    let again = run(cluster.dir(), &[], &words).await;
    assert_eq!(again.code, 0, "{}", again.err);
    let again: Value = serde_json::from_str(&again.out).unwrap();
    let metrics = |told: &Value| -> Vec<Value> {
        told["strategies"].as_array().unwrap().iter().map(|one| one["metrics"].clone()).collect()
    };
    assert_eq!(metrics(&again), metrics(&told));
}

#[tokio::test]
async fn of_a_history_on_a_worker_that_is_gone_only_times_are_compared() {
    let mut cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let on_gone = cluster.rest.submit(lasting(50, 1.0)).await;
    cluster.rest.completed(&on_gone).await;
    cluster.stop_worker("w1").await;
    assert_eq!(cluster.rest.ask("DELETE", "/api/v1/workers/w1", None).await.status, 204);
    cluster.add(fake_worker("w2").cpus(4.0)).await;
    let on_there = cluster.rest.submit(lasting(50, 1.0)).await;
    cluster.rest.completed(&on_there).await;
    let words = ["sim", "compare", "--from-history", "--strategies", "greedy", "--out", "reports"];
    let compared = cluster.run(&words).await;
    assert_eq!(compared.code, 0, "{}", compared.err);
    assert!(compared.err.contains("as_it_happened ran partly on workers that are gone since (w1)"), "{}", compared.err);
    let row = compared.out.lines().find(|line| line.starts_with("as_it_happened")).unwrap();
    assert_eq!(row.split_whitespace().filter(|cell| *cell == "-").count(), 3, "gap, use and load are left out: {row}");
    let files = files(&cluster.dir().join("reports/as_it_happened"));
    assert_eq!(files, ["assignments.csv", "metrics.json", "performance_metrics.txt", "waits.svg"].map(PathBuf::from));
    let schedule = std::fs::read_to_string(cluster.dir().join("reports/as_it_happened/assignments.csv")).unwrap();
    assert!(
        schedule.contains(&format!("{on_gone},w1,0")) && schedule.contains(&format!("{on_there},w2,")),
        "{schedule}"
    );
}
