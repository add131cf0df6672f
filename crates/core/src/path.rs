//! Paths as texts: which ones are plain, and which lie within which. Parts are separated by `/`; nothing is looked up.

/// Whether a path is relative and names one place only: no empty parts, no `.` or `..`, no NUL.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether a path lies within a folder. The folder itself does not.
#[must_use]
pub fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether one of two paths is the other, or lies within it.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    one == other || is_within(one, other) || is_within(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_leads_nowhere_else() {
        for good in ["a", "a/b.txt", "...", "a b", "\u{fc}", "..a/b."] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\0b"] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn two_places_overlap_when_one_lies_within_the_other() {
        assert!(is_within("/a/b", "/a") && is_within("a/b/c", "a/b"));
        assert!(!is_within("/a", "/a") && !is_within("/ab", "/a") && !is_within("/a", "/a/b"));
        assert!(overlap("/a", "/a") && overlap("/a", "/a/b") && overlap("/a/b/c", "/a"));
        assert!(!overlap("/a", "/ab") && !overlap("/a/b", "/a/c"));
    }
}
