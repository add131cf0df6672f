//! Graphs of plans.

use super::*;
use crate::ids::TaskId;
use crate::job::{Elements, Indexes};
use crate::spec::TaskSpec;
use crate::task::DependsWhen;
use proptest::prelude::*;
use std::sync::Arc;

fn group(name: &str, needs: &[(u32, DependsWhen)], estimate: Option<u64>) -> Group {
    let spec = TaskSpec { estimate: estimate.map(Duration::from_secs), ..TaskSpec::of_image("a").unwrap() };
    let need = |(number, when): &(u32, DependsWhen)| Need { on: On::Group(*number), when: *when };
    Group { name: name.into(), spec: Arc::new(spec), elements: None, needs: needs.iter().map(need).collect() }
}

/// `prep`, then `fit` 20 times, then `report`, which also wants to know that `prep` ended.
fn train() -> JobPlan {
    use DependsWhen::{Any, Success};
    let mut fit = group("fit", &[(0, Success)], Some(600));
    fit.elements = Some(Elements { indexes: Indexes::up_to(20), at_once: None, gang: false, each: Vec::new() });
    let mut report = group("report", &[(1, Success), (0, Any)], None);
    report.needs.push(Need { on: On::Task(TaskId::new(7)), when: Success });
    JobPlan { name: Some("a \"b\" <c>".into()), max_fails: None, groups: vec![group("prep", &[], None), fit, report] }
}

fn word(number: u32) -> &'static str {
    ["completed", "running", "queued"][number as usize]
}

#[test]
fn a_text_tells_what_runs_when_and_what_it_needs() {
    let expected = format!(
        "level 1\n  prep\nlevel 2\n  fit x20  needs prep\nlevel 3\n  report   needs fit, prep(any), {}\n",
        TaskId::new(7)
    );
    assert_eq!(text(&train(), None), expected);
    let told = text(&train(), Some(&word));
    assert!(told.contains("  prep     completed\n") && told.contains("  fit x20  running    needs prep\n"), "{told}");
    let mut many = train();
    many.groups.extend((3..20).map(|number| group(&format!("g{number}"), &[], None)));
    many.groups.push(group("all", &(0_u32..20).map(|number| (number, DependsWhen::Success)).collect::<Vec<_>>(), None));
    assert!(text(&many, None).contains("needs prep, fit, report, g3, g4, g5, g6, g7 and 12 more\n"));
}

#[test]
fn graphviz_is_given_names_it_can_read() {
    let outside = TaskId::new(7);
    let expected = format!(
        "digraph job {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n  label=\"a \\\"b\\\" <c>\";\n  \
         \"prep\" [label=\"prep\\ncompleted\"];\n  \"fit\" [label=\"fit x20\\nrunning\"];\n  \
         \"report\" [label=\"report\\nqueued\"];\n  \"{outside}\" [style=dashed];\n  \"prep\" -> \"fit\";\n  \
         \"fit\" -> \"report\";\n  \"prep\" -> \"report\" [style=dashed, label=any];\n  \
         \"{outside}\" -> \"report\";\n}}\n"
    );
    assert_eq!(dot(&train(), Some(&word)), expected);
}

#[test]
fn a_drawing_has_every_task_and_need_and_no_text_that_is_markup() {
    let drawn = svg(&train(), Some(&word)).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert!(drawn.contains("a &quot;b&quot; &lt;c&gt;: 3 tasks"), "{drawn}");
    assert_eq!((drawn.matches("class=\"g-box\"").count(), drawn.matches("marker-end").count()), (3, 3), "{drawn}");
    assert!(drawn.contains("<g class=\"g-running\"><title>fit x20, running, needs prep</title>"), "{drawn}");
    assert_eq!(drawn.matches("g-line g-other").count(), 1, "{drawn}");
    assert!(!svg(&train(), None).unwrap().contains("g-word\""));
    let empty = JobPlan { name: None, max_fails: None, groups: Vec::new() };
    assert!(svg(&empty, None).is_ok() && text(&empty, None).is_empty());
}

#[test]
fn what_is_too_large_is_not_drawn() {
    let groups = (0..=MOST_DRAWN).map(|number| group(&format!("g{number}"), &[], None)).collect();
    let error = svg(&JobPlan { name: None, max_fails: None, groups }, None).unwrap_err();
    assert_eq!((error.groups, error.needs), (MOST_DRAWN + 1, 0));
    assert!(error.to_string().contains("2001 tasks with 0 needs are too many"), "{error}");
}

#[test]
fn the_tail_of_a_task_is_what_comes_behind_it() {
    assert_eq!(levels(&train()), [0, 1, 2]);
    assert_eq!(tails(&train()), [660, 60, 0].map(Duration::from_secs));
}

/// What [`tails`] says, by its definition.
fn tail(plan: &JobPlan, number: u32) -> Duration {
    let behind = (0_u32..).zip(&plan.groups).filter(|(_, group)| group.needs.iter().any(|n| n.group() == Some(number)));
    let long = |(number, group): (u32, &Group)| group.spec.estimate.unwrap_or(UNSAID) + tail(plan, number);
    behind.map(long).max().unwrap_or_default()
}

proptest! {
    #[test]
    fn levels_respect_needs_and_tails_are_the_longest_ways(
        edges in prop::collection::btree_set((0_u32..10, 0_u32..10), 0..25),
        estimates in prop::collection::vec(prop::option::of(1_u64..500), 10),
        shuffled in Just((0_u32..10).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        // An edge goes from a smaller place to a larger one: no circle.
        let place = |number: u32| shuffled[number as usize];
        let needs_of = |number: u32| -> Vec<_> {
            let of = edges.iter().filter(|(from, to)| *to == number && place(*from) < place(*to));
            of.map(|(from, _)| (*from, DependsWhen::Success)).collect()
        };
        let made = (0_u32..).zip(&estimates).map(|(number, estimate)| {
            group(&format!("g{number}"), &needs_of(number), *estimate)
        });
        let plan = JobPlan { name: None, max_fails: None, groups: made.collect() };
        let (levels, tails) = (levels(&plan), tails(&plan));
        for (number, group) in (0_u32..).zip(&plan.groups) {
            let before = group.needs.iter().filter_map(Need::group).map(|need| levels[need as usize] + 1).max();
            prop_assert_eq!(levels[number as usize], before.unwrap_or(0));
            prop_assert_eq!(tails[number as usize], tail(&plan, number));
        }
        let drawn = svg(&plan, None).unwrap();
        let needs: usize = plan.groups.iter().map(|group| group.needs.len()).sum();
        prop_assert_eq!(drawn.matches("marker-end").count(), needs);
        prop_assert_eq!(text(&plan, None).lines().filter(|line| line.starts_with("  g")).count(), 10);
    }
}
