//! From which addresses tasks may have their inputs.
//!
//! The master says where, workers fetch: an address of the web as it is, an object of a bucket by one that is signed for the
//! attempt, so that no worker has keys.

use cloudai_core::spec::Address;
use cloudai_store::bulk::s3::{BucketError, Sources};
use std::fmt;
use std::str::FromStr;

/// What an operator says of inputs from addresses; nothing is allowed without a word.
#[derive(Clone, Debug, Default)]
pub struct InputRules {
    /// What addresses of the web may begin with.
    pub urls: Vec<UrlPrefix>,
    /// The buckets that may be read.
    pub buckets: Sources,
}

/// What addresses may begin with: `https:`, or `https://HOST/` with more behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPrefix(String);

impl FromStr for UrlPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not https:, http:, nor SCHEME://HOST[:PORT]/PATH");
        let (scheme, rest) = text.split_once(':').ok_or_else(expected)?;
        let plain = matches!(scheme, "http" | "https") && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || text.contains(['#', '?', '@', '\\']) {
            return Err(expected());
        }
        let Some(place) = rest.strip_prefix("//") else {
            return if rest.is_empty() { Ok(Self(text.into())) } else { Err(expected()) };
        };
        match place.find('/') {
            Some(0) => Err(expected()),
            Some(_) => Ok(Self(text.into())),
            None if place.is_empty() => Err(expected()),
            // Else it would let hosts in whose names begin alike.
            None => Ok(Self(format!("{text}/"))),
        }
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl UrlPrefix {
    /// Whether an address begins with it, part for part.
    fn lets(&self, url: &str) -> bool {
        let whole = |rest: &str| self.0.ends_with(['/', ':']) || rest.is_empty() || rest.starts_with(['/', '?']);
        url.strip_prefix(&self.0).is_some_and(whole)
    }
}

impl InputRules {
    /// Whether an input may come from there; else why not, for people.
    pub(crate) fn check(&self, address: &Address) -> Result<(), String> {
        let allowed = |list: Vec<String>| if list.is_empty() { "none".into() } else { list.join(", ") };
        match address.object() {
            Some((bucket, key)) if self.buckets.has(bucket, key) => Ok(()),
            Some(_) => {
                let list = allowed(self.buckets.addresses().map(ToString::to_string).collect());
                Err(format!("is in no bucket that tasks may read (inputs.buckets: {list})"))
            }
            None if self.urls.iter().any(|prefix| prefix.lets(address.url())) => Ok(()),
            None => {
                let list = allowed(self.urls.iter().map(ToString::to_string).collect());
                Err(format!("is no address that tasks may have inputs from (inputs.urls: {list})"))
            }
        }
    }

    /// Where a worker fetches it now.
    /// # Errors
    /// It may not be read any more, or can not be signed: for people.
    pub(crate) async fn place(&self, address: &Address) -> Result<String, NoPlace> {
        self.check(address).map_err(|why| NoPlace::Refused(format!("{} {why}", address.url())))?;
        let Some((bucket, key)) = address.object() else { return Ok(address.url().to_owned()) };
        let refused = || NoPlace::Refused(format!("{} names no object", address.url()));
        self.buckets.sign(bucket, key).await?.ok_or_else(refused)
    }
}

/// Why an input can not be fetched from anywhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPlace {
    /// Another try finds the same.
    #[error("{0}")]
    Refused(String),
    /// Another try may help.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_lets_in_what_begins_with_it_and_no_other_host() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let check = |prefix: &str, url: &str| {
            let rules = InputRules { urls: vec![prefix.parse().unwrap()], ..InputRules::default() };
            rules.check(&format!("{url}#sha256={hash}").parse().unwrap())
        };
        for (prefix, url, lets) in [
            ("https:", "https://example.org/x", true),
            ("https:", "http://example.org/x", false),
            ("https://example.org", "https://example.org/x", true),
            ("https://example.org", "https://example.org.evil.com/x", false),
            ("https://example.org", "https://example.org:444/x", false),
            ("https://example.org/sets/", "https://example.org/sets/x", true),
            ("https://example.org/sets/", "https://example.org/x", false),
            ("https://example.org/sets", "https://example.org/sets/x", true),
            ("https://example.org/sets", "https://example.org/sets?x", true),
            ("https://example.org/sets", "https://example.org/setsx", false),
            ("https:", "s3://data/x", false),
        ] {
            assert_eq!(check(prefix, url).is_ok(), lets, "{prefix} {url}");
        }
        let why = check("https://example.org", "http://example.org/x").unwrap_err();
        assert_eq!(why, "is no address that tasks may have inputs from (inputs.urls: https://example.org/)");
        for bad in
            ["", "https", "ftp:", "https:/x", "https://", "https:///x", "https://a@b/", "https://a/?x", "https://a b/"]
        {
            assert!(bad.parse::<UrlPrefix>().unwrap_err().contains("SCHEME"), "{bad}");
        }
    }
}
