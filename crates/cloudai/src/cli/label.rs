//! `cloudai worker label`: labels that a worker gets and loses while it runs.

use super::Context;
use super::plan::{self, NOTHING, Would};
use super::worker::{near, one, worker_id};
use crate::exit::{Exit, Failure};
use crate::render;
use cloudai_core::label::{Changes, FACTS, Words, check_key, check_value};
use cloudai_master::http::dto::Worker;
use std::collections::BTreeMap;

/// A label with the value that it gets; none where it goes.
type Change = (String, Option<String>);

#[derive(Debug, clap::Args)]
pub(super) struct Label {
    /// Its name
    #[arg(value_parser = worker_id)]
    id: String,
    /// A label with its value, as zone=eu, or with - behind it where it is to go, as zone-
    #[arg(value_name = "KEY=VALUE|KEY-", required = true, value_parser = change)]
    changes: Vec<Change>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
}

fn change(text: &str) -> Result<Change, String> {
    let (key, value) = match (text.split_once('='), text.strip_suffix('-')) {
        (Some((key, value)), _) => (key, Some(value)),
        (None, Some(key)) => (key, None),
        (None, None) => return Err(format!("{text:?} says nothing of a label: expected KEY=VALUE, or KEY-")),
    };
    check_key(key).map_err(|problem| format!("{key:?} {problem}"))?;
    if let Some(value) = value {
        check_value(value).map_err(|problem| format!("{value:?} {problem}"))?;
        if FACTS.contains(&key) {
            return Err(format!("{key} is what the worker is, whatever label it has: take another name"));
        }
    }
    Ok((key.to_owned(), value.map(ToOwned::to_owned)))
}

pub(super) async fn run(args: &Label, cx: &Context) -> Result<Exit, Failure> {
    let mut changes = Changes::new();
    for (key, value) in &args.changes {
        if changes.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("the label {key} is named twice")));
        }
    }
    if args.dry_run {
        let plan = would(one(&args.id, cx).await?, &changes);
        return plan::tell(vec![plan], |worker: &Worker| worker.id.clone(), &[], cx);
    }
    let set: BTreeMap<_, _> = changes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).collect();
    let remove: Vec<_> = changes.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
    let body = serde_json::json!({ "set": set, "remove": remove });
    let worker: Worker = match cx.client.patch(&["api", "v1", "workers", &args.id, "labels"], &body).await {
        Err(failure) if failure.exit == Exit::NotFound => return Err(near(failure, &args.id, cx).await),
        answer => answer?,
    };
    cx.screen.one(&worker, &worker.id, || render::worker::labels_line(&worker))?;
    Ok(Exit::Ok)
}

/// What the changes would do to a worker.
fn would(worker: Worker, changes: &Changes) -> Would<Worker> {
    let id = worker.id.clone();
    if changes.iter().all(|(key, value)| worker.operator_labels.get(key) == Some(value)) {
        return Would::of(worker, NOTHING, format!("change nothing: all this was said of {id} before"));
    }
    let before =
        |key: &String| worker.labels.get(key).map_or_else(|| "none".to_owned(), |value| format!("{key}={value}"));
    let before: Vec<String> = changes.keys().map(before).collect();
    let means = format!("label {id} with {}; it has {} now", Words(changes), before.join(", "));
    Would::of(worker, "label", means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_set_with_its_value_and_goes_with_a_hyphen() {
        let of = |key: &str, value: Option<&str>| Ok((key.to_owned(), value.map(ToOwned::to_owned)));
        for (text, expected) in [
            ("zone=eu", of("zone", Some("eu"))),
            ("zone-", of("zone", None)),
            ("zone-a-", of("zone-a", None)),
            ("zone=a-", of("zone", Some("a-"))),
            ("zone=", of("zone", Some(""))),
            ("a=b=c", of("a", Some("b=c"))),
            ("os-", of("os", None)),
        ] {
            assert_eq!(change(text), expected, "{text}");
        }
        for (text, said) in [
            ("zone", "expected KEY=VALUE, or KEY-"),
            ("-", "no label name"),
            ("a b=c", "no label name"),
            ("a=b,c=d", "no value of a label"),
            ("os=linux", "what the worker is"),
        ] {
            assert!(change(text).unwrap_err().contains(said), "{text}");
        }
    }
}
