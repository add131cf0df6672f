//! The form of an image reference, after the distribution project's reference grammar.

use super::registry::is_hub;

/// The parts of an image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRef<'a> {
    /// The registry's `host[:port]`; none is Docker Hub.
    pub host: Option<&'a str>,
    /// Host and path, without tag and digest.
    pub name: &'a str,
    /// Its tag.
    pub tag: Option<&'a str>,
    /// Its digest, as `sha256:...`.
    pub digest: Option<&'a str>,
}

impl<'a> ImageRef<'a> {
    /// Takes a reference apart; whether its parts are good is not looked at.
    #[must_use]
    pub fn of(image: &'a str) -> Self {
        let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let colon = rest[after_slash..].find(':').map(|colon| after_slash + colon);
        let (name, tag) = colon.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
        // The first part is a host only when it can not be part of a name on Docker Hub.
        let host = name.split_once('/').map(|(first, _)| first);
        let host = host.filter(|host| host.contains(['.', ':']) || *host == "localhost");
        Self { host, name, tag, digest }
    }

    /// The one spelling of all that mean the same image: `busybox` and `docker.io/library/busybox:latest` are
    /// `busybox:latest`. Podman calls what was made on its own machine `localhost/...`: that is left out, too. A tag
    /// beside a digest says nothing.
    #[must_use]
    pub fn normal(self) -> String {
        let name = self.short_name();
        match (self.digest, self.tag) {
            (Some(digest), _) => format!("{name}@{digest}"),
            (None, tag) => format!("{name}:{}", tag.unwrap_or("latest")),
        }
    }

    /// Its name without what everybody leaves out.
    fn short_name(self) -> &'a str {
        let usual = |host: &str| host == "localhost" || is_hub(host);
        let path = self.name.split_once('/').filter(|(host, _)| usual(host)).map(|(_, path)| path);
        // What remains must not read as a name of another registry.
        let path = path.filter(|path| !path.is_empty() && Self::of(path).host.is_none()).unwrap_or(self.name);
        path.strip_prefix("library/").filter(|rest| !rest.is_empty() && !rest.contains('/')).unwrap_or(path)
    }
}

/// Checks `[host[:port]/]path[:tag][@algorithm:hex]`; the longest allowed is 512 bytes.
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn check(image: &str) -> Result<(), &'static str> {
    if image.is_empty() {
        return Err("is empty: name an image, as python:3.12");
    }
    if image.len() > 512 {
        return Err("is longer than 512 bytes");
    }
    let ImageRef { host, name, tag, digest } = ImageRef::of(image);
    if !digest.is_none_or(is_digest) {
        return Err("has a bad digest: expected @sha256:<64 hex digits>");
    }
    if !tag.is_none_or(is_tag) {
        return Err("has a bad tag: 1 to 128 of a-z A-Z 0-9 . _ -, beginning with none of . -");
    }
    let Some(host) = host else { return is_path(name) };
    if !is_host(host) {
        return Err("has a bad registry host");
    }
    is_path(&name[host.len() + 1..])
}

fn is_digest(digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_path(path: &str) -> Result<(), &'static str> {
    let good = |part: &str| {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(word) && part.ends_with(word) && part.chars().all(|c| word(c) || "._-".contains(c))
    };
    if path.split('/').all(good) {
        Ok(())
    } else {
        Err("is no image reference: expected [host/]name[:tag], the name in lower case")
    }
}

pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(n, p)| (n, Some(p)));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    !name.is_empty() && name.chars().all(plain) && port.is_none_or(|p| p.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::{ImageRef, check};
    use proptest::prelude::*;

    #[test]
    fn a_reference_names_its_registry_or_docker_hub() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let with_digest = format!("a:1@{digest}");
        let rows = [
            ("busybox", None, "busybox", None, None),
            ("team/train:1", None, "team/train", Some("1"), None),
            ("localhost/a", Some("localhost"), "localhost/a", None, None),
            ("localhost:5001/a/b", Some("localhost:5001"), "localhost:5001/a/b", None, None),
            ("ghcr.io/a:2", Some("ghcr.io"), "ghcr.io/a", Some("2"), None),
            (with_digest.as_str(), None, "a", Some("1"), Some(digest.as_str())),
        ];
        for (image, host, name, tag, digest) in rows {
            assert_eq!(ImageRef::of(image), ImageRef { host, name, tag, digest }, "{image}");
        }
    }

    #[test]
    fn every_spelling_of_an_image_has_one_normal_form() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let (tagged, bare) = (format!("docker.io/library/a:1@{digest}"), format!("a@{digest}"));
        let rows = [
            ("busybox", "busybox:latest"),
            ("busybox:1", "busybox:1"),
            ("library/busybox", "busybox:latest"),
            ("docker.io/library/busybox:latest", "busybox:latest"),
            ("index.docker.io/busybox", "busybox:latest"),
            ("docker.io/team/train:1", "team/train:1"),
            ("docker.io/library/team/train:1", "library/team/train:1"),
            ("localhost/cloudai/hello", "cloudai/hello:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("ghcr.io/library/a:2", "ghcr.io/library/a:2"),
            ("docker.io/ghcr.io/a:2", "docker.io/ghcr.io/a:2"),
            ("fake:sleep", "fake:sleep"),
            (&tagged, &bare),
        ];
        for (image, normal) in rows {
            assert_eq!(ImageRef::of(image).normal(), normal, "{image}");
        }
    }

    /// Good references and bad ones.
    const SPELLINGS: &str =
        "((docker\\.io|localhost|library|a|g\\.io|a:1)/){0,4}[a-z]{0,2}(:[a-z]{0,2})?(@[a-z]{0,2})?";

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(image in SPELLINGS) {
            let normal = ImageRef::of(&image).normal();
            prop_assert_eq!(ImageRef::of(&normal).normal(), normal);
        }
    }

    #[test]
    fn references_of_every_form_are_accepted() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        for good in [
            "busybox",
            "python:3.12-slim",
            "team/train",
            "localhost:5001/a/b:1",
            "docker.io/u/x:latest",
            "fake:sleep",
            &digest,
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_no_engine_would_take_is_refused() {
        for bad in [
            "",
            " ",
            "A",
            "a b",
            "a:",
            "a:b:c",
            "a@sha256:12",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a:.x",
            "h.x:99999/a",
            "ü",
            "a\n",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
