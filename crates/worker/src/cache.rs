//! Contents of inputs by their SHA-256, kept for the next attempt that needs them: the least recently used go first.
//!
//! ```text
//! DIR/inputs/<first 2 digits>/<sha-256>        0444
//! DIR/inputs/<first 2 digits>/<sha-256>.x      0555: the same where it is to be run
//! DIR/inputs/<first 2 digits>/<sha-256>.<key>.part
//! ```
//! Attempts get hard links to them, or copies that they may change: what is let go here stays with those who have it. A
//! content is on disk before it has its name, so that none is another after a power cut.

use cloudai_core::resources::Bytes;
use cloudai_core::sha256::Sha256;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;
use tokio::sync::OwnedMutexGuard;

/// From so many files on their file system is synced once, not each of them.
const MANY: usize = 4;

/// The contents that a worker keeps.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// Bytes.
    limit: u64,
    /// One for each content or folder that is being fetched.
    fetching: Mutex<HashMap<Sha256, Weak<tokio::sync::Mutex<()>>>>,
    /// How many need a content that no attempt has yet.
    pinned: Mutex<HashMap<Sha256, usize>>,
    /// Held by the one who lets contents go.
    evicting: Mutex<()>,
}

/// Contents that are not let go while this lives.
#[derive(Debug)]
pub(crate) struct Pins {
    cache: Arc<Cache>,
    contents: Vec<Sha256>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut pinned = self.cache.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        for content in &self.contents {
            if let Some(count) = pinned.get_mut(content) {
                *count -= 1;
                if *count == 0 {
                    pinned.remove(content);
                }
            }
        }
    }
}

/// A content that came whole.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) content: Sha256,
    pub(crate) part: PathBuf,
}

/// A content that no attempt has: when it was used last, its bytes, where it is.
type Idle = (SystemTime, u64, PathBuf);

/// How an attempt gets a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// It may be run.
    pub(crate) executable: bool,
    /// It is the attempt's own, to change.
    pub(crate) writable: bool,
}

impl Cache {
    /// # Errors
    /// The folder can not be made.
    pub(crate) fn open(data_dir: &Path, limit: u64) -> io::Result<Self> {
        let dir = data_dir.join("inputs");
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, limit, fetching: Mutex::default(), pinned: Mutex::default(), evicting: Mutex::default() })
    }

    fn path(&self, content: Sha256) -> PathBuf {
        let name = content.to_string();
        self.dir.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Where a content grows that is fetched for what is locked under this key.
    pub(crate) fn part(&self, content: Sha256, key: Sha256) -> io::Result<PathBuf> {
        let path = self.path(content);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let key = key.to_string();
        Ok(path.with_extension(format!("{}.part", key.get(..16).unwrap_or_default())))
    }

    /// Waits until nobody else fetches the same.
    pub(crate) async fn alone(&self, key: Sha256) -> OwnedMutexGuard<()> {
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.retain(|_, lock| lock.strong_count() > 0);
            let known = fetching.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                fetching.insert(key, Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    /// Keeps contents here from now on, once they are.
    pub(crate) fn pin(self: &Arc<Self>, contents: Vec<Sha256>) -> Pins {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        contents.iter().for_each(|content| *pinned.entry(*content).or_default() += 1);
        drop(pinned);
        Pins { cache: Arc::clone(self), contents }
    }

    /// Bytes that it may have.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether a content is here; then it counts as used now.
    pub(crate) fn has(&self, content: Sha256) -> bool {
        File::open(self.path(content)).and_then(|file| file.set_modified(SystemTime::now())).is_ok()
    }

    /// The bytes of a content that is here.
    pub(crate) fn size(&self, content: Sha256) -> io::Result<u64> {
        Ok(fs::metadata(self.path(content))?.len())
    }

    /// A content that is here, whole in memory.
    pub(crate) fn read(&self, content: Sha256) -> io::Result<Vec<u8>> {
        fs::read(self.path(content))
    }

    /// Keeps what came whole, on disk.
    pub(crate) fn keep(&self, came: &[Came]) -> io::Result<()> {
        if came.len() >= MANY {
            rustix::fs::syncfs(File::open(&self.dir)?)?;
        }
        for Came { content, part } in came {
            if came.len() < MANY {
                File::open(part)?.sync_all()?;
            }
            fs::set_permissions(part, Permissions::from_mode(0o444))?;
            fs::rename(part, self.path(*content))?;
        }
        Ok(())
    }

    /// Puts a content that is here to where an attempt finds it.
    /// # Errors
    /// `NotFound` when it was let go meanwhile.
    pub(crate) fn place(&self, content: Sha256, form: Form, to: &Path) -> io::Result<()> {
        let from = self.path(content);
        if form.writable {
            fs::copy(&from, to)?;
            return fs::set_permissions(to, Permissions::from_mode(if form.executable { 0o777 } else { 0o666 }));
        }
        if !form.executable {
            return link(&from, to, 0o444);
        }
        let runs = from.with_extension("x");
        match link(&runs, to, 0o555) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            linked => return linked,
        }
        fs::copy(&from, to)?;
        fs::set_permissions(to, Permissions::from_mode(0o555))?;
        File::open(to)?.sync_all()?;
        // Another attempt may have done the same; without hard links each has its own.
        let _ = fs::hard_link(to, &runs);
        Ok(())
    }

    /// Lets the least recently used go until there is room for so many bytes within the limit. What attempts have now
    /// is left: it would free nothing.
    /// # Errors
    /// `StorageFull` when the disk has less room than that.
    pub(crate) fn make_room(&self, bytes: u64) -> io::Result<()> {
        let _alone = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut used, idle) = self.contents()?;
        for (_, size, path) in idle {
            if used.saturating_add(bytes) <= self.limit {
                break;
            }
            let_go(&path)?;
            used -= size;
        }
        self.check_disk(bytes)
    }

    /// Whether the disk has room for so many bytes.
    /// # Errors
    /// `StorageFull` when it has less than that.
    pub(crate) fn check_disk(&self, bytes: u64) -> io::Result<()> {
        let disk = rustix::fs::statvfs(&self.dir)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < bytes {
            let why = format!("{} are needed, the worker's disk has {}", Bytes(bytes), Bytes(free));
            return Err(io::Error::new(ErrorKind::StorageFull, why));
        }
        Ok(())
    }

    /// Lets everything go that no attempt has now; answers how many bytes.
    pub(crate) fn clear(&self) -> io::Result<u64> {
        let _alone = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, idle) = self.contents()?;
        let mut freed = 0;
        for (_, size, path) in idle {
            let_go(&path)?;
            freed += size;
        }
        Ok(freed)
    }

    /// Bytes of everything, and what no attempt has, the least recently used first.
    fn contents(&self) -> io::Result<(u64, Vec<Idle>)> {
        let (mut used, mut idle) = (0, Vec::new());
        let pinned: HashSet<Sha256> =
            self.pinned.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        for folder in fs::read_dir(&self.dir)? {
            for entry in fs::read_dir(folder?.path())? {
                let entry = entry?;
                let meta = match entry.metadata() {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    meta => meta?,
                };
                used += meta.len();
                // What grows is looked after by who fetches it; an hour later nobody does.
                let grows = entry.path().extension().is_some_and(|end| end == "part");
                let recent = meta.modified()?.elapsed().is_ok_and(|age| age.as_secs() < 3600);
                let content = entry.file_name().to_str().and_then(|name| name.get(..64)?.parse().ok());
                let is_pinned = content.is_some_and(|content| pinned.contains(&content));
                if meta.nlink() == 1 && !is_pinned && !(grows && recent) {
                    idle.push((meta.modified()?, meta.len(), entry.path()));
                }
            }
        }
        idle.sort_unstable();
        Ok((used, idle))
    }
}

