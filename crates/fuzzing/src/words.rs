//! Short texts with a form of their own: ranges of indexes, constraints, cron expressions, sizes and times.

use crate::check::{is_kept, text};
use crate::forms;
use cloudai_core::job::{Indexes, TaskFile};
use cloudai_core::label::{Constraint, LONGEST};
use cloudai_core::rfc3339;
use cloudai_core::spec::Value;
use cloudai_core::text::{parse_size, typed_size, typed_time};
use cloudai_core::time::Timestamp;
use cloudai_master::fuzzing as master;
use std::time::Duration;

/// From here on times of expressions are looked for: 2026-01-01.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// The largest size that is typed again: none of ours comes near it.
const LARGE: u64 = 1 << 60;

/// The ranges of an array, `0-99:2%8`. They are shown as they are read, an index and its place lead to each other, and
/// a task with such an array is refused for that field or has those elements, so many at once.
/// # Panics
/// One of that does not hold.
pub fn array(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match text.parse::<Indexes>() {
        Ok(indexes) => leads_back(&indexes),
        Err(problem) => assert!(!problem.is_empty()),
    }
    let field = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    let document = Value::Map(vec![field("image", "busybox"), field("array", text)]);
    match TaskFile::from_value(&document) {
        Ok(TaskFile::Job(file)) => {
            let elements = file.plan.groups.first().and_then(|group| group.elements.as_ref());
            let elements = elements.expect("an array has elements");
            let (ranges, at_once) = text.split_once('%').map_or((text, None), |(ranges, rest)| (ranges, Some(rest)));
            assert_eq!(ranges.parse::<Indexes>().as_ref(), Ok(&elements.indexes), "{text:?}");
            assert_eq!(at_once.and_then(|at_once| at_once.trim().parse::<u32>().ok()), elements.at_once, "{text:?}");
        }
        Ok(TaskFile::Task(spec)) => panic!("{text:?} is an array, and this no job: {spec:?}"),
        Err(error) => assert!(error.0.iter().all(|field| field.path == "array"), "{text:?}: {error}"),
    }
}

fn leads_back(indexes: &Indexes) {
    assert_eq!(indexes.to_string().parse::<Indexes>().as_ref(), Ok(indexes), "shown as {indexes}");
    is_kept(indexes);
    let count = indexes.count();
    assert!(count >= 1, "{indexes}");
    assert_eq!(indexes.nth(count), None, "{indexes}");
    for ordinal in [0, count / 3, count - 1] {
        let index = indexes.nth(ordinal).expect("there is an index at each place");
        assert_eq!((indexes.ordinal_of(index), indexes.before(index)), (Some(ordinal), ordinal), "{indexes}: {index}");
    }
}

/// What a task asks of labels. It is shown as it is read, no longer than it may be, and stored as it is shown.
/// # Panics
/// One of that does not hold.
pub fn constraint(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match text.parse::<Constraint>() {
        Ok(constraint) => {
            let shown = constraint.to_string();
            assert!(shown.len() <= LONGEST && !constraint.key().is_empty(), "{shown}");
            assert_eq!(shown.parse::<Constraint>().as_ref(), Ok(&constraint), "{text:?} is shown as {shown:?}");
            is_kept(&constraint);
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
}

/// A cron expression, and in the second line a zone. Its times rise, are whole minutes after the given one, and are
/// those that have passed when the last of them has come.
/// # Panics
/// One of that does not hold.
pub fn cron(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (cron, zone) = text.split_once('\n').unwrap_or((text, "UTC"));
    match master::next(cron, zone, NOW, 3) {
        Ok(times) => {
            let rise = times.is_sorted_by(|before, after| before < after);
            assert!(rise && times.iter().all(|time| *time > NOW), "{cron:?} in {zone:?}: {times:?}");
            assert!(
                times.iter().all(|time| time.as_millis().is_multiple_of(60_000)),
                "{cron:?} in {zone:?}: {times:?}"
            );
            if let Some(last) = times.last() {
                let passed = master::passed(cron, zone, NOW, *last, times.len());
                assert_eq!(passed.as_ref(), Ok(&times), "{cron:?} in {zone:?}");
            }
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
}

/// Sizes, times and amounts as people type them. What is read is finite and within its range; a size or a time that is
/// typed back is no smaller, and larger by less than one of its units.
/// # Panics
/// One of that does not hold.
pub fn amount(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match parse_size(text) {
        Ok(bytes) => {
            assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
            if bytes <= LARGE {
                let typed = parse_size(&typed_size(bytes)).expect("a size that was typed is read");
                assert!(typed >= bytes && typed - bytes < 1 << 20, "{bytes} is typed as {typed}");
            }
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
    if let Ok(time) = forms::duration(text) {
        let typed = forms::duration(&typed_time(time)).expect("a time that was typed is read");
        assert!(typed >= time && typed.saturating_sub(time) < Duration::from_secs(1), "{time:?} is typed as {typed:?}");
    }
    if let Ok(at) = rfc3339::parse(text) {
        assert_eq!(rfc3339::parse(&rfc3339::format(at)), Ok(at));
    }
    assert!(forms::gigabytes(text).is_ok_and(f64::is_finite) || forms::gigabytes(text).is_err(), "{text:?}");
    assert!(forms::bytes(text).map_or(true, |bytes| bytes > 0), "{text:?} is no size");
    assert!(forms::thousandths(text).map_or(true, |milli| (1..=4_096_000).contains(&milli)), "{text:?}");
}
