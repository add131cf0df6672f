//! What the engine's answers mean: gone, refused or away; and how long a silent engine is waited for.

use crate::executor::EngineError;
use bollard::errors::Error;
use std::error::Error as _;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// How long reads are repeated while the engine is away: twice the 45 s that a restart of an
/// engine with hundreds of containers may take; after that a worker is of no use to its tasks.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// First and longest pause between two tries: quick after a blip, gentle in an outage.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Room for the engine's words in an outcome's message of 2 KiB.
const MAX_WORDS: usize = 1200;

/// Why a call to the engine did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// 404: the thing is not there.
    Gone(String),
    /// 409: the thing is there already, or is in a state that forbids the call.
    Conflict(String),
    /// The engine understood and said no.
    Refused {
        /// The status of its answer; 200 for a refusal within a stream.
        status: u16,
        /// Its words, cleaned up.
        text: String,
    },
    /// No answer, or half of one.
    Away(String),
}

impl Fault {
    /// Whether trying a read again can help.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Gone(_) | Self::Conflict(_) => false,
        }
    }

    /// The engine's words.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Gone(text) | Self::Conflict(text) | Self::Refused { text, .. } | Self::Away(text) => text,
        }
    }

    /// Whether the engine itself is broken, rather than what it was asked for.
    ///
    /// An engine answers 500 both for a program that is not there and for a full disk, so its
    /// words decide.
    pub(super) fn is_engines(&self) -> bool {
        const SIGNS: [&str; 12] = [
            "no space left on device",
            "context deadline exceeded",
            "connection refused",
            "transport is closing",
            "cannot allocate memory",
            "resource temporarily unavailable",
            "too many open files",
            "input/output error",
            "is shutting down",
            // The file server of a volume does not answer.
            "failed to mount local volume",
            // No task sets these limits: the engine's own defaults are more than it may set.
            "error setting rlimit",
            // Podman without catatonit.
            "container-init binary not found",
        ];
        match self {
            Self::Away(_) => true,
            Self::Refused { status, text } => {
                *status >= 500 && SIGNS.iter().any(|sign| text.to_ascii_lowercase().contains(sign))
            }
            Self::Gone(_) | Self::Conflict(_) => false,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code: 404, message } => Self::Gone(clean(&message)),
            Error::DockerResponseServerError { status_code: 409, message } => Self::Conflict(clean(&message)),
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, text: clean(&message) }
            }
            Error::DockerStreamError { error } => Self::Refused { status: 200, text: clean(&error) },
            other => Self::Away(chain(&other)),
        }
    }
}

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.text().to_owned())
    }
}

/// An error with all that lies under it, each said once.
pub(super) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(under) = source {
        let words = under.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = under.source();
    }
    text
}

/// The engine's words without the names of its inner layers, on one line, at most 1,200 bytes.
pub(super) fn clean(message: &str) -> String {
    const LAYERS: [&str; 8] = [
        "Error response from daemon: ",
        "failed to create shim task: ",
        "failed to create task for container: ",
        "failed to create shim: ",
        "OCI runtime create failed: ",
        "runc create failed: ",
        "container_linux.go:380: starting container process caused: ",
        "unable to start container process: ",
    ];
    let mut text = message.split_whitespace().collect::<Vec<_>>().join(" ");
    for layer in LAYERS {
        text = text.replace(layer, "");
    }
    let text = text.trim_end_matches(": unknown");
    let mut end = text.len().min(MAX_WORDS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The pause before the next try, growing.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: PAUSE.0 }
    }

    pub(super) async fn pause(&mut self) {
        sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSE.1);
    }
}

/// Repeats a call that changes nothing until it answers, or `patience` is over.
/// # Errors
/// The last fault; at once when trying again can not help.
pub(super) async fn patiently<T, F, Answer>(patience: Duration, mut call: F) -> Result<T, Fault>
where
    F: FnMut() -> Answer,
    Answer: Future<Output = Result<T, Error>>,
{
    let begin = Instant::now();
    let mut backoff = Backoff::new();
    loop {
        match call().await.map_err(Fault::from) {
            Err(fault) if fault.may_pass() && begin.elapsed() < patience => {
                warn!(why = fault.text(), "engine did not answer");
                backoff.pause().await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_lose_their_layers() {
        let raw = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
                   container process: exec: \"nosuch\": executable file not found in $PATH: unknown";
        assert_eq!(clean(raw), "exec: \"nosuch\": executable file not found in $PATH");
        assert_eq!(clean("a\n  b"), "a b");
        assert!(clean(&"ä".repeat(2000)).len() <= MAX_WORDS);
    }

    #[test]
    fn a_full_disk_is_the_engines_fault_and_a_wrong_user_is_not() {
        let refused = |status, text: &str| Fault::Refused { status, text: text.into() };
        assert!(refused(500, "mkdir /var/x: no space left on device").is_engines());
        assert!(!refused(400, "no space left on device").is_engines());
        assert!(refused(500, "error setting rlimit type 7: operation not permitted").is_engines());
        assert!(!refused(500, "unable to find user nosuch").is_engines());
        assert!(Fault::Away("reset".into()).is_engines());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_engine_is_waited_for_a_bounded_time() {
        let begin = Instant::now();
        let away = || async { Err::<(), _>(Error::RequestTimeoutError) };
        let answer = patiently(PATIENCE, away).await;
        assert!(matches!(answer, Err(Fault::Away(_))), "{answer:?}");
        assert!(begin.elapsed() >= PATIENCE && begin.elapsed() < PATIENCE * 2);
    }
}
