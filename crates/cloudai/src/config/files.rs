//! The settings of where contents are kept: the master's disk, or an S3-compatible bucket.

use super::known::{PRESIGN, S3_ALLOW_HTTP, S3_ENDPOINT, S3_KEY, S3_REGION, S3_SECRET, S3_SESSION, S3_URL};
use super::{Resolver, Setting};
use crate::exit::Failure;
use cloudai_store::bulk::s3::{S3Address, S3Keys, S3Settings};
use std::time::Duration;

/// The longest that a presigned address can be valid: S3 takes no more.
const LONGEST: u32 = 7 * 24 * 3600;

/// The bucket; none where contents stay on the master's disk.
/// # Errors
/// What does not go together.
pub(super) fn bucket(resolver: &Resolver<'_>) -> Result<Option<S3Settings>, Failure> {
    let Some(address) = resolver.value(&S3_URL)? else { return Ok(None) };
    let endpoint = resolver.value(&S3_ENDPOINT)?;
    let allow_http = resolver.required(&S3_ALLOW_HTTP)?;
    if let Some(plain) = endpoint.as_ref().filter(|endpoint| endpoint.starts_with("http://") && !allow_http) {
        return Err(Failure::usage(format!("{} {plain} is without encryption", S3_ENDPOINT.facts.key))
            .why("keys of the bucket sign each request, its contents would be readable on the way")
            .next(format!("an https:// address, or {} = true", S3_ALLOW_HTTP.facts.key)));
    }
    let keys = match (resolver.value(&S3_KEY)?, resolver.value(&S3_SECRET)?) {
        (Some(id), Some(secret)) => Some(S3Keys { id, secret, session: resolver.value(&S3_SESSION)? }),
        (None, None) => None,
        (Some(_), None) => return Err(half(&S3_KEY, &S3_SECRET)),
        (None, Some(_)) => return Err(half(&S3_SECRET, &S3_KEY)),
    };
    let (region, presign) = (resolver.required(&S3_REGION)?, resolver.required(&PRESIGN)?);
    Ok(Some(S3Settings { address, endpoint, region, allow_http, keys, presign }))
}

fn half(given: &Setting<String>, missing: &Setting<String>) -> Failure {
    Failure::usage(format!("{} is given without {}", given.facts.key, missing.facts.key))
        .why("a key of a bucket has both")
        .next(format!("give {} as well, or neither where the machine has a role", missing.facts.variables.join(" or ")))
}

pub(super) fn address(text: &str) -> Result<S3Address, String> {
    text.parse().map_err(|error: cloudai_store::bulk::s3::BadAddress| error.to_string())
}

pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let url =
        reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    let plain = url.filter(|url| url.query().is_none() && url.username().is_empty() && url.password().is_none());
    plain.map(|_| text.trim_end_matches('/').to_owned()).ok_or_else(|| "it is no address of a server".into())
}

pub(super) fn word(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    if plain { Ok(text.into()) } else { Err("it is empty, or has spaces or letters beyond ASCII".into()) }
}

pub(super) fn presign(text: &str) -> Result<Duration, String> {
    let seconds = super::parse::whole(text, LONGEST).ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or_else(|| format!("{text:?} is no whole number from 1 to {LONGEST}"))?;
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_without_anything_behind_it() {
        assert_eq!(endpoint("https://s3.example.org/"), Ok("https://s3.example.org".into()));
        assert_eq!(endpoint("http://127.0.0.1:9000"), Ok("http://127.0.0.1:9000".into()));
        for bad in ["", "s3.example.org", "ftp://x", "https://a:b@x", "https://x?y"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        assert!(word("us-east-1").is_ok() && word("").is_err() && word("a b").is_err());
    }

    #[test]
    fn an_address_is_signed_for_a_second_to_a_week() {
        assert_eq!(["1", "604800"].map(presign), [1, 604_800].map(|seconds| Ok(Duration::from_secs(seconds))));
        for bad in ["0", "604801", "1h", ""] {
            assert!(presign(bad).is_err(), "{bad}");
        }
    }
}
