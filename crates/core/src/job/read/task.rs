//! One task of a job: what it runs, its elements, what it waits for and finds.

use super::layers::{Fields, Layers};
use super::names::Names;
use super::wrong::Wrong;
use super::{FIELDS, OF_TASKS, OF_THE_JOB, check, elements, needs, shown};
use crate::job::{Group, Need, On};
use crate::spec::{LIVE, Source, TaskSpec, Value, nearest, refusal};
use crate::task::DependsWhen;
use crate::text::distance;
use std::sync::Arc;

/// What people write who know other systems, and what it is here.
const OTHER_WORDS: [(&str, &str); 16] = [
    ("id", "name"),
    ("title", "name"),
    ("after", "needs"),
    ("deps", "needs"),
    ("dependencies", "needs"),
    ("requires", "needs"),
    ("depends", "depends_on"),
    ("items", "each"),
    ("foreach", "each"),
    ("for_each", "each"),
    ("matrix", "each"),
    ("sweep", "each"),
    ("replicas", "array"),
    ("max_parallel", "at_once"),
    ("parallelism", "at_once"),
    ("concurrency", "at_once"),
];

/// Reads tasks one by one.
pub(super) struct Read<'a> {
    pub(super) layers: &'a Layers<'a>,
    pub(super) names: &'a Names<'a>,
    /// Elements of which a task finds something; they are looked for when all tasks are known.
    pub(super) found: Vec<Found>,
}

/// An element that is named as an input.
pub(super) struct Found {
    path: String,
    /// As it was written.
    source: String,
    /// The group.
    of: u32,
    index: u32,
}

/// The fields of a task, those of the job's among them apart; in the latter none is `null`.
struct Own<'a> {
    in_job: Fields<'a>,
    of_spec: Fields<'a>,
}

impl Read<'_> {
    /// Reads a task, none where no spec comes of it; answers also which others of its job it needs.
    pub(super) fn task(&mut self, number: u32, item: &Value, wrong: &mut Wrong) -> (Option<Group>, Vec<u32>) {
        let at = self.names.place(number);
        let Value::Map(entries) = item else {
            wrong.add(
                at,
                Some(item.to_string()),
                "must be a map of fields, as {\"name\": \"a\", \"image\": \"busybox\"}",
            );
            return (None, Vec::new());
        };
        let name = self.names.name(number);
        let own = Own::of(entries, (&at, !name.is_empty()), wrong);
        let elements = elements::read(&own.in_job, &at, wrong);
        let mut needs = needs::read(number, (&own.in_job, &at), self.names, wrong);
        let spec = self.layers.spec(&own.of_spec, &at, wrong);
        if let Some(spec) = &spec {
            self.inputs(number, spec, (&own.of_spec, &at), &mut needs, wrong);
        }
        let needed = needs.iter().filter_map(Need::group).collect();
        let (Some(spec), Ok(elements)) = (spec, elements) else { return (None, needed) };
        let group = Group { name: name.into(), spec: Arc::new(spec), elements, needs };
        if group.is_gang() && !group.spec.alternatives.is_empty() {
            // How many have room together would be another question for each mixture of them.
            let path = self.layers.place("requests", &own.of_spec, &at);
            wrong.add(path, None, "of a gang may be one only: say what all of them ask for in the fields of the task");
        }
        let crossing = group.spec.anti_affinity.iter().filter(|label| *label != "worker.id").count() > 1;
        if group.is_gang() && crossing {
            // Who goes where so that all have room would have to be searched for.
            let path = self.layers.place("anti_affinity", &own.of_spec, &at);
            wrong.add(path, None, "of a gang may name one label beside worker.id");
        }
        check::values(&group, &at, wrong);
        (Some(group), needed)
    }

    /// Looks for the tasks of the job of which this one finds something: it waits for them.
    fn inputs(
        &mut self,
        number: u32,
        spec: &TaskSpec,
        (own, at): (&Fields<'_>, &str),
        needs: &mut Vec<Need>,
        wrong: &mut Wrong,
    ) {
        for (place, input) in spec.container.inputs.iter().enumerate() {
            let Source::Named { name, index, .. } = &input.from else { continue };
            let path = self.layers.place(&format!("inputs[{place}].from"), own, at);
            let source = format!("{:?}", input.from.to_string());
            let Some(of) = self.names.number(name) else {
                wrong.add(path, Some(source), format!("names {name}, which {}", self.names.unknown(name)));
                continue;
            };
            if of == number {
                wrong.add(path, Some(source), format!("is what {at} itself will leave"));
                continue;
            }
            let on = On::Group(of);
            if !needs.iter().any(|need| need.on == on) {
                needs.push(Need { on, when: DependsWhen::Success });
            }
            if let Some(index) = *index {
                self.found.push(Found { path, source, of, index });
            }
        }
    }

    /// Whether each element is there of which a task finds something.
    pub(super) fn check_elements(&self, groups: &[Group], wrong: &mut Wrong) {
        for Found { path, source, of, index } in &self.found {
            let Some(group) = groups.get(*of as usize) else { continue };
            let problem = match &group.elements {
                None => format!("names an element of {}, which has neither array nor each", group.name),
                Some(elements) if elements.indexes.ordinal_of(*index).is_none() => {
                    format!("names an element that {} has not: its indexes are {}", group.name, elements.indexes)
                }
                Some(_) => continue,
            };
            wrong.add(path.as_str(), Some(source.clone()), problem);
        }
    }
}

impl<'a> Own<'a> {
    /// Sorts the fields of a task; a name that was refused already is left out of its spec.
    fn of(entries: &'a [(String, Value)], (at, named): (&str, bool), wrong: &mut Wrong) -> Self {
        let mut own = Self { in_job: Fields::new(), of_spec: Fields::new() };
        for (name, value) in entries {
            let name = name.as_str();
            let path = || format!("{at}.{}", shown(name));
            let is_in_job = OF_TASKS.contains(&name);
            if OF_THE_JOB.contains(&name) {
                wrong.add(path(), None, "belongs to the job as a whole: write it where the job's name stands");
                continue;
            }
            if !is_in_job && !LIVE.contains(&name) {
                wrong.add(path(), None, unknown(name));
                continue;
            }
            if *value == Value::Null && is_in_job {
                continue;
            }
            let fields = if is_in_job { &mut own.in_job } else { &mut own.of_spec };
            if fields.insert(name, value).is_some() {
                wrong.add(path(), None, "is given twice");
            }
        }
        if named && let Some(value) = own.in_job.get("name").copied() {
            own.of_spec.insert("name", value);
        }
        own
    }
}

/// What is wrong with a field that no task of a job has.
fn unknown(name: &str) -> String {
    if FIELDS.contains(&name) {
        return "belongs to the job: write it beside the list of tasks".into();
    }
    let plain = name.to_ascii_lowercase().replace('-', "_");
    if let Some((_, meant)) = OTHER_WORDS.iter().find(|(word, _)| *word == plain) {
        return format!("is no field of a task: did you mean {meant}?");
    }
    let near = OF_TASKS.iter().map(|field| (distance(&plain, field), *field)).min();
    match (near, nearest(name)) {
        (Some((0 | 1, meant)), _) | (Some((2, meant)), None) => format!("is no field of a task: did you mean {meant}?"),
        _ => refusal(name),
    }
}