/// Gives a file another name; a copy where it can not have one more.
fn link(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
            fs::copy(from, to)?;
            fs::set_permissions(to, Permissions::from_mode(mode))
        }
        linked => linked,
    }
}

fn let_go(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;
    use std::time::Duration;

    fn keep(cache: &Cache, data: &[u8], age_s: u64) -> Sha256 {
        let content = Sha256(sha2::Sha256::digest(data).into());
        let part = cache.part(content, content).unwrap();
        fs::write(&part, data).unwrap();
        File::open(&part).unwrap().set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
        cache.keep(&[Came { content, part }]).unwrap();
        content
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_attempt_gets_a_link_that_it_can_not_write_or_a_copy_that_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 1000).unwrap();
        let content = keep(&cache, b"echo 1", 0);
        let at = |name: &str| dir.path().join(name);
        let rows = [
            ("read", false, false, 0o444),
            ("run", true, false, 0o555),
            ("run again", true, false, 0o555),
            ("write", false, true, 0o666),
            ("write and run", true, true, 0o777),
        ];
        for (name, executable, writable, expected) in rows {
            cache.place(content, Form { executable, writable }, &at(name)).unwrap();
            assert_eq!((fs::read(at(name)).unwrap(), mode(&at(name))), (b"echo 1".to_vec(), expected), "{name}");
        }
        fs::write(at("write"), "other").unwrap();
        assert_eq!(cache.read(content).unwrap(), b"echo 1");
        let inode = |name: &str| fs::metadata(at(name)).unwrap().ino();
        assert_eq!(inode("run"), inode("run again"), "kept once");
        let gone = Sha256([0; 32]);
        let missing = cache.place(gone, Form { executable: false, writable: false }, &at("gone")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(!cache.has(gone) && cache.has(content));
    }

    #[test]
    fn the_least_recently_used_go_first_and_what_is_in_use_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path(), 30).unwrap());
        let [oldest, in_use, newest] = [(b"0123456789", 300), (b"abcdefghij", 200), (b"ABCDEFGHIJ", 100)]
            .map(|(data, age)| keep(&cache, data, age));
        cache.place(in_use, Form { executable: false, writable: false }, &dir.path().join("used")).unwrap();
        cache.make_room(0).unwrap();
        assert!(cache.path(oldest).exists());
        cache.make_room(10).unwrap();
        assert!(!cache.path(oldest).exists() && cache.path(newest).exists());
        // More than there can be room for: all that can go goes, but what somebody is about to place.
        let pin = cache.pin(vec![newest]);
        cache.make_room(1000).unwrap();
        assert!(cache.path(newest).exists());
        drop(pin);
        cache.make_room(1000).unwrap();
        assert!(!cache.path(newest).exists() && cache.path(in_use).exists());
        fs::remove_file(dir.path().join("used")).unwrap();
        assert_eq!(cache.clear().unwrap(), 10);
        for full in [cache.make_room(u64::MAX / 2), cache.check_disk(u64::MAX / 2)] {
            assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        }
    }

    #[tokio::test]
    async fn the_same_is_fetched_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 30).unwrap();
        let (one, other) = (Sha256([1; 32]), Sha256([2; 32]));
        let first = cache.alone(one).await;
        let _different = cache.alone(other).await;
        assert!(futures::FutureExt::now_or_never(cache.alone(one)).is_none());
        drop(first);
        cache.alone(one).await;
        assert!(cache.fetching.lock().unwrap().len() <= 2);
    }
}
