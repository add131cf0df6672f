//! How much memory and time of processors a container takes, measured while it runs.
//!
//! Its control groups are gone soon after it, so they are looked at again and again, and once more when its first process
//! has ended. Where they can not be seen from here the engine is asked. What was not seen is none, never zero.

use super::Engine;
use super::run::wished;
use super::seen::{Seen, Stage};
use crate::executor::Stop;
use crate::probe::cgroup::{entry, folder, number};
use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use cloudai_core::task::Used;
use futures::StreamExt;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::future::pending;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::sleep;

/// Between the first two looks, and at most: the pause doubles, since most of what changes does so early. A look reads four
/// files that the kernel makes up as they are read: at a hundred containers eighty a second, far below a hundredth of a core.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What page cache that nobody used lately is called: of version 1, with the groups below, and of version 2.
const CACHE: [&str; 2] = ["total_inactive_file", "inactive_file"];

/// Measures a container that runs until `ended` says that it does not; nothing of one that has ended before.
pub(super) async fn used(
    engine: &Engine,
    seen: &Seen,
    stop: watch::Receiver<Option<Stop>>,
    ended: watch::Receiver<bool>,
) -> Used {
    let mut most = Most::default();
    if seen.stage == Stage::Running {
        tokio::select! {
            () = measure(engine, seen, stop, &mut most) => {}
            () = over(ended) => {}
        }
    }
    most.used()
}

async fn over(mut ended: watch::Receiver<bool>) {
    // Whoever could say so is gone with the attempt.
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn measure(engine: &Engine, seen: &Seen, stop: watch::Receiver<Option<Stop>>, most: &mut Most) {
    match Groups::of(Path::new("/"), seen) {
        Some((groups, process)) => groups.watch(process, stop, most).await,
        None => ask(engine, &seen.id, most).await,
    }
}

/// Where the kernel counts what a container takes.
#[derive(Debug)]
struct Groups {
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
}

impl Groups {
    /// The groups of a running container, with its first process; none where they can not be seen.
    fn of(root: &Path, seen: &Seen) -> Option<(Self, Option<OwnedFd>)> {
        let pid = seen.pid?;
        // From here on the number is not another's, where it is that of the container.
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok();
        Some((Self::at(root, pid, &seen.id)?, process))
    }

    /// Only groups whose name says that they are the container's: a worker in a container of its own sees other numbers
    /// than its engine.
    fn at(root: &Path, pid: i32, container: &str) -> Option<Self> {
        let of = |controller| {
            let dir = folder(root, pid, controller)?;
            dir.to_str().is_some_and(|dir| dir.contains(container)).then_some(dir)
        };
        let (memory, cpu) = (of("memory"), of("cpuacct"));
        (memory.is_some() || cpu.is_some()).then_some(Self { memory, cpu })
    }

    /// Looks until the first process has ended, and then once more: the kernel keeps its counts until the engine removes
    /// the groups, some milliseconds later. Before a stop that was asked for, too: then all is still there.
    async fn watch(&self, process: Option<OwnedFd>, mut stop: watch::Receiver<Option<Stop>>, most: &mut Most) {
        let mut end = pin!(end_of(process));
        let (mut pause, mut asked) = (PAUSE.0, false);
        loop {
            most.note(&self.look());
            tokio::select! {
                () = &mut end => {
                    most.note(&self.look());
                    return;
                }
                _ = wished(&mut stop), if !asked => asked = true,
                () = sleep(pause) => pause = (pause * 2).min(PAUSE.1),
            }
        }
    }

    /// Reads a few lines that the kernel writes as they are read: less work than giving it to another thread.
    fn look(&self) -> Look {
        let either = |dir: &Path, new: &str, old: &str| number(dir, new).or_else(|| number(dir, old));
        let micros = |dir: &Path| entry(dir, "cpu.stat", &["usage_usec"]).map(|micros| micros.saturating_mul(1000));
        let memory = |dir: &Path| {
            let all = either(dir, "memory.current", "memory.usage_in_bytes")?;
            let peak = either(dir, "memory.peak", "memory.max_usage_in_bytes");
            Some(Memory { all, cache: entry(dir, "memory.stat", &CACHE)?, peak })
        };
        Look {
            memory: self.memory.as_deref().and_then(memory),
            cpu: self.cpu.as_deref().and_then(|dir| number(dir, "cpuacct.usage").or_else(|| micros(dir))),
        }
    }
}

/// Comes when a process has ended; never where that can not be told.
async fn end_of(process: Option<OwnedFd>) {
    #[allow(
        deprecated,
        reason = "what came in its place is unsafe to call; a descriptor that is owned is what it needs"
    )]
    let process = process.and_then(|process| AsyncFd::with_interest(process, Interest::READABLE).ok());
    match process {
        Some(process) => drop(process.readable().await),
        None => pending().await,
    }
}

