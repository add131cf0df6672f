//! From the flags of a submission and its task file to the document that is posted.
//!
//! The rules of the fields are the core's (`TaskFile::from_value`); here stand only their flags.

use super::forms::{self, Kind, unreadable};
use super::given;
use super::job::rows;
use super::limits::{Amounts, Limits, with_default};
use super::local::{self, Shipment};
use super::placement::Placement;
use super::request;
use super::waits::{AFTER, OfJob};
use crate::config::{duration, key_value, with_unit};
use crate::exit::Failure;
use cloudai_core::job::TaskFile;
use cloudai_core::spec::{FieldError, SpecError, Value};
use cloudai_core::template::Named;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The flags of a task's fields; each overrides the field in `--file`, maps are merged.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "The task", mut_args(with_default))]
pub(super) struct Fields {
    /// A task file: TOML, YAML or JSON by its ending; - is stdin
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    amounts: Amounts,
    /// Only GPUs of this model
    #[arg(long, value_name = "MODEL")]
    gpu_model: Option<String>,
    /// Either of several requests, as --request gpus=1,mem=8g --request cpus=8: the first that fits; of cpus, mem, disk, gpus
    /// and gpu-model what one leaves out is as without it; two at least
    #[arg(long, value_name = "AMOUNTS", value_parser = request::parse)]
    request: Vec<Value>,
    /// A variable of the container; K alone takes its value from here; may be repeated
    #[arg(long, short = 'e', value_name = "K=V")]
    env: Vec<String>,
    /// A file of such lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Where the program starts: a folder of the container, as /app, or one of this machine, as . or ./src, which is
    /// sent (less what its .cloudaiignore leaves out) and worked in as a copy at /workspace
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// Who it runs as: name, uid or uid:gid
    #[arg(long)]
    user: Option<String>,
    /// Replaces the image's entrypoint, one word each time; '' takes it away
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// A free word to find it by; may be repeated
    #[arg(long = "label", value_name = "K=V", value_parser = key_value)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    limits: Limits,
    /// How long its image may take to come [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pull_timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL, up to 60s [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    kill_after: Option<Duration>,
    /// How long you think that it runs: it is planned with, nothing ends by it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    estimate: Option<Duration>,
    /// When it should have ended: 2026-01-31T18:00:00Z, or a time from now on, as 2h; it is planned with
    #[arg(long, value_name = "WHEN", value_parser = when)]
    deadline: Option<Value>,
    /// No start before this: 2026-01-31T08:00:00Z, or a time from now on, as 2h
    #[arg(long, value_name = "WHEN", value_parser = when)]
    not_before: Option<Value>,
    /// No start before `task release`
    #[arg(long)]
    hold: bool,
    /// When its worker and the master do not hear each other: stop it and run it elsewhere, or keep
    /// it running and wait [default: stop]
    #[arg(long, value_name = "WHAT", value_parser = ["stop", "keep"])]
    on_disconnect: Option<String>,
    /// Retries of each cause in --retry-on [default: 3 for lost workers and pulls, else 0]
    #[arg(long, value_name = "N")]
    retries: Option<i64>,
    /// The causes: exit, exit=CODE, oom, worker-lost, pull; with commas [default: exit,oom]
    #[arg(long, value_name = "CAUSES", value_delimiter = ',', value_parser = cause)]
    retry_on: Vec<String>,
    /// Before the first retry; each later one waits twice as long [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    retry_delay: Option<Duration>,
    #[command(flatten)]
    pub(super) placement: Placement,
    #[command(flatten)]
    of_job: OfJob,
    /// A second submission with this key answers with the first one's task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// none or bridge [default: none]
    #[arg(long, value_name = "KIND")]
    network: Option<String>,
    /// When the image is pulled: missing, always or never [default: missing]
    #[arg(long, value_name = "WHEN")]
    pull: Option<String>,
    /// Size of /dev/shm, as 64m
    #[arg(long, value_name = "SIZE", value_parser = with_unit)]
    shm_size: Option<String>,
    /// A file system in memory, as /cache=64m; may be repeated
    #[arg(long, value_name = "PATH=SIZE", value_parser = mount)]
    tmpfs: Vec<(String, String)>,
    /// The image's files can not be changed
    #[arg(long)]
    read_only: bool,
    /// Which files are kept, as '*.csv' (below /out) or '/data/results/**'; may be repeated [default: all of /out]
    #[arg(long, value_name = "GLOB")]
    collect: Vec<String>,
    /// A file or folder that it finds: of this machine, task:ID/PATH of what another task left, or an address (https://,
    /// http://, s3://) with #sha256=DIGITS; at PLACE, or /in/NAME; read-only unless :rw; may be repeated
    #[arg(long, value_name = "SOURCE[:PLACE[:rw]]", value_parser = local::parse)]
    input: Vec<Value>,
    /// A folder of its worker's host, as /data:/mnt, or a volume of its engine, as scratch:/mnt, where the worker offers
    /// it (see worker info); read-only unless :rw; may be repeated
    #[arg(long, short = 'v', value_name = "SOURCE[:PLACE][:rw]", value_parser = given::volume)]
    volume: Vec<Value>,
    /// A stored secret, as a file at PLACE or /run/secrets/NAME, read by the container's user alone; may be repeated
    #[arg(long, value_name = "NAME[:PLACE]", value_parser = given::secret_file)]
    secret: Vec<Value>,
    /// A stored secret as a variable, where the cluster allows that; may be repeated
    #[arg(long, value_name = "VARIABLE=NAME", value_parser = given::secret_variable)]
    secret_env: Vec<Value>,
}

