//! The settings of where contents are kept, the master's disk or an S3-compatible bucket, and of how much tasks may leave.

use super::known::{
    FILES_MAX_TASK, FILES_MAX_TASK_COUNT, FILES_MAX_USER, INPUT_BUCKETS, PRESIGN, S3_ALLOW_HTTP, S3_ENDPOINT, S3_KEY,
    S3_REGION, S3_SECRET, S3_SESSION, S3_URL,
};
use super::{Resolver, Setting};
use crate::exit::Failure;
use cloudai_master::{FileLimits, MOST_FILES, UrlPrefix};
use cloudai_store::bulk::s3::{S3Address, S3Keys, S3Server, S3Settings};
use std::time::Duration;

/// The longest that a presigned address can be valid: S3 takes no more.
const LONGEST: u32 = 7 * 24 * 3600;

/// The bucket; none where contents stay on the master's disk.
/// # Errors
/// What does not go together.
pub(super) fn bucket(resolver: &Resolver<'_>) -> Result<Option<S3Settings>, Failure> {
    let Some(address) = resolver.value(&S3_URL)? else { return Ok(None) };
    Ok(Some(S3Settings { address, server: server(resolver)? }))
}

/// Who serves buckets.
/// # Errors
/// What does not go together.
pub(super) fn server(resolver: &Resolver<'_>) -> Result<S3Server, Failure> {
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
    Ok(S3Server { endpoint, region, allow_http, keys, presign })
}

/// What tasks may leave; 0 is no limit.
/// # Errors
/// A value that is not allowed.
pub(super) fn limits(resolver: &Resolver<'_>) -> Result<FileLimits, Failure> {
    let unless_nought =
        |setting: &'static Setting<u64>| Ok::<_, Failure>(Some(resolver.required(setting)?).filter(|bytes| *bytes > 0));
    Ok(FileLimits {
        task: unless_nought(&FILES_MAX_TASK)?,
        task_count: resolver.required(&FILES_MAX_TASK_COUNT)?,
        user: unless_nought(&FILES_MAX_USER)?,
    })
}

fn half(given: &Setting<String>, missing: &Setting<String>) -> Failure {
    Failure::usage(format!("{} is given without {}", given.facts.key, missing.facts.key))
        .why("a key of a bucket has both")
        .next(format!("give {} as well, or neither where the machine has a role", missing.facts.variables.join(" or ")))
}

pub(super) fn address(text: &str) -> Result<S3Address, String> {
    text.parse().map_err(|error: cloudai_store::bulk::s3::BadAddress| error.to_string())
}

/// What addresses of inputs may begin with.
pub(super) fn urls(text: &str) -> Result<Vec<UrlPrefix>, String> {
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(|one| one.trim().parse()).collect()
}

/// Buckets that inputs may come from.
pub(super) fn buckets(text: &str) -> Result<Vec<S3Address>, String> {
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    text.split(',').map(|one| address(one.trim())).collect()
}

/// Buckets that tasks may read, and who serves them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sourced {
    /// None where there are no buckets.
    pub(crate) server: Option<S3Server>,
    pub(crate) buckets: Vec<S3Address>,
}

/// The buckets that inputs may come from.
/// # Errors
/// What does not go together; one of them keeps the contents of tasks, which are not everybody's to read.
pub(super) fn sources(resolver: &Resolver<'_>) -> Result<Sourced, Failure> {
    let buckets = resolver.value(&INPUT_BUCKETS)?.unwrap_or_default();
    let own = resolver.value(&S3_URL)?;
    if let Some(own) = own.filter(|own| buckets.iter().any(|one| one.bucket() == own.bucket())) {
        return Err(Failure::usage(format!(
            "{} names {}, which is the bucket of {}",
            INPUT_BUCKETS.facts.key,
            own.bucket(),
            S3_URL.facts.key
        ))
        .why("what tasks leave is there, and not everybody's to read")
        .next("put inputs into another bucket"));
    }
    let server = if buckets.is_empty() { None } else { Some(server(resolver)?) };
    Ok(Sourced { server, buckets })
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

/// Bytes; a plain number is GB.
pub(super) fn limit(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { super::parse::bytes(text) }
}

/// Files of one attempt: no worker collects more.
pub(super) fn count(text: &str) -> Result<u32, String> {
    let count = super::parse::whole(text, MOST_FILES).ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{text:?} is no whole number from 1 to {MOST_FILES}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_files_are_sizes_or_no_limit_and_no_more_files_than_workers_collect() {
        assert_eq!(["0", "2", "512m", "7b"].map(limit), [Ok(0), Ok(2 << 30), Ok(512 << 20), Ok(7)]);
        assert_eq!(["1", "10000"].map(count), [Ok(1), Ok(10_000)]);
        assert_eq!(cloudai_worker::outputs::MAX_FILES, MOST_FILES as usize);
        for bad in ["-1", "", "x", "many"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
        for bad in ["0", "10001", "-1", "1k", ""] {
            assert!(count(bad).is_err(), "{bad}");
        }
        let defaults = FileLimits::default();
        assert_eq!(limit(FILES_MAX_TASK.facts.fallback.words()).ok(), defaults.task);
        assert_eq!(count(FILES_MAX_TASK_COUNT.facts.fallback.words()), Ok(defaults.task_count));
        assert_eq!((limit(FILES_MAX_USER.facts.fallback.words()), defaults.user), (Ok(0), None));
    }

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
