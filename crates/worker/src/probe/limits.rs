//! The limits under which this process itself runs: cgroup v1 and v2, and the set of its cores.
//!
//! Everything is read below a root folder, so that tests bring their own host.

use super::cgroup::{mount, number};
use std::fs;
use std::path::{Path, PathBuf};

/// A memory limit above this is none: version 1 writes "unlimited" as a number near 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// What limits this process, as far as anything does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnLimits {
    /// Thousandths of a core by quota.
    pub(super) cpu_milli: Option<u64>,
    /// Cores that it may run on.
    pub(super) cores: Option<u64>,
    /// Bytes.
    pub(super) memory: Option<u64>,
}

impl OwnLimits {
    /// Reads the limits of the process whose `/proc/self` lies below `root`.
    pub(super) fn read(root: &Path) -> Self {
        let groups = Groups::read(root);
        Self {
            cpu_milli: least(&groups.cpu, quota),
            cores: cores(root),
            memory: least(&groups.memory, |dir| {
                number(dir, "memory.max")
                    .or_else(|| number(dir, "memory.limit_in_bytes"))
                    .filter(|limit| *limit < NO_LIMIT)
            }),
        }
    }
}

/// The smallest limit of a group and of those above it.
fn least(dirs: &[PathBuf], read: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
    dirs.iter().filter_map(|dir| read(dir)).min()
}

/// Version 2: `max 100000` or `50000 100000`; version 1: two files, -1 for none.
fn quota(dir: &Path) -> Option<u64> {
    let (quota, period) = match fs::read_to_string(dir.join("cpu.max")) {
        Ok(text) => {
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        Err(_) => (number(dir, "cpu.cfs_quota_us")?, number(dir, "cpu.cfs_period_us")?),
    };
    quota.checked_mul(1000)?.checked_div(period).map(|milli: u64| milli.max(1))
}

/// `Cpus_allowed_list: 0-3,7` of the process: affinity and cpuset together.
fn cores(root: &Path) -> Option<u64> {
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first).map(|more| more + 1)
    };
    list.trim().split(',').map(range).sum()
}

/// The folders of this process's groups, each with those above it.
#[derive(Debug, Default)]
struct Groups {
    cpu: Vec<PathBuf>,
    memory: Vec<PathBuf>,
}

impl Groups {
    fn read(root: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
        let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
        let mut found = Self::default();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let names: Vec<_> = controllers.split(',').collect();
            for (name, dirs) in [("cpu", &mut found.cpu), ("memory", &mut found.memory)] {
                if controllers.is_empty() || names.contains(&name) {
                    let controller = (!controllers.is_empty()).then_some(name);
                    dirs.extend(mount(&mounts, controller).map_or_else(Vec::new, |at| chain(root, &at, group)));
                }
            }
        }
        found
    }
}

fn chain(root: &Path, (at, top): &(String, String), group: &str) -> Vec<PathBuf> {
    let base = root.join(at.trim_start_matches('/'));
    // Inside a container the mount shows only the container's own part of the tree.
    let inner = group.strip_prefix(top.trim_end_matches('/')).unwrap_or_default();
    let dir = base.join(inner.trim_start_matches('/'));
    dir.ancestors().take_while(|dir| dir.starts_with(&base)).map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::cgroup::tests::host;

    #[test]
    fn version_2_limits_are_the_smallest_up_the_tree() {
        let root = host(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n"),
            ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-2,7\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "1048576\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
        ]);
        let expected = OwnLimits { cpu_milli: Some(1500), cores: Some(4), memory: Some(1 << 20) };
        assert_eq!(OwnLimits::read(root.path()), expected);
    }

    #[test]
    fn version_1_limits_are_found_by_controller() {
        let root = host(&[
            ("proc/self/cgroup", "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n1:name=systemd:/\n"),
            (
                "proc/self/mountinfo",
                "31 23 0:27 /docker/x /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                 32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "2097152\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let expected = OwnLimits { cpu_milli: Some(500), cores: None, memory: Some(2 << 20) };
        assert_eq!(OwnLimits::read(root.path()), expected);
    }

    #[test]
    fn a_host_without_limits_has_none() {
        let root = host(&[
            ("proc/self/cgroup", "4:cpu:/\n"),
            ("proc/self/mountinfo", "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(OwnLimits::read(root.path()), OwnLimits::default());
    }
}