/// The image, and the command of its container.
pub(super) type Typed<'a> = (Option<&'a str>, &'a [String]);

/// A text that begins as a date is one, and checked with the other fields.
fn when(text: &str) -> Result<Value, String> {
    if text.as_bytes().get(4) == Some(&b'-') {
        return Ok(Value::Text(text.into()));
    }
    let expected = "or a time with its zone, as 2026-01-31T08:00:00Z";
    duration(text).map(seconds).map_err(|problem| format!("{problem}, {expected}"))
}

fn mount(text: &str) -> Result<(String, String), String> {
    let (path, size) = key_value(text).map_err(|_| format!("{text:?} has no size: expected /path=64m"))?;
    with_unit(&size).map(|size| (path, size))
}

impl Fields {
    /// The document of a task as it was typed: the file's fields, then those of the flags.
    /// # Errors
    /// A file that can not be read.
    pub(super) fn draft(&self, (image, command): Typed<'_>) -> Result<Value, Failure> {
        let mut document = match &self.file {
            Some(path) => of_file(path)?,
            None => Document(Value::Map(Vec::new())),
        };
        self.fill(&mut document, image, command)?;
        // What the file says begins where it lies.
        let base =
            self.file.as_deref().filter(|_| self.workdir.is_none()).map_or_else(|| Path::new(""), forms::folder_of);
        document.work_here(base).map_err(|why| Failure::usage(format!("workdir: {why}")))?;
        Ok(document.0)
    }

    /// A draft of these flags, checked, and what is to be sent before it.
    /// # Errors
    /// An input that can not be read, or every wrong field at once.
    pub(super) fn check(&self, mut value: Value, (image, command): Typed<'_>) -> Result<(Value, Shipment), Failure> {
        let shipment = local::take(&mut value)?;
        is_valid(&value).map_err(|error| {
            // What the flags alone say; they can be read, as they were above.
            let mut given = Document(Value::Map(Vec::new()));
            let _ = self.fill(&mut given, image, command);
            not_valid(&error, &given.0).next("cloudai task submit --help; the fields of a file: docs/task-file.md")
        })?;
        Ok((value, shipment))
    }

