//! The reference's spellings, made ours before the parser sees them.
//!
//! `task <image>` becomes `task submit <image>`; flags take one or two dashes, `-` and `_` alike.
//! What follows `--` is the container's and is never touched. The other words of the reference
//! are commands of their own (`cli::reference`).

use crate::exit::Failure;
use clap::{Arg, Command};
use cloudai_core::text::distance;
use std::collections::BTreeSet;
use std::ffi::OsString;

/// Rewrites a command line; `tree` knows every flag and verb.
/// # Errors
/// When the word after `task` is a slip of a verb.
pub(crate) fn normalise(argv: Vec<OsString>, tree: &Command) -> Result<Vec<OsString>, Failure> {
    let end = argv.iter().position(|word| word == "--").unwrap_or(argv.len());
    let (own, containers) = argv.split_at(end);
    let mut flags = BTreeSet::new();
    long_flags(tree, &mut flags);
    let mut words: Vec<OsString> = own.iter().map(|word| respell(word, &flags)).collect();
    insert_submit(&mut words, tree)?;
    words.extend_from_slice(containers);
    Ok(words)
}

/// Every long flag of the tree, with its other names.
fn long_flags(command: &Command, into: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        into.extend(arg.get_long().map(str::to_owned));
        into.extend(arg.get_all_aliases().unwrap_or_default().into_iter().map(str::to_owned));
    }
    for inner in command.get_subcommands() {
        long_flags(inner, into);
    }
}

/// `-cpu_cores=2` to `--cpu-cores=2`, when there is such a flag.
fn respell(word: &OsString, flags: &BTreeSet<String>) -> OsString {
    let respelled = || {
        let text = word.to_str()?;
        let bare = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
        let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
        let name = name.replace('_', "-");
        if name.chars().count() < 2 || !flags.contains(&name) {
            return None;
        }
        Some(value.map_or_else(|| format!("--{name}"), |value| format!("--{name}={value}")))
    };
    respelled().map_or_else(|| word.clone(), OsString::from)
}

/// `task <no verb>` to `task submit <no verb>`.
fn insert_submit(words: &mut Vec<OsString>, tree: &Command) -> Result<(), Failure> {
    let root: Vec<&Arg> = tree.get_arguments().collect();
    let Some(noun) = next_word(words, 1, &root).filter(|at| words[*at] == "task") else { return Ok(()) };
    let Some(task) = tree.find_subcommand("task") else { return Ok(()) };
    let submit = task.find_subcommand("submit").map(|submit| submit.get_arguments().collect::<Vec<_>>());
    let known: Vec<&Arg> = root.into_iter().chain(submit.unwrap_or_default()).collect();
    let help = |word: &OsString| word == "-h" || word == "--help";
    let Some(at) = next_word(words, noun + 1, &known) else {
        // Flags without an image: a submission from a file, or a mistake that `submit` explains.
        if words.len() > noun + 1 && !words.iter().any(help) {
            words.insert(noun + 1, "submit".into());
        }
        return Ok(());
    };
    let word = words[at].to_string_lossy().into_owned();
    let verbs: Vec<&str> = task.get_subcommands().map(Command::get_name).chain(["help"]).collect();
    if verbs.contains(&word.as_str()) {
        return Ok(());
    }
    if let Some(verb) = slip_of(&word, &verbs) {
        return Err(Failure::usage(format!("{word:?} is no verb of task"))
            .why(format!("did you mean {verb}?"))
            .next(format!("cloudai task {verb}, or to run an image of that name: cloudai task submit {word}")));
    }
    words.insert(noun + 1, "submit".into());
    Ok(())
}

/// The verb that a word with one wrong letter (two in long words) was to be.
fn slip_of<'a>(word: &str, verbs: &[&'a str]) -> Option<&'a str> {
    let slips = if word.len() >= 6 { 2 } else { 1 };
    let near = verbs.iter().map(|verb| (distance(word, verb), *verb)).min()?;
    (near.0 <= slips).then_some(near.1)
}

/// The place of the next word that is neither a flag nor a flag's value.
fn next_word(words: &[OsString], from: usize, known: &[&Arg]) -> Option<usize> {
    let mut at = from;
    while at < words.len() {
        let word = words[at].to_string_lossy();
        if word == "-" || !word.starts_with('-') {
            return Some(at);
        }
        let takes = known.iter().any(|arg| arg.get_action().takes_values() && is_spelled(arg, &word));
        at += if takes { 2 } else { 1 };
    }
    None
}

/// Whether a word is exactly this flag, so that its value is the next word.
fn is_spelled(arg: &Arg, word: &str) -> bool {
    if let Some(name) = word.strip_prefix("--") {
        return arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name);
    }
    let mut letters = word.chars().skip(1);
    letters.next().is_some_and(|letter| arg.get_short() == Some(letter)) && letters.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::normalise;
    use crate::cli::tree;
    use std::ffi::OsString;

    fn rewritten(line: &str) -> String {
        let argv = line.split(' ').map(OsString::from).collect();
        let words = normalise(argv, &tree()).unwrap();
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_words_and_spellings_of_the_reference_become_ours() {
        let rows = [
            ("c task busybox", "c task submit busybox"),
            ("c task w1 busybox -mem 2", "c task submit w1 busybox --mem 2"),
            ("c task -name list busybox", "c task submit --name list busybox"),
            ("c --addr task task busybox", "c --addr task task submit busybox"),
            ("c -o json task list", "c -o json task list"),
            ("c task list", "c task list"),
            ("c task help", "c task help"),
            ("c task", "c task"),
            ("c task --help", "c task --help"),
            ("c task --file x.toml", "c task submit --file x.toml"),
            ("c task redis", "c task submit redis"),
            ("c task a -cpu_cores=2 --gpu_cores 1", "c task submit a --cpu-cores=2 --gpu-cores 1"),
            ("c task a -storage 1 -- sh -name task", "c task submit a --storage 1 -- sh -name task"),
            ("c dispatch w1 a -cpu_cores 1", "c dispatch w1 a --cpu-cores 1"),
            ("c task a --pull_timeout 5 -x_y", "c task submit a --pull-timeout 5 -x_y"),
            ("c queue", "c queue"),
            ("c -- task a", "c -- task a"),
        ];
        for (typed, meant) in rows {
            assert_eq!(rewritten(typed), meant);
        }
    }

    #[test]
    fn a_slip_of_a_verb_is_no_image() {
        for (slip, verb) in [("lst", "list"), ("log", "logs"), ("sbumit", "submit"), ("cancle", "cancel")] {
            let argv = ["c", "task", slip].map(OsString::from).to_vec();
            let failure = normalise(argv, &tree()).unwrap_err();
            assert!(failure.why[0].contains(verb) && failure.next.contains("task submit"), "{failure}");
        }
    }
}
