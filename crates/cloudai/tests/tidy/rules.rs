//! The rules, each a function from one file to its violations.

use crate::repo::{File, Violation};
use crate::rust;

/// Lines `path reason` or `path:function reason`; see CONVENTIONS.md.
pub(crate) const EXCEPTIONS_FILE: &str = "tidy-exceptions.txt";
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 80;

/// What a crate may use of ours, and what it must not use of others'.
struct Edges {
    of: &'static str,
    allowed: &'static [&'static str],
    banned: &'static [&'static str],
}

const EDGES: [Edges; 8] = [
    Edges { of: "core", allowed: &[], banned: &["tokio", "tonic", "rand", "serde_json"] },
    Edges { of: "proto", allowed: &[], banned: &[] },
    Edges { of: "sim", allowed: &["core"], banned: &["tokio", "tonic", "axum"] },
    Edges { of: "store", allowed: &["core"], banned: &["tonic", "axum"] },
    Edges { of: "worker", allowed: &["core", "proto"], banned: &["axum"] },
    Edges { of: "master", allowed: &["core", "proto", "store", "sim"], banned: &["bollard"] },
    Edges {
        of: "fuzzing",
        allowed: &["core", "proto", "sim", "store", "worker", "master"],
        banned: &["axum", "bollard"],
    },
    Edges { of: "cloudai", allowed: &["core", "proto", "sim", "store", "worker", "master"], banned: &[] },
];

/// Crates depend on each other in one direction only (dev-dependencies are free).
pub(crate) fn crate_edges(file: &File) -> Vec<Violation> {
    let Some(name) = file.path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
        return Vec::new();
    };
    let Some(edges) = EDGES.iter().find(|edges| edges.of == name) else {
        return vec![file.violation(1, format!("crate {name} has no row in EDGES: say there what it may depend on"))];
    };
    let judge = |(line, dependency): (usize, &str)| {
        let ours = dependency.strip_prefix("cloudai-");
        let refused = ours.is_some_and(|ours| !edges.allowed.contains(&ours)) || edges.banned.contains(&dependency);
        refused.then(|| file.violation(line, format!("{name} must not depend on {dependency}")))
    };
    dependencies(&file.text).into_iter().filter_map(judge).collect()
}

/// Names in the sections of normal and build dependencies, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (at, line) in manifest.lines().enumerate() {
        if let Some(section) = line.trim().strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let (table, name) = section.rsplit_once('.').unwrap_or((section, ""));
            // `[dependencies]`, `[target.'cfg(..)'.dependencies]`, `[dependencies.tokio]`
            inside = is_dependencies(section) || is_dependencies(name);
            if is_dependencies(table.rsplit('.').next().unwrap_or_default()) && !name.is_empty() {
                found.push((at + 1, name));
            }
        } else if inside {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() && !name.starts_with('#') {
                found.push((at + 1, name));
            }
        }
    }
    found
}

fn is_dependencies(section: &str) -> bool {
    section == "dependencies" || section == "build-dependencies"
}

/// A file of `src` begins with what it owns.
pub(crate) fn module_docs(file: &File) -> Vec<Violation> {
    if !file.path.contains("/src/") || file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![file.violation(1, "begin with `//!`: what this file owns and what it must not know")]
}

/// Files and functions that are too long.
pub(crate) fn sizes(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES {
        found.push(file.violation(1, format!("{lines} lines: split it ({FILE_LINES} at most)")));
    }
    for function in rust::functions(&file.text).into_iter().filter(|function| function.lines > FUNCTION_LINES) {
        let what = format!("fn {} has {} lines: split it ({FUNCTION_LINES} at most)", function.name, function.lines);
        found.push(Violation { item: Some(function.name), ..file.violation(function.line, what) });
    }
    found
}

