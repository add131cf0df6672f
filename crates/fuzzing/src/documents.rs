//! Documents that users write: tasks, jobs, templates, schedules, and the forms that all of them come in.

use crate::check::{is_exact, is_kept, names_fields, text};
use crate::forms;
use cloudai_core::job::{JobFile, MAX_GANG, MAX_GROUPS, MAX_TASKS, TaskFile};
use cloudai_core::resources::MIB;
use cloudai_core::spec::{MAX_DURATION, MAX_SPEC_BYTES, TaskSpec, Value};
use cloudai_core::template::{Template, files_of};
use cloudai_core::time::Timestamp;
use cloudai_master::fuzzing as master;
use std::time::Duration;

/// Since when a schedule that is accepted must come: what its reader asks as well.
const SOME_TIME: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// No parameter can be called so.
const NO_NAME: &str = "no name";

/// The document of a text in any form; none where it is of no form.
#[must_use]
pub fn document(data: &[u8]) -> Option<Value> {
    forms::document("", text(data)?).ok()
}

/// A task document. One that is accepted is within its limits, its spec is written as a document that means the same,
/// also as JSON, and is stored as it is; one that is refused has its wrong fields named.
/// # Panics
/// One of that does not hold.
pub fn task(data: &[u8]) {
    let Some(document) = document(data) else { return };
    match TaskSpec::from_value(&document) {
        Ok(spec) => means_the_same(&spec),
        Err(error) => names_fields(&error, &document),
    }
    match TaskFile::from_value(&document) {
        Ok(TaskFile::Task(spec)) => means_the_same(&spec),
        Ok(TaskFile::Job(file)) => is_sound(&file),
        Err(error) => names_fields(&error, &document),
    }
}

fn means_the_same(spec: &TaskSpec) {
    assert!(!spec.image.is_empty() && spec.weight() <= MAX_SPEC_BYTES, "{spec:?}");
    assert!((-100..=100).contains(&spec.priority) && spec.limits.kill_after <= Duration::from_secs(60), "{spec:?}");
    let limits = [spec.limits.run, spec.limits.queue, spec.limits.total, spec.estimate];
    assert!(limits.into_iter().flatten().all(|limit| limit > Duration::ZERO && limit <= MAX_DURATION), "{spec:?}");
    for demand in spec.demands() {
        assert!((1..=4_096_000).contains(&demand.cpu_milli) && demand.memory >= 6 * MIB, "{demand:?}");
        assert!(demand.gpu_milli <= 1000 || demand.gpu_milli.is_multiple_of(1000), "{demand:?}");
    }
    let written = spec.to_value();
    assert_eq!(TaskSpec::from_value(&written).as_ref(), Ok(spec), "written as {written:?}");
    let sent = serde_json::to_string(&written).expect("a document is written");
    let got: Value = serde_json::from_str(&sent).expect("what was written is read");
    assert_eq!(TaskSpec::from_value(&got).as_ref(), Ok(spec), "sent as {sent}");
    is_kept(spec);
    let told = TaskSpec::from_value(&spec.for_worker()).expect("a worker reads what it is told");
    assert_eq!((&told.container, &told.demand, &told.labels), (&spec.container, &spec.demand, &spec.labels));
}

/// A job file, in any of its forms. One that is accepted is within its limits, each of its tasks can be made, what a
/// task needs is another one that there is, and its plan is stored as it is; one that is refused has its wrong fields
/// named.
/// # Panics
/// One of that does not hold.
pub fn job(data: &[u8]) {
    let Some(document) = document(data) else { return };
    match JobFile::from_value(&document) {
        Ok(file) => is_sound(&file),
        Err(error) => names_fields(&error, &document),
    }
}

fn is_sound(file: &JobFile) {
    let plan = &file.plan;
    assert!((1..=MAX_GROUPS).contains(&plan.groups.len()) && plan.tasks() <= MAX_TASKS);
    for (number, group) in plan.groups.iter().enumerate() {
        let count = group.count();
        assert!(count >= 1 && (!group.is_gang() || count <= MAX_GANG), "{} has {count}", group.name);
        for ordinal in [0, count / 2, count - 1] {
            let spec = group.spec_of(ordinal);
            assert!(spec.is_ok(), "element {ordinal} of {}: {spec:?}", group.name);
        }
        for other in group.needs.iter().filter_map(|need| need.group()) {
            let there = usize::try_from(other).is_ok_and(|other| other < plan.groups.len() && other != number);
            assert!(there, "{} needs {other}", group.name);
        }
    }
    is_kept(plan);
}

/// A template. One that is accepted is filled without values exactly where every parameter has a default, the defaults
/// given as values fill it alike, and a parameter that it has not is refused by its name.
/// # Panics
/// One of that does not hold.
pub fn template(data: &[u8]) {
    let Some(document) = document(data) else { return };
    let template = match Template::from_value(&document) {
        Ok(template) => template,
        Err(error) => return names_fields(&error, &document),
    };
    let filled = template.fill(&Value::Null);
    assert_eq!(filled.is_ok(), template.params.iter().all(|param| param.default.is_some()), "{filled:?}");
    let defaults = template.params.iter().filter_map(|param| Some((param.name.clone(), param.default.clone()?)));
    let same = template.fill(&Value::Map(defaults.collect()));
    // As text: what is no number is like nothing, itself included.
    assert_eq!(format!("{same:?}"), format!("{filled:?}"));
    if let Ok(filled) = filled {
        drop(template.makes.check_within(&filled));
        drop(files_of(template.makes, &filled));
    }
    let strange = Value::Map(vec![(NO_NAME.to_owned(), Value::Int(1))]);
    let error = template.fill(&strange).expect_err("it has no such parameter");
    let path = format!("params.{NO_NAME}");
    assert!(error.0.iter().any(|field| field.path == path), "{error}");
}

/// A schedule. One that is accepted comes again and is stored as it is; one that is refused has its wrong fields named.
/// # Panics
/// One of that does not hold.
pub fn schedule(data: &[u8]) {
    let Some(document) = document(data) else { return };
    let schedule = match master::schedule(&document) {
        Ok(schedule) => schedule,
        Err(error) => return names_fields(&error, &document),
    };
    let next = master::next(&schedule.cron, &schedule.time_zone, SOME_TIME, 3);
    assert!(next.as_ref().is_ok_and(|next| !next.is_empty()), "{schedule:?}: {next:?}");
    let again = master::kept_again(&schedule.kept).expect("what is stored is read");
    if is_exact(&document) {
        assert_eq!(again, schedule.kept);
    }
}

/// A text in each form that files have. What is read is the same document once it was written as JSON, and a text that
/// looks like JSON is read as JSON where nothing tells its form.
/// # Panics
/// One of that does not hold.
pub fn form(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for ending in ["json", "toml", "yaml", "yml", ""] {
        let Ok(document) = forms::document(ending, text) else { continue };
        let written = serde_json::to_string(&document).expect("a document is written");
        if is_exact(&document) {
            assert_eq!(forms::document("json", &written).as_ref(), Ok(&document), "{ending}: {written}");
        }
    }
    if text.trim_start().starts_with('{') {
        // As text: what is no number is like nothing, itself included.
        assert_eq!(format!("{:?}", forms::document("", text)), format!("{:?}", forms::document("json", text)));
    }
}
