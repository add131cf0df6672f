//! Control groups of both versions, as the kernel shows them: where they are mounted, what is in their files.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a hierarchy is mounted, and which of its groups stands at the mount's root. Version 2 has one for all
/// controllers.
pub(super) fn mount(mounts: &str, controller: Option<&str>) -> Option<(String, String)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.next_back()?);
        let fits = match controller {
            Some(name) => kind == "cgroup" && options.split(',').any(|option| option == name),
            None => kind == "cgroup2",
        };
        let mut left = left.split(' ').skip(3);
        let (top, at) = (left.next()?, left.next()?);
        fits.then(|| (at.to_owned(), top.to_owned()))
    })
}

/// The number that a file of a group holds.
pub(crate) fn number(dir: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

/// The number that stands behind the first of these names that a file of a group has.
pub(crate) fn entry(dir: &Path, file: &str, names: &[&str]) -> Option<u64> {
    let text = fs::read_to_string(dir.join(file)).ok()?;
    let of = |name: &&str| {
        let line = text.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    };
    names.iter().find_map(of)
}

/// The folder of a process's group for a controller, below `root`; none where it can not be seen from here, as from
/// within a container.
pub(crate) fn folder(root: &Path, pid: i32, controller: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let (is_first, name) = group(&groups, controller)?;
    let (at, top) = mount(&mounts, is_first.then_some(controller))?;
    let inner = name.strip_prefix(top.trim_end_matches('/'))?;
    let dir = root.join(at.trim_start_matches('/')).join(inner.trim_start_matches('/'));
    dir.is_dir().then_some(dir)
}

/// Which group of `/proc/PID/cgroup` a controller counts in, and whether that is of version 1: where both are there, it is.
fn group<'a>(groups: &'a str, controller: &str) -> Option<(bool, &'a str)> {
    let lines: Vec<(&str, &str)> = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':')).collect();
    let own = lines.iter().find(|(controllers, _)| controllers.split(',').any(|name| name == controller));
    let all = lines.iter().find(|(controllers, _)| controllers.is_empty());
    own.map(|(_, group)| (true, *group)).or_else(|| all.map(|(_, group)| (false, *group)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A host of which these files are all that there is.
    pub(in crate::probe) fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_process_is_found_in_the_groups_of_either_version() {
        let mounts = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      33 23 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let root = host(&[
            ("proc/self/mountinfo", mounts),
            ("proc/7/cgroup", "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n1:name=systemd:/\n0::/\n"),
            ("proc/8/cgroup", "0::/docker/def\n"),
            ("sys/fs/cgroup/cpu/docker/abc/cpuacct.usage", "12345\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.stat", "cache 1\ninactive_file 5\ntotal_inactive_file 6\n"),
            ("sys/fs/cgroup/unified/docker/def/cpu.stat", "usage_usec 77\nuser_usec 70\n"),
        ]);
        let folder = |pid, controller| folder(root.path(), pid, controller);
        assert_eq!(number(&folder(7, "cpuacct").unwrap(), "cpuacct.usage"), Some(12345));
        let memory = folder(7, "memory").unwrap();
        assert_eq!(entry(&memory, "memory.stat", &["total_inactive_file", "inactive_file"]), Some(6));
        assert_eq!(entry(&memory, "memory.stat", &["inactive", "inactive_file"]), Some(5));
        assert_eq!(entry(&memory, "memory.stat", &["anon"]), None);
        assert_eq!(entry(&folder(8, "cpuacct").unwrap(), "cpu.stat", &["usage_usec"]), Some(77));
        assert_eq!(folder(9, "memory"), None, "there is no such process");
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_none() {
        let root = host(&[
            ("proc/self/mountinfo", "32 23 0:28 /docker/me /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            ("proc/7/cgroup", "3:memory:/docker/other\n"),
            ("proc/8/cgroup", "3:memory:/docker/me/inner\n"),
            ("proc/9/cgroup", "3:memory:/docker/me/gone\n"),
            ("sys/fs/cgroup/memory/inner/memory.stat", ""),
        ]);
        assert_eq!(folder(root.path(), 7, "memory"), None);
        assert_eq!(folder(root.path(), 8, "memory"), Some(root.path().join("sys/fs/cgroup/memory/inner")));
        assert_eq!(folder(root.path(), 9, "memory"), None);
    }
}
