//! The images that a worker's engine has, by the names that tasks may give them.

use crate::spec::ImageRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most that are known of a worker: they stand in every version of its record.
pub const MOST: usize = 256;
/// The longest name, in bytes: what is longer no constraint can name.
const LONGEST: usize = 200;

/// Names of images, each in its normal form ([`ImageRef::normal`]), sorted, without twins. A copy shares them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Images(Arc<[String]>);

impl Images {
    /// Those of these names, in any spelling; the first [`MOST`] of them.
    pub fn of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        let mut known = BTreeSet::new();
        for name in names {
            let name = name.as_ref();
            if !name.is_empty() && name.len() <= LONGEST && known.len() < MOST {
                known.insert(ImageRef::of(name).normal());
            }
        }
        Self(known.into_iter().filter(|name| name.len() <= LONGEST).collect())
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Images {
    /// Versions of a record share their names: most often that is all there is to look at.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Images {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_each_once_however_they_are_spelt() {
        let images = Images::of(["team/train:1", "docker.io/library/busybox:latest", "", "busybox", "a:2"]);
        assert_eq!(images.names(), ["a:2", "busybox:latest", "team/train:1"]);
        assert_eq!(images, Images::of(["busybox", "a:2", "team/train:1"]));
        assert_ne!(images, Images::of(["busybox", "a:2"]));
        let stored = serde_json::to_string(&images).unwrap();
        assert_eq!(stored, r#"["a:2","busybox:latest","team/train:1"]"#);
        assert_eq!(serde_json::from_str::<Images>(&stored).unwrap(), images);
    }

    #[test]
    fn the_first_ones_are_kept_and_none_that_no_constraint_can_name() {
        let long = "x".repeat(LONGEST);
        let names = std::iter::once(long).chain((0..2 * MOST).rev().map(|number| format!("i{number:04}:1")));
        let images = Images::of(names);
        assert_eq!(images.names().len(), MOST - 1, "with its tag the long one is too long");
        assert_eq!(images.names()[0], format!("i{:04}:1", MOST + 1));
        assert!(Images::of(["y".repeat(LONGEST + 1)]).is_empty());
    }
}
