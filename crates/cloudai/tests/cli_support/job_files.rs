//! Job files without a master: what is told of them, and how the command ends.

use super::server::run_in;
use serde_json::{Value, json};

const JOB: &str = "
name: train
defaults: {image: a}
tasks:
  - {name: prep}
  - {name: fit, needs: prep, array: 20}
  - {name: report, needs: [{task: fit, when: any}], inputs: [{from: data.csv, path: /in/data.csv}]}
";

fn written(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("job.yaml"), text).unwrap();
    std::fs::write(dir.path().join("data.csv"), "1,2").unwrap();
    dir
}

#[test]
fn a_job_is_checked_and_told_in_a_line() {
    let dir = written(JOB);
    let ran = run_in(dir.path(), &[], &["job", "validate", "job.yaml"]);
    let told = "ok: train: 3 tasks of 22 in all, 3 levels, 1 content of this machine (3 B)\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, told, ""));
    let ran = run_in(dir.path(), &[], &["job", "validate", "job.yaml", "-o", "json"]);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["valid"], &told["tasks_in_all"], &told["levels"]), (&json!(true), &json!(22), &json!(3)));
}

#[test]
fn every_wrong_field_of_a_job_is_told_and_the_exit_is_64() {
    let dir = written("tasks:\n  - {name: a, image: a, needs: b}\n  - {name: b, imag: a, needs: a}\n");
    let ran = run_in(dir.path(), &[], &["job", "validate", "job.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{}", ran.err);
    for said in [
        "error: the job is not valid",
        "tasks[1].imag: is no field of a task: did you mean image?",
        "tasks[1].image: is missing",
        "goes in a circle: a needs b needs a",
        "docs/job-file.md",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    let ran = run_in(dir.path(), &[], &["job", "validate", "gone.toml"]);
    assert!(ran.code == 64 && ran.err.contains("gone.toml can not be read"), "{}", ran.err);
}

#[test]
fn a_graph_is_shown_in_every_form_and_reads_no_inputs() {
    let dir = written(JOB);
    std::fs::remove_file(dir.path().join("data.csv")).unwrap();
    let graph = |more: &[&str]| {
        let words: Vec<&str> = ["job", "graph", "job.yaml"].iter().chain(more).copied().collect();
        let ran = run_in(dir.path(), &[], &words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{more:?}");
        ran.out
    };
    let text = "level 1\n  prep\nlevel 2\n  fit x20  needs prep\nlevel 3\n  report   needs fit(any)\n";
    assert_eq!(graph(&[]), text);
    assert!(graph(&["--format", "dot"]).starts_with("digraph job {\n"));
    assert!(graph(&["--format", "svg"]).starts_with("<svg "));
    assert_eq!(graph(&["-o", "quiet"]), "prep\nfit\nreport\n");
    let told: Value = serde_json::from_str(&graph(&["-o", "json"])).unwrap();
    let fit = &told["tasks"][1];
    assert_eq!((&fit["count"], &fit["level"], &fit["needs"][0]["task"]), (&json!(20), &json!(2), &json!("prep")));
}

#[test]
fn the_schema_is_printed_as_it_is_documented() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), &[], &["job", "schema"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, include_str!("../../../../docs/job.schema.json")));
}
