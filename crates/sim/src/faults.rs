//! What goes wrong in a run, all of it drawn from the seed before the run begins.

use crate::rng::Rng;
use cloudai_core::timing::Timing;
use std::time::Duration;

/// One thing that happens at a set time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The master's process dies and comes back after so many milliseconds.
    MasterCrash(u64),
    /// The master's machine loses its power and comes back after so many milliseconds.
    PowerCut(u64),
    /// The master stands still for so many milliseconds.
    MasterPause(u64),
    /// A worker's process dies; its containers live on.
    WorkerCrash(usize, u64),
    /// A worker's host restarts: process and containers die.
    Reboot(usize, u64),
    /// A worker leaves in good order and comes back.
    Leave(usize, u64),
    /// A worker's process stands still for so many milliseconds; its containers go on.
    WorkerPause(usize, u64),
    /// A worker's process dies and comes back with so many thousandths of what its host had first.
    Resize(usize, u64, u64),
    /// A worker's container engine answers nothing for so many milliseconds; its containers go on.
    EngineAway(usize, u64),
    /// A worker's container engine restarts and takes so many milliseconds: its containers die.
    EngineRestart(usize, u64),
    /// An operator takes a worker out; by force also one that holds attempts.
    Remove(usize, bool),
    /// An operator has what disagrees mended; nothing is harmed by it.
    Reconcile,
    /// An operator admits a worker, one that is there or one that never comes.
    Admit(usize),
    /// An operator keeps work from a worker.
    Cordon(usize),
    /// An operator wants a worker empty: after so many milliseconds what runs there is stopped, or
    /// it is waited for.
    Drain(usize, Option<u64>),
    /// An operator lets a worker take work again.
    Open(usize),
    /// Operators end all that they began; not drawn, comes with the end of all faults.
    OpenAll,
    /// For so many milliseconds a worker's container engine answers, and fails whatever is begun.
    BlackHole(usize, u64),
    /// A worker's disk is full for so many milliseconds.
    DiskFull(usize, u64),
    /// Another master takes the lead for a moment.
    Usurp,
    /// An operator backs the data up.
    Backup,
    /// An operator restores the last backup; the master comes back after so many milliseconds, or on a
    /// machine that has nothing but the backup.
    Restore(u64, bool),
    /// The end of all faults.
    Heal,
}

/// A time in which some workers and the master do not hear each other.
#[derive(Clone, Debug)]
pub struct Window {
    /// First millisecond.
    pub from: u64,
    /// First millisecond after it.
    pub until: u64,
    /// Which workers, by index.
    pub workers: Vec<usize>,
    /// Whether the master does not hear them.
    pub to_master: bool,
    /// Whether they do not hear the master.
    pub to_worker: bool,
}

/// Everything that a run suffers. Rates are per mille, times in milliseconds from the start.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// After this nothing goes wrong any more.
    pub horizon: u64,
    /// The cluster's times.
    pub timing: Timing,
    /// Messages lost.
    pub loss: u64,
    /// Messages that arrive twice.
    pub repeat: u64,
    /// Messages that take as long as `slow_latency`.
    pub slow: u64,
    /// The way of a message.
    pub latency: (u64, u64),
    /// The way of a slow message.
    pub slow_latency: (u64, u64),
    /// A commit.
    pub commit: (u64, u64),
    /// The sync of a commit.
    pub sync: (u64, u64),
    /// Commits that take some seconds.
    pub stall: u64,
    /// A round of the strategy.
    pub round: (u64, u64),
    /// A pull.
    pub pull: (u64, u64),
    /// Every other step of an executor.
    pub step: (u64, u64),
    /// Batches of the master in which it crashes, at any of its steps.
    pub master_crash: u64,
    /// Effects of an agent before which its process crashes, per ten thousand.
    pub worker_crash: u64,
    /// Creations that fail by the engine's fault.
    pub engine_error: u64,
    /// Pulls that fail.
    pub pull_failure: u64,
    /// Pulls that never end by themselves.
    pub pull_hang: u64,
    /// Creations whose answer is lost: asked for again, the name is taken.
    pub name_clash: u64,
    /// Starts that are answered with an error, and carried out.
    pub start_refused: u64,
    /// Stops and kills that the engine takes and does not carry out.
    pub stop_ignored: u64,
    /// Lives of the master before which its wall clock is set.
    pub clock_jump: u64,
    /// Rounds to which bad proposals are added.
    pub hostile: u64,
    /// Commits in which a row can not be stored.
    pub refusal: u64,
    /// By how much more important tasks must be that others make room for; 0 for never.
    pub preemption: u32,
    /// How far the workers' clocks are off the master's at most, in millionths.
    pub drift: u64,
    /// Partitions.
    pub windows: Vec<Window>,
    /// Times in which no commit goes through: first millisecond, first after it.
    pub away: Vec<(u64, u64)>,
    /// What happens at set times.
    pub events: Vec<(u64, Fault)>,
}

