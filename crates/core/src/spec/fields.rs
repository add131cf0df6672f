//! The names of all fields of SPEC 3.1: which live, which are still to come.

/// Fields that are honoured now.
pub const LIVE: &[&str] = &[
    "image",
    "name",
    "command",
    "args",
    "entrypoint",
    "env",
    "workdir",
    "user",
    "cpu_cores",
    "memory_gb",
    "storage_gb",
    "gpu_cores",
    "gpu_model",
    "requests",
    "priority",
    "timeout_s",
    "queue_timeout_s",
    "pull_timeout_s",
    "total_timeout_s",
    "kill_after_s",
    "estimate_s",
    "deadline",
    "not_before",
    "hold",
    "retries",
    "on_disconnect",
    "worker_id",
    "constraints",
    "affinity",
    "anti_affinity",
    "spread",
    "allow_pending",
    "idempotency_key",
    "labels",
    "network",
    "pull_policy",
    "shm_size",
    "tmpfs",
    "read_only_root",
    "outputs",
    "inputs",
    "volumes",
    "secrets",
];

/// Fields that are known and refused, with what they belong to.
pub const LATER: &[(&str, &str)] = &[
    ("registry_auth", "registry credentials of one task; those that are stored are taken by themselves"),
    ("ttl_after_finish_s", "retention by task"),
];

/// Fields of a document that is submitted by itself: it makes a job of one task, or is a template's.
const ALONE: &[&str] = &["array", "at_once", "depends_on", "each", "gang", "needs", "params", "template"];

/// What people write who know the flags, or other systems.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("cpu", "cpu_cores"),
    ("cpus", "cpu_cores"),
    ("mem", "memory_gb"),
    ("memory", "memory_gb"),
    ("disk", "storage_gb"),
    ("storage", "storage_gb"),
    ("gpu", "gpu_cores"),
    ("gpus", "gpu_cores"),
    ("request", "requests"),
    ("alternatives", "requests"),
    ("timeout", "timeout_s"),
    ("held", "hold"),
    ("retry", "retries"),
    ("max_retries", "retries"),
    ("begin", "not_before"),
    ("estimate", "estimate_s"),
    ("due", "deadline"),
    ("cmd", "command"),
    ("environment", "env"),
    ("worker", "worker_id"),
    ("pull", "pull_policy"),
    ("read_only", "read_only_root"),
    ("collect", "outputs"),
    ("output", "outputs"),
    ("input", "inputs"),
    ("files", "inputs"),
    ("volume", "volumes"),
    ("mounts", "volumes"),
    ("secret", "secrets"),
    ("binds", "volumes"),
    ("node_selector", "constraints"),
    ("prefer", "affinity"),
    ("apart", "anti_affinity"),
    ("topology_spread", "spread"),
    ("after", "depends_on"),
    ("depends", "depends_on"),
    ("dependencies", "depends_on"),
];

/// What is wrong with a name that is no live field.
pub(crate) fn refusal(name: &str) -> String {
    if let Some((_, feature)) = LATER.iter().find(|(later, _)| *later == name) {
        return format!("is not supported by this version yet ({feature}): leave it out");
    }
    if ALONE.contains(&name) {
        return "stands only in a task that is submitted by itself (cloudai task submit, POST /api/v1/tasks): submit it so, \
                or write a job, docs/job-file.md"
            .into();
    }
    match nearest(name) {
        Some(near) => format!("is no field of a task: did you mean {near}?"),
        None => "is no field of a task".into(),
    }
}

/// The known name nearest to a wrong one, when one is near enough to be a slip.
pub(crate) fn nearest(wrong: &str) -> Option<&'static str> {
    let names = LIVE.iter().chain(ALONE).copied().chain(LATER.iter().map(|(name, _)| *name));
    let wrong = wrong.to_ascii_lowercase().replace('-', "_");
    if let Some((_, name)) = OTHER_WORDS.iter().find(|(word, _)| *word == wrong) {
        return Some(name);
    }
    names
        .map(|name| (crate::text::distance(&wrong, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .map(|(_, name)| name)
}
