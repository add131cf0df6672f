//! Recorded workloads from the command line, as a user runs them.

use crate::process::run;
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
    let ran = run(dir.path(), &[], &words).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
    let report = dir.path().join("reports/greedy");
    assert_eq!(files(&report), OF_A_STRATEGY.map(PathBuf::from));
    let metrics: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report.join("metrics.json")).unwrap()).unwrap();
    assert_eq!((metrics["feasible"].as_bool(), metrics["tasks"].as_u64()), (Some(true), Some(20)));
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
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
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
    for (words, said) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = run(dir.path(), &[], &words).await;
        assert_eq!(ran.code, 64, "{}", ran.err);
        assert!(ran.err.starts_with(said), "{}", ran.err);
    }
    assert!(!dir.path().join("o").exists());
}