    fn fill(&self, document: &mut Document, image: Option<&str>, command: &[String]) -> Result<(), Failure> {
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        document.set("image", image.map(|image| Value::Text(image.into())));
        document.set("name", text(&self.name));
        self.amounts.fields().into_iter().for_each(|(name, value)| document.set(name, value));
        document.set("gpu_model", text(&self.gpu_model));
        document.set("requests", (!self.request.is_empty()).then(|| Value::List(self.request.clone())));
        document.set("workdir", text(&self.workdir));
        for (flag, list, key, all) in [
            ("--input", "inputs", "path", &self.input),
            ("--volume", "volumes", "container_path", &self.volume),
            ("--secret", "secrets", "file", &self.secret),
            ("--secret-env", "secrets", "env", &self.secret_env),
        ] {
            given::apart(flag, key, all)?;
            all.iter().for_each(|one| document.place(list, key, one.clone()));
        }
        document.set("user", text(&self.user));
        self.limits.fields().into_iter().for_each(|(name, value)| document.set(name, value));
        document.set("estimate_s", self.estimate.map(seconds));
        document.set("deadline", self.deadline.clone());
        document.set("not_before", self.not_before.clone());
        document.set("hold", self.hold.then_some(Value::Bool(true)));
        document.set("on_disconnect", text(&self.on_disconnect));
        document.set("pull_timeout_s", self.pull_timeout.map(seconds));
        document.set("kill_after_s", self.kill_after.map(seconds));
        self.placement.fields().into_iter().for_each(|(name, value)| document.set(name, value));
        self.placement.entries().for_each(|(list, key, one)| document.place(list, key, one));
        document.set(self.of_job.field().0, self.of_job.field().1);
        self.of_job.needs().iter().for_each(|need| document.place(AFTER, "task", need.clone()));
        document.set("idempotency_key", text(&self.idempotency_key));
        document.set("network", text(&self.network));
        document.set("pull_policy", text(&self.pull));
        document.set("shm_size", text(&self.shm_size));
        document.set("read_only_root", self.read_only.then_some(Value::Bool(true)));
        document.set("outputs", (!self.collect.is_empty()).then(|| words(&self.collect)));
        if !self.entrypoint.is_empty() {
            let none = self.entrypoint == [""];
            document.set("entrypoint", Some(words(if none { &[] } else { &self.entrypoint })));
        }
        if !command.is_empty() {
            document.set("command", Some(words(command)));
            // They belong to the command that was replaced.
            document.remove("args");
        }
        document.within("retries", "max", self.retries.map(Value::Int));
        document.within("retries", "on", (!self.retry_on.is_empty()).then(|| causes(&self.retry_on)));
        document.within("retries", "initial_s", self.retry_delay.map(seconds));
        document.merge("env", self.environment()?);
        document.merge("labels", self.labels.clone());
        document.merge("tmpfs", self.tmpfs.clone());
        Ok(())
    }

    /// The variables of all `--env-file`, then those of `--env`.
    fn environment(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut pairs = Vec::new();
        for path in &self.env_file {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
            let lines = text.lines().map(str::trim_start);
            for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
                pairs.push(variable(line)?);
            }
        }
        for given in &self.env {
            pairs.push(variable(given)?);
        }
        Ok(pairs)
    }
}

/// `K=V`, or `K` with the value of this process.
fn variable(given: &str) -> Result<(String, String), Failure> {
    if let Some((name, value)) = given.split_once('=') {
        return Ok((name.into(), value.into()));
    }
    match std::env::var(given) {
        Ok(value) => Ok((given.into(), value)),
        Err(_) => Err(Failure::usage(format!("the variable {given:?} has no value"))
            .why("without = its value is taken from here, where it is not set")
            .next(format!("--env {given}=VALUE"))),
    }
}