/// Takes out what the list excuses; adds entries that excuse nothing or give no reason.
pub(crate) fn without_exceptions(violations: Vec<Violation>, list: &str) -> Vec<Violation> {
    let list = File::new(EXCEPTIONS_FILE, list);
    let mut left = violations;
    let mut found = list.lines_where(|line| {
        let line = line.trim();
        let (item, reason) = line.split_once(' ').unwrap_or((line, ""));
        if line.is_empty() || line.starts_with('#') {
            None
        } else if reason.trim().is_empty() {
            Some(format!("{item} is excused without a reason"))
        } else {
            let excuses = left.iter().any(|violation| is_excused(violation, item));
            (!excuses).then(|| format!("{item} needs no exception any more: remove the line"))
        }
    });
    let items: Vec<_> = list.text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    left.retain(|violation| !items.iter().any(|item| is_excused(violation, item)));
    left.append(&mut found);
    left
}

fn is_excused(violation: &Violation, item: &str) -> bool {
    match &violation.item {
        None => item == violation.path,
        Some(name) => item.split_once(':') == Some((&violation.path, name)),
    }
}

/// Queues have a bound, or a slow reader takes the memory of the machine.
pub(crate) fn unbounded_channels(file: &File) -> Vec<Violation> {
    let code = rust::code_only(&file.text);
    let found = rust::words(&code, concat!("unbounded", "_channel")).chain(rust::words(&code, "unbounded"));
    found.map(|at| file.violation(rust::line_of(&code, at), "give the channel a bound, with its reason")).collect()
}

/// Log messages are constant, lowercase, without a full stop: they are searched for, not read aloud.
pub(crate) fn log_messages(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    for (line, message) in rust::log_messages(&file.text) {
        if message.starts_with(char::is_uppercase) {
            found.push(file.violation(line, format!("begin the log message in lowercase: {message:?}")));
        }
        if message.ends_with('.') {
            found.push(file.violation(line, format!("end the log message without a full stop: {message:?}")));
        }
    }
    found
}

/// Tests say what they prove.
pub(crate) fn test_names(file: &File) -> Vec<Violation> {
    let named = |name: &str| name.starts_with("test_") || name.ends_with("_test") || name == "test";
    let tests = rust::functions(&file.text).into_iter().filter(|function| function.is_test && named(&function.name));
    tests.map(|test| file.violation(test.line, format!("name {} after what it proves", test.name))).collect()
}

/// Paths of one person's machine mean nothing on another.
pub(crate) fn home_paths(file: &File) -> Vec<Violation> {
    let needles = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    file.lines_where(|line| {
        let found = needles.iter().find(|needle| line.contains(**needle))?;
        Some(format!("holds {found}: make the path relative"))
    })
}

/// What is not done is an issue, not a comment.
pub(crate) fn unfinished(file: &File) -> Vec<Violation> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let macros = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    file.lines_where(|line| {
        let mark = marks.iter().find(|mark| rust::words(line, mark).next().is_some());
        let found = mark.or_else(|| macros.iter().find(|name| line.contains(**name)))?;
        Some(format!("holds {found}: do it, or open an issue"))
    })
}

/// A decision without a status can not be known to hold.
pub(crate) fn decision_status(file: &File) -> Vec<Violation> {
    let is_record = file.path.starts_with("docs/adr/") && file.path.ends_with(".md");
    if !is_record || file.text.lines().any(|line| line.starts_with("Status:")) {
        return Vec::new();
    }
    vec![file.violation(1, "add a line `Status: accepted` (or proposed, superseded by ...)")]
}

#[cfg(test)]
mod proofs {
    //! Each rule on a small input that breaks it, and on one that does not.
    use super::*;

    fn told(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(ToString::to_string).collect()
    }

    fn rust_file(text: &str) -> File {
        File::new("crates/core/src/x.rs", text)
    }

