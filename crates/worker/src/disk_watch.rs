//! How full the disks are that a worker writes to: from so much on inputs and images are collected, from more on
//! it takes no work until there is room again. Which images may go is the executor's business.

use crate::cache::Cache;
use crate::executor::Executor;
use crate::unfit::Unfit;
use cloudai_core::resources::GIB;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// Between two looks: a pull fills some percent in that time at most.
const EVERY: Duration = Duration::from_secs(5);
/// Images are collected until the disk is so many points below the percentage at which that began.
const COLLECTED: f64 = 10.0;
/// A worker takes work again so many points below the percentage at which it stopped: not to and fro.
const RELIEF: f64 = 2.0;

/// How much of the disk is used for what, and from how many percent on something is done about a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// Images are collected.
    pub collect: u8,
    /// No new work is taken.
    pub pressure: u8,
    /// Bytes of inputs that are kept for later attempts.
    pub inputs: u64,
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self { collect: 85, pressure: 95, inputs: 20 * GIB }
    }
}

/// Keeps current whether the disk is full, and images few enough.
pub(crate) async fn watch(
    executor: Arc<dyn Executor>,
    cache: Arc<Cache>,
    data_dir: PathBuf,
    limits: DiskLimits,
    unfit: watch::Sender<Unfit>,
) {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut poor = false;
    loop {
        looks.tick().await;
        let (mut used, mut place) = fullest(&*executor, &data_dir).await;
        if used >= f64::from(limits.collect) {
            let cleared = clear(&cache).await;
            let removed = collect(&*executor, &data_dir, f64::from(limits.collect) - COLLECTED).await;
            let nothing = !cleared && removed == 0;
            if nothing && !poor {
                info!(used = percent(used), place, "disk is filling up, and no input or image of ours is unused");
            }
            poor = nothing;
            (used, place) = fullest(&*executor, &data_dir).await;
        }
        tell(&unfit, f64::from(limits.pressure), used, &place);
    }
}

/// Lets go the inputs that no attempt has: what fetches them again is quicker than a pull. Whether there were any.
async fn clear(cache: &Arc<Cache>) -> bool {
    let cache = Arc::clone(cache);
    match spawn_blocking(move || cache.clear()).await {
        Ok(Ok(0)) | Err(_) => false,
        Ok(Ok(bytes)) => {
            info!(bytes, "unused inputs removed, the disk is filling up");
            true
        }
        Ok(Err(error)) => {
            warn!(%error, "unused inputs not removed");
            false
        }
    }
}

/// Removes unused images until the disk is below so many percent; answers how many.
async fn collect(executor: &dyn Executor, data_dir: &Path, below: f64) -> usize {
    let mut removed = 0;
    while fullest(executor, data_dir).await.0 >= below {
        match executor.remove_unused_image().await {
            Ok(Some(image)) => {
                info!(image, "unused image removed, the disk is filling up");
                removed += 1;
            }
            Ok(None) => break,
            Err(error) => {
                warn!(%error, "unused images not removed");
                break;
            }
        }
    }
    removed
}

/// As people read it.
fn percent(used: f64) -> String {
    format!("{used:.0} %")
}

fn tell(unfit: &watch::Sender<Unfit>, limit: f64, used: f64, place: &str) {
    let was = unfit.borrow().disk_pressure.is_some();
    let full = if was { used >= limit - RELIEF } else { used >= limit };
    if full && !was {
        warn!(used = percent(used), place, "disk is full, the worker takes no work until there is room");
        let why =
            format!("{place} is {} full; make room, or start the worker with another --disk-pressure", percent(used));
        unfit.send_modify(|unfit| unfit.disk_pressure = Some(why.into()));
    } else if was && !full {
        info!(used = percent(used), place, "disk has room again, the worker takes work");
        unfit.send_modify(|unfit| unfit.disk_pressure = None);
    }
}

/// The fuller of the engine's disk and the worker's own, in percent, and where it is.
async fn fullest(executor: &dyn Executor, data_dir: &Path) -> (f64, String) {
    let own = used_percent(data_dir).map(|used| (used, data_dir.display().to_string()));
    let engines = executor.disk().await;
    let fuller = |a: (f64, String), b: (f64, String)| if b.0 > a.0 { b } else { a };
    own.into_iter().chain(engines).reduce(fuller).unwrap_or_default()
}