impl FaultPlan {
    /// A world in which everything works and takes no time.
    #[must_use]
    pub fn none() -> Self {
        Self {
            horizon: 0,
            timing: Timing::default(),
            loss: 0,
            repeat: 0,
            slow: 0,
            latency: (0, 0),
            slow_latency: (0, 0),
            commit: (0, 0),
            sync: (0, 0),
            stall: 0,
            round: (0, 0),
            pull: (0, 0),
            step: (0, 0),
            master_crash: 0,
            worker_crash: 0,
            engine_error: 0,
            pull_failure: 0,
            pull_hang: 0,
            name_clash: 0,
            start_refused: 0,
            stop_ignored: 0,
            clock_jump: 0,
            hostile: 0,
            refusal: 0,
            preemption: 0,
            drift: 0,
            windows: Vec::new(),
            away: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The faults of a seed among so many workers: each kind is there in most seeds, none in all.
    #[must_use]
    pub fn draw(rng: &mut Rng, workers: usize) -> Self {
        let minute = 60_000;
        let horizon = rng.between((30 * minute, 120 * minute));
        let mut plan = Self {
            horizon,
            timing: timing(rng),
            loss: rate(rng, 150),
            repeat: rate(rng, 150),
            // In some seeds so many that commands overtake each other again and again.
            slow: if rng.chance(150) { rng.between((100, 500)) } else { rate(rng, 60) },
            latency: (1, 200),
            slow_latency: (200, 20_000),
            commit: (1, 20),
            sync: (1, 20),
            stall: rate(rng, 10),
            round: (1, 3000),
            pull: (0, if rng.chance(500) { 500 } else { 20_000 }),
            step: (1, 500),
            master_crash: rate(rng, 4),
            worker_crash: rate(rng, 80),
            engine_error: rate(rng, 30),
            pull_failure: rate(rng, 30),
            pull_hang: rate(rng, 30),
            name_clash: rate(rng, 60),
            start_refused: rate(rng, 100),
            stop_ignored: rate(rng, 200),
            clock_jump: rate(rng, 700),
            hostile: rate(rng, 700),
            refusal: rate(rng, 20),
            preemption: 0,
            drift: rate(rng, 200),
            windows: Vec::new(),
            away: Vec::new(),
            events: vec![(horizon, Fault::Heal)],
        };
        plan.draw_windows(rng, workers);
        plan.draw_away(rng);
        plan.draw_events(rng, workers);
        // The last: what was drawn before stays what it is.
        if rng.chance(300) {
            plan.preemption = [1, 10, 60][rng.index(3)];
        }
        plan
    }

    fn draw_windows(&mut self, rng: &mut Rng, workers: usize) {
        let count = if rng.chance(700) { rng.between((1, 8)) } else { 0 };
        for _ in 0..count {
            let from = rng.below(self.horizon);
            let until = from + length(rng);
            let cut = rng.chance(300);
            let mut members: Vec<_> = (0..workers).filter(|_| cut || rng.chance(300)).collect();
            if members.is_empty() {
                members.push(rng.index(workers));
            }
            let (to_master, to_worker) = [(true, true), (true, true), (true, false), (false, true)][rng.index(4)];
            self.windows.push(Window { from, until, workers: members, to_master, to_worker });
        }
    }

    fn draw_away(&mut self, rng: &mut Rng) {
        let count = if rng.chance(500) { rng.between((1, 4)) } else { 0 };
        for _ in 0..count {
            let from = rng.below(self.horizon);
            self.away.push((from, from + length(rng)));
        }
    }

    fn draw_events(&mut self, rng: &mut Rng, workers: usize) {
        for kind in 0..20 {
            let count = if rng.chance(600) { rng.between((1, 5)) } else { 0 };
            for _ in 0..count {
                let at = rng.below(self.horizon);
                let (worker, down) = (rng.index(workers), length(rng));
                let fault = match kind {
                    0 => Fault::MasterCrash(down),
                    1 => Fault::MasterPause(rng.between((2001, 200_000))),
                    2 => Fault::WorkerCrash(worker, down),
                    3 => Fault::Reboot(worker, down),
                    4 => Fault::Leave(worker, down),
                    5 => Fault::WorkerPause(worker, down),
                    6 => Fault::Resize(worker, down, [100, 250, 250, 500, 1500][rng.index(5)]),
                    7 => Fault::Remove(worker, rng.chance(350)),
                    8 => Fault::Admit(rng.index(workers + 2)),
                    9 => Fault::EngineAway(worker, down),
                    10 => Fault::EngineRestart(worker, rng.between((100, 60_000))),
                    11 => Fault::PowerCut(down),
                    12 => Fault::Cordon(worker),
                    13 => Fault::Drain(worker, rng.chance(700).then_some(down)),
                    14 => Fault::Open(worker),
                    15 => Fault::BlackHole(worker, 3 * down),
                    16 => Fault::DiskFull(worker, down),
                    17 => Fault::Usurp,
                    18 => Fault::Reconcile,
                    _ => Fault::Backup,
                };
                self.events.push((at, fault));
            }
        }
        self.draw_restores(rng);
    }

    /// In some seeds the last backup is restored once, or again and again.
    fn draw_restores(&mut self, rng: &mut Rng) {
        let count = if rng.chance(300) { rng.between((1, 3)) } else { 0 };
        for _ in 0..count {
            let at = rng.below(self.horizon);
            let down = if rng.chance(500) { rng.between((1, 500)) } else { length(rng) };
            self.events.push((at, Fault::Restore(down, rng.chance(300))));
        }
    }

    /// Folds faults that were drawn for more workers onto so many.
    pub fn fold_onto(&mut self, workers: usize) {
        let count = workers.max(1);
        for window in &mut self.windows {
            window.workers.iter_mut().for_each(|worker| *worker %= count);
        }
        for (_, fault) in &mut self.events {
            match fault {
                Fault::WorkerCrash(worker, _)
                | Fault::Reboot(worker, _)
                | Fault::Leave(worker, _)
                | Fault::WorkerPause(worker, _)
                | Fault::Resize(worker, ..)
                | Fault::EngineAway(worker, _)
                | Fault::EngineRestart(worker, _)
                | Fault::Cordon(worker)
                | Fault::Drain(worker, _)
                | Fault::Open(worker)
                | Fault::BlackHole(worker, _)
                | Fault::DiskFull(worker, _)
                | Fault::Remove(worker, _) => *worker %= count,
                Fault::MasterCrash(_)
                | Fault::PowerCut(_)
                | Fault::MasterPause(_)
                | Fault::Admit(_)
                | Fault::Reconcile
                | Fault::Usurp
                | Fault::Backup
                | Fault::Restore(..)
                | Fault::OpenAll
                | Fault::Heal => {}
            }
        }
    }

    /// Whether a message passes between the master and a worker at this time.
    #[must_use]
    pub fn passes(&self, at: u64, worker: usize, to_master: bool) -> bool {
        let blocks = |window: &Window| if to_master { window.to_master } else { window.to_worker };
        let hits = |window: &&Window| window.from <= at && at < window.until && window.workers.contains(&worker);
        !self.windows.iter().filter(hits).any(blocks)
    }

    /// Whether no commit goes through at this time.
    #[must_use]
    pub fn is_store_away(&self, at: u64) -> bool {
        self.away.iter().any(|(from, until)| (*from..*until).contains(&at))
    }

    /// Ends all faults; what takes time goes on taking it.
    pub fn heal(&mut self) {
        self.loss = 0;
        self.repeat = 0;
        self.slow = 0;
        self.stall = 0;
        self.master_crash = 0;
        self.worker_crash = 0;
        self.engine_error = 0;
        self.pull_failure = 0;
        self.pull_hang = 0;
        self.name_clash = 0;
        self.start_refused = 0;
        self.stop_ignored = 0;
        self.clock_jump = 0;
        self.refusal = 0;
        self.windows.clear();
        self.away.clear();
    }
}

/// Mostly absent, else up to the most.
fn rate(rng: &mut Rng, most: u64) -> u64 {
    if rng.chance(650) { rng.between((1, most)) } else { 0 }
}

/// How long something is down or cut off: some moments, around a lease, or long.
fn length(rng: &mut Rng) -> u64 {
    match rng.below(3) {
        0 => rng.between((50, 10_000)),
        1 => rng.between((10_000, 150_000)),
        _ => rng.between((100_000, 600_000)),
    }
}

/// The defaults, or the short times of tests.
fn timing(rng: &mut Rng) -> Timing {
    if rng.chance(700) {
        return Timing::default();
    }
    let s = Duration::from_secs;
    Timing { heartbeat: s(2), inactive: s(8), lease: s(40), margin: s(5) }
}
