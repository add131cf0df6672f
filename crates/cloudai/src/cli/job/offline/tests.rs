//! Job files on the disk.

use super::*;
use crate::cli::document::to_json;
use cloudai_core::job::{Group, Item};
use std::collections::BTreeMap;

fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// The groups of a file `job.toml`, beside other files.
fn groups(text: &str, files: &[(&str, &str)]) -> Vec<Group> {
    let dir = written(files);
    std::fs::write(dir.path().join("job.toml"), text).unwrap();
    file::look(&dir.path().join("job.toml")).unwrap_or_else(|failure| panic!("{failure}")).plan.groups
}

const TOML: &str = r#"
name = "train"
max_fails = 2
defaults = { image = "a", env = { A = "1" } }

[[task]]
name = "prep"
command = ["sh", "-c", "date"]

[[task]]
name = "fit"
needs = ["prep"]
array = "0-9:3%2"
cpu_cores = 0.5

[[task]]
name = "sweep"
needs = { task = "fit", when = "any" }
args = ["--lr=${item.lr}", "--n=${item.n}"]
each = { n = [1, 2], lr = [0.1, 0.01] }
"#;

const YAML: &str = r#"
name: train
max_fails: 2
defaults:
  image: a
  env: {A: "1"}
tasks:
  - name: prep
    command: [sh, -c, date]
  - name: fit
    needs: prep
    array: 0-9:3%2
    cpu_cores: 0.5
  - name: sweep
    needs: [{task: fit, when: any}]
    args: ["--lr=${item.lr}", "--n=${item.n}"]
    each: {n: [1, 2], lr: [0.1, 0.01]}
"#;

const JSON: &str = r#"{"name": "train", "max_fails": 2, "defaults": {"image": "a", "env": {"A": "1"}}, "tasks": [
    {"name": "prep", "command": ["sh", "-c", "date"]},
    {"name": "fit", "depends_on": ["prep"], "array": "0-9:3", "at_once": 2, "cpu_cores": 0.5},
    {"name": "sweep", "needs": [{"when": "any", "task": "fit"}], "args": ["--lr=${item.lr}", "--n=${item.n}"],
     "each": {"lr": [0.1, 0.01], "n": [1, 2]}}]}"#;

#[test]
fn a_job_is_the_same_in_every_form() {
    let dir = written(&[("a.toml", TOML), ("a.yaml", YAML), ("a.json", JSON), ("a", JSON)]);
    let read = |name: &str| file::look(&dir.path().join(name)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let job = read("a.toml");
    for name in ["a.yaml", "a.json", "a"] {
        assert_eq!(read(name), job, "{name}");
    }
    assert_eq!((job.plan.groups.len(), job.plan.tasks()), (3, 9));
    let spec = job.plan.groups[2].spec_of(1).unwrap();
    assert_eq!(spec.container.args, ["--lr=0.1", "--n=2"]);
}

#[test]
fn items_come_from_tables_and_lines_beside_the_job() {
    let text = r#"
        defaults = { image = "a" }
        task = [
            { name = "rows", each = { csv = "p.csv" } },
            { name = "lines", each = { lines = "names.txt" } },
            { name = "lists", each = { csv = ["x", "y"] } },
        ]
    "#;
    let table = "\u{feff}lr, text\r\n0.1,\"a, \"\"b\"\"\nc\"\r\n1e-3, d\r\n";
    let groups = groups(text, &[("p.csv", table), ("names.txt", "\u{feff}one\r\n\n  \n two \n")]);
    let each = |number: usize| groups[number].elements.as_ref().unwrap().each.clone();
    let row =
        |lr: &str, text: &str| Item::Named(BTreeMap::from([("lr".into(), lr.into()), ("text".into(), text.into())]));
    assert_eq!(each(0), [row("0.1", "a, \"b\"\nc"), row("1e-3", " d")]);
    assert_eq!(each(1), ["one", " two "].map(|line| Item::Plain(line.into())));
    assert_eq!(each(2).len(), 2, "a list of that name is a list");
}

#[test]
fn a_file_of_items_that_is_none_is_told_with_the_task_that_names_it() {
    for (each, file, said) in [
        ("csv = \"p.csv\"", "a,b\n1\n", "found record with 1 fields"),
        ("csv = \"p.csv\"", "a,b\n", "no row behind the first"),
        ("csv = \"p.csv\"", "", "no row behind the first"),
        ("lines = \"p.csv\"", "\n \n", "all of its lines are empty"),
        ("lines = \"gone.txt\"", "", "No such file"),
    ] {
        let dir = written(&[("p.csv", file)]);
        let text = format!("[[task]]\nname = \"a\"\nimage = \"a\"\neach = {{ {each} }}\n");
        std::fs::write(dir.path().join("job.toml"), text).unwrap();
        let failure = file::look(&dir.path().join("job.toml")).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.why[0].contains(said) && failure.why[1].starts_with("it is task[0].each."), "{failure}");
    }
}