/// Asks the engine again and again, until nobody waits for it any more.
async fn ask(engine: &Engine, id: &str, most: &mut Most) {
    let mut pause = PAUSE.0;
    loop {
        // One that is over already needs no question.
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let answer = pin!(engine.docker.stats(id, Some(options))).next().await;
        // An engine that does not answer is others' business.
        if let Some(Ok(stats)) = answer {
            most.note(&Look::from(stats));
        }
    }
}

/// What is counted at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    memory: Option<Memory>,
    /// Nanoseconds of processors since the container was made.
    cpu: Option<u64>,
}

/// Memory in bytes; unknown as long as it is not known how much of it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    /// All of it, page cache included.
    all: u64,
    /// Page cache that nobody used lately: the kernel takes it back before it lacks any.
    cache: u64,
    /// The most that there ever was of all, where the kernel says so.
    peak: Option<u64>,
}

impl From<ContainerStatsResponse> for Look {
    fn from(stats: ContainerStatsResponse) -> Self {
        let memory = stats.memory_stats.and_then(|memory| {
            let counts = memory.stats?;
            let cache = CACHE.iter().find_map(|name| counts.get(*name)).copied()?;
            Some(Memory { all: memory.usage?, cache, peak: memory.max_usage })
        });
        Self { memory, cpu: stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage) }
    }
}

/// The most of all looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Most {
    memory: Option<u64>,
    cpu: Option<u64>,
    /// The highest count of all looks.
    peak: Option<u64>,
    /// Of the last look.
    cache: u64,
}

impl Most {
    /// Between two looks there may have been more than at either. How much more the kernel tells with the page cache: when
    /// its highest count grew, what neither look knows as cache was memory that was needed.
    fn note(&mut self, look: &Look) {
        self.cpu = self.cpu.max(look.cpu);
        let Some(Memory { all, cache, peak }) = look.memory else { return };
        let grown = peak.filter(|peak| self.peak.is_none_or(|before| *peak > before));
        let between = grown.map(|peak| peak.saturating_sub(cache.max(self.cache)));
        self.memory = self.memory.max(Some(all.saturating_sub(cache))).max(between);
        (self.peak, self.cache) = (self.peak.max(peak), cache);
    }

