//! What is fuzzed: for each target a function that takes any bytes and panics where a claim does not hold.
//!
//! `fuzz/` has a program for each, which libFuzzer feeds for long (`make fuzz`); `tests/seeds.rs` runs each over the
//! files of `fuzz/seeds` and over what becomes of those by a few edits. What is claimed stands at each function. Knows
//! every reader of what users, peers and disks give, and nothing of how bytes are found.

mod check;
pub mod documents;
mod forms;
pub mod stored;
pub mod tables;
pub mod wire;
pub mod words;

/// A target by the name that its program and its folder of seeds have.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Its claims.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets.
pub static TARGETS: [Target; 18] = [
    target("task", documents::task),
    target("job", documents::job),
    target("template", documents::template),
    target("schedule", documents::schedule),
    target("form", documents::form),
    target("array", words::array),
    target("constraint", words::constraint),
    target("cron", words::cron),
    target("amount", words::amount),
    target("frame", wire::frame),
    target("from_worker", wire::from_worker),
    target("from_master", wire::from_master),
    target("from_agent", wire::from_agent),
    target("workload", tables::workload),
    target("swf", tables::swf),
    target("each", tables::each),
    target("record", stored::record),
    target("log", stored::log),
];

/// Runs the target of a name over some bytes.
/// # Panics
/// There is no such target, or a claim of it does not hold.
pub fn run(name: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|target| target.name == name);
    let target = found.unwrap_or_else(|| panic!("{name} is no target: TARGETS in crates/fuzzing/src/lib.rs has all"));
    (target.run)(data);
}