#[test]
fn every_wrong_field_of_a_job_is_told() {
    let dir = written(&[("job.yaml", "tasks:\n  - {name: a, image: a, cpus: 1}\n  - {name: b, needs: aa}\n")]);
    let failure = file::look(&dir.path().join("job.yaml")).unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str(), failure.why.len()), (Exit::Usage, "invalid", 3), "{failure}");
    assert!(failure.why.iter().any(|why| why.contains("did you mean cpu_cores?")), "{failure}");
    assert!(failure.next.contains("docs/job-file.md"));
}

#[test]
fn what_lies_beside_the_job_is_sent_with_it_once() {
    let text = r#"
        [defaults]
        image = "a"
        workdir = "."
        inputs = [{ from = "data.csv", path = "/in/data.csv" }]
        [[task]]
        name = "a"
        [[task]]
        name = "b"
        inputs = [{ from = "./data.csv", path = "/in/b.csv" }, { from = "task:a/x", path = "/in/x" }]
        [[task]]
        name = "c"
        workdir = "/app"
        inputs = []
    "#;
    let dir = written(&[("job.toml", text), ("data.csv", "1,2")]);
    let (document, job, shipment) = file::pack(&dir.path().join("job.toml")).unwrap();
    let shown = to_json(&document).to_string();
    assert!(!shown.contains(dir.path().to_str().unwrap()) && shown.contains("blob:"), "{shown}");
    assert_eq!(shipment.contents.len(), 3, "two files and the list of their folder");
    let places = |number: usize| -> Vec<String> {
        let container = &job.plan.groups[number].spec.container;
        let paths = container.inputs.iter().map(|input| input.path.clone());
        paths.chain(container.workdir.clone().map(|workdir| format!("in {workdir}"))).collect()
    };
    assert_eq!(places(0), ["/in/data.csv", "/workspace", "in /workspace"]);
    assert_eq!(
        places(1),
        ["/in/b.csv", "/in/x", "/workspace", "in /workspace"],
        "as defaults say, with its own inputs"
    );
    assert_eq!(places(2), ["in /app"]);
    let failure = file::pack(&written(&[("job.toml", text)]).path().join("job.toml")).unwrap_err();
    assert!(failure.why.iter().any(|why| why == "it is defaults.inputs[0]"), "{failure}");
}

#[test]
fn a_right_job_is_told_in_a_line() {
    let valid = |tasks: usize, tasks_in_all: u64, contents: usize| Valid {
        valid: true,
        name: (tasks > 1).then_some("train"),
        tasks,
        tasks_in_all,
        levels: u32::try_from(tasks).unwrap(),
        contents,
        bytes: 3 << 20,
    };
    let told = |valid: Valid<'_>| told(&valid, Path::new("job.toml"));
    assert_eq!(told(valid(3, 22, 0)), "ok: train: 3 tasks of 22 in all, 3 levels");
    assert_eq!(told(valid(1, 1, 1)), "ok: job.toml: 1 task, 1 level, 1 content of this machine (3 MiB)");
}

#[test]
fn the_schema_of_the_documentation_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/job.schema.json");
    let fresh = serde_json::to_string_pretty(&job::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, fresh).unwrap();
    } else {
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept == fresh, "docs/job.schema.json is older than the fields of jobs: run `make docs`");
    }
}

#[test]
fn every_example_of_the_documentation_is_a_job() {
    let text = include_str!("../../../../../../docs/job-file.md");
    let files = [("params.csv", "lr,layers\n0.1,2\n"), ("files.txt", "a.csv\nb.csv\n"), ("train.py", "")];
    let dir = written(&files);
    let mut read = 0;
    for block in text.split("\n```").skip(1).step_by(2) {
        let (form, example) = block.split_once('\n').unwrap();
        if !(example.contains("[[task]]") || example.contains("tasks")) || !["toml", "yaml", "json"].contains(&form) {
            continue;
        }
        let path = dir.path().join(format!("{read}.{form}"));
        std::fs::write(&path, example).unwrap();
        file::pack(&path).unwrap_or_else(|failure| panic!("{failure}\n{example}"));
        read += 1;
    }
    assert!(read >= 3, "{read} examples");
}