    fn used(self) -> Used {
        let millis = |nanos: u64| Duration::from_millis(nanos.div_ceil(1_000_000));
        Used {
            peak_memory: self.memory.filter(|bytes| *bytes > 0),
            cpu: self.cpu.filter(|nanos| *nanos > 0).map(millis),
            pulled: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ContainerCpuStats, ContainerCpuUsage, ContainerMemoryStats};
    use std::collections::HashMap;
    use std::fs;
    use tokio::process::Command;
    use tokio::time::timeout;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn look(all: u64, cache: u64, peak: Option<u64>, cpu: u64) -> Look {
        Look { memory: Some(Memory { all, cache, peak }), cpu: Some(cpu) }
    }

    fn most(looks: &[Look]) -> Option<u64> {
        let mut most = Most::default();
        looks.iter().for_each(|look| most.note(look));
        most.used().peak_memory
    }

    #[test]
    fn cache_that_the_kernel_would_take_back_is_no_need() {
        let rows: [(&str, &[Look], Option<u64>); 9] = [
            ("no look", &[], None),
            ("nothing could be read", &[Look::default()], None),
            ("what is there less the cache", &[look(100, 30, None, 1)], Some(70)),
            (
                "the highest of all looks",
                &[look(50, 0, None, 1), look(90, 10, None, 1), look(20, 0, None, 1)],
                Some(80),
            ),
            ("what came and went before the first look", &[look(10, 4, Some(100), 1)], Some(96)),
            ("and between two", &[look(10, 0, Some(10), 1), look(10, 0, Some(100), 1)], Some(100)),
            ("cache that came between two", &[look(10, 0, Some(10), 1), look(100, 90, Some(100), 1)], Some(10)),
            ("a peak of before is known", &[look(100, 90, Some(100), 1), look(10, 0, Some(100), 1)], Some(10)),
            ("what is left of one that has ended", &[look(10, 4, Some(12), 1), look(0, 0, Some(50), 1)], Some(46)),
        ];
        for (what, looks, expected) in rows {
            assert_eq!(most(looks), expected, "{what}");
        }
    }

    #[test]
    fn time_of_processors_only_grows_and_is_told_in_whole_milliseconds() {
        let mut most = Most::default();
        for (cpu, millis) in [(1, 1), (1_000_001, 2), (900, 2), (5_000_000, 5)] {
            most.note(&look(1, 0, None, cpu));
            assert_eq!(most.used().cpu, Some(Duration::from_millis(millis)), "{cpu}");
        }
        most.note(&Look::default());
        assert_eq!(most.used().cpu, Some(Duration::from_millis(5)));
    }

    /// A host whose process 7 is in the groups of this name.
    fn host(groups: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let mounts = "31 23 0:27 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
                      32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      33 23 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        for (path, text) in [("proc/self/mountinfo", mounts), ("proc/7/cgroup", groups)].iter().chain(files) {
            let path = root.path().join(path.replace("ID", ID));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("ID", ID)).unwrap();
        }
        root
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let first = host(
            "3:memory:/docker/ID\n2:cpuacct:/docker/ID\n0::/\n",
            &[
                ("sys/fs/cgroup/memory/docker/ID/memory.usage_in_bytes", "1000\n"),
                ("sys/fs/cgroup/memory/docker/ID/memory.max_usage_in_bytes", "3000\n"),
                ("sys/fs/cgroup/memory/docker/ID/memory.stat", "inactive_file 1\ntotal_inactive_file 200\n"),
                ("sys/fs/cgroup/cpuacct/docker/ID/cpuacct.usage", "70000\n"),
            ],
        );
        let expected = look(1000, 200, Some(3000), 70_000);
        assert_eq!(Groups::at(first.path(), 7, ID).unwrap().look(), expected);
        let second = host(
            "0::/system.slice/docker-ID.scope\n",
            &[
                ("sys/fs/cgroup/unified/system.slice/docker-ID.scope/memory.current", "1000\n"),
                ("sys/fs/cgroup/unified/system.slice/docker-ID.scope/memory.peak", "3000\n"),
                ("sys/fs/cgroup/unified/system.slice/docker-ID.scope/memory.stat", "anon 1\ninactive_file 200\n"),
                ("sys/fs/cgroup/unified/system.slice/docker-ID.scope/cpu.stat", "usage_usec 70\n"),
            ],
        );
        assert_eq!(Groups::at(second.path(), 7, ID).unwrap().look(), expected);
        // A kernel that does not keep the highest count, and a container whose groups are being removed.
        let groups = Groups::at(second.path(), 7, ID).unwrap();
        let folder = groups.memory.clone().unwrap();
        fs::remove_file(folder.join("memory.peak")).unwrap();
        assert_eq!(groups.look(), look(1000, 200, None, 70_000));
        fs::remove_file(folder.join("memory.stat")).unwrap();
        assert_eq!(groups.look(), Look { memory: None, cpu: Some(70_000) }, "how much is cache nobody knows");
        fs::remove_dir_all(second.path().join("sys")).unwrap();
        assert_eq!(groups.look(), Look::default());
    }

    #[test]
    fn groups_of_others_are_not_read() {
        let other = host("3:memory:/docker/other\n", &[("sys/fs/cgroup/memory/docker/other/memory.stat", "")]);
        assert!(Groups::at(other.path(), 7, ID).is_none());
        assert!(Groups::at(other.path(), 8, ID).is_none());
    }

    #[test]
    fn what_the_engine_tells_is_read_as_the_kernels_own_counts() {
        let counts = |name: &str| HashMap::from([(name.to_owned(), 200), ("cache".to_owned(), 900)]);
        for name in CACHE {
            let stats = ContainerStatsResponse {
                memory_stats: Some(ContainerMemoryStats {
                    usage: Some(1000),
                    max_usage: Some(3000),
                    stats: Some(counts(name)),
                    ..ContainerMemoryStats::default()
                }),
                cpu_stats: Some(ContainerCpuStats {
                    cpu_usage: Some(ContainerCpuUsage { total_usage: Some(70_000), ..ContainerCpuUsage::default() }),
                    ..ContainerCpuStats::default()
                }),
                ..ContainerStatsResponse::default()
            };
            assert_eq!(Look::from(stats), look(1000, 200, Some(3000), 70_000), "{name}");
        }
        let memory_stats = Some(ContainerMemoryStats { usage: Some(1000), ..ContainerMemoryStats::default() });
        for nothing in [None, memory_stats] {
            let stats = ContainerStatsResponse { memory_stats: nothing, ..ContainerStatsResponse::default() };
            assert_eq!(Look::from(stats), Look::default());
        }
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed() {
        let mut child = Command::new("sleep").arg("1000000").kill_on_drop(true).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let mut end = pin!(end_of(pidfd_open(pid, PidfdFlags::empty()).ok()));
        assert!(timeout(Duration::ZERO, end.as_mut()).await.is_err(), "it runs");
        child.start_kill().unwrap();
        end.await;
        child.wait().await.unwrap();
    }
}
