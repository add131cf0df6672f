//! How much text a spec holds.

use super::{TaskSpec, inputs, requests, secrets, volumes};
use crate::{kin, label};
use std::collections::BTreeMap;

/// The bytes of all texts of a spec: what its JSON would hold but for punctuation.
pub(super) fn of(spec: &TaskSpec) -> usize {
    let list = |texts: &[String]| texts.iter().map(|text| text.len() + 3).sum::<usize>();
    let map = |texts: &BTreeMap<String, String>| texts.iter().map(|(k, v)| k.len() + v.len() + 6).sum::<usize>();
    let container = &spec.container;
    spec.image.len()
        + list(&container.command)
        + list(&container.args)
        + list(container.entrypoint.as_deref().unwrap_or_default())
        + list(container.outputs.as_deref().unwrap_or_default())
        + map(&container.env)
        + map(&spec.labels)
        + container.tmpfs.keys().map(|path| path.len() + 30).sum::<usize>()
        + inputs::weight(&container.inputs)
        + volumes::weight(&container.volumes)
        + secrets::weight(&container.secrets)
        + label::weight(&spec.constraints, &spec.affinity)
        + kin::weight(&spec.anti_affinity, &spec.spread)
        + requests::weight(&spec.alternatives)
}
