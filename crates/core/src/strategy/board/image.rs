//! Which images a worker has: it need not fetch those again.

/// An image as a small number: most have one of their own. 0 for none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image(pub(super) u16);

impl Image {
    /// The number of an image by its reference (FNV-1a, folded).
    #[must_use]
    pub fn of(reference: &str) -> Self {
        if reference.is_empty() {
            return Self(0);
        }
        let hash =
            reference.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let folded = (hash >> 16) ^ (hash & 0xffff);
        Self(u16::try_from(folded).unwrap_or(u16::MAX).max(1))
    }
}

/// So many are remembered of a worker.
const MOST: usize = 16;

/// The images that were used last on a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(Vec<u16>);

impl Images {
    /// Whether an image was used here lately.
    pub(in crate::strategy) fn hold(&self, image: Image) -> bool {
        image.0 != 0 && self.0.contains(&image.0)
    }

    /// An image is used here now; the one that was used longest ago is forgotten.
    pub(super) fn used(&mut self, image: Image) {
        if image.0 == 0 || self.0.last() == Some(&image.0) {
            return;
        }
        self.0.retain(|known| *known != image.0);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(image.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_used_last_are_remembered() {
        let mut images = Images::default();
        images.used(Image::of(""));
        assert_eq!(images, Images::default(), "of no image nothing");
        let of = |number: usize| Image(u16::try_from(number + 1).unwrap());
        (0..MOST).for_each(|number| images.used(of(number)));
        images.used(of(0));
        images.used(of(MOST));
        assert!(images.hold(of(0)) && images.hold(of(MOST)) && !images.hold(of(1)), "{images:?}");
        assert_eq!(images.0.len(), MOST);
    }
}
