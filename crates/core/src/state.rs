//! The words for states of SPEC 3.2, the same in CLI, REST, gRPC, store and metric labels.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An enum whose variants are words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(word: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.word() == word).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|value| value.word()).collect();
                    format!("{word:?} is not one of {}", words.join(", "))
                })
            }
        }
    };
}

words!(
    /// The six words of the reference.
    Status {
        /// Waits for a place.
        Queued = "queued",
        /// Has a worker; its container does not run yet.
        Pending = "pending",
        /// Its container runs.
        Running = "running",
        /// Ended with exit code 0.
        Completed = "completed",
        /// Ended otherwise.
        Failed = "failed",
        /// Ended because somebody asked for it.
        Cancelled = "cancelled",
    }
);

impl Status {
    /// Whether nothing changes it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The transition table (SPEC 3.2): whether a task may go from this status to that one. A
    /// change of phase within a status is a step to itself; what ended never changes.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            // Placed, or ended while it waited.
            Self::Queued => matches!(next, Self::Queued | Self::Pending | Self::Failed | Self::Cancelled),
            // Each step forward, back to the queue, or over; a short program ends before its start is heard of.
            Self::Pending => true,
            Self::Running => !matches!(next, Self::Pending),
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

words!(
    /// Where exactly a task stands that has not ended.
    Phase {
        /// Other tasks have to end first.
        WaitingDependencies = "waiting_dependencies",
        /// Its start time has not come.
        WaitingStartTime = "waiting_start_time",
        /// Nothing free is large enough now.
        WaitingCapacity = "waiting_capacity",
        /// No registered worker could ever run it.
        Unsatisfiable = "unsatisfiable",
        /// Its owner's quota is used up.
        Quota = "quota",
        /// Somebody holds it.
        Held = "held",
        /// Waits before the next attempt.
        Backoff = "backoff",
        /// A worker was chosen; it has not begun.
        Assigned = "assigned",
        /// The worker pulls the image.
        Pulling = "pulling",
        /// The engine makes and starts the container.
        Starting = "starting",
        /// The container runs.
        Running = "running",
        /// Is being stopped; the worker has not confirmed.
        Cancelling = "cancelling",
        /// Its worker is silent.
        WorkerUnreachable = "worker_unreachable",
    }
);

words!(
    /// Why a task is where it is, or why it ended.
    Reason {
        /// Its worker was drained.
        Drained = "drained",
        /// A more important task took its place.
        Preempted = "preempted",
        /// Another task of its gang lost its place: they start together.
        Gang = "gang",
        /// The program ended with another code than 0.
        ExitCode = "exit_code",
        /// The kernel killed it for its memory.
        OomKilled = "oom_killed",
        /// It ran longer than allowed.
        TimedOut = "timed_out",
        /// The image could not be had.
        ImagePull = "image_pull",
        /// The engine refused to create or start the container.
        StartError = "start_error",
        /// Its worker was silent for too long.
        WorkerLost = "worker_lost",
        /// It wrote more than it asked for.
        StorageExceeded = "storage_exceeded",
        /// The container engine failed, not the task.
        EngineError = "engine_error",
        /// Its inputs could not be brought.
        InputError = "input_error",
        /// Its outputs could not be kept.
        OutputError = "output_error",
        /// The worker's policy forbids it.
        PolicyDenied = "policy_denied",
        /// It waited longer than allowed.
        QueueTimeout = "queue_timeout",
        /// A task that it needs did not end as needed.
        DependencyFailed = "dependency_failed",
        /// A user cancelled it.
        User = "user",
        /// The cluster was shut down.
        Shutdown = "shutdown",
        /// A task that it needs was cancelled.
        Dependency = "dependency",
        /// Cancelled while its worker was silent; killed at next contact.
        Unconfirmed = "unconfirmed",
    }
);

words!(
    /// What stands beside an end without making it a failure.
    Warning {
        /// A process of the container was killed for its memory.
        OomKilled = "oom_killed",
        /// Some of the log could not be kept.
        LogIncomplete = "log_incomplete",
        /// Some of its output files could not be kept.
        OutputsIncomplete = "outputs_incomplete",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_what_spec_3_2_allows_and_an_end_stays() {
        let rows = [
            (Status::Queued, "queued pending failed cancelled"),
            (Status::Pending, "queued pending running completed failed cancelled"),
            (Status::Running, "queued running completed failed cancelled"),
            (Status::Completed, ""),
            (Status::Failed, ""),
            (Status::Cancelled, ""),
        ];
        for (from, allowed) in rows {
            let found = Status::ALL.iter().filter(|to| from.may_become(**to)).map(|to| to.word());
            assert_eq!(found.collect::<Vec<_>>().join(" "), allowed, "{from}");
        }
    }

    #[test]
    fn every_word_is_read_back_and_serialised_as_itself() {
        for phase in Phase::ALL {
            assert_eq!(phase.word().parse(), Ok(*phase));
            assert_eq!(serde_json::to_string(phase).unwrap(), format!("{:?}", phase.word()));
        }
        assert!("lost".parse::<Status>().unwrap_err().contains("queued, pending"));
    }
}
