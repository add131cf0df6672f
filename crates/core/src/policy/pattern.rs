//! Patterns of a policy: what operators write for many names at once, and how names are made alike before.

use crate::spec::{ImageRef, RegistryName};
use std::fmt;

/// The longest pattern, in bytes.
const LONGEST: usize = 512;
/// The registry of names that name none.
const HUB: &str = "docker.io";
/// Its images of one word are in this folder.
const LIBRARY: &str = "library/";

/// A text in which `*` stands for any characters, also for none, and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(String);

impl Glob {
    /// # Errors
    /// What a pattern must be.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        if !text.is_empty() && text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 512 characters without spaces; * stands for any characters, ? for one")
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Only the last `*` is ever come back to: the cost is the product of both lengths at most.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last `*`, and up to where of the text it reaches.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((behind, reach)) = star else { return false };
                (p, t) = (behind, reach + 1);
                star = Some((behind, t));
            }
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

/// An image with all that its name leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FullImage {
    registry: RegistryName,
    path: String,
    version: Given,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Given {
    Tag(String),
    Digest(String),
}

impl FullImage {
    /// A tag beside a digest says nothing: engines take what the digest names.
    pub(super) fn of(image: &str) -> Self {
        let parts = ImageRef::of(image);
        let registry = RegistryName::of_image(image);
        let path = match parts.host {
            Some(host) => parts.name.get(host.len() + 1..).unwrap_or_default(),
            None => parts.name,
        };
        let version = match (parts.digest, parts.tag) {
            (Some(digest), _) => Given::Digest(digest.to_owned()),
            (None, tag) => Given::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Self { path: in_library(registry.as_str(), path), registry, version }
    }

    pub(super) fn registry(&self) -> &RegistryName {
        &self.registry
    }
}

impl fmt::Display for FullImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, path, version } = self;
        match version {
            Given::Tag(tag) => write!(f, "{registry}/{path}:{tag}"),
            Given::Digest(digest) => write!(f, "{registry}/{path}@{digest}"),
        }
    }
}

/// The path of an image of Docker Hub that is one word.
fn in_library(registry: &str, path: &str) -> String {
    if registry == HUB && !path.contains('/') && path != "*" { format!("{LIBRARY}{path}") } else { path.to_owned() }
}

/// Whether an engine may take a name for the beginning of an id of an image that it has, whatever that is called.
pub(super) fn reads_as_id(image: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ImageRef { host, name, tag, digest } = ImageRef::of(image);
    host.is_none()
        && digest.is_none()
        && match tag {
            None => hex(name),
            Some(tag) => name == "sha256" && hex(tag),
        }
}

/// Images by registry, path and version, each a pattern of its own: no `*` of a registry reaches into a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImagePattern {
    registry: Glob,
    path: Glob,
    version: Version,
    /// As it was written.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// Every tag and every digest.
    Any,
    Tag(Glob),
    Digest(Glob),
}

impl ImagePattern {
    /// `*` is every image; without a tag, or with `:*`, every version is meant, digests too.
    /// # Errors
    /// What a pattern must be.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be a pattern of images, as ghcr.io/team/*, busybox:1.* or host:5000/a@sha256:*";
        let whole = Glob::read(text)?;
        let ImageRef { name, tag, digest, .. } = ImageRef::of(&whole.0);
        let version = match (tag, digest) {
            (_, Some(digest)) if !digest.starts_with("sha256:") && digest != "*" => return Err(FORM),
            (Some(_), Some(_)) => return Err("names a tag and a digest: engines heed the digest alone, leave one out"),
            (None, Some(digest)) => Version::Digest(Glob::read(digest)?),
            (None | Some("*"), None) => Version::Any,
            (Some(tag), None) => Version::Tag(Glob::read(tag)?),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" || first == "*" => {
                (hub_or(&first.to_ascii_lowercase()), path)
            }
            Some(_) => (HUB.to_owned(), name),
            None if name == "*" => ("*".to_owned(), name),
            None => (HUB.to_owned(), name),
        };
        if path.split('/').any(str::is_empty) {
            return Err(FORM);
        }
        let path = Glob::read(&in_library(&registry, path))?;
        Ok(Self { registry: Glob::read(&registry)?, path, version, text: text.to_owned() })
    }

    pub(super) fn matches(&self, image: &FullImage) -> bool {
        let version = match (&self.version, &image.version) {
            (Version::Any, Given::Tag(_) | Given::Digest(_)) => true,
            (Version::Tag(glob), Given::Tag(given)) | (Version::Digest(glob), Given::Digest(given)) => {
                glob.matches(given)
            }
            (Version::Tag(_), Given::Digest(_)) | (Version::Digest(_), Given::Tag(_)) => false,
        };
        version && self.registry.matches(image.registry.as_str()) && self.path.matches(&image.path)
    }
}

