//! Stored templates: every version a fact of its own, which never changes, and a head that says which there are.
//!
//! The head is what counts: a version that it does not name is a rest of something that was cut off, and is not there.

use crate::mailbox::AskError;
use crate::only::Only;
use cloudai_core::ids::{TemplateName, Term, UserId};
use cloudai_core::spec::Value;
use cloudai_core::template::{Makes, Template};
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The most templates of one user.
pub(crate) const MAX_TEMPLATES: usize = 1000;
/// The most versions of a template that are kept: the latest.
pub(crate) const MAX_VERSIONS: usize = 50;
/// The largest template, in bytes of JSON.
pub(crate) const MAX_TEMPLATE: usize = 256 << 10;
/// Before the names of all facts that are heads.
const HEADS: &str = "template/";
/// Before the names of all facts that are versions.
const VERSIONS: &str = "template.version/";

/// The templates of a cluster.
#[derive(Debug)]
pub(crate) struct Templates {
    store: Arc<dyn Store>,
    /// One change at a time: a head follows from the one before.
    changing: tokio::sync::Mutex<()>,
}

/// What is known of a template without its document; of its latest version, where versions differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) makes: Makes,
    /// The names of its parameters.
    pub(crate) params: Vec<String>,
    /// Those that are kept, the earliest first; never empty.
    pub(crate) versions: Vec<Version>,
}

/// One version of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) created_at: Timestamp,
    /// Of its JSON.
    pub(crate) bytes: usize,
}

/// What became of a template that was to be kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    /// It is the latest version now.
    New(Head),
    /// It was the latest version before.
    Same(Head),
    /// Its owner has as many as one may have.
    TooMany,
    /// It is not what its owner takes it for: nothing was kept.
    Changed,
}

impl Version {
    /// What tells it from every other, also from those of a template of the name that was removed.
    pub(crate) fn tag(self) -> String {
        format!("{}-{}", self.number, self.created_at.as_millis())
    }
}

impl Head {
    /// The latest version.
    pub(crate) fn latest(&self) -> Option<Version> {
        self.versions.last().copied()
    }
}

impl Templates {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, changing: tokio::sync::Mutex::default() }
    }

    /// Keeps a template as its next version, unless it is the latest already, if the condition holds for that. `document`
    /// is what `template` was read from.
    pub(crate) async fn put(
        &self,
        (term, now): (Term, Timestamp),
        owner: &UserId,
        name: &TemplateName,
        (document, template): (&Value, &Template),
        only: &Only,
    ) -> Result<Kept, AskError> {
        let _alone = self.changing.lock().await;
        let text = json(document)?;
        let before = self.head(owner, name).await?;
        let latest = before.as_ref().and_then(Head::latest);
        if !only.holds(latest.map(Version::tag).as_deref()) {
            return Ok(Kept::Changed);
        }
        match (before.as_ref(), latest) {
            (Some(head), Some(latest)) => {
                let same = self.store.fact(&of_version(owner, name, latest.number)).await?;
                if same.as_deref() == Some(text.as_str()) {
                    return Ok(Kept::Same(head.clone()));
                }
            }
            (Some(_), None) | (None, _) => {
                if self.store.facts(&of_user(owner)).await?.len() >= MAX_TEMPLATES {
                    return Ok(Kept::TooMany);
                }
                // What a removal that was cut off has left.
                self.drop_versions(term, owner, name).await?;
            }
        }
        let number = latest.map_or(1, |latest| latest.number.saturating_add(1));
        let mut versions = before.map(|head| head.versions).unwrap_or_default();
        versions.push(Version { number, created_at: now, bytes: text.len() });
        let gone: Vec<_> = versions.drain(..versions.len().saturating_sub(MAX_VERSIONS)).collect();
        let head = Head {
            description: template.description.clone(),
            makes: template.makes,
            params: template.params.iter().map(|param| param.name.clone()).collect(),
            versions,
        };
        self.store.set_fact(term, &of_version(owner, name, number), &text).await?;
        self.store.set_fact(term, &of_head(owner, name), &json(&head)?).await?;
        for version in gone {
            self.store.drop_fact(term, &of_version(owner, name, version.number)).await?;
        }
        Ok(Kept::New(head))
    }

    /// All of a user, in the order of their names.
    pub(crate) async fn of(&self, owner: &UserId) -> Result<Vec<(TemplateName, Head)>, AskError> {
        let prefix = of_user(owner);
        let facts = self.store.facts(&prefix).await?;
        let read = |(id, text): (String, String)| {
            Some((id.strip_prefix(&prefix)?.parse().ok()?, serde_json::from_str(&text).ok()?))
        };
        Ok(facts.into_iter().filter_map(read).collect())
    }

    /// What is known of one.
    pub(crate) async fn head(&self, owner: &UserId, name: &TemplateName) -> Result<Option<Head>, AskError> {
        let id = of_head(owner, name);
        self.store.fact(&id).await?.map(|text| read(&id, &text)).transpose()
    }

    /// The document of a version that its head names.
    pub(crate) async fn document(
        &self,
        owner: &UserId,
        name: &TemplateName,
        version: u32,
    ) -> Result<Option<Value>, AskError> {
        let id = of_version(owner, name, version);
        self.store.fact(&id).await?.map(|text| read(&id, &text)).transpose()
    }

    /// Removes one with all of its versions; answers whether it was there.
    pub(crate) async fn remove(&self, term: Term, owner: &UserId, name: &TemplateName) -> Result<bool, AskError> {
        let _alone = self.changing.lock().await;
        let was_there = self.store.drop_fact(term, &of_head(owner, name)).await?;
        self.drop_versions(term, owner, name).await?;
        Ok(was_there)
    }

    async fn drop_versions(&self, term: Term, owner: &UserId, name: &TemplateName) -> Result<(), AskError> {
        for (id, _) in self.store.facts(&format!("{VERSIONS}{owner}/{name}/")).await? {
            self.store.drop_fact(term, &id).await?;
        }
        Ok(())
    }
}

