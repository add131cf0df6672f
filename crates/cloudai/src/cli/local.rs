//! Files and folders of this machine as inputs of a task: named by their content before anything is sent.
//!
//! A document that is posted names contents (`blob:`, `tree:`), never a path of somebody's machine. What the master
//! does not have yet is sent before the task (`send.rs`).

mod folder;

use super::Context;
use crate::exit::Failure;
use crate::id;
use cloudai_core::ids::TaskId;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::Value;
use sha2::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Where a working directory lies in the container.
pub(super) const WORKSPACE: &str = "/workspace";
/// Where an input lies for which no place is given.
const PLACE: &str = "/in";
/// Sources that the master has.
const KEPT: [&str; 3] = ["task", "blob", "tree"];
/// Sources that are addresses: what follows them is no place.
const ADDRESSES: [&str; 3] = ["http", "https", "s3"];
/// Bytes hashed at a time.
const CHUNK: usize = 256 * 1024;
/// The most sentences about what is left out.
const MAX_NOTES: usize = 10;

/// Contents of this machine that a task names.
#[derive(Debug, Default)]
pub(super) struct Shipment {
    /// What has which hash; in the order in which they are sent.
    pub(super) contents: BTreeMap<Sha256, Content>,
    /// What is left out, and why.
    pub(super) left_out: Vec<(PathBuf, &'static str)>,
}

/// A content.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A file of this size.
    File(PathBuf, u64),
    /// The list of a folder.
    List(String),
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File(_, size) => *size,
            Self::List(list) => list.len() as u64,
        }
    }
}

impl Shipment {
    /// What is left out, for people: the first of it, and how much more there is.
    pub(super) fn notes(&self) -> Vec<String> {
        let (first, more) = self.left_out.split_at(MAX_NOTES.min(self.left_out.len()));
        let note = |(path, why): &(PathBuf, &str)| format!("{} is left out: {why}", path.display());
        let more = (!more.is_empty()).then(|| format!("and {} more", more.len()));
        first.iter().map(note).chain(more).collect()
    }

    /// Adds a file; answers its hash and size.
    fn file(&mut self, path: &Path) -> io::Result<(Sha256, u64)> {
        let (sha256, size) = hash(path)?;
        self.contents.entry(sha256).or_insert_with(|| Content::File(path.to_owned(), size));
        Ok((sha256, size))
    }
}

/// A given input: `SOURCE`, `SOURCE:/PLACE` or `SOURCE:/PLACE:rw`.
/// # Errors
/// What is allowed instead.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let (text, writable) = match text.strip_suffix(":rw") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":ro").unwrap_or(text), false),
    };
    let scheme =
        text.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| scheme.chars().all(char::is_alphanumeric));
    let is_address = scheme.is_some_and(|scheme| ADDRESSES.contains(&scheme));
    if let Some(scheme) = scheme.filter(|_| !is_address) {
        return Err(format!("{scheme}:// is no address that workers fetch from: expected https://, http:// or s3://"));
    }
    if let Some((_, place)) = text.split_once('#').and_then(|(_, hash)| hash.split_once(':')).filter(|_| is_address)
        && !place.starts_with('/')
    {
        return Err(format!("{place:?} is no place in the container: expected an absolute path, as /data/a.csv"));
    }
    // In an address itself `:/` may stand more than once.
    let begin = if is_address { text.find('#').unwrap_or(0) } else { 0 };
    let place = text.get(begin..).and_then(|rest| rest.rfind(":/")).map(|at| begin + at);
    let (from, path) = match place {
        Some(at) if !ADDRESSES.contains(&&text[..at]) => (&text[..at], text[at + 1..].to_owned()),
        _ => {
            // Of an address neither the hash nor what is asked for is a part of the name.
            let named = if is_address { path_of(text).unwrap_or_default() } else { text };
            let trimmed = named.trim_end_matches('/');
            let name = trimmed.rsplit(['/', ':']).next().unwrap_or_default();
            if matches!(name, "" | "." | "..") {
                return Err(format!("{text:?} needs a place in the container, as {text}:/data"));
            }
            (text, format!("{PLACE}/{name}"))
        }
    };
    if from.is_empty() {
        return Err(format!("{text:?} names no source: expected data.csv:/data/data.csv"));
    }
    Ok(entry(&absolute(from, Path::new(""))?, &path, writable))
}

