//! The simulated master's clock, as the real one: the wall clock at its start, which anybody may have
//! set, plus the boot clock since then; never behind what was committed.

use cloudai_core::time::Timestamp;

/// What a minute, an hour, a day and ten years are in milliseconds: how far a wall clock is off.
pub(super) const JUMPS: [u64; 4] = [60_000, 3_600_000, 86_400_000, 315_360_000_000];

/// The clock of one life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// By the world's clock.
    began: Timestamp,
    showed: Timestamp,
}

impl Clock {
    /// Begins where the wall clock stands, so many milliseconds ahead of the world's.
    pub(super) fn start(world: Timestamp, ahead: i64, at_least: Timestamp) -> Self {
        let wall = Timestamp::from_millis(world.as_millis().saturating_add_signed(ahead));
        Self { began: world, showed: wall.max(at_least) }
    }

    /// What it shows now.
    pub(super) fn read(self, world: Timestamp) -> Timestamp {
        self.showed + world.since(self.began)
    }

    /// When it shows this, by the world's clock.
    pub(super) fn world(self, shown: Timestamp) -> Timestamp {
        self.began + shown.since(self.showed)
    }
}
