//! Folders and volumes of its worker that a task's container sees.

use super::Value;
use super::places::Places;
use super::read::Reader;
use crate::access::{Access, Origin};
use serde::{Deserialize, Serialize};

/// The most volumes of one task.
const MOST: usize = 64;
const FIELDS: [&str; 4] = ["host_path", "volume", "container_path", "read_only"];

/// A folder or volume of the worker, at a path of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// What, and whether the container may change it.
    #[serde(flatten)]
    pub access: Access,
    /// Where the container sees it: an absolute path.
    pub path: String,
}

/// Reads the field of a task; `places` are the paths of its container that are used otherwise.
pub(super) fn read(task: &mut Reader<'_>, places: &mut Places) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    let expected = "must be a list of volumes, as [{\"host_path\": \"/data\", \"container_path\": \"/data\"}]";
    for (index, mut reader) in task.maps("volumes", MOST, expected, &FIELDS) {
        let origin = origin(&mut reader);
        let path = reader.mount_point("container_path");
        let read_only = reader.truth_or("read_only", true);
        if let Some(problem) = path.as_ref().and_then(|path| places.problem(path)) {
            reader.wrong("container_path", &problem);
        }
        if let (Some(origin), Some(path)) = (origin, path) {
            places.take(format!("volumes[{index}].container_path"), &path);
            volumes.push(Volume { access: Access { origin, writable: !read_only }, path });
        }
        task.take_errors(&format!("volumes[{index}]"), reader);
    }
    volumes
}

/// One of the two that name it.
fn origin(reader: &mut Reader<'_>) -> Option<Origin> {
    if reader.get("host_path").is_some() && reader.get("volume").is_some() {
        reader.wrong("volume", "can not be beside host_path: each volume is one of them");
    }
    let host_path = reader.checked("host_path", Origin::host_path);
    let volume = reader.checked("volume", Origin::volume);
    if reader.get("host_path").is_none() && reader.get("volume").is_none() {
        let problem = "is missing: name a folder of the worker, or a volume of its engine by volume";
        reader.error("host_path".into(), None, problem.into());
    }
    host_path.or(volume)
}

/// The document that [`read`] reads back.
pub(super) fn write(volumes: &[Volume]) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let map = |volume: &Volume| {
        let origin = match &volume.access.origin {
            Origin::HostPath(path) => ("host_path", path),
            Origin::Volume(name) => ("volume", name),
        };
        let mut fields = vec![(origin.0.to_owned(), text(origin.1)), ("container_path".to_owned(), text(&volume.path))];
        if volume.access.writable {
            fields.push(("read_only".into(), Value::Bool(false)));
        }
        Value::Map(fields)
    };
    Value::List(volumes.iter().map(map).collect())
}

/// Bytes of text in the volumes.
pub(super) fn weight(volumes: &[Volume]) -> usize {
    let origin = |origin: &Origin| match origin {
        Origin::HostPath(text) | Origin::Volume(text) => text.len(),
    };
    volumes.iter().map(|volume| origin(&volume.access.origin) + volume.path.len() + 60).sum()
}
