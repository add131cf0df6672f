//! Reports are complete, stay small, and say what they leave out.

use crate::judged::{data, fixture};
use cloudai_core::strategy::Knobs;
use cloudai_sim::replay::{Actual, Assignment, Comparison, Outcome, Replay, Runtimes, Task, Workload, csv, judge};
use std::path::Path;

fn outcome(name: &str, workload: &Workload, assignments: Vec<Assignment>) -> Outcome {
    let metrics = judge(workload, &assignments);
    assert_eq!(metrics.errors, Vec::<String>::new(), "{name}");
    Outcome { strategy: name.into(), replay: None, assignments, metrics }
}

/// The first worker that is large enough runs one task after the other.
fn one_by_one(workload: &Workload) -> Vec<Assignment> {
    let mut now = 0.0_f64;
    let mut order: Vec<usize> = (0..workload.tasks.len()).collect();
    order.sort_by(|a, b| workload.tasks[*a].arrival_s.total_cmp(&workload.tasks[*b].arrival_s));
    let one = |at: usize| {
        let task = &workload.tasks[at];
        let fits = |worker: &usize| (0..4).all(|r| workload.workers[*worker].capacity[r] >= task.demand[r]);
        let worker = (0..workload.workers.len()).find(fits).unwrap();
        let start_s = now.max(task.arrival_s);
        now = start_s + task.runtime_s;
        Assignment { task: at, worker, start_s, end_s: now }
    };
    order.into_iter().map(one).collect()
}

fn compared(workload: Workload, log: &str) -> Comparison {
    let schedule = csv::read_assignments(&data().join("logs").join(log), &workload).unwrap();
    let outcomes = vec![outcome("one_by_one", &workload, one_by_one(&workload)), outcome("ai", &workload, schedule)];
    comparison(workload, "one_by_one", outcomes)
}

/// Of strategies alone.
fn comparison(workload: Workload, baseline: &str, outcomes: Vec<Outcome>) -> Comparison {
    let (baseline, runtimes) = (baseline.to_owned(), Runtimes::Estimate);
    Comparison { workload, baseline, runtimes, outcomes, actual: None, notes: Vec::new() }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len()
}

const OF_A_STRATEGY: [&str; 6] =
    ["performance_metrics.txt", "metrics.json", "assignments.csv", "gantt.svg", "utilization.svg", "waits.svg"];

/// Every element that is opened is closed, in order.
fn assert_well_formed(markup: &str, file: &Path) {
    let mut open = Vec::new();
    for tag in markup.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("{}: <{tag}", file.display()));
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{}", file.display());
        } else if !tag.ends_with('/') && !tag.starts_with('!') && !tag.starts_with("meta") {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "{}", file.display());
}

#[test]
fn a_comparison_is_a_folder_for_each_strategy_and_one_page_that_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let comparison = compared(fixture("hetero_1"), "hetero_1.tetris.csv");
    let page = comparison.write(dir.path()).unwrap();
    for strategy in ["one_by_one", "ai"] {
        for file in OF_A_STRATEGY {
            let path = dir.path().join(strategy).join(file);
            assert!(size(&path) > 100, "{}", path.display());
            if file.ends_with("svg") {
                assert_well_formed(&std::fs::read_to_string(&path).unwrap(), &path);
            }
        }
        let read = csv::read_assignments(&dir.path().join(strategy).join("assignments.csv"), &comparison.workload);
        let kept = comparison.outcomes.iter().find(|one| one.strategy == strategy).unwrap();
        assert_eq!(read.unwrap(), kept.assignments);
    }
    let html = std::fs::read_to_string(&page).unwrap();
    assert_well_formed(&html, &page);
    for foreign in ["<script", "http://", "https://", "url(", "@import", "<link", "<img"] {
        let without_names = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!without_names.contains(foreign), "the page holds {foreign}");
    }
    for said in
        ["lower bound", "prefers-color-scheme:dark", "width=device-width", "baseline", "Deadlines missed", "best"]
    {
        assert!(html.contains(said), "the page does not say {said}");
    }
    assert_well_formed(&std::fs::read_to_string(dir.path().join("comparison.svg")).unwrap(), &page);
}

#[test]
fn what_really_happened_is_a_row_against_which_strategies_are_held() {
    let mut comparison = compared(fixture("hetero_1"), "hetero_1.tetris.csv");
    let schedule = one_by_one(&comparison.workload);
    comparison.actual = Some(Actual::of(&comparison.workload, Vec::new(), schedule));
    comparison.baseline = "as_it_happened".into();
    comparison.notes = vec!["the last <week>".into()];
    let dir = tempfile::tempdir().unwrap();
    let page = comparison.write(dir.path()).unwrap();
    assert!(OF_A_STRATEGY.iter().all(|file| size(&dir.path().join("as_it_happened").join(file)) > 100));
    let html = std::fs::read_to_string(&page).unwrap();
    assert_well_formed(&html, &page);
    for said in [
        "as_it_happened <small>baseline</small>",
        "by 2 strategies",
        "is no strategy",
        "the last &lt;week&gt;",
        "<b>What really happened</b> took",
    ] {
        assert!(html.contains(said), "the page does not say {said}");
    }
}