/// One name for Docker Hub, which has several.
fn hub_or(host: &str) -> String {
    if host == "*" {
        return host.to_owned();
    }
    RegistryName::of_image(&format!("{host}/x")).as_str().to_owned()
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Volumes of an engine by their names, and whether they may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VolumePattern {
    name: Glob,
    pub(super) writable: bool,
}

impl VolumePattern {
    /// `NAME`, or `NAME:ro`.
    /// # Errors
    /// What a pattern must be.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let (name, writable) = text.strip_suffix(":ro").map_or((text, true), |name| (name, false));
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-*?".contains(c)) {
            return Err("must be a pattern of volumes' names, as scratch-*, with :ro behind what may only be read");
        }
        Ok(Self { name: Glob::read(name)?, writable })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.name.matches(name)
    }
}

impl fmt::Display for VolumePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.writable { "" } else { ":ro" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_characters_and_a_question_mark_for_one() {
        let rows = [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "ab", false),
            ("a*", "a", true),
            ("*a", "bca", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abdde", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("?", "", false),
            ("*ab*ab", "abxabab", true),
            ("**", "x/y", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(Glob::read(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        for bad in ["", "a b", "a\n", "\u{e4}", &"a".repeat(LONGEST + 1)] {
            assert!(Glob::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_image_has_one_full_name_however_it_is_written() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let (tagged, full) = (format!("busybox:1@{digest}"), format!("docker.io/library/busybox@{digest}"));
        let rows = [
            ("busybox", "docker.io/library/busybox:latest"),
            ("library/busybox:1", "docker.io/library/busybox:1"),
            ("docker.io/busybox:1", "docker.io/library/busybox:1"),
            ("index.docker.io/library/busybox:1", "docker.io/library/busybox:1"),
            ("team/train:2", "docker.io/team/train:2"),
            ("GHCR.io/team/train", "ghcr.io/team/train:latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("localhost/a", "localhost/a:latest"),
            (&tagged, &full),
        ];
        for (image, name) in rows {
            assert_eq!(FullImage::of(image).to_string(), name, "{image}");
        }
    }

    #[test]
    fn a_pattern_of_images_means_registry_path_and_version_each_by_itself() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        let rows = [
            ("*", "ghcr.io/a/b:1", true),
            ("busybox", "busybox:1", true),
            ("busybox:*", "docker.io/library/busybox:1", true),
            ("busybox:1.*", "busybox:1.36", true),
            ("busybox:1.*", "busybox", false),
            ("busybox:latest", "busybox", true),
            ("busybox", "team/busybox", false),
            ("busybox", "ghcr.io/library/busybox", false),
            ("team/*", "team/a/b:1", true),
            ("team/*", "ghcr.io/team/a", false),
            ("docker.io/*", "team/a", true),
            ("registry-1.docker.io/busybox", "busybox", true),
            ("ghcr.io/team/*", "ghcr.io/team/train:1", true),
            ("ghcr.io/team/*", "ghcr.io/teams/train:1", false),
            ("*.example.com/a", "x.example.com/a:1", true),
            ("*.example.com/a", "evil.com/b.example.com/a:1", false),
            ("*/team/a", "evil.com/team/a", true),
            ("localhost:5000/*", "localhost:5001/a", false),
        ];
        for (pattern, image, expected) in rows {
            let found = ImagePattern::read(pattern).unwrap().matches(&FullImage::of(image));
            assert_eq!(found, expected, "{pattern} {image}");
        }
        // A tag beside a digest lets nothing through: what runs is what the digest names.
        let both = FullImage::of(&format!("busybox:1.36{digest}"));
        assert!(!ImagePattern::read("busybox:1.36").unwrap().matches(&both));
        for any in ["busybox", "busybox:*", "busybox@sha256:0*", "busybox@*"] {
            assert!(ImagePattern::read(any).unwrap().matches(&both), "{any}");
        }
        for bad in ["", "a b", "/a", "a//b", "a/", "a@md5:1", "a:1@sha256:*"] {
            assert!(ImagePattern::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_of_hex_digits_alone_may_be_an_id() {
        let id = format!("sha256:{}", "0".repeat(64));
        for image in ["cafe", "0123456789ab", &id] {
            assert!(reads_as_id(image), "{image}");
        }
        for image in ["cafe:1", "docker.io/cafe", "cafe/cafe", "busybox", "sha256:x"] {
            assert!(!reads_as_id(image), "{image}");
        }
    }

    /// As slow as it can be written, for comparison.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => plainly(rest, text),
            (Some((b'*', rest)), Some((_, behind))) => plainly(rest, text) || plainly(pattern, behind),
            (Some((b'?', rest)), Some((_, behind))) => plainly(rest, behind),
            (Some((wanted, rest)), Some((byte, behind))) => wanted == byte && plainly(rest, behind),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), plainly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
