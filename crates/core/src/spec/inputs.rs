//! What is placed into a container before it starts: files and folders by their content, or what another task left.

use super::address::Address;
use super::names::task_or_element;
use super::places::{Places, in_the_way};
use super::read::Reader;
use super::{FieldError, Value};
use crate::ids::TaskId;
use crate::path::{is_plain, overlap};
use crate::sha256::Sha256;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most inputs of one task.
const MOST: usize = 64;
/// The longest path, in bytes.
const LONGEST: usize = 4096;
const FIELDS: [&str; 3] = ["from", "path", "writable"];
/// Folders that are the kernel's or the outputs'.
const TAKEN: [&str; 4] = ["/out", "/proc", "/sys", "/dev"];

/// A file or folder that a container finds at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Whose content.
    pub from: Source,
    /// Where: an absolute path in the container.
    pub path: String,
    /// The container may change it: it gets a copy of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
}

/// Where the content of an input comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A file that the master keeps: `blob:SHA256`.
    Blob(Sha256),
    /// A folder that the master keeps, by its list ([`super::Tree`]): `tree:SHA256`.
    Tree(Sha256),
    /// What another task of the same owner left: `task:ID`, or a file or folder of it, `task:ID/PATH`.
    Task {
        /// Which task.
        id: TaskId,
        /// What of it; everything when absent.
        path: Option<String>,
    },
    /// What another task of the same job left, by its name: `task:NAME`, or a file or folder of it, `task:NAME/PATH`.
    Named {
        /// The task's name in its job.
        name: Arc<str>,
        /// Which element of an array, `task:NAME.INDEX`. All of them when absent: each has a folder that is called like
        /// its index.
        index: Option<u32>,
        /// What of it, or of each; everything when absent.
        path: Option<String>,
    },
    /// A file that is served at an address; its worker fetches it.
    Address(Address),
}

impl Source {
    /// Whether the master has the content when the task is submitted, and holds it for the task.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        match self {
            Self::Blob(_) | Self::Tree(_) | Self::Task { .. } => true,
            Self::Named { .. } | Self::Address(_) => false,
        }
    }
}

const EXPECTED: &str = "names no content: expected task:ID, task:ID/PATH, https://HOST/PATH#sha256=DIGITS, \
                        s3://BUCKET/KEY#sha256=DIGITS, blob:SHA256 or tree:SHA256";

/// What is wrong with the name of a task, of the same job, where there is no job.
pub const IN_NO_JOB: &str =
    "is no task's id (task:task-...): a name means a task of the same job, and this task is in none";

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hash = |hash: &str| hash.parse::<Sha256>().map_err(|why| why.to_string());
        match text.split_once(':') {
            Some(("blob", rest)) => hash(rest).map(Self::Blob),
            Some(("tree", rest)) => hash(rest).map(Self::Tree),
            Some(("task", rest)) => {
                let (whose, path) = rest.split_once('/').map_or((rest, None), |(whose, path)| (whose, Some(path)));
                let path = path.map(|path| path.trim_end_matches('/')).filter(|path| !path.is_empty());
                if path.is_some_and(|path| !is_plain(path) || path.len() > LONGEST) {
                    return Err("names no file of a task: its path has empty parts, . or .. among them".into());
                }
                let path = path.map(ToOwned::to_owned);
                if whose.starts_with(TaskId::PREFIX) {
                    let id = whose.parse::<TaskId>().map_err(|why| format!("names no task: {why}"))?;
                    return Ok(Self::Task { id, path });
                }
                let (name, index) =
                    task_or_element(whose).map_err(|why| format!("names no task by its id, and its name {why}"))?;
                Ok(Self::Named { name: name.into(), index, path })
            }
            Some(("http" | "https" | "s3", _)) => text.parse().map(Self::Address),
            Some(_) | None => Err(EXPECTED.into()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(hash) => write!(f, "blob:{hash}"),
            Self::Tree(hash) => write!(f, "tree:{hash}"),
            Self::Task { id, path: None } => write!(f, "task:{id}"),
            Self::Task { id, path: Some(path) } => write!(f, "task:{id}/{path}"),
            Self::Named { name, index, path } => {
                write!(f, "task:{name}")?;
                index.map_or(Ok(()), |index| write!(f, ".{index}"))?;
                path.as_ref().map_or(Ok(()), |path| write!(f, "/{path}"))
            }
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

/// Reads the field of a task; `tmpfs` are the paths of its memory file systems, `places` those used otherwise.
pub(super) fn read<'a>(
    task: &mut Reader<'_>,
    tmpfs: impl Iterator<Item = &'a String> + Clone,
    places: &mut Places,
) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    let expected = "must be a list of inputs, as [{\"from\": \"task:ID/a.csv\", \"path\": \"/data/a.csv\"}]";
    for (index, mut reader) in task.maps("inputs", MOST, expected, &FIELDS) {
        let from = reader.parsed_text::<Source>("from", "is missing: name what is placed, as task:ID/a.csv");
        let path = reader.mount_point("path");
        let writable = reader.truth("writable");
        if let Some(path) = &path {
            let tmpfs = || tmpfs.clone().find(|mount| *mount == path).map(|at| in_the_way(&format!("tmpfs.{at}"), at));
            if let Some(problem) = places.problem(path).or_else(tmpfs) {
                reader.wrong("path", &problem);
            }
        }
        if let (Some(from), Some(path)) = (from, path) {
            places.take(format!("inputs[{index}].path"), &path);
            inputs.push(Input { from, path, writable });
        }
        task.take_errors(&format!("inputs[{index}]"), reader);
    }
    inputs
}