/// The flags of fields whose names differ from theirs; the others are called as their field.
const FLAGS: [(&str, &str); 24] = [
    ("cpu_cores", "--cpus"),
    ("memory_gb", "--mem"),
    ("storage_gb", "--disk"),
    ("gpu_cores", "--gpus"),
    ("requests", "--request"),
    ("timeout_s", "--timeout"),
    ("queue_timeout_s", "--queue-timeout"),
    ("total_timeout_s", "--total-timeout"),
    ("pull_timeout_s", "--pull-timeout"),
    ("kill_after_s", "--kill-after"),
    ("estimate_s", "--estimate"),
    ("labels", "--label"),
    ("worker_id", "--worker"),
    ("constraints", "--constraint"),
    ("affinity", "--prefer"),
    ("anti_affinity", "--apart"),
    (AFTER, "--after"),
    ("pull_policy", "--pull"),
    ("outputs", "--collect"),
    ("inputs", "--input"),
    ("volumes", "--volume"),
    ("retries.max", "--retries"),
    ("retries.on", "--retry-on"),
    ("retries.initial_s", "--retry-delay"),
];

/// The flag by which a wrong field was given, if it was by one; `given` is what the flags say.
fn flag_of(path: &str, given: &Value) -> Option<String> {
    let mut names = path.split(['.', '[']);
    let (outer, inner) = (names.next()?, names.next());
    let Value::Map(fields) = given else { return None };
    let (_, value) = fields.iter().find(|(name, _)| name == outer)?;
    let name = match (value, inner) {
        (Value::Map(inside), Some(inner)) if inside.iter().any(|(name, _)| name == inner) && outer == "retries" => {
            format!("{outer}.{inner}")
        }
        (Value::Map(inside), Some(inner)) if !inside.iter().any(|(name, _)| name == inner) => return None,
        _ => outer.to_owned(),
    };
    let known = FLAGS.iter().find(|(field, _)| *field == name).map(|(_, flag)| (*flag).to_owned());
    match outer {
        // They are typed as words.
        "image" | "command" | "args" => None,
        "secrets" => Some(given::secret_flag(path, value)),
        _ => known.or_else(|| Some(format!("--{}", outer.replace('_', "-")))),
    }
}

/// The failure of a task that can not be; names the flag of what a flag gave.
pub(super) fn not_valid(error: &SpecError, given: &Value) -> Failure {
    let failure = Failure { code: "invalid".into(), ..Failure::usage("the task is not valid") };
    error.0.iter().fold(failure, |failure, field| {
        let path = match flag_of(&field.path, given) {
            Some(flag) => format!("{flag} ({})", field.path),
            None => field.path.clone(),
        };
        failure.why(FieldError { path, ..field.clone() }.to_string())
    })
}

/// A time as the document has it.
pub(super) fn seconds(time: Duration) -> Value {
    match i64::try_from(time.as_secs()) {
        Ok(whole) if time.subsec_nanos() == 0 => Value::Int(whole),
        _ => Value::Float(time.as_secs_f64()),
    }
}

/// A cause in the words of `--retry-on`.
fn cause(text: &str) -> Result<String, String> {
    let (word, code) = text.split_once('=').map_or((text, None), |(word, code)| (word, Some(code)));
    match (word.replace('_', "-").as_str(), code) {
        ("exit" | "exit-code", Some(code)) => match code.parse::<u8>() {
            Ok(1..) => Ok(format!("exit={code}")),
            Ok(0) | Err(_) => Err("a code must be a whole number from 1 to 255, as exit=3".into()),
        },
        (word @ ("exit" | "exit-code" | "oom" | "worker-lost" | "pull" | "image-pull"), None) => Ok(word.to_owned()),
        _ => Err("it is no cause: there are exit, exit=CODE, oom, worker-lost, pull".into()),
    }
}