/// The path of an address, without the first `/`.
fn path_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let (_, path) = rest.split(['#', '?']).next()?.split_once('/')?;
    Some(path)
}

fn entry(from: &str, path: &str, writable: bool) -> Value {
    let mut fields = vec![("from".to_owned(), Value::Text(from.into())), ("path".to_owned(), Value::Text(path.into()))];
    if writable {
        fields.push(("writable".into(), Value::Bool(true)));
    }
    Value::Map(fields)
}

/// A local source as an absolute path, from this folder on; others as they are.
fn absolute(from: &str, base: &Path) -> Result<String, String> {
    if from.is_empty() {
        return Err("an empty path names nothing: . is the folder itself".into());
    }
    if from.split_once(':').is_some_and(|(scheme, _)| KEPT.contains(&scheme) || ADDRESSES.contains(&scheme)) {
        return Ok(from.to_owned());
    }
    let path = std::path::absolute(base.join(from)).map_err(|why| format!("{from:?} is no path: {why}"))?;
    path.into_os_string().into_string().map_err(|path| format!("{} is no UTF-8", path.display()))
}

/// The working directory of this machine that is meant by a `workdir` which is no absolute path: as an input, to be
/// worked in at [`WORKSPACE`].
/// # Errors
/// It is no path.
pub(super) fn workdir(given: &str, base: &Path) -> Result<Option<Value>, String> {
    if given.starts_with('/') {
        return Ok(None);
    }
    absolute(given, base).map(|from| Some(entry(&from, WORKSPACE, true)))
}

/// Makes the local paths of a task file absolute: they begin where the file lies.
/// # Errors
/// One that is no path.
pub(super) fn begin_at(document: &mut Value, base: &Path) -> Result<(), String> {
    let Value::Map(fields) = document else { return Ok(()) };
    for (name, value) in fields.iter_mut() {
        if let ("inputs", Value::List(inputs)) = (name.as_str(), value) {
            for from in inputs.iter_mut().filter_map(from_of) {
                *from = absolute(from, base)?;
            }
        }
    }
    Ok(())
}

/// The source of an entry of `inputs`.
fn from_of(input: &mut Value) -> Option<&mut String> {
    let Value::Map(fields) = input else { return None };
    fields.iter_mut().find_map(|(name, value)| match (name.as_str(), value) {
        ("from", Value::Text(from)) => Some(from),
        _ => None,
    })
}

