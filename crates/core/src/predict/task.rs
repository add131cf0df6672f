//! What the predictor is told of a task: who, what and how large, as numbers.

use super::Features;
use crate::ids::UserId;
use crate::resources::{Demand, Kind};
use crate::spec::TaskSpec;
use crate::state::{Reason, Status};
use crate::task::TaskRecord;
use crate::time::millis;

/// Words of a command that count for its shape: what comes later says little about the length.
const WORDS: usize = 64;
/// Words that name the shape for people; what follows an option may be nobody's business.
const SHOWN: usize = 4;
/// The longest name for people, in characters.
const LONGEST: usize = 80;

impl Features {
    /// What tells tasks like this one, the same in every process: hashes of its owner, its image,
    /// the shape of its command (file names without their folders, digits left out) and its demand.
    #[must_use]
    pub fn of(task: &TaskRecord) -> Self {
        Self::asking(&task.owner, &task.spec, task.demand())
    }

    /// The same of what has no record yet.
    #[must_use]
    pub fn of_spec(owner: &UserId, spec: &TaskSpec) -> Self {
        Self::asking(owner, spec, &spec.demand)
    }

    fn asking(owner: &UserId, spec: &TaskSpec, demand: &Demand) -> Self {
        let amounts = Kind::ALL.map(|kind| demand.amount(kind));
        let shape = words(spec).fold(Hash::default(), |hash, word| hash.text(&plain(word)));
        Self {
            user: hash(owner.as_str()),
            image: hash(&spec.image),
            shape: shape.0,
            size: amounts.into_iter().fold(Hash::default(), Hash::number).0,
            estimate: spec.estimate.map(|estimate| millis(estimate).max(1)),
        }
    }
}

/// How long an ended task ran, in milliseconds; none where its end says nothing about how long such
/// tasks run: it was cancelled, lost, stopped at a limit, or never ran.
#[must_use]
pub fn run_of(task: &TaskRecord) -> Option<u64> {
    let finished = task.finished()?;
    let by_itself = match finished.status {
        Status::Completed => true,
        Status::Failed => finished.reason == Some(Reason::ExitCode),
        Status::Queued | Status::Pending | Status::Running | Status::Cancelled => false,
    };
    let attempt = task.attempts.last().filter(|_| by_itself && finished.exit_code.is_some())?;
    Some(attempt.ended_at?.as_millis().saturating_sub(attempt.started_at?.as_millis()))
}

/// The beginning of a task's command for people, up to its first option.
pub(super) fn shown(task: &TaskRecord) -> String {
    let named = words(&task.spec).take_while(|word| !word.starts_with('-')).take(SHOWN).map(plain);
    named.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

fn hash(text: &str) -> u64 {
    Hash::default().text(text).0
}

fn words(spec: &TaskSpec) -> impl Iterator<Item = &str> {
    let container = &spec.container;
    let parts = container.entrypoint.iter().flatten().chain(&container.command).chain(&container.args);
    parts.flat_map(|part| part.split_whitespace()).take(WORDS)
}

/// A word without what differs from run to run: folders, and numbers in any base.
fn plain(word: &str) -> String {
    let mut plain = String::new();
    for (at, piece) in word.split('=').enumerate() {
        if at > 0 {
            plain.push('=');
        }
        let name = piece.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        for token in name.split_inclusive(|c: char| !c.is_alphanumeric()) {
            without_digits(token, &mut plain);
        }
    }
    plain
}

fn without_digits(token: &str, into: &mut String) {
    let name = token.trim_end_matches(|c: char| !c.is_alphanumeric());
    let is_id = name.len() >= 8 && name.chars().all(|c| c.is_ascii_hexdigit());
    if is_id && name.contains(|c: char| c.is_ascii_digit()) {
        into.push('#');
        into.push_str(&token[name.len()..]);
        return;
    }
    for c in token.chars() {
        if !c.is_ascii_digit() {
            into.push(c);
        } else if !into.ends_with('#') {
            into.push('#');
        }
    }
}

/// FNV-1a with 64 bits: small, and the same everywhere.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// With its end, so that two words are not one.
    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0])
    }

    fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Value;
    use crate::task::{Cause, Outcome, Step};
    use crate::testing::{TestCluster, cores, spec};
    use std::time::Duration;

    #[test]
    fn words_that_differ_only_in_folders_and_numbers_are_alike() {
        let rows = [
            ("python", "python"),
            ("/usr/bin/python3", "python#"),
            ("--epochs=10", "--epochs=#"),
            ("--in=/data/2026-01/part-0017.csv", "--in=part-#.csv"),
            ("s3://bucket/a/b/", "b"),
            ("run-1f3a99c0d2", "run-#"),
            ("deadbeef", "deadbeef"),
            ("/", ""),
            ("größe12", "größe#"),
        ];
        for (word, expected) in rows {
            assert_eq!(plain(word), expected, "{word}");
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn features(fields: &[(&str, Value)]) -> Features {
        let mut c = TestCluster::default();
        c.worker("w1", cores(4));
        let task = c.submit(1, spec(fields)).unwrap();
        Features::of(&c.record(task))
    }

    #[test]
    fn features_tell_command_demand_and_estimate_apart_and_no_names_or_variables() {
        let command = |words: &[&str]| ("command", Value::List(words.iter().map(|word| text(word)).collect()));
        let one = features(&[command(&["sh", "-c", "sleep 5 > /tmp/a1"])]);
        let env = ("env", Value::Map(vec![("A".into(), text("1"))]));
        assert_eq!(one, features(&[command(&["sh", "-c", "sleep 66 > /tmp/a2"]), ("name", text("x")), env]));
        assert_ne!(one.shape, features(&[command(&["sh", "-c", "date"])]).shape);
        assert_ne!(one.size, features(&[("cpu_cores", Value::Int(2))]).size);
        assert_eq!(features(&[("estimate_s", Value::Float(1.5))]).estimate, Some(1500));
        assert_ne!(hash("alpine"), hash("busybox"));
    }

    #[test]
    fn a_command_is_shown_up_to_its_first_option() {
        let mut c = TestCluster::default();
        c.worker("w1", cores(4));
        let words = ["/usr/bin/python3", "train.py", "--token=secret", "x"].map(text).to_vec();
        let task = c.submit(1, spec(&[("command", Value::List(words))])).unwrap();
        assert_eq!(shown(&c.record(task)), "python# train.py");
    }

    /// Runs a task for ten seconds to this end; answers what is learned of it.
    fn learned(outcome: Outcome) -> (Status, Option<u64>) {
        let mut c = TestCluster::default();
        c.worker("w1", cores(4));
        let task = c.task(1);
        let attempt = c.place(task, "w1");
        c.step(attempt, Step::Running).unwrap();
        c.now = c.now + Duration::from_secs(10);
        c.end(attempt, outcome).unwrap();
        let task = c.record(task);
        (task.status(), run_of(&task))
    }

    #[test]
    fn only_a_run_that_ended_by_itself_tells_how_long_such_tasks_run() {
        let of = |cause: Cause| Outcome { cause, ..Outcome::exit(137) };
        assert_eq!(learned(Outcome::exit(0)), (Status::Completed, Some(10_000)));
        assert_eq!(learned(Outcome::exit(3)), (Status::Failed, Some(10_000)));
        assert_eq!(learned(Outcome { oom_killed: true, ..Outcome::exit(137) }), (Status::Failed, None));
        assert_eq!(learned(of(Cause::TimedOut)), (Status::Failed, None));
        assert_eq!(learned(of(Cause::StorageExceeded)), (Status::Failed, None));
    }
}
