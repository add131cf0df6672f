//! From a [`TaskSpec`] back to the document that users write: the inverse of `read.rs`.

use super::{
    DEFAULT_KILL_AFTER, DEFAULT_PULL, Network, OnDisconnect, PullPolicy, TaskSpec, Value, When, inputs, placement,
    requests, retries, secrets, volumes,
};
use crate::resources::{GIB, WHOLE};
use crate::rfc3339;
use crate::time::millis;
use std::collections::BTreeMap;
use std::time::Duration;

/// Every field that is not at its default: what a worker needs, then what only a master reads.
pub(super) fn document(spec: &TaskSpec) -> Value {
    Value::Map(fields(spec))
}

/// The same with their names, in the order of the document.
pub(super) fn fields(spec: &TaskSpec) -> Vec<(String, Value)> {
    let mut fields = for_worker(spec);
    if !spec.alternatives.is_empty() {
        // Each entry says all that it asks for, but for a model: it would have one that is said for all.
        fields.0.retain(|(name, _)| name != "gpu_model");
        fields.put("requests", requests::write(spec.demands(), decimal));
    }
    fields.put_if(spec.priority != 0, "priority", || Value::Int(spec.priority.into()));
    if let Some(queue) = spec.limits.queue {
        fields.put("queue_timeout_s", seconds(queue));
    }
    if let Some(total) = spec.limits.total {
        fields.put("total_timeout_s", seconds(total));
    }
    if let Some(estimate) = spec.estimate {
        fields.put("estimate_s", seconds(estimate));
    }
    fields.when("not_before", spec.not_before);
    fields.when("deadline", spec.deadline);
    fields.put_if(spec.hold, "hold", || Value::Bool(true));
    if let Some(retries) = &spec.retries {
        fields.put("retries", retries::write(retries, seconds, decimal));
    }
    fields.text("worker_id", spec.worker_id.as_ref());
    fields.put_if(!spec.constraints.is_empty(), "constraints", || placement::write_constraints(&spec.constraints));
    fields.put_if(!spec.affinity.is_empty(), "affinity", || placement::write_affinity(&spec.affinity));
    fields.put_if(!spec.anti_affinity.is_empty(), "anti_affinity", || list(&spec.anti_affinity));
    fields.put_if(!spec.spread.is_empty(), "spread", || placement::write_spread(&spec.spread));
    fields.put_if(spec.allow_pending, "allow_pending", || Value::Bool(true));
    fields.text("idempotency_key", spec.idempotency_key.as_ref());
    fields.0
}

/// The fields that say what runs and within which limits.
pub(super) fn worker_document(spec: &TaskSpec) -> Value {
    Value::Map(for_worker(spec).0)
}

fn for_worker(spec: &TaskSpec) -> Fields {
    let mut fields = Fields::default();
    fields.text("image", Some(&spec.image));
    fields.text("name", spec.name.as_ref());
    container(&mut fields, spec);
    let demand = &spec.demand;
    fields.put("cpu_cores", decimal(demand.cpu_milli, WHOLE));
    fields.put("memory_gb", decimal(demand.memory, GIB));
    fields.put("storage_gb", decimal(demand.storage, GIB));
    fields.put_if(demand.gpu_milli > 0, "gpu_cores", || decimal(demand.gpu_milli, WHOLE));
    fields.text("gpu_model", demand.gpu_model.as_ref());
    if let Some(run) = spec.limits.run {
        fields.put("timeout_s", seconds(run));
    }
    fields.put_if(spec.limits.pull != DEFAULT_PULL, "pull_timeout_s", || seconds(spec.limits.pull));
    fields.put_if(spec.limits.kill_after != DEFAULT_KILL_AFTER, "kill_after_s", || seconds(spec.limits.kill_after));
    match spec.on_disconnect {
        OnDisconnect::Stop => {}
        OnDisconnect::Keep => fields.text("on_disconnect", Some("keep")),
    }
    fields.texts_by_name("labels", &spec.labels);
    fields
}

fn container(fields: &mut Fields, spec: &TaskSpec) {
    let container = &spec.container;
    fields.texts("command", &container.command);
    fields.texts("args", &container.args);
    if let Some(entrypoint) = &container.entrypoint {
        fields.put("entrypoint", list(entrypoint));
    }
    fields.texts_by_name("env", &container.env);
    fields.text("workdir", container.workdir.as_ref());
    fields.text("user", container.user.as_ref());
    match container.network {
        Network::None => {}
        Network::Bridge => fields.text("network", Some("bridge")),
    }
    match container.pull_policy {
        PullPolicy::Missing => {}
        PullPolicy::Always => fields.text("pull_policy", Some("always")),
        PullPolicy::Never => fields.text("pull_policy", Some("never")),
    }
    if let Some(size) = container.shm_size {
        fields.put("shm_size", bytes(size));
    }
    let tmpfs = container.tmpfs.iter().map(|(path, size)| (path.clone(), bytes(*size)));
    fields.put_if(!container.tmpfs.is_empty(), "tmpfs", || Value::Map(tmpfs.collect()));
    fields.put_if(container.read_only_root, "read_only_root", || Value::Bool(true));
    if let Some(outputs) = &container.outputs {
        fields.put("outputs", list(outputs));
    }
    fields.put_if(!container.inputs.is_empty(), "inputs", || inputs::write(&container.inputs));
    fields.put_if(!container.volumes.is_empty(), "volumes", || volumes::write(&container.volumes));
    fields.put_if(!container.secrets.is_empty(), "secrets", || secrets::write(&container.secrets));
}

#[derive(Default)]
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    fn put_if(&mut self, given: bool, name: &str, value: impl FnOnce() -> Value) {
        if given {
            self.put(name, value());
        }
    }

    fn text(&mut self, name: &str, text: Option<impl ToString>) {
        if let Some(text) = text {
            self.put(name, Value::Text(text.to_string()));
        }
    }

    fn when(&mut self, name: &str, when: Option<When>) {
        match when {
            None => {}
            Some(When::At(at)) => self.put(name, Value::Text(rfc3339::format(at))),
            Some(When::After(wait)) => self.put(name, seconds(wait)),
        }
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        self.put_if(!texts.is_empty(), name, || list(texts));
    }

    fn texts_by_name(&mut self, name: &str, texts: &BTreeMap<String, String>) {
        let entries = texts.iter().map(|(key, text)| (key.clone(), Value::Text(text.clone())));
        self.put_if(!texts.is_empty(), name, || Value::Map(entries.collect()));
    }
}

fn list(texts: &[String]) -> Value {
    Value::List(texts.iter().cloned().map(Value::Text).collect())
}

fn bytes(size: u64) -> Value {
    Value::Int(i64::try_from(size).unwrap_or(i64::MAX))
}

fn seconds(duration: Duration) -> Value {
    decimal(millis(duration), 1000)
}

/// An amount of the smallest unit as a decimal of the large one.
#[allow(clippy::cast_precision_loss, reason = "amounts are below 2^53 but for petabytes, where a byte is nothing")]
fn decimal(amount: u64, unit: u64) -> Value {
    Value::Float(amount as f64 / unit as f64)
}
