//! A content at an address: where it is served, and what it must be.

use crate::sha256::Sha256;
use std::fmt;
use std::str::FromStr;

/// The longest address, in bytes.
const LONGEST: usize = 4096;
/// What stands between an address and its hash.
const MARK: &str = "#sha256=";
const EXPECTED: &str = "must name its content: expected SCHEME://HOST/PATH#sha256=DIGITS, the 64 digits that \
                        `sha256sum FILE` prints";

/// `https://`, `http://` or `s3://`, with the SHA-256 of what is there: so it is the same for every attempt, whatever the
/// server has by then, and is fetched once for all that need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: String,
    sha256: Sha256,
}

impl Address {
    /// Where it is served, without the hash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it must be.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Bucket and key of an `s3://` address.
    #[must_use]
    pub fn object(&self) -> Option<(&str, &str)> {
        self.url.strip_prefix("s3://")?.split_once('/')
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (url, digits) = text.split_once('#').ok_or(EXPECTED)?;
        let digits = digits.strip_prefix("sha256=").ok_or(EXPECTED)?;
        let sha256 = digits.parse().map_err(|why| format!("{why} behind {MARK}"))?;
        let (scheme, rest) = url.split_once("://").ok_or("is no address: expected SCHEME://HOST/PATH")?;
        if !matches!(scheme, "http" | "https" | "s3") {
            return Err("is no address that can be fetched: expected https://, http:// or s3://".into());
        }
        if url.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('\\') {
            return Err("has spaces, backslashes or letters beyond ASCII: write them as %20 and the like".into());
        }
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if host.contains('@') {
            return Err("has a user or password, which everybody sees who sees the task: leave them out".into());
        }
        if host.is_empty() {
            return Err("names no host".into());
        }
        let path = path.split('?').next().unwrap_or_default();
        let dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
        if path.split('/').any(dots) {
            return Err("has . or .. as a part of its path".into());
        }
        if scheme == "s3" && (path.len() < 2 || path.ends_with('/') || url.contains('?')) {
            return Err("names no object: expected s3://BUCKET/KEY".into());
        }
        Ok(Self { url: url.to_owned(), sha256 })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{MARK}{}", self.url, self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn an_address_is_read_back_as_it_is_written() {
        for url in ["https://example.org/a%20b.csv?x=1&y=..", "http://[::1]:8000", "s3://data/sets/a"] {
            let text = format!("{url}#sha256={HASH}");
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string(), address.url(), address.sha256()), (text, url, HASH.parse().unwrap()));
        }
        let object: Address = format!("s3://data/sets/a#sha256={HASH}").parse().unwrap();
        assert_eq!(object.object(), Some(("data", "sets/a")));
        assert_eq!(format!("https://data/sets/a#sha256={HASH}").parse::<Address>().unwrap().object(), None);
    }

    #[test]
    fn what_is_no_address_of_a_known_content_is_refused_with_what_is_expected() {
        for (url, why) in [
            ("https:///x", "no host"),
            ("https://", "no host"),
            ("https:x", "SCHEME://HOST"),
            ("ftp://example.org/x", "expected https://"),
            ("https://me:pw@example.org/x", "user or password"),
            ("https://example.org/a/../x", ".."),
            ("https://example.org/a/%2E./x", ".."),
            ("https://example.org/a b", "%20"),
            ("https://example.org\\x", "backslashes"),
            ("s3://data", "s3://BUCKET/KEY"),
            ("s3://data/", "s3://BUCKET/KEY"),
            ("s3://data/x?y", "s3://BUCKET/KEY"),
        ] {
            let problem = format!("{url}#sha256={HASH}").parse::<Address>().unwrap_err();
            assert!(problem.contains(why), "{url}: {problem}");
        }
        for (text, why) in [
            ("https://example.org/x", "sha256sum"),
            ("https://example.org/x#part", "sha256sum"),
            ("https://example.org/x#sha256=12", "64 digits"),
        ] {
            let problem = text.parse::<Address>().unwrap_err();
            assert!(problem.contains(why), "{text}: {problem}");
        }
    }
}
