//! A plan for Graphviz, which draws what is too large to be drawn here.

use super::{Words, label, needed};
use crate::job::{JobPlan, On};
use crate::task::DependsWhen;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The plan in the language of Graphviz: `dot -Tsvg` draws it.
#[must_use]
pub fn dot(plan: &JobPlan, words: Words<'_>) -> String {
    let mut text = String::from("digraph job {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
    if let Some(name) = &plan.name {
        let _ = writeln!(text, "  label={};", quoted(name));
    }
    let mut outside = BTreeSet::new();
    for (number, group) in (0_u32..).zip(&plan.groups) {
        let word = words.map_or_else(String::new, |words| format!("\n{}", words(number)));
        let shown = quoted(&format!("{}{word}", label(group)));
        let _ = writeln!(text, "  {} [label={shown}];", quoted(&group.name));
        outside.extend(group.needs.iter().filter(|need| need.group().is_none()).map(|need| need.on));
    }
    for on in outside {
        if let On::Task(task) = on {
            let _ = writeln!(text, "  {} [style=dashed];", quoted(&task.to_string()));
        }
    }
    for group in &plan.groups {
        for need in &group.needs {
            let form = match need.when {
                DependsWhen::Success => String::new(),
                DependsWhen::Failure | DependsWhen::Any => format!(" [style=dashed, label={}]", need.when.word()),
            };
            let from = needed(plan, need.on);
            let _ = writeln!(text, "  {} -> {}{form};", quoted(&from), quoted(&group.name));
        }
    }
    text.push_str("}\n");
    text
}

/// A text in quotes, its ends of lines as Graphviz writes them.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
