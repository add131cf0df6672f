//! Stored secrets that a task is given: as files, or as variables where the cluster allows it.

use super::places::{Places, in_the_way};
use super::read::Reader;
use super::{Value, inputs};
use crate::ids::SecretName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most secrets of one task.
const MOST: usize = 64;
const FIELDS: [&str; 3] = ["name", "file", "env"];
/// Where a secret is found that is told no other place.
const FOLDER: &str = "/run/secrets";

/// A stored secret, and where the container finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// Which, of those of the task's owner.
    pub name: SecretName,
    /// Where.
    pub place: SecretPlace,
}

/// Where a container finds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretPlace {
    /// In a file of a memory file system at this absolute path, for the container's user alone.
    File(String),
    /// In this variable, which everybody sees who may ask the container engine.
    Env(String),
}

/// Reads the field of a task; `places` are the paths of its container that are used otherwise, `env` its variables,
/// `is_name` says what a variable may be called.
pub(super) fn read(
    task: &mut Reader<'_>,
    (places, env): (&mut Places, &BTreeMap<String, String>),
    is_name: impl Fn(&str) -> Result<(), &'static str>,
) -> Vec<SecretUse> {
    let mut secrets: Vec<SecretUse> = Vec::new();
    // Each with its field.
    let mut variables: BTreeMap<String, String> =
        env.keys().map(|name| (name.clone(), format!("env.{name}"))).collect();
    let expected = "must be a list of secrets, as [{\"name\": \"token\"}]";
    for (index, mut reader) in task.maps("secrets", MOST, expected, &FIELDS) {
        let name = name(&mut reader);
        let place = place(&mut reader, name.as_ref(), &is_name);
        if let Some((name, place)) = name.zip(place) {
            let (field, at, problem) = match &place {
                SecretPlace::File(path) => ("file", path, places.problem(path)),
                SecretPlace::Env(name) => ("env", name, variables.get(name).map(|other| in_the_way(other, name))),
            };
            if let Some(problem) = problem {
                reader.error(field.into(), Some(format!("{at:?}")), problem);
            }
            let own = format!("secrets[{index}].{field}");
            match &place {
                SecretPlace::File(path) => places.take(own, path),
                SecretPlace::Env(name) => drop(variables.insert(name.clone(), own)),
            }
            secrets.push(SecretUse { name, place });
        }
        task.take_errors(&format!("secrets[{index}]"), reader);
    }
    secrets
}

fn name(reader: &mut Reader<'_>) -> Option<SecretName> {
    if reader.get("name").is_none() {
        reader.error("name".into(), None, "is missing: name a secret, as cloudai secret list tells them".into());
    }
    reader.checked("name", |name| {
        name.parse().map_err(|_| "must be a name of 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit")
    })
}

fn place(
    reader: &mut Reader<'_>,
    name: Option<&SecretName>,
    is_name: impl Fn(&str) -> Result<(), &'static str>,
) -> Option<SecretPlace> {
    if reader.get("file").is_some() && reader.get("env").is_some() {
        reader.wrong("env", "can not be beside file: name the secret twice");
    }
    if reader.get("env").is_some() {
        return reader.checked("env", |env| is_name(env).map(|()| SecretPlace::Env(env.to_owned())));
    }
    if reader.get("file").is_some() {
        return reader.checked("file", |path| inputs::check_path(path).map(|path| SecretPlace::File(path.to_owned())));
    }
    name.map(|name| SecretPlace::File(format!("{FOLDER}/{name}")))
}

/// The document that [`read`] reads back.
pub(super) fn write(secrets: &[SecretUse]) -> Value {
    let map = |secret: &SecretUse| {
        let (field, at) = match &secret.place {
            SecretPlace::File(path) => ("file", path),
            SecretPlace::Env(name) => ("env", name),
        };
        let name = ("name".to_owned(), Value::Text(secret.name.to_string()));
        Value::Map(vec![name, (field.to_owned(), Value::Text(at.clone()))])
    };
    Value::List(secrets.iter().map(map).collect())
}

/// Bytes of text in the secrets' names and places.
pub(super) fn weight(secrets: &[SecretUse]) -> usize {
    let place = |(SecretPlace::File(at) | SecretPlace::Env(at)): &SecretPlace| at.len();
    secrets.iter().map(|secret| secret.name.as_str().len() + place(&secret.place) + 30).sum()
}