/// Completes the ids of tasks whose files are inputs: a part of an id is enough, as everywhere on the command line.
/// # Errors
/// A part that means no task, or several.
pub(super) async fn complete(document: &mut Value, cx: &Context) -> Result<(), Failure> {
    for (_, from) in sources(document) {
        let Some(rest) = from.strip_prefix("task:") else { continue };
        let (typed, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // What can be no part of an id is left to the rules of the field.
        let is_part = typed.len() >= 4 && typed.chars().all(|c| c.is_ascii_alphanumeric());
        if is_part && typed.parse::<TaskId>().is_err() {
            let id = id::resolve(&cx.client, typed).await?;
            *from = format!("task:{id}{path}");
        }
    }
    Ok(())
}

/// Where the inputs of a document come from, with their places in the list.
fn sources(document: &mut Value) -> impl Iterator<Item = (usize, &mut String)> {
    let fields = if let Value::Map(fields) = document { fields.as_mut_slice() } else { &mut [] };
    let inputs = fields.iter_mut().find_map(|(name, value)| match (name.as_str(), value) {
        ("inputs", Value::List(inputs)) => Some(inputs),
        _ => None,
    });
    inputs.into_iter().flatten().enumerate().filter_map(|(at, input)| Some((at, from_of(input)?)))
}

/// Names the local inputs of a document by their content; answers what they are.
/// # Errors
/// One that can not be read.
pub(super) fn take(document: &mut Value) -> Result<Shipment, Failure> {
    take_all([(String::new(), document)])
}

/// The same of several documents, each with what stands before the names of its fields: `tasks[3].`.
/// # Errors
/// As of [`take`].
pub(super) fn take_all<'a>(documents: impl IntoIterator<Item = (String, &'a mut Value)>) -> Result<Shipment, Failure> {
    let mut shipment = Shipment::default();
    // What many tasks of a job find is read once.
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (before, document) in documents {
        for (index, from) in sources(document).filter(|(_, from)| is_local(from)) {
            if let Some(name) = known.get(from.as_str()) {
                from.clone_from(name);
                continue;
            }
            let path = PathBuf::from(&*from);
            let name = name(&path, &mut shipment).map_err(|error| {
                let what = format!("{} can not be sent", path.display());
                Failure::usage(what).why(error.to_string()).why(format!("it is {before}inputs[{index}]"))
            })?;
            known.insert(std::mem::replace(from, name.clone()), name);
        }
    }
    Ok(shipment)
}

/// Gives the local inputs of documents a name that stands for any content: they are not read.
pub(super) fn assume<'a>(documents: impl IntoIterator<Item = (String, &'a mut Value)>) {
    let any = format!("blob:{}", Sha256([0; 32]));
    for (_, document) in documents {
        for (_, from) in sources(document).filter(|(_, from)| is_local(from)) {
            from.clone_from(&any);
        }
    }
}

/// Whether an input is of this machine: every such one is absolute by now.
fn is_local(from: &str) -> bool {
    from.starts_with('/')
}

fn name(path: &Path, shipment: &mut Shipment) -> io::Result<String> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        let list = folder::read(path, shipment)?.write();
        let sha256 = Sha256(sha2::Sha256::digest(&list).into());
        shipment.contents.insert(sha256, Content::List(list));
        Ok(format!("tree:{sha256}"))
    } else if found.is_file() {
        shipment.file(path).map(|(sha256, _)| format!("blob:{sha256}"))
    } else {
        Err(io::Error::other("it is neither a file nor a folder"))
    }
}

