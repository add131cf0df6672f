//! The form of an image reference, after the distribution project's reference grammar.

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
    let (rest, digest) = image.split_once('@').map_or((image, None), |(r, d)| (r, Some(d)));
    if !digest.is_none_or(is_digest) {
        return Err("has a bad digest: expected @sha256:<64 hex digits>");
    }
    let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let colon = rest[after_slash..].find(':').map(|colon| after_slash + colon);
    let (path, tag) = colon.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    if !tag.is_none_or(is_tag) {
        return Err("has a bad tag: 1 to 128 of a-z A-Z 0-9 . _ -, beginning with none of . -");
    }
    is_path(path)
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
    let mut parts: Vec<&str> = path.split('/').collect();
    let host = parts[0];
    if parts.len() > 1 && (host.contains(['.', ':']) || host == "localhost") {
        if !is_host(host) {
            return Err("has a bad registry host");
        }
        parts.remove(0);
    }
    let good = |part: &&str| {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(word) && part.ends_with(word) && part.chars().all(|c| word(c) || "._-".contains(c))
    };
    if parts.iter().all(good) {
        Ok(())
    } else {
        Err("is no image reference: expected [host/]name[:tag], the name in lower case")
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(n, p)| (n, Some(p)));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    !name.is_empty() && name.chars().all(plain) && port.is_none_or(|p| p.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::check;

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