#[test]
fn strategies_that_are_as_good_are_named_together() {
    let workload = fixture("hetero_1");
    let same = |name| outcome(name, &workload, one_by_one(&workload));
    let outcomes = vec![same("first"), same("second"), same("third")];
    let mut comparison = comparison(workload.clone(), "first", outcomes);
    let dir = tempfile::tempdir().unwrap();
    let page = |comparison: &Comparison| std::fs::read_to_string(comparison.write(dir.path()).unwrap()).unwrap();
    let html = page(&comparison);
    assert!(html.contains("first, second and third finish after"), "no tie of makespans");
    assert!(html.contains("with first, second and third a task waits"), "no tie of waits");
    comparison.outcomes.truncate(1);
    let html = page(&comparison);
    assert!(html.contains("by one strategy:") && html.contains("first finishes after"), "one is one");
}

#[test]
fn a_page_says_what_each_strategy_does_and_whether_the_bound_was_reached() {
    let workload = fixture("hetero_1");
    let outcomes = ["greedy", "of my own"].map(|name| outcome(name, &workload, one_by_one(&workload))).to_vec();
    let mut comparison = comparison(workload, "greedy", outcomes);
    let dir = tempfile::tempdir().unwrap();
    let page = |comparison: &Comparison| std::fs::read_to_string(comparison.write(dir.path()).unwrap()).unwrap();
    let html = page(&comparison);
    assert!(html.contains("<p>Gives the oldest task the first worker with room"), "greedy");
    assert!(html.contains("whether one can be that short is not known"));
    comparison.outcomes[1].metrics.gap = 0.0001;
    let html = page(&comparison);
    assert!(html.contains("here one is as short: no schedule can end sooner") && !html.contains("is not known"));
}

#[test]
fn of_what_happened_on_other_workers_no_number_about_workers_is_shown() {
    let mut comparison = compared(fixture("hetero_1"), "hetero_1.tetris.csv");
    let mut schedule = one_by_one(&comparison.workload);
    schedule.sort_by_key(|one| one.task);
    schedule[3].worker = comparison.workload.workers.len();
    let actual = Actual::of(&comparison.workload, vec!["gone".into()], schedule);
    assert!(actual.times_only.as_deref().unwrap().contains("(gone)"));
    let same = &comparison.outcomes[0].metrics;
    assert_eq!(actual.outcome.metrics.wait_mean_s, same.wait_mean_s);
    assert_eq!(actual.outcome.metrics.deadline_misses, same.deadline_misses);
    comparison.actual = Some(actual);
    let dir = tempfile::tempdir().unwrap();
    let page = comparison.write(dir.path()).unwrap();
    let html = std::fs::read_to_string(&page).unwrap();
    assert_well_formed(&html, &page);
    assert!(html.contains("<span>-</span>") && !html.contains("NaN"));
    let kept = std::fs::read_to_string(dir.path().join("as_it_happened/assignments.csv")).unwrap();
    assert_eq!(kept.lines().filter(|line| line.contains(",gone,")).count(), 1);
    assert!(!dir.path().join("as_it_happened/gantt.svg").exists());
}

#[test]
fn a_page_of_many_tasks_stays_small_and_says_what_it_leaves_out() {
    let mut workload = fixture("heavy_1");
    for copy in 1..10 {
        let later =
            workload.tasks[..4000].iter().map(|task| Task { id: format!("{}-{copy}", task.id), ..task.clone() });
        let later: Vec<_> = later.collect();
        workload.tasks.extend(later);
    }
    let schedule = one_by_one(&workload);
    let outcomes = ["a", "b", "c", "d"].map(|name| outcome(name, &workload, schedule.clone())).to_vec();
    let comparison = comparison(workload, "a", outcomes);
    let dir = tempfile::tempdir().unwrap();
    let page = comparison.write(dir.path()).unwrap();
    assert!(size(&page) < 2_000_000, "{} bytes", size(&page));
    assert!(std::fs::read_to_string(page).unwrap().contains("40,000 tasks are too many to draw one by one"));
}

#[test]
fn names_of_tasks_and_workers_can_not_break_a_page() {
    let mut workload = fixture("small20_1");
    workload.name = "<b>&\"x".into();
    workload.tasks[0].id = "</svg><script>alert(1)</script>".into();
    workload.workers[0].id = "\u{0}\u{1b}<w>".into();
    let schedule = one_by_one(&workload);
    let outcomes = vec![outcome("a", &workload, schedule)];
    let comparison = comparison(workload, "none", outcomes);
    let dir = tempfile::tempdir().unwrap();
    let page = comparison.write(dir.path()).unwrap();
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(!html.contains("<script") && !html.contains('\u{0}'));
    assert_well_formed(&html, &page);
}

#[test]
fn a_strategy_that_does_not_exist_is_refused() {
    let replay = Replay { strategy: "fastest".into(), runtimes: Runtimes::Exact, knobs: Knobs::default() };
    let error = Outcome::of(&replay, &fixture("small20_1")).unwrap_err();
    assert_eq!(error.to_string(), "no strategy is called fastest");
}
