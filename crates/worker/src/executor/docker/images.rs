//! The images of the engine, in the order in which this worker used them, and those that it pulled: these are written
//! down, so that they, and no others, are removed when the disk fills up and nothing uses them.
//!
//! An image that was there before is somebody else's, and so is one that got another name since.

use super::error::Fault;
use bollard::Docker;
use bollard::models::ImageSummary;
use bollard::query_parameters::RemoveImageOptionsBuilder;
use cloudai_core::spec::ImageRef;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::Notify;
use tracing::warn;

/// The record, and what is in use now.
#[derive(Debug)]
pub(super) struct Images {
    file: Option<PathBuf>,
    state: Mutex<State>,
    /// A removal is over.
    removed: Notify,
    /// An image was pulled or removed.
    moved: Notify,
    /// One writer at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// By the engine's id.
    pulled: BTreeMap<String, Pulled>,
    /// How many attempts are about each name.
    pins: BTreeMap<String, usize>,
    /// When an attempt was last about each name that the engine has.
    used: BTreeMap<String, u64>,
    removing: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pulled {
    name: String,
    /// Milliseconds since the epoch, by the worker's clock.
    used: u64,
}

/// Keeps an image while an attempt is about it.
#[derive(Debug)]
pub(super) struct Pin<'a> {
    images: &'a Images,
    name: String,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut state = self.images.state();
        if let Some(count) = state.pins.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                state.pins.remove(&self.name);
            }
        }
        let now = now();
        state.used.insert(self.name.clone(), now);
        state.pulled.values_mut().filter(|pulled| pulled.name == self.name).for_each(|pulled| pulled.used = now);
    }
}