/// The list of `retries.on`.
fn causes(given: &[String]) -> Value {
    let (mut causes, mut codes) = (Vec::new(), Vec::new());
    for cause in given {
        match cause.split_once('=') {
            Some((_, code)) => codes.push(code.parse().map_or_else(|_| Value::Text(code.into()), Value::Int)),
            None => causes.push(Value::Text(match cause.as_str() {
                "exit" | "exit-code" => "exit_code".into(),
                "pull" => "image_pull".into(),
                other => other.replace('-', "_"),
            })),
        }
    }
    if !codes.is_empty() {
        causes.push(Value::Map(vec![("exit_code".into(), Value::List(codes))]));
    }
    Value::List(causes)
}

fn words(words: &[String]) -> Value {
    Value::List(words.iter().cloned().map(Value::Text).collect())
}

/// A document whose fields are set one by one; one that is no map is left to its error.
struct Document(Value);

impl Document {
    fn remove(&mut self, name: &str) {
        if let Value::Map(entries) = &mut self.0 {
            entries.retain(|(key, _)| key != name);
        }
    }

    /// Takes a field out.
    fn take(&mut self, name: &str) -> Option<Value> {
        let Value::Map(entries) = &mut self.0 else { return None };
        let at = entries.iter().position(|(key, _)| key == name)?;
        Some(entries.remove(at).1)
    }

    /// Takes a field out that is a map; an empty one where it is none.
    fn take_map(&mut self, name: &str) -> Vec<(String, Value)> {
        match self.take(name) {
            Some(Value::Map(map)) => map,
            Some(_) | None => Vec::new(),
        }
    }

    fn set(&mut self, name: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        self.remove(name);
        if let Value::Map(entries) = &mut self.0 {
            entries.push((name.into(), value));
        }
    }

    /// Adds to a list of what is put at paths, in the place of another for the same path.
    fn place(&mut self, list: &str, key: &str, one: Value) {
        let path = |one: &Value| match one {
            Value::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, path)| path.clone()),
            _ => None,
        };
        let mut all = match self.take(list) {
            Some(Value::List(all)) => all,
            // Of what may be waited for one alone needs no list.
            Some(alone @ (Value::Text(_) | Value::Map(_))) => vec![alone],
            Some(_) | None => Vec::new(),
        };
        all.retain(|known| path(known).is_none() || path(known) != path(&one));
        all.push(one);
        self.set(list, Some(Value::List(all)));
    }

    /// A `workdir` of this machine, from this folder on, becomes an input to be worked in.
    fn work_here(&mut self, base: &Path) -> Result<(), String> {
        let Value::Map(entries) = &self.0 else { return Ok(()) };
        let given = entries.iter().find_map(|(name, value)| match (name.as_str(), value) {
            ("workdir", Value::Text(text)) => Some(text.clone()),
            _ => None,
        });
        if let Some(input) = given.map(|given| local::workdir(&given, base)).transpose()?.flatten() {
            self.place("inputs", "path", input);
            self.set("workdir", Some(Value::Text(local::WORKSPACE.into())));
        }
        Ok(())
    }

    /// Sets one field of the map of that name, which is made where there is none.
    fn within(&mut self, name: &str, field: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        let mut map = Self(Value::Map(self.take_map(name)));
        map.set(field, Some(value));
        self.set(name, Some(map.0));
    }

    /// Adds pairs to the map of that name, over those of the same key.
    fn merge(&mut self, name: &str, pairs: Vec<(String, String)>) {
        if pairs.is_empty() {
            return;
        }
        let mut map = self.take_map(name);
        for (key, value) in pairs {
            map.retain(|(known, _)| *known != key);
            map.push((key, Value::Text(value)));
        }
        self.set(name, Some(Value::Map(map)));
    }
}

/// Whether a document can be submitted as it is; what a template that it names makes is not known here.
fn is_valid(document: &Value) -> Result<(), SpecError> {
    if Named::from_value(document)?.is_some() {
        return Ok(());
    }
    match TaskFile::from_value(document)? {
        TaskFile::Task(spec) => spec.without_job().map(drop),
        TaskFile::Job(_) => Ok(()),
    }
}

