//! How far each group of a job is, shared between who changes it and who reads it.

use super::GroupProgress;
use std::sync::Arc;

/// Groups that are copied together when one of them changes.
const CHUNK: usize = 128;

/// How far each group is, in the order of the plan. A copy costs little, and a change what is near it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    chunks: Vec<Arc<[GroupProgress]>>,
    count: usize,
}

impl Groups {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, group: u32) -> Option<&GroupProgress> {
        self.chunks.get(group as usize / CHUNK)?.get(group as usize % CHUNK)
    }

    /// One of them, to be changed.
    pub(super) fn get_mut(&mut self, group: u32) -> Option<&mut GroupProgress> {
        let chunk = self.chunks.get_mut(group as usize / CHUNK)?;
        Arc::make_mut(chunk).get_mut(group as usize % CHUNK)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &GroupProgress> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl FromIterator<GroupProgress> for Groups {
    fn from_iter<I: IntoIterator<Item = GroupProgress>>(groups: I) -> Self {
        let all: Vec<GroupProgress> = groups.into_iter().collect();
        Self { chunks: all.chunks(CHUNK).map(Into::into).collect(), count: all.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_change_with_what_it_is_of() {
        let group = |born| {
            let mut group = GroupProgress::default();
            group.born = born;
            group
        };
        let mut groups: Groups = (0..1000).map(group).collect();
        let copy = groups.clone();
        groups.get_mut(700).unwrap().born = 7;
        assert_eq!((copy.get(700).unwrap().born, groups.get(700).unwrap().born), (700, 7));
        assert!(copy.iter().map(|group| group.born).eq(0..1000));
        assert!(groups.get(1000).is_none() && groups.get_mut(1000).is_none());
    }
}
