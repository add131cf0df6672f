//! What went wrong with a bucket, for people: which one, and why.

use super::S3Address;
use cloudai_core::sha256::Sha256;
use std::error::Error;
use std::io;

/// A bucket did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bucket {address} {why}")]
pub struct BucketError {
    /// Which.
    pub address: String,
    /// What it said, or what happened on the way to it.
    pub why: String,
}

/// The most of an answer that is told.
const MAX_TOLD: usize = 300;

impl BucketError {
    pub(super) fn new(address: &S3Address, error: &object_store::Error) -> Self {
        let whole = chain(error);
        let said = |tag: &str| {
            let (_, rest) = whole.split_once(&format!("<{tag}>"))?;
            Some(rest.split_once("</")?.0)
        };
        let why = match said("Code") {
            Some("NoSuchBucket") => "does not exist".into(),
            // Servers differ in what they call a key that they do not know.
            Some(code @ ("SignatureDoesNotMatch" | "InvalidAccessKeyId" | "NotSignedUp" | "InvalidToken")) => {
                format!("does not accept the keys ({code})")
            }
            Some("AccessDenied") => "does not allow it to this key (AccessDenied)".into(),
            Some(code) => format!("answered {code}: {}", plain(said("Message").unwrap_or("no message"))),
            None => format!("did not answer as expected: {}", plain(&whole)),
        };
        Self { address: address.to_string(), why }
    }

    pub(super) fn changed(address: &S3Address, content: Sha256, size: u64, found: u64) -> Self {
        let why = format!("has {found} bytes instead of {size} under {content}: somebody else changed it");
        Self { address: address.to_string(), why }
    }

    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

pub(super) fn is_missing(error: &object_store::Error) -> bool {
    // A bucket that is not there is not an object that is not there.
    matches!(error, object_store::Error::NotFound { .. }) && !chain(error).contains("NoSuchBucket")
}

/// An error with all that caused it, what is repeated once.
fn chain(error: &dyn Error) -> String {
    let (mut whole, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let text = cause.to_string();
        if !whole.contains(&text) {
            whole.push_str(": ");
            whole.push_str(&text);
        }
        next = cause.source();
    }
    whole
}

/// One line without what a query of an address may hold.
fn plain(text: &str) -> String {
    let bare = |word: &'_ str| word.find('?').filter(|_| word.starts_with("http")).unwrap_or(word.len());
    let words = text.split_whitespace().map(|word| word.get(..bare(word)).unwrap_or_default());
    let line: String = words.collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_in_words_and_without_what_signs_a_request() {
        let rows = [
            ("<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>", "does not exist"),
            ("<Code>InvalidAccessKeyId</Code>", "does not accept the keys (InvalidAccessKeyId)"),
            ("<Code>AccessDenied</Code>", "does not allow it to this key (AccessDenied)"),
            ("<Code>SlowDown</Code><Message>less please</Message>", "answered SlowDown: less please"),
            (
                "GET http://x/y?X-Amz-Signature=z\n  refused",
                "did not answer as expected: Generic S3 error: GET http://x/y refused",
            ),
        ];
        for (text, told) in rows {
            let error = object_store::Error::Generic { store: "S3", source: text.into() };
            let address = "s3://data/p".parse().unwrap();
            assert_eq!(BucketError::new(&address, &error).to_string(), format!("the bucket s3://data/p {told}"));
        }
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_missing_object() {
        let missing = |text: &str| object_store::Error::NotFound { path: "x".into(), source: text.into() };
        assert!(is_missing(&missing("<Code>NoSuchKey</Code>")));
        assert!(!is_missing(&missing("<Code>NoSuchBucket</Code>")));
    }
}
