//! Templates as people write and fill them.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// A template with every type of parameter.
const TRAIN: &str = r#"{
    "name": "train", "description": "Trains one model.",
    "params": {
        "lr": {"type": "number", "min": 0, "max": 1, "description": "learning rate"},
        "epochs": {"type": "integer", "default": 3, "min": 1},
        "tag": {"type": "text", "default": "latest"},
        "fast": {"type": "bool", "default": false},
        "how": {"type": "choice", "choices": ["sgd", "adam", 7], "default": "adam"}
    },
    "task": {
        "image": "train:${param.tag}", "cpu_cores": "${param.epochs}", "hold": "${param.fast}",
        "args": ["--lr=${param.lr}", "${param.how}", "$${param.how}", "${HOME}"],
        "env": {"HOW": "${param.how}/${param.epochs}"}
    }
}"#;

fn train() -> Template {
    Template::from_value(&value(TRAIN)).unwrap()
}

fn told(wrong: &SpecError) -> Vec<(&str, &str)> {
    wrong.0.iter().map(|error| (error.path.as_str(), error.problem.as_str())).collect()
}

#[test]
fn values_stand_in_their_places_and_keep_their_type_where_they_stand_alone() {
    let filled = train().fill(&value(r#"{"lr": 0.1, "epochs": 5, "tag": "v2", "how": "7"}"#)).unwrap();
    let expected = r#"{
        "image": "train:v2", "cpu_cores": 5, "hold": false,
        "args": ["--lr=0.1", 7, "${param.how}", "${HOME}"],
        "env": {"HOW": "7/5"}
    }"#;
    assert_eq!(filled, value(expected));
}

#[test]
fn a_command_line_gives_every_value_as_a_text() {
    let filled = train().fill(&value(r#"{"lr": "1e-1", "epochs": "5", "fast": "true"}"#)).unwrap();
    let expected = r#"{
        "image": "train:latest", "cpu_cores": 5, "hold": true,
        "args": ["--lr=0.1", "adam", "${param.how}", "${HOME}"],
        "env": {"HOW": "adam/5"}
    }"#;
    assert_eq!(filled, value(expected));
}

#[test]
fn every_wrong_parameter_is_named_at_once() {
    let rows = [
        (r#"{"lr": 2}"#, "params.lr", "must be a number from 0 to 1"),
        (r#"{"lr": "fast"}"#, "params.lr", "must be a number from 0 to 1"),
        (r#"{"lr": "nan"}"#, "params.lr", "must be a number from 0 to 1"),
        (r#"{"lr": [0.1]}"#, "params.lr", "must be a number from 0 to 1"),
        (r#"{"lr": null}"#, "params.lr", "is missing: it must be a number from 0 to 1"),
        ("null", "params.lr", "is missing: it must be a number from 0 to 1"),
        (r#"{"lr": 0, "epochs": 0}"#, "params.epochs", "must be a whole number of at least 1"),
        (r#"{"lr": 0, "epochs": 1.5}"#, "params.epochs", "must be a whole number of at least 1"),
        (r#"{"lr": 0, "tag": 7}"#, "params.tag", "must be a text"),
        (r#"{"lr": 0, "fast": "yes"}"#, "params.fast", "must be true or false"),
        (r#"{"lr": 0, "how": "rms"}"#, "params.how", "must be one of sgd, adam, 7"),
        (r#"{"lr": 0, "epoch": 1}"#, "params.epoch", "is no parameter of the template: did you mean epochs?"),
        (r#"{"lr": 0, "lr": 1}"#, "params.lr", "is given twice"),
        ("[]", "params", "must be a map of parameters to values, as {\"lr\": 0.1}"),
    ];
    for (given, path, problem) in rows {
        let wrong = train().fill(&value(given)).unwrap_err();
        assert_eq!(told(&wrong), [(path, problem)], "{given}");
    }
    let wrong = train().fill(&value(r#"{"tag": 1, "x": 2}"#)).unwrap_err();
    let paths: Vec<_> = wrong.0.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["params.tag", "params.x", "params.lr"]);
    let wrong = train().fill(&value(r#"{"lr": 2}"#)).unwrap_err();
    assert_eq!(wrong.to_string(), "params.lr: 2 must be a number from 0 to 1");
}

/// What is wrong with a template of these parameters and this task.
fn refused(params: &str, task: &str) -> Vec<(String, String)> {
    let text = format!(r#"{{"params": {params}, "task": {task}}}"#);
    let wrong = Template::from_value(&value(&text)).unwrap_err();
    wrong.0.into_iter().map(|error| (error.path, error.problem)).collect()
}

#[test]
fn what_is_wrong_with_a_parameter_is_told_by_its_path() {
    let rows = [
        (r#"{"a": 7}"#, "params.a", "must be a map with its type"),
        (r#"{"a": {}}"#, "params.a.type", "is missing: it is one of number, integer, text, bool, choice"),
        (r#"{"a": {"type": "string"}}"#, "params.a.type", "\"string\" is no type: there are number"),
        (r#"{"a": {"type": 1}}"#, "params.a.type", "must be one of number"),
        (r#"{"a": {"type": "text", "min": 1}}"#, "params.a.min", "is for numbers, and this is of the type text"),
        (r#"{"a": {"type": "bool", "choices": [1]}}"#, "params.a.choices", "is for the type choice"),
        (r#"{"a": {"type": "choice"}}"#, "params.a.choices", "must be a list of 1 to 100 values"),
        (r#"{"a": {"type": "choice", "choices": [1, "1"]}}"#, "params.a.choices[1]", "is there twice"),
        (r#"{"a": {"type": "choice", "choices": [[]]}}"#, "params.a.choices[0]", "must be a text, a number"),
        (r#"{"a": {"type": "integer", "min": 1.5}}"#, "params.a.min", "must be a number of the parameter's type"),
        (r#"{"a": {"type": "number", "min": 2, "max": 1}}"#, "params.a.max", "is less than min"),
        (r#"{"a": {"type": "number", "default": "x"}}"#, "params.a.default", "must be a number"),
        (r#"{"a": {"type": "number", "defualt": 1}}"#, "params.a.defualt", "did you mean default?"),
        (r#"{"a": {"type": "text", "description": 1}}"#, "params.a.description", "must be a text of 2000 bytes"),
        (r#"{"a": {"type": "text"}, "a": {"type": "text"}}"#, "params.a", "is given twice"),
        ("[]", "params", "must be a map of parameters"),
    ];
    for (params, path, problem) in rows {
        let wrong = refused(params, r#"{"image": "${param.a}"}"#);
        let found = wrong.iter().any(|(at, why)| at == path && why.contains(problem));
        // Nothing is said of the place of a parameter that is wrong itself.
        assert!(found && (params == "[]" || wrong.len() == 1), "{params}: {wrong:?}");
    }
    let wrong = refused(r#"{"a.b": {"type": "text"}}"#, r#"{"image": "${param.a.b}"}"#);
    let expected = ("params.a.b".to_owned(), "is no name of a parameter: 1 to 63 of a-z A-Z 0-9 _ -".to_owned());
    assert_eq!(wrong, [expected]);
}

#[test]
fn every_place_is_of_a_parameter_and_every_parameter_has_a_place() {
    let one = r#"{"lr": {"type": "text"}}"#;
    let rows = [
        (one, r#"{"image": "${param.lr}", "args": ["x", "${param.lt}"]}"#, "task.args[1]", "did you mean lr?"),
        (one, r#"{"image": "${param.lr}", "name": "${param.lr"}"#, "task.name", "has a ${param. without its }"),
        (one, r#"{"image": "${param.lr}", "env": {"${param.lr}": "1"}}"#, "task.env.${param.lr}", "in its name"),
        (one, r#"{"image": "a"}"#, "params.lr", "has no place in the task: write ${param.lr} there"),
        ("{}", r#"{"image": "${param.lr}"}"#, "task.image", "is no parameter of the template: it has none"),
    ];
    for (params, task, path, problem) in rows {
        let wrong = refused(params, task);
        assert!(wrong.len() == 1 && wrong[0].0 == path && wrong[0].1.contains(problem), "{task}: {wrong:?}");
    }
}

#[test]
fn a_template_makes_a_task_or_a_job_and_says_which() {
    let rows = [
        ("[]", "template", "is a list: expected a map"),
        ("{}", "task", "is missing: a template has a task, or a job"),
        (r#"{"task": {"image": "a"}, "job": {}}"#, "job", "can not be beside task"),
        (r#"{"task": "a"}"#, "task", "must be a map of fields"),
        (r#"{"task": {"image": "a"}, "tsk": 1}"#, "tsk", "is no field of a template: did you mean task?"),
        (r#"{"task": {"image": "a"}, "name": "a b"}"#, "name", "is no template's name"),
        (r#"{"task": {"image": "a"}, "task": {"image": "b"}}"#, "task", "is given twice"),
    ];
    for (text, path, problem) in rows {
        let wrong = Template::from_value(&value(text)).unwrap_err();
        let told = told(&wrong);
        assert!(told.len() == 1 && told[0].0 == path && told[0].1.contains(problem), "{text}: {told:?}");
    }
    assert_eq!((train().makes.word(), train().name.unwrap().as_str()), ("task", "train"));
}

#[test]
fn with_all_defaults_what_is_made_is_checked_as_well() {
    let text = |image: &str, default: &str| {
        let params = format!(r#"{{"cpus": {{"type": "number"{default}}}}}"#);
        value(&format!(r#"{{"params": {params}, "task": {{"image": "{image}", "cpu_cores": "${{param.cpus}}"}}}}"#))
    };
    let wrong = Template::from_value(&text("A B", ", \"default\": 0")).unwrap_err();
    let paths: Vec<_> = wrong.0.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["task.image", "task.cpu_cores"]);
    // What is not known yet is checked when it is run.
    assert!(Template::from_value(&text("A B", "")).is_ok());
    let job = value(r#"{"job": {"tasks": [{"name": "a"}]}}"#);
    let wrong = Template::from_value(&job).unwrap_err();
    assert!(wrong.0.iter().all(|error| error.path.starts_with("job.tasks[0]")), "{wrong}");
}

#[test]
fn labels_and_fields_are_written_over_those_of_the_document() {
    let labels = [(OF_TEMPLATE, "train".to_owned())];
    let rows = [
        (r#"{"image":"a"}"#, r#"{"image":"a","labels":{"cloudai.template":"train"}}"#),
        (r#"{"labels":null}"#, r#"{"labels":{"cloudai.template":"train"}}"#),
        (
            r#"{"labels":{"a":"1","cloudai.template":"x"},"image":"a"}"#,
            r#"{"image":"a","labels":{"a":"1","cloudai.template":"train"}}"#,
        ),
        (r#"{"labels":7}"#, r#"{"labels":7}"#),
        ("7", "7"),
    ];
    for (document, expected) in rows {
        assert_eq!(with_labels(value(document), &labels), value(expected), "{document}");
    }
    let keyed = with_field(value(r#"{"idempotency_key":"a","image":"b"}"#), "idempotency_key", Value::Text("k".into()));
    assert_eq!(keyed, value(r#"{"image":"b","idempotency_key":"k"}"#));
    assert_eq!(with_field(value("[]"), "a", Value::Null), value("[]"));
}

/// Any value, as deep as documents are, with places of `a` and `b` in its texts.
fn anything() -> impl Strategy<Value = Value> {
    let text = proptest::collection::vec(
        prop_oneof![
            Just("${param.a}"),
            Just("${param.b}"),
            Just("${index}"),
            Just("x"),
            Just("$"),
            Just("}"),
            Just("é")
        ],
        0..6,
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        text.prop_map(|parts| Value::Text(parts.concat())),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            proptest::collection::vec(("[a-z]{1,4}", inner), 0..5).prop_map(Value::Map),
        ]
    })
}

/// How often a mark stands in the texts of a value.
fn count(value: &Value, mark: &str) -> usize {
    match value {
        Value::Text(text) => text.matches(mark).count(),
        Value::List(items) => items.iter().map(|item| count(item, mark)).sum(),
        Value::Map(entries) => entries.iter().map(|(_, value)| count(value, mark)).sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    }
}

proptest! {
    #[test]
    fn no_place_is_left_in_a_filled_document_but_those_that_are_meant_as_text(
        document in anything(), number in any::<i64>(), text in "[ -#%-z]{0,8}"
    ) {
        let values = BTreeMap::from([("a", Value::Int(number)), ("b", Value::Text(text))]);
        let filled = fill::filled(&document, &values);
        prop_assert_eq!(count(&filled, "${param."), count(&document, "$${param."), "{:?} -> {:?}", document, filled);
    }

    #[test]
    fn nothing_that_is_given_makes_reading_or_filling_panic(document in anything(), params in anything()) {
        let _ = Template::from_value(&document);
        let fields = vec![("params".to_owned(), params.clone()), ("task".to_owned(), document)];
        let _ = Template::from_value(&Value::Map(fields));
        let _ = train().fill(&params);
    }
}
