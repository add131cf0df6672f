//! Which images and inputs a worker has: it need not fetch those again.
//!
//! Of images a worker tells those that its engine has, and is believed: what it does not list was removed. What was
//! used there since it told is there too. Inputs are remembered by their use alone, as images are of a worker that
//! tells none.

use crate::images::Images;
use crate::spec::ImageRef;
use std::sync::Arc;

/// An image as a small number: most have one of their own. 0 for none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image(u16);

/// What a task finds, as a number still smaller: what it tells apart only decides between workers that are equal. 0 for
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data(u8);

impl Image {
    /// The number of an image by its reference, in any spelling.
    #[must_use]
    pub fn of(reference: &str) -> Self {
        if reference.is_empty() { Self(0) } else { Self::of_normal(&ImageRef::of(reference).normal()) }
    }

    /// The number of an image by its normal form.
    fn of_normal(reference: &str) -> Self {
        let hash = hash(reference);
        let folded = u16::try_from((hash >> 16) ^ (hash & 0xffff)).unwrap_or(u16::MAX);
        Self(folded.max(1))
    }
}

impl Data {
    /// The number of a content by its source; of nothing where there is none.
    #[must_use]
    pub fn of(source: &str) -> Self {
        let folded = hash(source).to_be_bytes().into_iter().fold(0, |folded, byte| folded ^ byte);
        if source.is_empty() { Self(0) } else { Self(folded.max(1)) }
    }
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// So many of each sort are remembered of a worker.
const MOST: usize = 16;

/// What a worker told of its images, and what was used last there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lately {
    /// What it told last, and the numbers of that in order.
    told: Images,
    has: Arc<[Image]>,
    /// What was used since.
    images: Vec<Image>,
    data: Vec<Data>,
}

impl Lately {
    /// Whether the data, and whether the image, are not here.
    pub(in crate::strategy) fn lacks(&self, image: Image, data: Data) -> (bool, bool) {
        (!holds(&self.data, data), !holds(&self.images, image) && self.has.binary_search(&image).is_err())
    }

    /// The worker tells that these are its images; the same as before are no news, and what was used since stays.
    pub(super) fn told(&mut self, images: &Images) {
        if self.told != *images {
            self.has = numbers(images);
            self.images.clear();
        }
        // Also of equal ones: those that a worker's records share are compared at a glance.
        self.told = images.clone();
    }

    /// These are used here now.
    pub(super) fn used(&mut self, image: Image, data: Data) {
        note(&mut self.images, image);
        note(&mut self.data, data);
    }
}

fn numbers(images: &Images) -> Arc<[Image]> {
    let mut numbers: Vec<Image> = images.names().iter().map(|name| Image::of_normal(name)).collect();
    numbers.sort_unstable();
    numbers.into()
}

fn holds<T: Copy + Default + PartialEq>(known: &[T], one: T) -> bool {
    one != T::default() && known.contains(&one)
}

/// The one that was used longest ago is forgotten.
fn note<T: Copy + Default + PartialEq>(known: &mut Vec<T>, one: T) {
    if one == T::default() || known.last() == Some(&one) {
        return;
    }
    known.retain(|other| *other != one);
    if known.len() == MOST {
        known.remove(0);
    }
    known.push(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_remembered() {
        let mut lately = Lately::default();
        lately.used(Image::of(""), Data::of(""));
        assert_eq!(lately, Lately::default(), "of nothing nothing");
        let image = |number: usize| Image(u16::try_from(number + 1).unwrap());
        (0..MOST).for_each(|number| lately.used(image(number), Data(7)));
        lately.used(image(0), Data::default());
        lately.used(image(MOST), Data::default());
        let lacks = |number| lately.lacks(image(number), Data(7)).1;
        assert!(!lacks(0) && !lacks(MOST) && lacks(1), "{lately:?}");
        assert_eq!((lately.images.len(), lately.data.len()), (MOST, 1));
        assert_eq!(lately.lacks(Image::default(), Data(7)), (false, true));
        assert_eq!(lately.lacks(Image::default(), Data(8)), (true, true));
    }

    #[test]
    fn a_worker_that_tells_its_images_is_believed() {
        let mut lately = Lately::default();
        let lacks = |lately: &Lately, image: &str| lately.lacks(Image::of(image), Data::default()).1;
        lately.used(Image::of("old"), Data(7));
        lately.told(&Images::default());
        assert!(!lacks(&lately, "old"), "one that tells none is remembered by what it used");
        lately.told(&Images::of(["busybox", "team/train:1"]));
        assert!(!lacks(&lately, "docker.io/library/busybox:latest") && !lacks(&lately, "team/train:1"));
        assert!(lacks(&lately, "old") && lacks(&lately, "team/train:2"), "it would have told");
        assert_eq!(lately.lacks(Image::default(), Data(7)), (false, true), "inputs are remembered");
        lately.used(Image::of("new"), Data::default());
        lately.told(&Images::of(["team/train:1", "busybox"]));
        assert!(!lacks(&lately, "new"), "it told nothing new since that was used");
        lately.told(&Images::of(["team/train:1"]));
        assert!(lacks(&lately, "new") && lacks(&lately, "busybox"));
        lately.told(&Images::default());
        assert!(lacks(&lately, "team/train:1"), "the last one was removed");
    }

    #[test]
    fn most_sources_have_a_number_of_their_own() {
        let numbers: std::collections::BTreeSet<_> = (0..100).map(|n| Data::of(&format!("tree:{n}")).0).collect();
        assert!(numbers.len() > 70 && !numbers.contains(&0), "{}", numbers.len());
    }
}
