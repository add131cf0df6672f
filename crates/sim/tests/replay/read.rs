//! Traces that can not be used: the message says where and what would be right.

use crate::judged::data;
use cloudai_sim::replay::{csv, swf};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HEAD: &str = "task_id,arrival_s,cpu,mem_gb,storage_gb,gpu,runtime_s,estimate_s,priority,deadline_s";

fn written(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What is said, without the folder.
fn said(dir: &TempDir, error: &impl ToString) -> String {
    error.to_string().replace(&format!("{}/", dir.path().display()), "")
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn columns_are_found_by_name_and_unknown_ones_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "runtime_s,colour,user,gpu,storage_gb,mem_gb,cpu,arrival_s,task_id,priority\n7.5,red,ana,1,,4,2,3,\"a,b\",-5\n";
    for (name, bytes) in [("x.csv", text.as_bytes().to_vec()), ("x.csv.gz", packed(text.as_bytes()))] {
        let tasks = csv::read_tasks(&written(&dir, name, &bytes)).unwrap();
        let task = &tasks[0];
        assert_eq!((task.id.as_str(), task.user.as_str(), task.priority), ("a,b", "ana", -5));
        assert_eq!((task.demand, task.arrival_s, task.runtime_s), ([2.0, 4.0, 0.0, 1.0], 3.0, 7.5));
        assert_eq!((task.estimate_s, task.deadline_s), (None, None));
    }
}

#[test]
fn wrong_tasks_are_refused_with_line_column_value_and_what_is_allowed() {
    let row = |row: &str| format!("{HEAD}\na,0,1,1,1,0,5,,,\n{row}\n").into_bytes();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "t.csv: is empty"),
        (format!("{HEAD}\n").into_bytes(), "t.csv: has a first line and no task"),
        (
            b"task_id,arrival_s\na,0\n".to_vec(),
            "t.csv, line 1, column cpu: is missing; the first line names the columns; needed are \
             task_id,arrival_s,cpu,mem_gb,storage_gb,gpu,runtime_s",
        ),
        (b"task_id,task_id\na,0\n".to_vec(), "t.csv, line 1, column task_id: stands twice in the first line"),
        (
            format!("{}\n", HEAD.replace("estimate_s", "Estimate")).into_bytes(),
            "t.csv, line 1, column Estimate: nothing reads it (did you mean estimate_s?); columns of quite other names may \
             stay",
        ),
        (
            format!("{}\n", HEAD.replace("priority", "prio")).into_bytes(),
            "t.csv, line 1, column prio: nothing reads it (did you mean priority?); columns of quite other names may stay",
        ),
        (row("b,0,x,1,1,0,5,,,"), "t.csv, line 3, column cpu: \"x\" is not a number; a number of cores from 0 to 1e9"),
        (
            row("b,0,1,1,1,0,-5,,,"),
            "t.csv, line 3, column runtime_s: \"-5\" is negative; a number of seconds from 0 to 1e12",
        ),
        (row("b,0,1,1,1,0,,,,"), "t.csv, line 3, column runtime_s: is empty; a number of seconds"),
        (
            row("b,NaN,1,1,1,0,5,,,"),
            "t.csv, line 3, column arrival_s: \"NaN\" is not a number; a number of seconds from 0 to 1e12",
        ),
        (
            row("b,inf,1,1,1,0,5,,,"),
            "t.csv, line 3, column arrival_s: \"inf\" is too large; a number of seconds from 0 to 1e12",
        ),
        (row("a,0,1,1,1,0,5,,,"), "t.csv, line 3, column task_id: \"a\" stands in line 2 already"),
        (row(",0,1,1,1,0,5,,,"), "t.csv, line 3, column task_id: is empty; every row has an id"),
        (
            row("b,0,1,1,1,0,5,,101,"),
            "t.csv, line 3, column priority: \"101\" is no priority; a whole number from -100 to 100",
        ),
        (
            row("b,0,1,1,1,0,5,,0.5,"),
            "t.csv, line 3, column priority: \"0.5\" is no priority; a whole number from -100 to 100",
        ),
        (row("b,0,1"), "t.csv, line 3: has 3 values under 10 columns"),
        ([HEAD.as_bytes(), b"\n\xff"].concat(), "t.csv, line 2: the byte 0xff is not UTF-8; save it as UTF-8 text"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (bytes, expected) in cases {
        let error = csv::read_tasks(&written(&dir, "t.csv", &bytes)).unwrap_err();
        assert_eq!(said(&dir, &error), expected);
    }
    let error = csv::read_tasks(Path::new("nowhere.csv")).unwrap_err();
    assert!(error.to_string().starts_with("nowhere.csv: can not be read: "), "{error}");
    let cut = written(&dir, "t.csv.gz", &packed(&row("b,0,1,1,1,0,5,,,"))[..30]);
    assert!(said(&dir, &csv::read_tasks(&cut).unwrap_err()).starts_with("t.csv.gz: can not be unpacked: "));
}

#[test]
fn wrong_workers_are_refused_like_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        (
            "worker_id,cpu,mem_gb,storage_gb,gpu\nw,-1,1,1,0\n",
            "w.csv, line 2, column cpu: \"-1\" is negative; a number of cores from 0 to 1e9",
        ),
        (
            "worker_id,cpu,mem_gb,storage_gb,gpu\nw,1,1,1,0\nw,1,1,1,0\n",
            "w.csv, line 3, column worker_id: \"w\" stands in line 2 already",
        ),
        ("worker_id,cpu,mem_gb,storage_gb,gpu\n", "w.csv: has a first line and no worker"),
    ];
    for (text, expected) in cases {
        let error = csv::read_workers(&written(&dir, "w.csv", text.as_bytes())).unwrap_err();
        assert_eq!(said(&dir, &error), expected);
    }
    assert_eq!(csv::read_workers(&data().join("appcA1.workers.csv")).unwrap().len(), 5);
}