    #[test]
    fn a_forbidden_edge_is_found_in_every_form_of_the_table() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\ncloudai-master.workspace = true\nserde = \"1\"\n\
                        [dev-dependencies]\ntokio = \"1\"\n[dependencies.tokio]\nversion = \"1\"\n\
                        [target.'cfg(unix)'.dependencies]\nrand = { version = \"1\" }\n";
        let found = crate_edges(&File::new("crates/core/Cargo.toml", manifest));
        let lines: Vec<_> = found.iter().map(|one| (one.line, one.what.as_str())).collect();
        assert_eq!(
            lines,
            [
                (4, "core must not depend on cloudai-master"),
                (8, "core must not depend on tokio"),
                (11, "core must not depend on rand")
            ]
        );
        assert_eq!(crate_edges(&File::new("crates/new/Cargo.toml", "")).len(), 1);
    }

    #[test]
    fn an_allowed_edge_is_not_reported() {
        let manifest = "[dependencies]\ncloudai-core.workspace = true\ncloudai-proto = { path = \"../proto\" }\n";
        assert_eq!(crate_edges(&File::new("crates/worker/Cargo.toml", manifest)), []);
    }

    #[test]
    fn a_source_file_without_its_purpose_is_found() {
        assert_eq!(module_docs(&rust_file("use std::fmt;\n")).len(), 1);
        assert_eq!(module_docs(&rust_file("//! Owns x.\n")), []);
        assert_eq!(module_docs(&File::new("crates/core/tests/x.rs", "fn f() {}")), []);
    }

    #[test]
    fn a_long_file_and_a_long_function_are_found() {
        let text = format!("fn long() {{\n{}}}\nfn short() {{}}\n{}", "a;\n".repeat(79), "// x\n".repeat(520));
        let found = sizes(&rust_file(&text));
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].item.as_deref(), found[1].line), (Some("long"), 1));
    }

    #[test]
    fn exceptions_excuse_what_they_name_and_must_be_needed_and_explained() {
        let long = || vec![Violation { item: Some("f".into()), ..rust_file("").violation(9, "long") }];
        assert_eq!(without_exceptions(long(), "# list\ncrates/core/src/x.rs:f one table\n"), []);
        assert_eq!(without_exceptions(long(), "").len(), 1);
        assert_eq!(
            told(&without_exceptions(long(), "crates/core/src/x.rs a reason\n")),
            [
                "crates/core/src/x.rs:9: long",
                "tidy-exceptions.txt:1: crates/core/src/x.rs needs no exception any more: remove the line"
            ]
        );
        assert_eq!(
            told(&without_exceptions(long(), "crates/core/src/x.rs:f\n")),
            ["tidy-exceptions.txt:1: crates/core/src/x.rs:f is excused without a reason"]
        );
    }

    #[test]
    fn an_unbounded_channel_is_found_in_code_only() {
        let call = concat!("let x = mpsc::unbounded", "_channel();\n");
        assert_eq!(unbounded_channels(&rust_file(&format!("//! x\n{call}"))).len(), 1);
        assert_eq!(unbounded_channels(&rust_file(&format!("// {call}"))), []);
    }

    #[test]
    fn a_log_message_that_reads_like_a_sentence_is_found() {
        let found = log_messages(&rust_file("info!(task, \"Task ended.\");\nwarn!(\"lease ended\");\n"));
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|one| one.line == 1));
    }

    #[test]
    fn a_test_named_after_nothing_is_found() {
        let text = "#[test]\nfn test_it() {}\n#[test]\nfn it_holds() {}\nfn test_config() {}\n";
        assert_eq!(told(&test_names(&rust_file(text))), ["crates/core/src/x.rs:2: name test_it after what it proves"]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_in_any_file() {
        let text = concat!("cd ", "/ho", "me/me/x\ncd ./x\n");
        assert_eq!(home_paths(&File::new("README.md", text)).len(), 1);
    }

    #[test]
    fn unfinished_work_is_found_and_a_lint_of_that_name_is_not() {
        let text = concat!("// TO", "DO: later\ntodo", "!(\"x\")\ntodo = \"warn\"\nMASTODON\n");
        let lines: Vec<_> = unfinished(&rust_file(text)).iter().map(|one| one.line).collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn a_decision_without_status_is_found() {
        assert_eq!(decision_status(&File::new("docs/adr/0001-x.md", "# X\n")).len(), 1);
        assert_eq!(decision_status(&File::new("docs/adr/0001-x.md", "# X\nStatus: accepted\n")), []);
    }
}