/// The hash and size of a file.
fn hash(path: &Path) -> io::Result<(Sha256, u64)> {
    let mut hasher = sha2::Sha256::new();
    let size = io::copy(&mut BufReader::with_capacity(CHUNK, File::open(path)?), &mut hasher)?;
    Ok((Sha256(hasher.finalize().into()), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (String, String, bool) {
        let Value::Map(fields) = parse(text).unwrap() else { panic!() };
        let text = |name: &str| {
            let value = fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            if let Some(Value::Text(text)) = value { text } else { String::new() }
        };
        (text("from"), text("path"), fields.iter().any(|(key, _)| key == "writable"))
    }

    #[test]
    fn an_input_is_a_source_and_a_place() {
        let here = |name: &str| std::path::absolute(name).unwrap().to_str().unwrap().to_owned();
        let rows = [
            ("a.csv:/data/a.csv", here("a.csv"), "/data/a.csv", false),
            ("a.csv", here("a.csv"), "/in/a.csv", false),
            ("sets/x/", here("sets/x/"), "/in/x", false),
            ("/abs/x:/y:rw", "/abs/x".into(), "/y", true),
            (".:/src:ro", here("."), "/src", false),
            ("task:t-1/parts/0:/in", "task:t-1/parts/0".into(), "/in", false),
            ("task:t-1/a.csv", "task:t-1/a.csv".into(), "/in/a.csv", false),
            ("task:t-1", "task:t-1".into(), "/in/t-1", false),
            ("https://example.org/a.csv", "https://example.org/a.csv".into(), "/in/a.csv", false),
            ("https://example.org/a.csv:/b", "https://example.org/a.csv".into(), "/b", false),
            ("https://h:81/a.csv?x=/y#sha256=0a", "https://h:81/a.csv?x=/y#sha256=0a".into(), "/in/a.csv", false),
            ("https://h/get/https://x/a#sha256=0a:/b", "https://h/get/https://x/a#sha256=0a".into(), "/b", false),
            ("https://h/get/https://x/a#sha256=0a", "https://h/get/https://x/a#sha256=0a".into(), "/in/a", false),
            ("s3://data/a.csv#sha256=0a:/b:rw", "s3://data/a.csv#sha256=0a".into(), "/b", true),
        ];
        for (typed, from, path, writable) in rows {
            assert_eq!(shown(typed), (from, path.to_owned(), writable), "{typed}");
        }
        let bad = [".", "..", "/", "", ":/data", "https://h:81/#sha256=0a", "https://h#sha256=0a", "ftp://h/a:/b"];
        for bad in bad.into_iter().chain(["HTTPS://h/a", "https://h/a#sha256=0a:data/a"]) {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn of_much_that_is_left_out_the_first_is_told_and_how_much_more_there_is() {
        let left_out = |count: usize| {
            let left_out = (0..count).map(|number| (format!("/p{number}").into(), "it is no file")).collect();
            Shipment { left_out, ..Shipment::default() }.notes()
        };
        assert_eq!(left_out(1), ["/p0 is left out: it is no file"]);
        assert_eq!((left_out(0).len(), left_out(MAX_NOTES).len()), (0, MAX_NOTES));
        let told = left_out(MAX_NOTES + 7);
        assert_eq!((told.len(), told[MAX_NOTES].as_str()), (MAX_NOTES + 1, "and 7 more"));
    }

    #[test]
    fn local_paths_become_names_of_their_contents_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("f")).unwrap();
        for (name, text) in [("a", "same"), ("f/b", "same"), ("f/c", "other")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let task = "task:task-00000000000000000000000007/x";
        let mut document: Value = serde_json::from_value(serde_json::json!({"image": "a", "inputs": [
            {"from": "a", "path": "/a"}, {"from": "./f", "path": "/f"}, {"from": task, "path": "/t"}
        ]}))
        .unwrap();
        begin_at(&mut document, dir.path()).unwrap();
        let shipment = take(&mut document).unwrap();
        let shown = super::super::document::to_json(&document).to_string();
        assert!(!shown.contains(dir.path().to_str().unwrap()), "{shown}");
        assert!(shown.contains("blob:") && shown.contains("tree:") && shown.contains(task), "{shown}");
        assert_eq!(shipment.contents.len(), 3, "two files of one content, another, and a list");
        let local = |path: &str| -> Value {
            serde_json::from_value(serde_json::json!({"inputs": [{"from": path, "path": "/a"}]})).unwrap()
        };
        let path = dir.path().join("a");
        let mut two = [local(path.to_str().unwrap()), local(path.to_str().unwrap())];
        let named = two.iter_mut().enumerate().map(|(at, task)| (format!("tasks[{at}]."), task));
        assert_eq!(take_all(named).unwrap().contents.len(), 1);
        assert!(two[0] == two[1] && sources(&mut two[0]).all(|(_, from)| from.starts_with("blob:")), "{two:?}");
        let mut any = local("/no/such");
        assume([(String::new(), &mut any)]);
        assert!(sources(&mut any).all(|(_, from)| from.ends_with("00")), "{any:?}");
        let mut gone: Value =
            serde_json::from_value(serde_json::json!({"inputs": [{"from": "/no/such", "path": "/a"}]})).unwrap();
        let failure = take(&mut gone).unwrap_err();
        assert!(failure.to_string().contains("/no/such can not be sent"), "{failure}");
        let failure = take_all([("tasks[7].".into(), &mut gone)]).unwrap_err();
        assert!(failure.why.contains(&"it is tasks[7].inputs[0]".to_owned()), "{failure}");
    }
}
