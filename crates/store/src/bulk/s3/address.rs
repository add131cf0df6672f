//! `s3://BUCKET/PREFIX`: which objects are ours.

use object_store::path::Path as Key;
use std::fmt;
use std::str::FromStr;

/// A bucket and what all names in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Address {
    bucket: String,
    /// Without `/` at either end; may be empty.
    prefix: String,
}

/// Why a text is no [`S3Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not s3://BUCKET or s3://BUCKET/PREFIX (of the prefix: a-z A-Z 0-9 . _ - and / between parts)")]
pub struct BadAddress;

impl S3Address {
    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether a key of the bucket lies below the prefix.
    pub(super) fn holds(&self, key: &str) -> bool {
        self.prefix.is_empty() || key.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('/'))
    }

    /// A name within, as it is told to people.
    pub(super) fn join(&self, name: &str) -> String {
        format!("{self}/{name}")
    }

    pub(super) fn key(&self, name: &str) -> Key {
        if self.prefix.is_empty() { Key::from(name) } else { Key::from(format!("{}/{name}", self.prefix)) }
    }
}

impl FromStr for S3Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (bucket, prefix) =
            text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or(BadAddress)?;
        let prefix = prefix.trim_end_matches('/');
        let plain = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        let named = (3..=63).contains(&bucket.len())
            && plain(bucket, ".-_")
            && bucket.starts_with(|c: char| c != '.' && c != '-');
        let parts = prefix.is_empty() || prefix.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if named && parts && plain(prefix, "._-/") && prefix.len() <= 512 {
            Ok(Self { bucket: bucket.into(), prefix: prefix.into() })
        } else {
            Err(BadAddress)
        }
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{between}{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_bucket_and_a_plain_prefix() {
        let rows = [
            ("s3://data", "s3://data", "blobs/x"),
            ("s3://data/", "s3://data", "blobs/x"),
            ("s3://data/cloudai/", "s3://data/cloudai", "cloudai/blobs/x"),
            ("s3://my.data-1/a/b_c", "s3://my.data-1/a/b_c", "a/b_c/blobs/x"),
        ];
        for (text, shown, key) in rows {
            let address: S3Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.key("blobs/x").as_ref()), (shown, key), "{text}");
        }
        for bad in [
            "",
            "data",
            "s3://",
            "s3://ab",
            "https://data",
            "s3://data//a",
            "s3://data/a/../b",
            "s3://-data",
            "s3://d a t a",
            "s3://data/a?b",
        ] {
            assert_eq!(bad.parse::<S3Address>(), Err(BadAddress), "{bad}");
        }
    }
}