/// How full a folder's file system is, as `df` counts; none when it can not be asked.
#[allow(clippy::cast_precision_loss, reason = "percent are for people")]
pub(crate) fn used_percent(folder: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree) as f64;
    let all = used + disk.f_bavail as f64;
    (all > 0.0).then(|| used * 100.0 / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{EngineError, Job, JobIo};
    use async_trait::async_trait;
    use cloudai_core::ids::{Attempt, Incarnation};
    use cloudai_core::task::Outcome;
    use std::sync::Mutex;

    /// An engine whose disk holds images of five percent each, and other things.
    #[derive(Debug)]
    struct Disk(Mutex<(f64, Vec<&'static str>)>);

    impl Disk {
        fn of(others: f64, images: &[&'static str]) -> Arc<Self> {
            Arc::new(Self(Mutex::new((others, images.to_vec()))))
        }

        fn images(&self) -> Vec<&'static str> {
            self.0.lock().unwrap().1.clone()
        }
    }

    #[async_trait]
    impl Executor for Disk {
        fn name(&self) -> &'static str {
            "disk"
        }
        async fn engine(&self) -> Result<String, EngineError> {
            unreachable!("only its disk is looked at")
        }
        async fn ping(&self) -> Result<(), EngineError> {
            unreachable!("only its disk is looked at")
        }
        async fn run(&self, _job: &Job, _io: JobIo) -> Outcome {
            unreachable!("only its disk is looked at")
        }
        async fn remove(&self, _attempt: Attempt, _incarnation: Incarnation) -> Result<(), EngineError> {
            unreachable!("only its disk is looked at")
        }
        async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError> {
            unreachable!("only its disk is looked at")
        }
        async fn disk(&self) -> Option<(f64, String)> {
            let state = self.0.lock().unwrap();
            Some((state.0 + 5.0 * f64::from(u8::try_from(state.1.len()).unwrap()), "/engine".into()))
        }
        async fn remove_unused_image(&self) -> Result<Option<String>, EngineError> {
            let mut state = self.0.lock().unwrap();
            Ok((!state.1.is_empty()).then(|| state.1.remove(0).to_owned()))
        }
    }

    /// What is known after one look.
    async fn after_a_look(disk: &Arc<Disk>, unfit: &watch::Sender<Unfit>) {
        let executor = Arc::clone(disk) as Arc<dyn Executor>;
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path(), 0).unwrap());
        let watching = watch(executor, cache, "/nowhere".into(), DiskLimits::default(), unfit.clone());
        // The clock stands still: it goes on only while nothing else is to be done.
        let _ = tokio::time::timeout(EVERY / 2, watching).await;
    }

    #[tokio::test(start_paused = true)]
    async fn from_85_percent_on_the_oldest_images_go_until_it_is_below_75() {
        let rows: [(f64, usize); 4] = [(64.0, 4), (65.0, 1), (75.0, 0), (90.0, 0)];
        for (others, left) in rows {
            let disk = Disk::of(others, &["a", "b", "c", "d"]);
            after_a_look(&disk, &watch::channel(Unfit::default()).0).await;
            assert_eq!(disk.images(), ["a", "b", "c", "d"][4 - left..], "{others}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_keeps_work_away_until_there_is_room_again() {
        let (unfit, _known) = watch::channel(Unfit::default());
        for (used, is_full) in [(94.9, false), (95.0, true), (93.5, true), (92.9, false), (94.9, false), (99.0, true)] {
            after_a_look(&Disk::of(used, &[]), &unfit).await;
            let told = unfit.borrow().disk_pressure.clone();
            assert_eq!(told.is_some(), is_full, "{used}: {told:?}");
        }
        assert!(unfit.borrow().told().1.starts_with("/engine is 99 % full; make room"), "{unfit:?}");
    }

    #[test]
    fn a_folder_is_as_full_as_its_disk_and_one_that_is_not_there_unknown() {
        assert!(used_percent(Path::new("/")).is_some_and(|used| (0.0..=100.0).contains(&used)));
        assert_eq!(used_percent(Path::new("/nowhere")), None);
    }
}
