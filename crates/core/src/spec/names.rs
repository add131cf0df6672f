//! What variables and the tasks of a job may be called.

use crate::ids::TaskId;

/// Whether a variable of a container may be called so.
pub(super) fn is_env_name(name: &str) -> Result<(), &'static str> {
    let plain = !name.is_empty() && !name.contains('=') && !name.contains('\0');
    if !plain {
        return Err("is no name of a variable: it must not be empty nor hold = or NUL");
    }
    if name.starts_with("CLOUDAI_") && !is_of_element(name) {
        return Err("begins with CLOUDAI_, which the worker sets itself");
    }
    Ok(())
}

/// The parameters of an element and the size of its gang are written into its spec, which its worker reads again.
fn is_of_element(name: &str) -> bool {
    name == "CLOUDAI_GANG_SIZE"
        || name.strip_prefix("CLOUDAI_ITEM").is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Whether a task of a job may be called so: never like an id or like an element, as both are named where names are.
pub(crate) fn is_task_name(name: &str) -> Result<(), &'static str> {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !first || !rest || name.len() > 63 {
        return Err("must be 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit");
    }
    if name.starts_with(TaskId::PREFIX) {
        return Err("begins with task-, as only ids do");
    }
    if split(name).1.is_some() {
        return Err("ends in a dot and digits, as an element of an array does: write a-7 instead of a.7");
    }
    Ok(())
}

/// `NAME` or `NAME.INDEX`: a task of a job, or an element of one that is an array.
pub(crate) fn task_or_element(text: &str) -> Result<(&str, Option<u32>), &'static str> {
    let (name, digits) = split(text);
    is_task_name(name)?;
    let index = digits.map(|digits| digits.parse::<u32>().ok().filter(|index| index.to_string() == digits));
    match index {
        Some(None) => Err("has no index behind its dot: it is written as 7, not as 07"),
        Some(Some(index)) => Ok((name, Some(index))),
        None => Ok((name, None)),
    }
}

/// What is before and behind the last dot, where only digits are behind it.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('.') {
        Some((name, digits)) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            (name, Some(digits))
        }
        Some(_) | None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_a_job_is_never_called_like_an_id_or_an_element() {
        for good in ["a", "fit", "fit-7", "v1.2b", "A_b.c", "7", "task", &"x".repeat(63)] {
            assert_eq!(is_task_name(good), Ok(()), "{good}");
            assert_eq!(task_or_element(good), Ok((good, None)));
        }
        for (bad, why) in [
            ("", "1 to 63"),
            ("-a", "letter or digit"),
            ("a b", "1 to 63"),
            ("\u{e4}", "1 to 63"),
            (&"x".repeat(64), "1 to 63"),
            ("task-1", "as only ids do"),
            ("fit.7", "dot and digits"),
            ("fit.07", "dot and digits"),
        ] {
            assert!(is_task_name(bad).unwrap_err().contains(why), "{bad:?}");
        }
    }

    #[test]
    fn an_element_is_named_by_its_index_in_its_only_form() {
        assert_eq!(task_or_element("fit.7"), Ok(("fit", Some(7))));
        assert_eq!(task_or_element("v1.b.0"), Ok(("v1.b", Some(0))));
        for bad in ["fit.07", "fit.4294967296", ".7", "a.1.7", "task-a.7"] {
            assert!(task_or_element(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_may_be_that_of_an_elements_parameters_and_no_other_of_the_workers() {
        for good in ["A", "CLOUDAI", "CLOUDAI_ITEM", "CLOUDAI_ITEM_LR", "CLOUDAI_GANG_SIZE"] {
            assert_eq!(is_env_name(good), Ok(()), "{good}");
        }
        for bad in ["", "A=B", "CLOUDAI_TASK_ID", "CLOUDAI_ITEMS", "CLOUDAI_GANG", "CLOUDAI_"] {
            assert!(is_env_name(bad).is_err(), "{bad}");
        }
    }
}
