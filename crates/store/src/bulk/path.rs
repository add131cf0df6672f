//! Which paths of output files are kept: one rule for every backend, and for what is listed.

use super::BulkError;
use cloudai_core::path::is_plain;
use cloudai_core::sha256::Sha256;
use sha2::Digest;

/// The longest path, in bytes: what Linux takes.
const MAX_PATH: usize = 4096;

/// Whether a path is relative and plain.
/// # Errors
/// [`BulkError::BadPath`].
pub fn check_path(path: &str) -> Result<(), BulkError> {
    if is_plain(path) && path.len() <= MAX_PATH {
        Ok(())
    } else {
        Err(BulkError::BadPath(path.chars().take(200).collect()))
    }
}

/// What a path of an attempt's file is called where files are kept: its SHA-256.
#[must_use]
pub fn path_name(path: &str) -> Sha256 {
    Sha256(sha2::Sha256::digest(path.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for good in ["a", "a/b.txt", "...", "a b", "ü", &"x".repeat(MAX_PATH)] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", &"x".repeat(MAX_PATH + 1)] {
            assert!(matches!(check_path(bad), Err(BulkError::BadPath(_))), "{bad:?}");
        }
    }
}
