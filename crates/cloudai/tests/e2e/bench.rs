//! Benchmarks that are stopped, killed or given what they can not use. Nothing here measures.

use crate::process::{Process, Ran, run, until};
use rustix::process::Signal;
use std::path::Path;
use tempfile::TempDir;

/// How many processes have their data in a folder of a benchmark in `dir`.
pub(crate) fn processes(dir: &Path) -> usize {
    let data = dir.join("cloudai-bench-").display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&data)).count()
}

/// The names in a folder that are a benchmark's.
pub(crate) fn folders(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.starts_with("cloudai-bench-")).collect()
}

/// Starts `cloudai bench` with its data in `dir`, and waits until so many processes of it run.
pub(crate) async fn started(dir: &Path, words: &[&str], count: usize) -> Process {
    let own = ["--dir", dir.to_str().unwrap()];
    let words: Vec<_> = ["bench"].iter().chain(words).chain(&own).map(ToString::to_string).collect();
    let mut bench = Process::start(dir, "bench", &[], &words);
    until("the benchmark's processes run", async || {
        assert_eq!(bench.has_ended(), None, "{}", bench.err());
        (processes(dir) == count).then_some(())
    })
    .await;
    bench
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

const LONG: [&str; 5] = ["dispatch", "--tasks", "5000000", "--workers", "2"];

#[tokio::test]
async fn a_benchmark_that_is_stopped_leaves_no_process_and_no_folder() {
    for (signal, code, name) in [(Signal::INT, 130, "SIGINT"), (Signal::TERM, 143, "SIGTERM")] {
        let dir = dir();
        let mut bench = started(dir.path(), &LONG, 3).await;
        bench.signal(signal);
        assert_eq!(bench.ended().await, code, "{}", bench.err());
        assert_eq!((processes(dir.path()), folders(dir.path())), (0, vec![]), "{name}");
        assert!(bench.err().contains(name), "{}", bench.err());
    }
}

#[tokio::test]
async fn the_processes_of_a_benchmark_that_is_killed_end_with_it_and_the_next_removes_its_folder() {
    let dir = dir();
    let mut bench = started(dir.path(), &LONG, 3).await;
    bench.kill();
    until("they end", async || (processes(dir.path()) == 0).then_some(())).await;
    assert_eq!(folders(dir.path()).len(), 1);
    let next = bench_in(&dir, &["latency", "--tasks", "1", "--runs", "1", "-o", "quiet"]).await;
    assert_eq!((next.code, folders(dir.path())), (0, vec![]), "{}", next.err);
    assert!(next.out.trim().parse::<f64>().is_ok(), "quiet is one number: {}", next.out);
}

async fn bench_in(dir: &TempDir, words: &[&str]) -> Ran {
    let words: Vec<_> = ["bench"].iter().chain(words).chain(&["--dir", "."]).copied().collect();
    run(dir.path(), &[], &words).await
}

#[tokio::test]
async fn what_a_benchmark_can_not_use_is_told_with_its_flag_and_what_is_allowed() {
    let rows: [(&[&str], &[&str]); 4] = [
        (&["dispatch", "--dir", "/nope/xx"], &["--dir /nope/xx", "No such file", "next: "]),
        (&["dispatch", "--tasks", "x"], &["--tasks", "\"x\" is no whole number from 1 to 10000000"]),
        (&["dispatch", "--tasks", "18446744073709551615"], &["is no whole number from 1 to 10000000"]),
        (&["list", "--runs", "0"], &["--runs", "is no whole number from 1 to 100"]),
    ];
    for (words, said) in rows {
        let words: Vec<_> = ["bench"].iter().chain(words).copied().collect();
        let ran = run(dir().path(), &[], &words).await;
        assert!(ran.code == 64 && said.iter().all(|said| ran.err.contains(said)), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_document_is_made_of_files_that_go_together_and_their_reports_are_data_too() {
    let dir = dir();
    let words = ["latency", "--tasks", "1", "--runs", "1", "--json", "latency.json"];
    let ran = bench_in(&dir, &words).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let report = async |words: &[&str]| {
        let words: Vec<_> = ["bench", "report", "latency.json"].iter().chain(words).copied().collect();
        run(dir.path(), &[], &words).await
    };
    let document = report(&[]).await;
    assert!(document.out.contains("## latency") && document.out.contains("profile "), "{}", document.out);
    let data: serde_json::Value = serde_json::from_str(&report(&["--json"]).await.out).unwrap();
    assert_eq!(data["items"][0]["bench"], "latency", "{data:#}");
    let twice = report(&["latency.json"]).await;
    assert!(twice.code == 64 && twice.err.contains("both of the benchmark latency"), "{}", twice.err);
}
