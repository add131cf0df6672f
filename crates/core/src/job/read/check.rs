//! Whether what the elements of a task run is right: the values in their places, and what the texts become by them.

use super::wrong::Wrong;
use crate::job::Group;
use crate::job::item::{self, Item};
use crate::spec::{ContainerSpec, MAX_ITEMS, MAX_SPEC_BYTES, TaskSpec, wrong_when_filled};
use std::collections::{BTreeMap, BTreeSet};

/// The longest index, in digits.
const DIGITS: usize = 10;

/// Notes what is wrong with any element. Of those that are alike one is looked at as a whole.
pub(super) fn values(group: &Group, at: &str, wrong: &mut Wrong) {
    let has_places = item::has_places(&group.spec);
    let each = group.elements.as_ref().map_or(&[] as &[Item], |elements| elements.each.as_slice());
    if !has_places && each.is_empty() && !group.is_gang() {
        return;
    }
    let mut right = true;
    for ordinal in kinds(each) {
        right &= one(group, ordinal, at, wrong);
    }
    // What is wrong with one is wrong with those that are like it.
    if right {
        sizes(group, each, at, wrong);
        paths(group, each, at, wrong);
    }
}

/// The first item of each set of names; of a task without items its only one, or its first element.
fn kinds(each: &[Item]) -> Vec<u32> {
    let mut seen: BTreeSet<Vec<&str>> = BTreeSet::new();
    let mut last: Option<&Item> = None;
    let mut kinds = Vec::new();
    for (ordinal, item) in (0_u32..).zip(each) {
        if last.is_none_or(|last| !last.is_like(item)) && seen.insert(item.names()) {
            kinds.push(ordinal);
        }
        last = Some(item);
    }
    if each.is_empty() { vec![0] } else { kinds }
}

/// Whether nothing is wrong with one element.
fn one(group: &Group, ordinal: u32, at: &str, wrong: &mut Wrong) -> bool {
    let found: Vec<(String, String)> = match group.spec_of(ordinal) {
        Ok(spec) if spec.container.env.len() > MAX_ITEMS => {
            vec![("env".into(), format!("has more than {MAX_ITEMS} entries with those of its element"))]
        }
        Ok(spec) => wrong_when_filled(&spec).into_iter().collect(),
        Err(_) => {
            let item = group.elements.as_ref().and_then(|elements| elements.each.get(ordinal as usize));
            item::wrong_places(&group.spec, group.index(ordinal), item)
        }
    };
    let right = found.is_empty();
    for (field, problem) in found {
        // The first is an example of all; what differs from it is told by its item.
        let place = if ordinal == 0 { at.to_owned() } else { format!("{at}.each[{ordinal}]") };
        wrong.add(format!("{place}.{field}"), None, problem);
    }
    right
}

/// Whether a spec becomes too long by its values; only one that might is made.
fn sizes(group: &Group, each: &[Item], at: &str, wrong: &mut Wrong) {
    let (bytes, places) = (group.spec.bytes(), item::places(&group.spec));
    // Its variables are less than four times as long as the item.
    let most = |item: &Item| bytes + places * item.longest().max(DIGITS) + 4 * item.weight() + 20;
    if each.is_empty() && bytes + places * DIGITS <= MAX_SPEC_BYTES {
        return;
    }
    let long = (0_u32..).zip(each).filter(|(_, item)| most(item) > MAX_SPEC_BYTES).map(|(ordinal, _)| ordinal);
    let last = each.is_empty().then(|| group.count() - 1);
    for ordinal in long.chain(last) {
        let bytes = group.spec_of(ordinal).map_or(0, |spec| spec.bytes());
        if bytes > MAX_SPEC_BYTES {
            let problem = format!("has {bytes} bytes of text with its values: at most {MAX_SPEC_BYTES} are allowed");
            let place = if each.is_empty() { at.to_owned() } else { format!("{at}.each[{ordinal}]") };
            wrong.add(place, None, problem);
        }
        if wrong.is_full() {
            return;
        }
    }
}

/// Whether values make paths and patterns of what is none, for each item: they are few texts in few tasks.
fn paths(group: &Group, each: &[Item], at: &str, wrong: &mut Wrong) {
    let container = &group.spec.container;
    let mut texts = container.outputs.iter().flatten().chain(&container.workdir);
    if each.is_empty() || !texts.any(|text| text.contains("${item")) {
        return;
    }
    let (workdir, outputs) = (container.workdir.clone(), container.outputs.clone());
    let bare = ContainerSpec { workdir, outputs, ..ContainerSpec::default() };
    let bare = TaskSpec { container: bare, labels: BTreeMap::new(), ..TaskSpec::clone(&group.spec) };
    for (ordinal, item) in (0_u32..).zip(each) {
        let filled = item::of_element(&bare, group.index(ordinal), Some(item)).ok();
        if let Some((field, problem)) = filled.and_then(|filled| wrong_when_filled(&filled)) {
            wrong.add(format!("{at}.each[{ordinal}].{field}"), None, problem);
        }
        if wrong.is_full() {
            return;
        }
    }
}
