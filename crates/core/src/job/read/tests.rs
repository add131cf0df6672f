//! Job files: what they are read as, and what is refused.

use super::*;
use crate::job::{Elements, Indexes, Item, Need, On};
use crate::spec::{Source, TaskSpec};
use crate::task::DependsWhen;
use proptest::prelude::*;

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn job(json: &str) -> JobFile {
    JobFile::from_value(&value(json)).unwrap_or_else(|error| panic!("{error}"))
}

/// A job of these tasks, each of which runs `a` unless it says otherwise.
fn of_tasks(tasks: &str) -> String {
    format!(r#"{{"defaults": {{"image": "a"}}, "tasks": [{tasks}]}}"#)
}

fn group(json: &str) -> Group {
    job(&of_tasks(json)).plan.groups.remove(0)
}

/// The errors as they are told.
fn wrong(json: &str) -> Vec<String> {
    match JobFile::from_value(&value(json)) {
        Ok(job) => panic!("accepted: {job:?}"),
        Err(SpecError(errors)) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// Each job has this one error.
fn refused(rows: &[(&str, &str)]) {
    for (json, expected) in rows {
        let told = wrong(json);
        assert!(told.len() == 1 && told[0].contains(expected), "{json}\n{expected}\n{told:#?}");
    }
}

/// As [`refused`], for jobs of these tasks.
fn tasks_refused(rows: &[(&str, &str)]) {
    let jobs: Vec<String> = rows.iter().map(|(tasks, _)| of_tasks(tasks)).collect();
    let rows: Vec<_> = jobs.iter().zip(rows).map(|(job, (_, expected))| (job.as_str(), *expected)).collect();
    refused(&rows);
}

#[test]
fn a_pipeline_is_read_as_it_is_meant() {
    let read = job(r#"{
        "$schema": "job.schema.json", "schema": 1, "name": "train", "max_fails": 3, "hold": true, "idempotency_key": "k1",
        "priority": 5, "labels": {"team": "x", "run": "1"},
        "defaults": {"image": "a", "env": {"A": "1", "B": "2"}, "labels": {"run": "2"}, "cpu_cores": 2},
        "tasks": [
            {"name": "report", "needs": ["fit", {"task": "prep", "when": "any"}], "priority": 9, "env": {"B": "3"}},
            {"name": "fit", "array": "0-9:3%2", "depends_on": "prep", "labels": {"team": "y"}, "cpu_cores": 1},
            {"name": "prep"},
            {"name": "last", "needs": ["task-00000000000000000000000007", {"task": "report", "when": "failure"}]}
        ]}"#);
    assert_eq!((read.hold, read.idempotency_key.as_deref()), (true, Some("k1")));
    let JobPlan { name, max_fails, groups } = &read.plan;
    assert_eq!((name.as_deref(), *max_fails, read.plan.tasks()), (Some("train"), Some(3), 7));
    let [report, fit, prep, last] = groups.as_slice() else { panic!("{groups:?}") };
    let on = |group, when| Need { on: On::Group(group), when };
    assert_eq!(report.needs, [on(1, DependsWhen::Success), on(2, DependsWhen::Any)]);
    assert_eq!((&fit.needs[..], &prep.needs[..]), (&[on(2, DependsWhen::Success)][..], &[][..]));
    let outside = Need { on: On::Task(crate::ids::TaskId::new(7)), when: DependsWhen::Success };
    assert_eq!(last.needs, [outside, on(0, DependsWhen::Failure)]);
    let indexes: Indexes = "0-9:3".parse().unwrap();
    assert_eq!(fit.elements, Some(Elements { indexes, at_once: Some(2), gang: false, each: Vec::new() }));
    let map = |texts: &[(&str, &str)]| texts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let env: BTreeMap<String, String> = map(&[("A", "1"), ("B", "3")]);
    assert_eq!((&report.spec.container.env, report.spec.priority), (&env, 9));
    let labels: BTreeMap<String, String> = map(&[("team", "y"), ("run", "2")]);
    assert_eq!((&fit.spec.labels, fit.spec.priority, fit.spec.demand.cpu_milli), (&labels, 5, 1000));
    assert_eq!((prep.spec.demand.cpu_milli, prep.spec.name.as_deref()), (2000, Some("prep")));
}

#[test]
fn a_plan_is_read_back_as_it_is_written() {
    let read = job(&of_tasks(
        r#"{"name": "a", "each": [{"x": 1}, {"x": 2, "y": "z"}, 3], "at_once": 2, "env": {"X": "1"}},
           {"name": "b", "needs": {"task": "a", "when": "failure"}, "deadline": 60, "retries": {"max": 2},
            "inputs": [{"from": "task:a.1/x", "path": "/in"}]}"#,
    ));
    let text = serde_json::to_string(&read.plan).unwrap();
    assert_eq!(serde_json::from_str::<JobPlan>(&text).unwrap(), read.plan);
}

#[test]
fn elements_are_numbers_ranges_items_or_combinations() {
    let elements = |json: &str| group(&format!(r#"{{"name": "t", {json}}}"#)).elements.unwrap();
    let shown = |elements: &Elements| (elements.indexes.to_string(), elements.at_once, elements.each.len());
    for (json, indexes, at_once, items) in [
        (r#""array": 5"#, "0-4", None, 0),
        (r#""array": "5""#, "5", None, 0),
        (r#""array": "1-9:2%3""#, "1-9:2", Some(3), 0),
        (r#""array": "1,5-6", "at_once": 1"#, "1,5-6", Some(1), 0),
        (r#""each": ["a", 2, true, 0.5]"#, "0-3", None, 4),
        (r#""each": ["a", "b"], "array": "3,7", "at_once": 9"#, "3,7", Some(9), 2),
        (r#""each": {"x": [1, 2, 3], "y": ["a", "b"]}"#, "0-5", None, 6),
    ] {
        assert_eq!(shown(&elements(json)), (indexes.to_owned(), at_once, items), "{json}");
    }
    assert_eq!(group(r#"{"name": "t", "array": null}"#).elements, None);
    let plain: Vec<Item> = ["a", "2", "true", "0.5"].map(|text| Item::Plain(text.into())).into();
    assert_eq!(elements(r#""each": ["a", 2, true, 0.5]"#).each, plain);
    let item = |x: &str, y: &str| Item::Named(BTreeMap::from([("x".into(), x.into()), ("y".into(), y.into())]));
    let all = [item("1", "a"), item("1", "b"), item("2", "a"), item("2", "b")];
    for order in [r#""each": {"x": [1, 2], "y": ["a", "b"]}"#, r#""each": {"y": ["a", "b"], "x": [1, 2]}"#] {
        assert_eq!(elements(order).each, all, "the last name of the alphabet changes fastest");
    }
}

#[test]
fn what_another_task_left_is_waited_for() {
    let read = job(&of_tasks(
        r#"{"name": "map", "array": "0-4:2"},
           {"name": "all", "inputs": [{"from": "task:map/a.csv", "path": "/in"}]},
           {"name": "one", "inputs": [{"from": "task:map.2", "path": "/in"}], "needs": [{"task": "map", "when": "any"}]}"#,
    ));
    let needs = |number: usize| read.plan.groups[number].needs.clone();
    assert_eq!(needs(1), [Need { on: On::Group(0), when: DependsWhen::Success }]);
    assert_eq!(needs(2), [Need { on: On::Group(0), when: DependsWhen::Any }], "what the file says stays");
    let from = &read.plan.groups[2].spec.container.inputs[0].from;
    assert_eq!(*from, Source::Named { name: "map".into(), index: Some(2), path: None });
}

#[test]
fn a_wrong_job_is_told_by_its_fields() {
    refused(&[
        ("[]", "job: is a list: expected a map of fields"),
        (r#"{"name": "x"}"#, "tasks: is missing"),
        (r#"{"tasks": []}"#, "tasks: a list of 0 must have 1 to 200000 tasks"),
        (r#"{"task": {"a": {}}}"#, "task: a map of 1 must be a list of tasks"),
        (r#"{"tasks": [{}], "task": [{}]}"#, "task: can not be beside tasks"),
        (r#"{"taks": [], "task": [{"name": "a", "image": "a"}]}"#, "taks: is no field of a job: did you mean tasks?"),
        (r#"{"image": "a", "tasks": [{"name": "a", "image": "a"}]}"#, "image: is a field of tasks"),
        (r#"{"frobnicate": 1, "tasks": [{"name": "a", "image": "a"}]}"#, "there are schema, name, max_fails"),
        (r#"{"schema": 2, "tasks": [{"name": "a", "image": "a"}]}"#, "schema: 2 is no schema that this version knows"),
        (r#"{"max_fails": -1, "tasks": [{"name": "a", "image": "a"}]}"#, "max_fails: -1 must be a whole number from 0"),
        (r#"{"hold": "yes", "tasks": [{"name": "a", "image": "a"}]}"#, "hold: \"yes\" must be true or false"),
        (r#"{"name": "", "tasks": [{"name": "a", "image": "a"}]}"#, "name: \"\" must not be empty"),
        (r#"{"hold": true, "hold": true, "tasks": [{"name": "a", "image": "a"}]}"#, "hold: is given twice"),
        (
            r#"{"tasks": [{"name": "a", "image": "a", "array": 9000000}, {"name": "b", "image": "a", "array": 2000000}]}"#,
            "tasks: make 11000000 tasks with all elements: a job has at most 10000000",
        ),
        (r#"{"tasks": [{"name": "a"}]}"#, "tasks[0].image: is missing"),
        (r#"{"task": [{"name": "a", "image": "A B"}]}"#, "task[0].image: \"A B\" is no image reference"),
    ]);
}

#[test]
fn what_is_wrong_with_all_tasks_is_told_once_and_where_it_stands() {
    let tasks = r#""tasks": [{"name": "a", "image": "a"}, {"name": "b", "image": "a", "env": {"OK": "1"}}]"#;
    let rows = [
        (r#""defaults": 1"#, "defaults: 1 must be a map of fields"),
        (r#""defaults": {"cpu_cores": "2"}"#, "defaults.cpu_cores: \"2\" must be a number"),
        (r#""defaults": {"cpus": 2}"#, "defaults.cpus: is no field of a task: did you mean cpu_cores?"),
        (r#""defaults": {"hold": true}"#, "defaults.hold: belongs to the job"),
        (r#""defaults": {"needs": ["a"]}"#, "defaults.needs: is said by each task for itself"),
        (r#""defaults": {"user": "a", "user": "b"}"#, "defaults.user: is given twice"),
        (r#""defaults": {"env": {"A=B": "1"}}"#, "defaults.env.A=B: is no name of a variable"),
        (r#""defaults": {"env": ["A"]}"#, "defaults.env: a list of 1 must be a map"),
        (r#""defaults": {"gang": true}"#, "defaults.gang: is said by each task for itself"),
        (r#""priority": 101"#, "priority: 101 must be a whole number from -100 to 100"),
        (r#""labels": {"a b": "1"}"#, "labels.a b: is no label name"),
        (r#""labels": "a""#, "labels: \"a\" must be a map"),
    ];
    let jobs: Vec<String> = rows.iter().map(|(field, _)| format!("{{{field}, {tasks}}}")).collect();
    let rows: Vec<_> = jobs.iter().zip(rows).map(|(job, (_, expected))| (job.as_str(), expected)).collect();
    refused(&rows);
    let own = r#"{"defaults": {"image": "a", "env": {"A": "1"}}, "tasks": [{"name": "a", "env": {"B=": "1"}}]}"#;
    assert!(wrong(own)[0].starts_with("tasks[0].env.B=: is no name of a variable"));
}

#[test]
fn a_wrong_task_is_told_by_its_place() {
    tasks_refused(&[
        ("7", "tasks[0]: 7 must be a map of fields"),
        ("{}", "tasks[0].name: is missing"),
        (r#"{"name": 1}"#, "tasks[0].name: 1 must be a text"),
        (r#"{"name": "a b"}"#, "tasks[0].name: \"a b\" must be 1 to 63 of"),
        (r#"{"name": "task-a"}"#, "as only ids do"),
        (r#"{"name": "v1.2"}"#, "write a-7 instead of a.7"),
        (r#"{"name": "a"}, {"name": "b"}, {"name": "a"}"#, "tasks[2].name: \"a\" is the name of tasks[0] already"),
        (r#"{"name": "a", "hold": true}"#, "tasks[0].hold: belongs to the job as a whole"),
        (r#"{"name": "a", "idempotency_key": "k"}"#, "tasks[0].idempotency_key: belongs to the job"),
        (r#"{"name": "a", "max_fails": 1}"#, "tasks[0].max_fails: belongs to the job"),
        (r#"{"name": "a", "after": "b"}"#, "tasks[0].after: is no field of a task: did you mean needs?"),
        (r#"{"name": "a", "Need": "b"}"#, "did you mean needs?"),
        (r#"{"name": "a", "memroy_gb": 1}"#, "did you mean memory_gb?"),
        (r#"{"name": "a", "gang": true}"#, "is about elements: it needs array or each"),
        (
            r#"{"name": "a", "array": 2, "gang": true, "requests": [{"gpu_cores": 1}, {"cpu_cores": 8}]}"#,
            "tasks[0].requests: of a gang may be one only",
        ),
        (
            r#"{"name": "a", "array": 2, "gang": true, "anti_affinity": ["rack", "worker.id", "zone"]}"#,
            "tasks[0].anti_affinity: of a gang may name one label",
        ),
        (r#"{"name": "a", "cpu_cores": 0}"#, "tasks[0].cpu_cores: 0 is out of range"),
        (r#"{"name": "a", "needs": [], "depends_on": []}"#, "tasks[0].depends_on: can not be beside needs"),
        (r#"{"name": "a", "env": {"X": 1}, "env": {}}"#, "tasks[0].env: is given twice"),
    ]);
}

#[test]
fn a_wrong_need_is_told_with_the_name_that_was_meant() {
    tasks_refused(&[
        (
            r#"{"name": "prep"}, {"name": "b", "needs": "prepp"}"#,
            "tasks[1].needs: \"prepp\" is no task of this job: did you mean prep?",
        ),
        (
            r#"{"name": "prep"}, {"name": "b", "needs": ["prep", "zzzzzz"]}"#,
            "tasks[1].needs[1]: \"zzzzzz\" is no task of this job; one",
        ),
        (r#"{"name": "a", "needs": ["a"]}"#, "tasks[0].needs[0]: \"a\" is the task itself"),
        (
            r#"{"name": "a"}, {"name": "b", "needs": ["a", {"task": "a", "when": "any"}]}"#,
            "tasks[1].needs[1]: a map of 2 is needed already",
        ),
        (
            r#"{"name": "a", "array": 9}, {"name": "b", "needs": ["a.7"]}"#,
            "is one element, and a whole array is waited for: write a",
        ),
        (r#"{"name": "a", "needs": ["task-x"]}"#, "tasks[0].needs[0]: \"task-x\" is no task id"),
        (
            r#"{"name": "a"}, {"name": "b", "needs": [{"task": "a", "when": "ok"}]}"#,
            "tasks[1].needs[0].when: \"ok\" is not one of success, failure, any",
        ),
        (
            r#"{"name": "a"}, {"name": "b", "needs": [{"task": "a", "if": "ok"}]}"#,
            "tasks[1].needs[0].if: is no field of a need",
        ),
        (r#"{"name": "a", "needs": [{"when": "any"}]}"#, "must be the name of a task"),
        (r#"{"name": "a", "needs": 7}"#, "tasks[0].needs: 7 must be the name of a task"),
        (
            r#"{"name": "a"}, {"name": "b", "inputs": [{"from": "task:aa", "path": "/x"}]}"#,
            "tasks[1].inputs[0].from: \"task:aa\" names aa, which is no task of this job: did you mean a?",
        ),
        (
            r#"{"name": "a"}, {"name": "b", "inputs": [{"from": "task:a.0", "path": "/x"}]}"#,
            "names an element of a, which has neither array nor each",
        ),
        (
            r#"{"name": "a", "array": "1-9:2"}, {"name": "b", "inputs": [{"from": "task:a.2/y", "path": "/x"}]}"#,
            "names an element that a has not: its indexes are 1-9:2",
        ),
        (r#"{"name": "a", "inputs": [{"from": "task:a", "path": "/x"}]}"#, "is what tasks[0] itself will leave"),
    ]);
}

#[test]
fn a_circle_is_told_in_the_order_in_which_its_tasks_need_each_other() {
    let circle = r#"{"name": "x", "needs": ["a"]}, {"name": "c", "needs": ["a"]}, {"name": "a", "needs": ["b"]},
        {"name": "b", "needs": ["c"]}"#;
    let told = wrong(&of_tasks(circle));
    let expected = "tasks[2].needs: goes in a circle: a needs b needs c needs a: none of them could ever start";
    assert_eq!(told, [expected]);
    let by_input = r#"{"name": "a", "needs": ["b"]}, {"name": "b", "inputs": [{"from": "task:a", "path": "/x"}]}"#;
    assert!(wrong(&of_tasks(by_input))[0].contains("a needs b needs a"));
    let tasks: Vec<_> = (0..50).map(|n| format!(r#"{{"name": "t{n}", "needs": ["t{}"]}}"#, (n + 1) % 50)).collect();
    let told = wrong(&of_tasks(&tasks.join(",")));
    assert!(
        told[0].ends_with("t18 needs t19 needs 30 others, and so needs t0: none of them could ever start"),
        "{told:?}"
    );
}

#[test]
fn a_gang_is_stored_and_its_elements_are_told_how_many_they_are() {
    let gang = group(r#"{"name": "t", "array": "1-256", "gang": true}"#);
    assert!(gang.is_gang() && !group(r#"{"name": "t", "array": 3, "gang": false}"#).is_gang());
    let size = |group: &Group| group.spec_of(1).unwrap().container.env.get("CLOUDAI_GANG_SIZE").cloned();
    assert_eq!((size(&gang).as_deref(), gang.spec.container.env.len()), (Some("256"), 0));
    assert_eq!(size(&group(r#"{"name": "t", "array": 3}"#)), None);
    let text = serde_json::to_string(&gang).unwrap();
    assert_eq!(serde_json::from_str::<Group>(&text).unwrap(), gang);
    let before = text.replace("\"gang\":true,", "").replace(",\"gang\":true", "");
    assert!(!serde_json::from_str::<Group>(&before).unwrap().is_gang(), "as it was stored before: {before}");
}

#[test]
fn wrong_elements_are_told_by_field_and_item() {
    let rows = [
        (r#""array": 0"#, "tasks[0].array: 0 must be 1 to 10000000 elements"),
        (r#""array": "9-1""#, "tasks[0].array: \"9-1\" is no range of indexes: expected ranges of numbers, as 0-99"),
        (r#""array": "0-9%0""#, "tasks[0].array: \"0-9%0\" must have a number from 1 to 10000000 behind its %"),
        (r#""array": "0-10000000""#, "has more than 10000000 elements"),
        (r#""array": [1]"#, "tasks[0].array: a list of 1 must be a number of elements, as 100, or ranges"),
        (r#""array": "0-9%2", "at_once": 3"#, "tasks[0].at_once: is said by the % of array already"),
        (r#""at_once": 3"#, "tasks[0].at_once: is about elements: it needs array or each"),
        (r#""gang": true"#, "tasks[0].gang: is about elements: it needs array or each"),
        (r#""gang": 1, "array": 2"#, "tasks[0].gang: 1 must be true or false"),
        (r#""array": "0-9%2", "gang": true"#, "tasks[0].gang: starts all elements together: at_once"),
        (r#""each": [1, 2], "at_once": 1, "gang": true"#, "tasks[0].gang: starts all elements together: at_once"),
        (r#""array": 257, "gang": true"#, "tasks[0].gang: is of 257 elements: at most 256 start together"),
        (r#""array": 3, "at_once": 0"#, "tasks[0].at_once: 0 must be a whole number from 1"),
        (r#""array": 3, "each": [1, 2]"#, "tasks[0].each: has 2 items for the 3 elements of array"),
        (r#""each": []"#, "tasks[0].each: has no items"),
        (r#""each": {}"#, "tasks[0].each: has no items"),
        (r#""each": 7"#, "tasks[0].each: 7 must be a list of texts, numbers or maps"),
        (r#""each": [1, [2]]"#, "tasks[0].each[1]: a list of 1 must be a text, a number, true or false"),
        (r#""each": [{"a": 1}, {"a": null}]"#, "tasks[0].each[1].a: null must be a text"),
        (r#""each": [{"a": 1}, {}]"#, "tasks[0].each[1]: must have 1 to 256 values"),
        (r#""each": [{"a b": 1}, {"a b": 2}]"#, "tasks[0].each[0].a b: is no name of a value"),
        (r#""each": [{"lr": 1, "LR": 2}]"#, "tasks[0].each[0].LR: would be the same variable as lr, CLOUDAI_ITEM_LR"),
        (r#""each": {"a": 1}"#, "tasks[0].each.a: 1 must be a list of values"),
        (r#""each": {"a": [], "b": [1]}"#, "tasks[0].each.a: has no values"),
        (r#""each": {"a": [1, {}]}"#, "tasks[0].each.a[1]: a map of 0 must be a text"),
        (r#""each": {"csv": "p.csv"}"#, "tasks[0].each.csv: is a file, which the command line reads"),
        (
            r#""array": 2, "args": ["${item.lr}"]"#,
            "tasks[0].args[0]: ${item.lr} stands for nothing here: there is ${index}",
        ),
        (
            r#""env": {"X": "${index}"}"#,
            "tasks[0].env.X: ${index} stands for nothing here: the task has neither array nor",
        ),
        (
            r#""each": [{"a": 1}, {"a": 2}, {"b": 1}], "env": {"LR": "${item.a}"}"#,
            "tasks[0].each[2].env.LR: ${item.a} stands for nothing here: there is ${index}, ${item.b}",
        ),
        (
            r#""each": ["a", "../b"], "outputs": ["${item}/*.csv"]"#,
            "tasks[0].each[1].outputs[0]: becomes \"../b/*.csv\", which must not have empty parts",
        ),
        (
            r#""each": ["a", "b/../c"], "workdir": "/x/${item}""#,
            "tasks[0].each[1].workdir: becomes \"/x/b/../c\", which is no",
        ),
    ];
    let tasks: Vec<String> = rows.iter().map(|(field, _)| format!(r#"{{"name": "t", {field}}}"#)).collect();
    let rows: Vec<_> = tasks.iter().zip(rows).map(|(task, (_, expected))| (task.as_str(), expected)).collect();
    tasks_refused(&rows);
}

#[test]
fn values_make_no_spec_longer_than_may_be() {
    let long = "x".repeat(90_000);
    let task = |args: &str| of_tasks(&format!(r#"{{"name": "t", "each": ["a", "{long}"], "args": [{args}]}}"#));
    assert!(JobFile::from_value(&value(&task(r#""${item}""#))).is_ok(), "twice, as its variable and as an argument");
    let told = wrong(&task(r#""${item}", "${item}""#));
    assert!(told.len() == 1 && told[0].starts_with("tasks[0].each[1]: has 27"), "{told:?}");
}

#[test]
fn of_very_many_errors_the_first_are_told() {
    let tasks: Vec<_> = (0..500).map(|number| format!(r#"{{"name": "t{number}", "cpu_cores": 0}}"#)).collect();
    let told = wrong(&of_tasks(&tasks.join(",")));
    assert_eq!((told.len(), told[99].starts_with("tasks[99].cpu_cores")), (100, true));
}

#[test]
fn every_error_of_a_job_is_told_at_once() {
    let told = wrong(
        r#"{"nam": "x", "defaults": {"image": "a", "cpus": 1}, "tasks": [
        {"name": "a", "needs": ["c"], "memory_gb": 0}, {"name": "b b", "array": "x"}, {"name": "c", "args": ["${item}"]}]}"#,
    );
    let begins =
        ["nam: ", "defaults.cpus: ", "tasks[1].name: ", "tasks[0].memory_gb: ", "tasks[1].array: ", "tasks[2].args"];
    assert_eq!(told.len(), begins.len(), "{told:#?}");
    for (told, begin) in told.iter().zip(begins) {
        assert!(told.starts_with(begin), "{told}");
    }
}

/// Anything that a parser may hand over, with the words of job files among it.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..20).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        "[ab](\\.[0-9])?".prop_map(Value::Text),
        "[0-9]{1,2}(-[0-9]{1,2})?(:[0-9])?(%[0-9])?".prop_map(Value::Text),
        "\\$\\{(index|item|item\\.[ab])\\}?".prop_map(Value::Text),
        "task:[ab](\\.[0-9])?(/x)?".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 32, 5, |inner| {
        let word = prop_oneof![3 => prop::sample::select(known()), 1 => "[ab]"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((word, inner), 0..5).prop_map(Value::Map),
        ]
    })
}

fn known() -> Vec<String> {
    let inner = ["task", "when", "from", "path", "csv", "lines"];
    FIELDS.iter().chain(&OF_TASKS).chain(LIVE).chain(&inner).map(ToString::to_string).collect()
}

/// A job that is nearly right.
fn any_job() -> impl Strategy<Value = Value> {
    let task = prop::collection::vec((prop::sample::select(known()), any_value()), 0..4);
    let tasks = prop::collection::vec(task, 1..4).prop_map(|tasks| {
        let named = |(number, fields): (usize, Vec<(String, Value)>)| {
            let name = ["a", "b", "c"][number];
            let first = ("name".to_owned(), Value::Text(name.into()));
            Value::Map([first].into_iter().chain(fields.into_iter().filter(|(name, _)| name != "name")).collect())
        };
        Value::List(tasks.into_iter().enumerate().map(named).collect())
    });
    let image = Value::Map(vec![("image".into(), Value::Text("a".into()))]);
    let right =
        tasks.prop_map(move |tasks| Value::Map(vec![("defaults".into(), image.clone()), ("tasks".into(), tasks)]));
    prop_oneof![9 => right, 1 => any_value()]
}

proptest! {
    #[test]
    fn whatever_is_written_is_a_job_whose_elements_all_have_specs_or_is_refused_with_reasons(document in any_job()) {
        match JobFile::from_value(&document) {
            Ok(JobFile { plan, .. }) => {
                let text = serde_json::to_string(&plan).unwrap();
                prop_assert_eq!(&serde_json::from_str::<JobPlan>(&text).unwrap(), &plan);
                for group in &plan.groups {
                    for ordinal in (0..group.count()).take(50) {
                        let spec = group.spec_of(ordinal).map_err(TestCaseError::fail)?;
                        prop_assert_eq!(&TaskSpec::from_value(&spec.to_value()).unwrap(), &*spec);
                    }
                    for need in group.needs.iter().filter_map(Need::group) {
                        prop_assert!((need as usize) < plan.groups.len());
                    }
                }
            }
            Err(SpecError(errors)) => {
                prop_assert!(!errors.is_empty() && errors.len() <= 100);
                prop_assert!(errors.iter().all(|error| !error.path.is_empty() && !error.problem.is_empty()));
            }
        }
    }
}
