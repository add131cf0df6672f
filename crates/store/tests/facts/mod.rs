//! Claims about facts: words that a cluster keeps under names.

use cloudai_store::{CommitError, Store};
use std::sync::Arc;

pub(crate) async fn a_fact_is_set_by_who_leads_only(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    store.keep_fact("strategy", "one").await.unwrap();
    store.set_fact(term, "strategy", "two").await.unwrap();
    store.set_fact(term, "other", "x").await.unwrap();
    assert_eq!(store.fact("strategy").await.unwrap().as_deref(), Some("two"));
    assert_eq!(store.fact("other").await.unwrap().as_deref(), Some("x"));
    let next = store.lead().await.unwrap();
    let late = store.set_fact(term, "strategy", "late").await;
    assert!(matches!(late, Err(CommitError::Fenced)), "{late:?}");
    assert_eq!(store.fact("strategy").await.unwrap().as_deref(), Some("two"));
    store.set_fact(next, "strategy", "three").await.unwrap();
    assert_eq!(store.fact("strategy").await.unwrap().as_deref(), Some("three"));
}

pub(crate) async fn facts_are_listed_by_how_their_names_begin_and_removed_by_who_leads_only(store: Arc<dyn Store>) {
    let term = store.lead().await.unwrap();
    for name in ["a/2", "a/1", "a", "a0", "b/1", "a/%"] {
        store.set_fact(term, name, name).await.unwrap();
    }
    let names = async |prefix: &str| {
        let facts = store.facts(prefix).await.unwrap();
        assert!(facts.iter().all(|(name, value)| name == value));
        facts.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("a/").await, ["a/%", "a/1", "a/2"]);
    assert_eq!(names("c").await, [] as [&str; 0]);
    assert!(store.drop_fact(term, "a/1").await.unwrap());
    assert!(!store.drop_fact(term, "a/1").await.unwrap());
    store.lead().await.unwrap();
    let late = store.drop_fact(term, "a/2").await;
    assert!(matches!(late, Err(CommitError::Fenced)), "{late:?}");
    assert_eq!(names("a/").await, ["a/%", "a/2"]);
}

pub(crate) async fn the_fact_that_was_kept_first_stays(store: Arc<dyn Store>) {
    assert_eq!(store.fact("join_token").await.unwrap(), None);
    assert_eq!(store.keep_fact("join_token", "one").await.unwrap(), "one");
    assert_eq!(store.keep_fact("join_token", "two").await.unwrap(), "one");
    assert_eq!(store.fact("join_token").await.unwrap().as_deref(), Some("one"));
    assert_eq!(store.fact("other").await.unwrap(), None);
}