/// A task file; what it names of this machine begins where it lies.
fn of_file(path: &Path) -> Result<Document, Failure> {
    let mut document = Document(Kind::TASK.read(path)?);
    rows::fill(&mut document.0, "", forms::folder_of(path))?;
    local::begin_at(&mut document.0, forms::folder_of(path))
        .map_err(|why| Failure::usage(format!("{} was not understood", path.display())).why(why))?;
    Ok(document)
}

/// As [`Document::work_here`], of a document of others.
pub(super) fn work_here(document: &mut Value, base: &Path) -> Result<(), String> {
    let mut typed = Document(std::mem::replace(document, Value::Null));
    let done = typed.work_here(base);
    *document = typed.0;
    done
}

/// The document as JSON.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_maps_are_merged() {
        let file = "image: a\nargs: [x]\nenv: {A: 1, B: 2}\npriority: 5\n";
        let mut document = Document(serde_yaml_ng::from_str(file).unwrap());
        let fields = Fields {
            env: vec!["B=3".into(), "C=".into()],
            limits: Limits { priority: Some(-1), ..Limits::default() },
            ..Fields::default()
        };
        fields.fill(&mut document, Some("b"), &["run".into()]).unwrap();
        let expected = serde_json::json!({
            "image": "b", "command": ["run"], "priority": -1, "env": {"A": 1, "B": "3", "C": ""}
        });
        assert_eq!(to_json(&document.0), expected);
    }

    #[test]
    fn a_wrong_field_is_named_by_its_flag_where_a_flag_gave_it() {
        let fields = Fields {
            amounts: Amounts { cpus: Some(0.0), ..Amounts::default() },
            retries: Some(101),
            env: vec!["CLOUDAI_X=1".into()],
            labels: vec![("a b".into(), "1".into())],
            on_disconnect: Some("run".into()),
            ..Fields::default()
        };
        let failure = fields.check(fields.draft((Some("A B"), &[])).unwrap(), (Some("A B"), &[])).unwrap_err();
        let begins = ["image: ", "--env (env.", "--cpus (cpu_cores): 0 is out", "--on-disconnect (on_disconnect): "];
        let begins = begins.iter().chain(&["--retries (retries.max): 101 must", "--label (labels."]);
        for begin in begins {
            assert!(failure.why.iter().any(|why| why.starts_with(begin)), "{begin}: {failure}");
        }
        let given = serde_json::from_str::<Value>(r#"{"env":{"A":"1"},"retries":{"max":1}}"#).unwrap();
        for path in ["env.B", "retries.on[0]", "memory_gb"] {
            assert_eq!(flag_of(path, &given), None, "{path}");
        }
    }

    #[test]
    fn a_cause_is_told_in_the_words_of_its_flag() {
        for (typed, read) in [("exit=3", "exit=3"), ("worker_lost", "worker-lost"), ("pull", "pull")] {
            assert_eq!(cause(typed), Ok(read.to_owned()));
        }
        for (typed, said) in
            [("timeout", "exit=CODE"), ("exit=0", "1 to 255"), ("exit=x", "1 to 255"), ("oom=1", "no cause")]
        {
            assert!(cause(typed).unwrap_err().contains(said), "{typed}");
        }
    }

    #[test]
    fn the_rules_of_fields_are_the_cores() {
        let fields = Fields {
            amounts: Amounts { cpus: Some(-1.0), ..Amounts::default() },
            network: Some("host".into()),
            ..Fields::default()
        };
        let failure = fields.check(fields.draft((Some("A B"), &[])).unwrap(), (Some("A B"), &[])).unwrap_err();
        assert_eq!((failure.exit.code(), failure.why.len()), (64, 3), "{failure}");
    }
}