/// The path without slashes at its end, or why nothing can be placed there.
pub(super) fn check_path(path: &str) -> Result<&str, &'static str> {
    let trimmed = path.trim_end_matches('/');
    let plain = trimmed.is_empty() || trimmed.strip_prefix('/').is_some_and(is_plain);
    if !path.starts_with('/') || !plain || path.len() > LONGEST || path.chars().any(char::is_control) {
        return Err("must be an absolute path without empty parts, . or .., as /data");
    }
    if trimmed.is_empty() || TAKEN.iter().any(|taken| overlap(trimmed, taken)) {
        return Err("must not be /, nor lie in /out, /proc, /sys or /dev");
    }
    Ok(trimmed)
}

/// The document that [`read`] reads back.
pub(super) fn write(inputs: &[Input]) -> Value {
    let text = |text: &dyn fmt::Display| Value::Text(text.to_string());
    let map = |input: &Input| {
        let mut fields = vec![("from".to_owned(), text(&input.from)), ("path".to_owned(), text(&input.path))];
        if input.writable {
            fields.push(("writable".into(), Value::Bool(true)));
        }
        Value::Map(fields)
    };
    Value::List(inputs.iter().map(map).collect())
}

/// Bytes of text in the inputs.
pub(super) fn weight(inputs: &[Input]) -> usize {
    // What a hash or an id takes, and its path.
    let from = |source: &Source| match source {
        Source::Blob(_) | Source::Tree(_) => 69,
        Source::Task { path, .. } => 40 + path.as_ref().map_or(0, String::len),
        Source::Named { name, path, .. } => 20 + name.len() + path.as_ref().map_or(0, String::len),
        Source::Address(address) => 72 + address.url().len(),
    };
    inputs.iter().map(|input| from(&input.from) + input.path.len() + 30).sum()
}

/// Those that only a task of a job finds, as errors.
pub(super) fn of_a_job(inputs: &[Input]) -> Vec<FieldError> {
    let named = |input: &Input| matches!(input.from, Source::Named { .. });
    let wrong = |(index, input): (usize, &Input)| wrong_input(index, &input.from, IN_NO_JOB.into());
    inputs.iter().enumerate().filter(|(_, input)| named(input)).map(wrong).collect()
}

/// A wrong input of a task, for whoever looked for its content.
#[must_use]
pub fn wrong_input(index: usize, source: &Source, problem: String) -> FieldError {
    FieldError { path: format!("inputs[{index}].from"), value: Some(format!("{:?}", source.to_string())), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_back_as_it_is_written() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let task = TaskId::new(7).to_string();
        for text in [
            format!("blob:{hash}"),
            format!("tree:{hash}"),
            format!("task:{task}"),
            format!("task:{task}/a b/c:d.csv"),
            format!("s3://data/x#sha256={hash}"),
            "task:prep".into(),
            "task:v1.map.7/parts/a.csv".into(),
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        let all: Source = format!("task:{task}/").parse().unwrap();
        assert_eq!(all, Source::Task { id: TaskId::new(7), path: None });
        let named: Source = "task:map.7/a.csv".parse().unwrap();
        assert_eq!(named, Source::Named { name: "map".into(), index: Some(7), path: Some("a.csv".into()) });
        assert!(!named.is_held() && all.is_held());
        for (bad, why) in [
            ("", "expected task:ID"),
            ("/data/x", "expected task:ID"),
            ("file:/data/x", "expected task:ID"),
            ("blob:12", "64 digits"),
            ("task:task-x", "no task id"),
            ("task:", "1 to 63"),
            ("task:/a", "1 to 63"),
            ("task:map.07", "not as 07"),
            ("task:a b/x", "no task by its id"),
            (&format!("task:{task}/../x"), ".."),
            (&format!("task:{task}//x"), "empty"),
            ("https://example.org/x", "must name its content"),
        ] {
            let problem = bad.parse::<Source>().unwrap_err();
            assert!(problem.contains(why), "{bad}: {problem}");
        }
    }

    #[test]
    fn nothing_is_placed_over_the_kernels_folders_or_the_outputs() {
        for good in ["/data", "/data/", "/a b/\u{e9}", "/output", "/devices"] {
            assert_eq!(check_path(good), Ok(good.trim_end_matches('/')));
        }
        for bad in ["", "data", "/", "//", "/a//b", "/a/../b", "/a/.", "/out", "/out/x", "/proc/1", "/dev/shm", "/a\nb"]
        {
            assert!(check_path(bad).is_err(), "{bad:?}");
        }
    }
}