const SWF: &str = "; MaxNodes: 64\n; MaxProcs: 128\n\
    3 100 0 50 4 -1 -1 8 -1 -1 1 7 1 -1 -1 -1 -1 -1\n\
    1 90 0 -1 4 -1 -1 -1 600 -1 1 -1 1 -1 -1 -1 -1 -1\n\
    2 95 0 0 4 -1 -1 -1 600 -1 1 3 1 -1 -1 -1 -1 -1\n";

#[test]
fn a_trace_of_jobs_is_read_as_rlscheduler_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let workload = swf::read_swf(&written(&dir, "small.swf.gz", &packed(SWF.as_bytes())), None).unwrap();
    assert_eq!(workload.name, "small");
    assert_eq!(workload.workers[0].capacity, [128.0, 0.0, 0.0, 0.0]);
    let seen: Vec<_> = workload
        .tasks
        .iter()
        .map(|task| {
            (task.id.as_str(), task.arrival_s, task.demand[0], task.runtime_s, task.estimate_s, task.user.as_str())
        })
        .collect();
    // By number; the run of 0 s is left out, the unknown one is 10 s, the larger number of processors counts.
    assert_eq!(seen, [("1", 0.0, 4.0, 10.0, Some(600.0), ""), ("3", 10.0, 8.0, 50.0, Some(50.0), "7")]);
    let nodes = SWF.replace("; MaxProcs: 128\n", "");
    let read = |procs| swf::read_swf(&written(&dir, "n.swf", nodes.as_bytes()), procs).unwrap().workers[0].capacity[0];
    assert_eq!((read(None), read(Some(32))), (64.0, 32.0));
}

#[test]
fn a_wrong_trace_of_jobs_is_refused_with_line_and_field() {
    let cases = [
        (
            "1 2 3\n",
            "s.swf, line 1, field 4 (run time): is missing: the line has 3 fields; a job has 18 fields; -1 stands for what is not known",
        ),
        (
            "; MaxProcs: 4\n1 x 0 5 1 -1 -1 1 -1 -1 1 1 1\n",
            "s.swf, line 2, field 2 (submit time): \"x\" is not a number; -1 stands for what is not known",
        ),
        ("1 -5 0 5 1 -1 -1 1 -1 -1 1 1 1\n", "s.swf, line 1, field 2 (submit time): -5 is negative"),
        (
            "1 5 0 5 1 -1 -1 1 -1\n1 6 0 5 1 -1 -1 1 -1\n",
            "s.swf, line 2, field 1 (job number): 1 stands in line 1 already",
        ),
        ("1.5 5 0 5 1 -1 -1 1 -1\n", "s.swf, line 1, field 1 (job number): 1.5 is not a whole number from 0"),
        (
            "1 5 0 5 1 -1 -1 1 -1\n",
            "s.swf: says neither MaxProcs nor MaxNodes in its header; a line `; MaxProcs: 128`, or the flag --procs",
        ),
        ("; MaxProcs: 4\n1 5 0 0 1 -1 -1 1 -1\n", "s.swf: has no job that ran"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in cases {
        let error = swf::read_swf(&written(&dir, "s.swf", text.as_bytes()), None).unwrap_err();
        assert_eq!(said(&dir, &error), expected);
    }
}
