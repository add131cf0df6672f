//! Faults that are planted on purpose: proof that the suites catch them. In no build that is shipped; there every
//! question of [`is`] is answered `false` by the compiler.

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The master takes the end of an attempt that is not the latest.
    AcceptStaleAttempt,
    /// The master answers before its store has what it answers.
    AcknowledgeEarly,
    /// A worker tells of an end once only.
    DropOutbox,
    /// A job does not hear that what others of it need has ended.
    ForgetDependents,
    /// The master does not free what an attempt held.
    ForgetRelease,
    /// A worker forgets what it ran.
    ForgetTombstones,
    /// A worker goes on without a lease.
    IgnoreLease,
    /// The master goes on giving what a worker had before it shrank.
    IgnoreShrinking,
    /// The master keeps what its store refused.
    KeepRefused,
    /// The master takes attempts of another life of the data for its own.
    MixLives,
    /// The master believes whatever the strategy proposes.
    SkipCapacityCheck,
    /// The store answers before its disk has it.
    SkipSync,
    /// Part of a gang starts.
    SplitGang,
    /// Tasks that are to stand apart stand beside each other.
    StandBeside,
    /// A task starts before what it needs has ended.
    StartTooEarly,
    /// The master gives work to workers that are silent.
    TrustAnyWorker,
}

#[cfg(feature = "planted")]
mod choice {
    use super::Fault;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Whether this thread runs with a fault.
    #[must_use]
    pub fn is(fault: Fault) -> bool {
        CHOSEN.get() == Some(fault)
    }

    /// Runs something with a fault, on this thread alone.
    pub fn with<R>(fault: Fault, run: impl FnOnce() -> R) -> R {
        struct Mended;
        impl Drop for Mended {
            fn drop(&mut self) {
                CHOSEN.set(None);
            }
        }
        CHOSEN.set(Some(fault));
        let _mended = Mended;
        run()
    }
}

#[cfg(feature = "planted")]
pub use choice::{is, with};

/// Whether this thread runs with a fault: never, where none are built in.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn is(_: Fault) -> bool {
    false
}