impl Images {
    /// Reads what an earlier life of the worker wrote; without a file nothing is remembered beyond
    /// this one.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let pulled = file.as_deref().and_then(read).unwrap_or_default();
        let state = Mutex::new(State { pulled, ..State::default() });
        Self { file, state, removed: Notify::new(), moved: Notify::new(), writing: tokio::sync::Mutex::default() }
    }

    /// Waits until one was pulled or removed.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// These names, which are all that the engine has, those first that were used last: of the others in their order.
    pub(super) fn by_use(&self, names: BTreeSet<String>) -> Vec<String> {
        let mut state = self.state();
        state.used.retain(|name, _| names.contains(name));
        let pulled = state.pulled.values().map(|pulled| (&pulled.name, pulled.used));
        let mut used: BTreeMap<&String, u64> = pulled.collect();
        used.extend(state.used.iter().map(|(name, at)| (name, *at)));
        used.extend(state.pins.keys().map(|name| (name, u64::MAX)));
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_by_key(|name| Reverse(used.get(name).copied()));
        names
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an image from now on; waits for the end of its removal.
    pub(super) async fn pin(&self, image: &str) -> Pin<'_> {
        let name = normal(image);
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            {
                let mut state = self.state();
                if state.removing.as_ref() != Some(&name) {
                    *state.pins.entry(name.clone()).or_insert(0) += 1;
                    return Pin { images: self, name };
                }
            }
            removed.await;
        }
    }

    /// Whether this worker pulled the image of this id.
    fn has(&self, id: &str) -> bool {
        self.state().pulled.contains_key(id)
    }

    /// Writes down an image that was pulled; `before` is what its name meant until then.
    pub(super) async fn note(&self, image: &str, before: Option<&str>, id: &str) {
        if before.is_none_or(|before| self.has(before)) {
            let pulled = Pulled { name: normal(image), used: now() };
            self.state().pulled.insert(id.to_owned(), pulled);
            self.write().await;
        }
        self.moved.notify_one();
    }

    /// Removes the image that was not used for longest and that nothing uses now.
    pub(super) async fn remove_oldest(&self, docker: &Docker) -> Result<Option<String>, Fault> {
        for (id, name) in self.unused() {
            {
                let mut state = self.state();
                if state.pins.contains_key(&name) {
                    continue;
                }
                state.removing = Some(name.clone());
            }
            let gone = remove(docker, &id, &name).await;
            self.state().removing = None;
            self.removed.notify_waiters();
            let fate = gone?;
            if fate != Fate::Used {
                self.state().pulled.remove(&id);
                self.write().await;
            }
            if fate == Fate::Removed {
                self.moved.notify_one();
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// What no attempt is about, the one that was not used for longest first.
    fn unused(&self) -> Vec<(String, String)> {
        let state = self.state();
        let free = state.pulled.iter().filter(|(_, pulled)| !state.pins.contains_key(&pulled.name));
        let mut free: Vec<_> = free.map(|(id, pulled)| (pulled.used, id.clone(), pulled.name.clone())).collect();
        free.sort();
        free.into_iter().map(|(_, id, name)| (id, name)).collect()
    }

    /// Writes the record; one that can not be written costs disk later, never an attempt.
    async fn write(&self) {
        let Some(file) = &self.file else { return };
        let _turn = self.writing.lock().await;
        let text = serde_json::to_vec(&self.state().pulled).unwrap_or_default();
        let fresh = file.with_extension("new");
        let written = async {
            tokio::fs::write(&fresh, text).await?;
            tokio::fs::rename(&fresh, file).await
        };
        if let Err(error) = written.await {
            warn!(%error, "pulled images not written down");
        }
    }
}

fn read(file: &Path) -> Option<BTreeMap<String, Pulled>> {
    let text = std::fs::read(file).ok()?;
    let mut pulled: BTreeMap<String, Pulled> =
        serde_json::from_slice(&text).map_err(|error| warn!(%error, "record of pulled images not read")).ok()?;
    // Earlier versions wrote names as they were given.
    pulled.values_mut().for_each(|pulled| pulled.name = normal(&pulled.name));
    Some(pulled)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Removed,
    /// A container needs it.
    Used,
    /// It is not there any more, or somebody gave it a name of his own.
    NotOurs,
}

async fn remove(docker: &Docker, id: &str, name: &str) -> Result<Fate, Fault> {
    let names = match docker.inspect_image(id).await.map_err(Fault::from) {
        Ok(image) => image.repo_tags.unwrap_or_default(),
        Err(Fault::Gone(_)) => return Ok(Fate::NotOurs),
        Err(fault) => return Err(fault),
    };
    if !names.iter().all(|other| is_same(other, name)) {
        return Ok(Fate::NotOurs);
    }
    let options = RemoveImageOptionsBuilder::new().force(false).build();
    match docker.remove_image(id, Some(options), None).await.map_err(Fault::from) {
        Ok(_) => Ok(Fate::Removed),
        Err(Fault::Conflict(_)) => Ok(Fate::Used),
        Err(Fault::Gone(_)) => Ok(Fate::NotOurs),
        Err(fault) => Err(fault),
    }
}

/// Whether two names mean one image: engines leave a usual registry out, or add it.
fn is_same(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|head| head.ends_with('/'));
    one == other || ends(one, other) || ends(other, one)
}

/// The names of an image of the engine; of one without a tag its digests.
pub(super) fn names(image: ImageSummary) -> impl Iterator<Item = String> {
    // Of what lost its name engines say `<none>`.
    let named = |names: Vec<String>| names.into_iter().filter(|name| !name.contains("<none>")).collect::<Vec<_>>();
    let tags = named(image.repo_tags);
    let names = if tags.is_empty() { named(image.repo_digests) } else { tags };
    names.into_iter().map(|name| normal(&name))
}

fn normal(image: &str) -> String {
    ImageRef::of(image).normal()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    cloudai_core::time::millis(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unused(images: &Images) -> Vec<String> {
        images.unused().into_iter().map(|(_, name)| name).collect()
    }

    #[tokio::test]
    async fn an_image_that_was_there_before_is_not_ours_and_stays_so_when_it_is_pulled_again() {
        let images = Images::open(None);
        images.note("a", None, "id1").await;
        images.note("b:2", Some("id2"), "id3").await;
        images.note("a:latest", Some("id1"), "id4").await;
        assert_eq!(unused(&images), ["a:latest", "a:latest"]);
        assert!(images.has("id1") && images.has("id4") && !images.has("id3"));
    }

    #[tokio::test]
    async fn what_an_attempt_is_about_is_kept_and_is_the_youngest_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let file = Some(dir.path().join("images.json"));
        let images = Images::open(file.clone());
        for (name, id, used) in [("a:1", "id1", 1), ("b:1", "id2", 2), ("c:1", "id3", 3)] {
            images.note(name, None, id).await;
            images.state().pulled.get_mut(id).unwrap().used = used;
        }
        let (first, second) = (images.pin("a:1").await, images.pin("a:1").await);
        drop(first);
        assert_eq!(unused(&images), ["b:1", "c:1"]);
        drop(second);
        assert_eq!(unused(&images), ["b:1", "c:1", "a:1"]);
        images.note("d", None, "id4").await;
        assert_eq!(unused(&Images::open(file)).len(), 4, "a later life knows them");
    }

    #[tokio::test]
    async fn names_come_in_the_order_of_their_use_and_what_was_never_used_by_name() {
        let images = Images::open(None);
        images.note("docker.io/library/pulled", None, "id1").await;
        images.state().pulled.get_mut("id1").unwrap().used = 1;
        drop(images.pin("used:1").await);
        drop(images.pin("gone:1").await);
        let _in_use = images.pin("library/now").await;
        let has = ["a:1", "b:1", "now:latest", "pulled:latest", "used:1"].map(ToOwned::to_owned);
        let order = ["now:latest", "used:1", "pulled:latest", "a:1", "b:1"];
        assert_eq!(images.by_use(has.into()), order);
        assert_eq!(images.state().used.len(), 1, "what is not there any more is forgotten");
    }

    #[test]
    fn an_image_has_the_names_of_its_tags_or_else_of_its_digests() {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let of = |tags: &[&str], digests: &[&str]| {
            let image =
                ImageSummary { repo_tags: texts(tags), repo_digests: texts(digests), ..ImageSummary::default() };
            names(image).collect::<Vec<_>>()
        };
        assert_eq!(of(&["docker.io/library/a:1", "localhost/b"], &["a@sha256:0"]), ["a:1", "b:latest"]);
        assert_eq!(of(&["<none>:<none>"], &["a@sha256:0"]), ["a@sha256:0"]);
        assert!(of(&[], &["<none>@<none>"]).is_empty());
    }

    #[test]
    fn a_name_is_the_same_with_and_without_the_usual_registry() {
        assert_eq!(normal("docker.io/library/a"), "a:latest");
        assert_eq!(normal("h:5000/a:2"), "h:5000/a:2");
        assert!(is_same("docker.io/library/busybox:1", "busybox:1") && is_same("a:1", "a:1"));
        assert!(!is_same("mybusybox:1", "busybox:1") && !is_same("a:1", "a:2"));
    }
}