fn of_user(owner: &UserId) -> String {
    format!("{HEADS}{owner}/")
}

fn of_head(owner: &UserId, name: &TemplateName) -> String {
    format!("{HEADS}{owner}/{name}")
}

fn of_version(owner: &UserId, name: &TemplateName, version: u32) -> String {
    format!("{VERSIONS}{owner}/{name}/{version}")
}

fn json<T: Serialize>(value: &T) -> Result<String, AskError> {
    serde_json::to_string(value).map_err(|why| AskError::Internal(why.to_string()))
}

fn read<T: for<'de> Deserialize<'de>>(id: &str, text: &str) -> Result<T, AskError> {
    serde_json::from_str(text).map_err(|why| AskError::Internal(format!("{id} can not be read: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_store::memory::MemoryStore;

    struct Stored {
        store: Arc<dyn Store>,
        templates: Templates,
        term: Term,
    }

    impl Stored {
        async fn new() -> Self {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
            let term = store.lead().await.unwrap();
            Self { templates: Templates::new(Arc::clone(&store)), store, term }
        }

        async fn put(&self, name: &str, image: &str) -> Kept {
            self.put_only(name, image, &Only::Always).await
        }

        async fn put_only(&self, name: &str, image: &str, only: &Only) -> Kept {
            let document: Value = serde_json::from_str(&format!(r#"{{"task": {{"image": "{image}"}}}}"#)).unwrap();
            let template = Template::from_value(&document).unwrap();
            let when = (self.term, Timestamp::from_millis(7));
            self.templates.put(when, &ann(), &name.parse().unwrap(), (&document, &template), only).await.unwrap()
        }

        /// The names of all facts.
        async fn facts(&self) -> Vec<String> {
            self.store.facts("").await.unwrap().into_iter().map(|(name, _)| name).collect()
        }
    }

    fn ann() -> UserId {
        "ann".parse().unwrap()
    }

    fn numbers(kept: &Kept) -> (bool, Vec<u32>) {
        match kept {
            Kept::New(head) => (true, head.versions.iter().map(|version| version.number).collect()),
            Kept::Same(head) => (false, head.versions.iter().map(|version| version.number).collect()),
            Kept::TooMany => panic!("too many"),
            Kept::Changed => panic!("changed"),
        }
    }

    #[tokio::test]
    async fn of_two_who_edit_the_same_version_one_is_told_of_the_other() {
        let stored = Stored::new().await;
        assert_eq!(stored.put_only("t", "a", &Only::IfThere).await, Kept::Changed);
        let Kept::New(head) = stored.put_only("t", "a", &Only::IfNew).await else { panic!("it is new") };
        assert_eq!(stored.put_only("t", "b", &Only::IfNew).await, Kept::Changed);
        let seen = Only::If(vec![head.latest().unwrap().tag()]);
        assert_eq!(numbers(&stored.put_only("t", "b", &seen).await), (true, vec![1, 2]));
        assert_eq!(stored.put_only("t", "c", &seen).await, Kept::Changed);
        assert_eq!(numbers(&stored.put("t", "b").await), (false, vec![1, 2]), "nothing was kept of that");
    }

    #[tokio::test]
    async fn a_change_makes_a_version_and_the_same_content_none() {
        let stored = Stored::new().await;
        assert_eq!(numbers(&stored.put("t", "a").await), (true, vec![1]));
        assert_eq!(numbers(&stored.put("t", "a").await), (false, vec![1]));
        assert_eq!(numbers(&stored.put("t", "b").await), (true, vec![1, 2]));
        // What an earlier version says is another content than the latest.
        assert_eq!(numbers(&stored.put("t", "a").await), (true, vec![1, 2, 3]));
        let document = stored.templates.document(&ann(), &"t".parse().unwrap(), 2).await.unwrap().unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), r#"{"task":{"image":"b"}}"#);
        let bob: UserId = "bob".parse().unwrap();
        assert!(stored.templates.of(&bob).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_latest_versions_are_kept_and_nothing_of_the_others() {
        let stored = Stored::new().await;
        for number in 0..=MAX_VERSIONS {
            stored.put("t", &format!("a:{number}")).await;
        }
        let head = stored.templates.head(&ann(), &"t".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((head.versions.len(), head.versions[0].number), (MAX_VERSIONS, 2));
        assert_eq!(stored.facts().await.len(), MAX_VERSIONS + 1);
        assert!(stored.templates.remove(stored.term, &ann(), &"t".parse().unwrap()).await.unwrap());
        assert!(!stored.templates.remove(stored.term, &ann(), &"t".parse().unwrap()).await.unwrap());
        assert_eq!(stored.facts().await, [] as [&str; 0]);
    }

    #[tokio::test]
    async fn what_a_removal_that_was_cut_off_has_left_is_no_version_of_the_next() {
        let stored = Stored::new().await;
        for image in ["a", "b"] {
            stored.put("t", image).await;
        }
        stored.store.drop_fact(stored.term, "template/ann/t").await.unwrap();
        assert_eq!(numbers(&stored.put("t", "c").await), (true, vec![1]));
        assert_eq!(stored.facts().await, ["template.version/ann/t/1", "template/ann/t"]);
    }
}
