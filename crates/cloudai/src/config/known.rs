//! The table of every setting. Nothing else lists settings: flags' help, `config show`,
//! `config validate` and `docs/configuration.md` are made of it.

use super::declared::settings;
use super::parse::{Listen, bytes, bytes_or_zero, duration, listen, plain_port, thousandths, truth, whole};
use super::setting::{Fallback, Setting, User};
use super::values::{self, Delivery, Executor, LogFormat, Store};
use super::{Surroundings, files};
use Fallback::{Found, Nothing, Text};
use User::{Bench, Client, Master, Up, Worker};
use cloudai_core::access::Access;
use cloudai_core::ids::WorkerId;
use cloudai_master::{Registration, UrlPrefix};
use cloudai_store::bulk::s3::S3Address;
use cloudai_worker::volumes::OfferedVolume;
use reqwest::Url;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

settings! {
    /// The master that clients talk to.
    ADDR: Url {
        key: "addr", flag: "--addr", variables: ["CLOUDAI_ADDR"],
        parse: crate::client::parse_addr, allowed: "a URL, as http://127.0.0.1:8080 or https://gpu-01:8080",
        fallback: Found("that of the current context, else http://127.0.0.1:8080", crate::context::current_addr),
        used_by: [Client],
    }
    /// Who a client is.
    TOKEN: String {
        key: "token", flag: "--token", variables: ["CLOUDAI_TOKEN"],
        parse: values::bearer, allowed: "an API key, as `cloudai user token` makes one",
        fallback: Nothing("that of the address's context"), secret: true, used_by: [Client],
    }
    /// Whose certificates a client trusts.
    CA: PathBuf {
        key: "ca", flag: "--ca", variables: ["CLOUDAI_CA"],
        parse: values::present_file, allowed: "a file with certificates as PEM: no others are trusted then",
        fallback: Nothing("those of the address's context, else the system's"), used_by: [Client],
    }
    /// Where state is kept.
    DATA_DIR: PathBuf {
        key: "data_dir", flag: "--data-dir", variables: ["CLOUDAI_DATA_DIR"],
        parse: values::folder, allowed: "a folder",
        fallback: Found("/var/lib/cloudai for root, else the user's data folder", data_dir),
        used_by: [Master, Worker, Up],
    }
    /// How much is logged, also by module.
    LOG_LEVEL: String {
        key: "log_level", flag: "--log-level", variables: ["CLOUDAI_LOG_LEVEL", "LOG_LEVEL"],
        parse: values::log_filter,
        allowed: "trace, debug, info, warn, error, off, or directives as info,cloudai_master=debug",
        fallback: Text("info"), used_by: [Master, Worker, Up],
    }
    /// The file to which the log is appended; SIGHUP opens it again.
    LOG_FILE: PathBuf {
        key: "log_file", flag: "--log-file", variables: ["CLOUDAI_LOG_FILE"],
        parse: values::log_file, allowed: "a file in a folder that is there",
        fallback: Nothing("stderr"), used_by: [Master, Worker, Up],
    }
    /// The form of the log: lines for people, or one JSON object a line.
    LOG_FORMAT: LogFormat {
        key: "log_format", flag: "--log-format", variables: ["CLOUDAI_LOG_FORMAT"],
        parse: values::log_format, allowed: "text or json",
        fallback: Text("text"), used_by: [Master, Worker, Up],
    }
    /// Where workers reach the master; port 0 takes a free one.
    GRPC: Listen {
        key: "master.grpc", flag: "--grpc", variables: ["CLOUDAI_GRPC", "GRPC_PORT"],
        parse: listen, takes: Number, allowed: "ip:port, localhost:port, :port or a port; port 0 takes a free one",
        fallback: Text("127.0.0.1:50051"), used_by: [Master, Up],
    }
    /// Where clients reach the master; port 0 takes a free one.
    HTTP: Listen {
        key: "master.http", flag: "--http", variables: ["CLOUDAI_HTTP", "HTTP_PORT"],
        parse: listen, takes: Number, allowed: "ip:port, localhost:port, :port or a port; port 0 takes a free one",
        fallback: Text("127.0.0.1:8080"), used_by: [Master, Up],
    }
    /// What keeps the state.
    STORE: Store {
        key: "master.store", flag: "--store", variables: ["CLOUDAI_STORE"],
        parse: values::store, allowed: "sqlite, memory (gone at the end) or auto (sqlite)",
        fallback: Text("auto"), used_by: [Master, Up],
    }
    /// How tasks are placed.
    STRATEGY: String {
        key: "master.strategy", flag: "--strategy", variables: ["CLOUDAI_STRATEGY", "SCHEDULER_STRATEGY"],
        parse: values::strategy, allowed: values::STRATEGY_NAMES,
        fallback: Text("ai"), used_by: [Master, Up],
    }
    /// How long an external agent may be silent while there is something to place.
    EXTERNAL_TIMEOUT: Duration {
        key: "master.external_timeout_ms", variables: ["CLOUDAI_EXTERNAL_TIMEOUT_MS"],
        parse: values::patience, takes: Number, allowed: "milliseconds, 100 to 60000",
        fallback: Text("2000"), used_by: [Master, Up],
    }
    /// The strategy that places while an external agent is late.
    EXTERNAL_FALLBACK: String {
        key: "master.external_fallback", variables: ["CLOUDAI_EXTERNAL_FALLBACK"],
        parse: values::fallback, allowed: "a strategy other than external",
        fallback: Text("greedy"), used_by: [Master, Up],
    }
    /// What using everything weighs in the choice of a worker.
    KNOB_UTILIZATION: f64 {
        key: "strategy.utilization", variables: ["CLOUDAI_STRATEGY_UTILIZATION"],
        parse: |text| values::knob("utilization", text), takes: Number, allowed: "a number from 0 to 1",
        fallback: Text("0.45"), used_by: [Master, Up],
    }
    /// What an early end of everything weighs in plans.
    KNOB_MAKESPAN: f64 {
        key: "strategy.makespan", variables: ["CLOUDAI_STRATEGY_MAKESPAN"],
        parse: |text| values::knob("makespan", text), takes: Number, allowed: "a number from 0 to 1",
        fallback: Text("0.25"), used_by: [Master, Up],
    }
    /// What even load weighs in the choice of a worker.
    KNOB_BALANCE: f64 {
        key: "strategy.balance", variables: ["CLOUDAI_STRATEGY_BALANCE"],
        parse: |text| values::knob("balance", text), takes: Number, allowed: "a number from 0 to 1",
        fallback: Text("0.2"), used_by: [Master, Up],
    }
    /// What waiting weighs in plans.
    KNOB_STARVATION: f64 {
        key: "strategy.starvation", variables: ["CLOUDAI_STRATEGY_STARVATION"],
        parse: |text| values::knob("starvation", text), takes: Number, allowed: "a number from 0 to 1",
        fallback: Text("0.1"), used_by: [Master, Up],
    }
    /// A task that waited so many times its length goes first; 0 for never.
    KNOB_PATIENCE: f64 {
        key: "strategy.patience", variables: ["CLOUDAI_STRATEGY_PATIENCE"],
        parse: |text| values::knob("patience", text), takes: Number, allowed: "a number from 0 to 1000",
        fallback: Text("50"), used_by: [Master, Up],
    }
    /// By how many doublings a step of priority makes a task shorter in the eyes of the order.
    KNOB_URGENCY: f64 {
        key: "strategy.urgency", variables: ["CLOUDAI_STRATEGY_URGENCY"],
        parse: |text| values::knob("urgency", text), takes: Number, allowed: "a number from 0 to 1",
        fallback: Text("0.05"), used_by: [Master, Up],
    }
    /// By how many doublings a task is longer in the eyes of the order, for each doubling of what its user had lately beyond the mean of all.
    KNOB_FAIR_SHARE: f64 {
        key: "strategy.fair_share", variables: ["CLOUDAI_STRATEGY_FAIR_SHARE"],
        parse: |text| values::knob("fair_share", text), takes: Number, allowed: "a number from 0 to 1",
        fallback: Text("0.05"), used_by: [Master, Up],
    }
    /// Moves by which a plan is improved: three times as many at first, a fifth of them when something changed, up to three times those for few tasks; 0 for none.
    KNOB_PLANNER_EVALUATIONS: f64 {
        key: "strategy.planner_evaluations", variables: ["CLOUDAI_STRATEGY_PLANNER_EVALUATIONS"],
        parse: |text| values::knob("planner_evaluations", text), takes: Number, allowed: "a whole number from 0 to 1000000",
        fallback: Text("10000"), used_by: [Master, Up],
    }
    /// The share of runs that are to end within the predicted upper end.
    KNOB_UPPER_QUANTILE: f64 {
        key: "strategy.upper_quantile", variables: ["CLOUDAI_STRATEGY_UPPER_QUANTILE"],
        parse: |text| values::knob("upper_quantile", text), takes: Number, allowed: "a number from 0.5 to 0.99",
        fallback: Text("0.9"), used_by: [Master, Up],
    }
    /// By how much the priority of a waiting task must be above that of a running one that is stopped for it; 0 for never.
    KNOB_PREEMPTION: f64 {
        key: "strategy.preemption", variables: ["CLOUDAI_STRATEGY_PREEMPTION"],
        parse: |text| values::knob("preemption", text), takes: Number, allowed: "a whole number from 0 to 200",
        fallback: Text("0"), used_by: [Master, Up],
    }
    /// Time between two heartbeats of a worker.
    HEARTBEAT: Duration {
        key: "master.heartbeat_s", variables: ["CLOUDAI_HEARTBEAT_S", "HEARTBEAT_INTERVAL"],
        parse: duration, takes: Number, allowed: "seconds above 0, as 5 or 500ms",
        fallback: Text("5"), used_by: [Master, Up],
    }
    /// Silence after which a worker gets no new work.
    INACTIVE: Duration {
        key: "master.worker_inactive_s", variables: ["CLOUDAI_WORKER_INACTIVE_S"],
        parse: duration, takes: Number, allowed: "seconds: above two heartbeats, at most the lease",
        fallback: Text("30"), used_by: [Master, Up],
    }
    /// How long a heartbeat keeps a worker's attempts its own.
    LEASE: Duration {
        key: "master.worker_lease_s", variables: ["CLOUDAI_WORKER_LEASE_S"],
        parse: duration, takes: Number, allowed: "seconds: above kill_after_s + the margin + two heartbeats",
        fallback: Text("120"), used_by: [Master, Up],
    }
    /// What the master waits longer, and the worker stops earlier, than the lease.
    LEASE_MARGIN: Duration {
        key: "master.worker_lease_margin_s", variables: ["CLOUDAI_WORKER_LEASE_MARGIN_S"],
        parse: duration, takes: Number, allowed: "seconds",
        fallback: Text("10"), used_by: [Master, Up],
    }
    /// How long ended tasks are kept, with their logs and files, and jobs of which none is left, by the master's clock; 0 keeps them for ever.
    TASKS_DAYS: u32 {
        key: "retention.tasks_days", variables: ["CLOUDAI_RETENTION_TASKS_DAYS"],
        parse: |text| whole(text, 36_500), takes: Number, allowed: "days since their end, 0 to 36500",
        fallback: Text("0"), used_by: [Master, Up],
    }
    /// How many ended tasks are kept, the latest submitted, with their logs and files; 0 keeps all.
    TASKS_MAX: u32 {
        key: "retention.tasks_max", variables: ["CLOUDAI_RETENTION_TASKS_MAX"],
        parse: |text| whole(text, 1_000_000_000), takes: Number, allowed: "0 to 1000000000",
        fallback: Text("1000000"), used_by: [Master, Up],
    }
    /// How many bytes of the log of one attempt are kept; of a longer one the beginning is, and the end says what was cut. 0 keeps all.
    LOGS_MAX: u64 {
        key: "logs.max_bytes", variables: ["CLOUDAI_LOGS_MAX_BYTES"],
        parse: bytes_or_zero, takes: Number, allowed: "a size, as 4g; a plain number is GB; 0 for any",
        fallback: Text("4g"), used_by: [Master, Up],
    }
    /// The bucket that keeps the contents of inputs and outputs; names, logs and unfinished uploads stay in the data folder.
    S3_URL: S3Address {
        key: "files.s3.url", variables: ["CLOUDAI_FILES_S3_URL"],
        parse: files::address, allowed: "s3://BUCKET or s3://BUCKET/PREFIX, of this cluster alone",
        fallback: Nothing("the data folder"), used_by: [Master, Up],
    }
    /// The server of that bucket.
    S3_ENDPOINT: String {
        key: "files.s3.endpoint", variables: ["CLOUDAI_FILES_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3"],
        parse: files::endpoint, allowed: "an https:// address, or an http:// one with files.s3.allow_http",
        fallback: Nothing("that of AWS in the region"), used_by: [Master, Up],
    }
    /// The region of that bucket.
    S3_REGION: String {
        key: "files.s3.region", variables: ["CLOUDAI_FILES_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"],
        parse: files::word, allowed: "a region's name",
        fallback: Text("us-east-1"), used_by: [Master, Up],
    }
    /// Whether that server may be reached without encryption.
    S3_ALLOW_HTTP: bool {
        key: "files.s3.allow_http", variables: ["CLOUDAI_FILES_S3_ALLOW_HTTP"],
        parse: truth, takes: Truth, allowed: "true or false",
        fallback: Text("false"), used_by: [Master, Up],
    }
    /// The id of the key that may put, get and delete objects there.
    S3_KEY: String {
        key: "files.s3.access_key_id", variables: ["CLOUDAI_FILES_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"],
        parse: files::word, allowed: "the id of an access key",
        fallback: Nothing("the machine's role"), used_by: [Master, Up],
    }
    /// The secret of that key.
    S3_SECRET: String {
        key: "files.s3.secret_access_key",
        variables: ["CLOUDAI_FILES_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"],
        parse: values::token, allowed: "the secret of that key",
        fallback: Nothing(""), secret: true, used_by: [Master, Up],
    }
    /// The session token of a key that ends.
    S3_SESSION: String {
        key: "files.s3.session_token", variables: ["CLOUDAI_FILES_S3_SESSION_TOKEN", "AWS_SESSION_TOKEN"],
        parse: values::token, allowed: "the token that came with the key",
        fallback: Nothing(""), secret: true, used_by: [Master, Up],
    }
    /// How long a presigned address of a file in that bucket is valid.
    PRESIGN: Duration {
        key: "files.presign_s", variables: ["CLOUDAI_FILES_PRESIGN_S"],
        parse: files::presign, takes: Number, allowed: "seconds, 1 to 604800",
        fallback: Text("3600"), used_by: [Master, Up],
    }
    /// From where on the web tasks may have inputs: what addresses begin with.
    INPUT_URLS: Vec<UrlPrefix> {
        key: "inputs.urls", variables: ["CLOUDAI_INPUTS_URLS"],
        parse: files::urls, takes: List, allowed: "https:, http:, https://HOST[:PORT]/PATH, several with commas, or none",
        fallback: Text("https:,http:"), used_by: [Master, Up],
    }
    /// The buckets that tasks may have inputs of; they are read with files.s3.endpoint, files.s3.region and the key there.
    INPUT_BUCKETS: Vec<S3Address> {
        key: "inputs.buckets", variables: ["CLOUDAI_INPUTS_BUCKETS"],
        parse: files::buckets, takes: List, allowed: "s3://BUCKET or s3://BUCKET/PREFIX, several with commas, or none",
        fallback: Nothing("none"), used_by: [Master, Up],
    }
    /// How many bytes the files that one attempt leaves may have; 0 for no limit beside the storage that the task asks for.
    FILES_MAX_TASK: u64 {
        key: "files.max_task", variables: ["CLOUDAI_FILES_MAX_TASK"],
        parse: files::limit, takes: Number, allowed: "a size, as 100g; a plain number is GB; 0 for no limit",
        fallback: Text("100g"), used_by: [Master, Up],
    }
    /// How many files one attempt may leave.
    FILES_MAX_TASK_COUNT: u32 {
        key: "files.max_task_count", variables: ["CLOUDAI_FILES_MAX_TASK_COUNT"],
        parse: files::count, takes: Number, allowed: "1 to 10000",
        fallback: Text("10000"), used_by: [Master, Up],
    }
    /// How many bytes all kept files of one user's tasks may have; a content that several files have counts for each; 0 for no limit.
    FILES_MAX_USER: u64 {
        key: "files.max_user", variables: ["CLOUDAI_FILES_MAX_USER"],
        parse: files::limit, takes: Number, allowed: "a size, as 500g; a plain number is GB; 0 for no limit",
        fallback: Text("0"), used_by: [Master, Up],
    }
    /// Where the keys are that stored secrets are sealed with: apart from the data is better, and in no backup of it.
    SECRETS_KEY_FILE: PathBuf {
        key: "secrets.key_file", variables: ["CLOUDAI_SECRETS_KEY_FILE"],
        parse: values::file, allowed: "a file; it is made with the first secret",
        fallback: Nothing("secrets.key in the data folder"), used_by: [Master, Up],
    }
    /// Whether a task may be given a secret as a variable, which everybody sees who may ask its worker's container engine.
    SECRETS_ALLOW_ENV: bool {
        key: "secrets.allow_env", variables: ["CLOUDAI_SECRETS_ALLOW_ENV"],
        parse: truth, takes: Truth, allowed: "true or false",
        fallback: Text("false"), used_by: [Master, Up],
    }
    /// What signs the access tokens of users; a cluster makes and keeps its own.
    JWT_SECRET: String {
        key: "auth.jwt_secret", variables: ["CLOUDAI_AUTH_JWT_SECRET", "JWT_SECRET"],
        parse: values::signing_key, allowed: "32 bytes or more, by chance",
        fallback: Nothing("made by the first start"), secret: true, used_by: [Master, Up],
    }
    /// Whether people may register by themselves; they become viewers.
    SELF_REGISTER: bool {
        key: "auth.self_register", variables: ["CLOUDAI_AUTH_SELF_REGISTER"],
        parse: truth, takes: Truth, allowed: "true or false",
        fallback: Text("false"), used_by: [Master, Up],
    }
    /// How long an access token is good; whoever signed in gets the next one by a refresh token.
    ACCESS_MINUTES: u32 {
        key: "auth.access_minutes", variables: ["CLOUDAI_AUTH_ACCESS_MINUTES"],
        parse: |text| values::from_one(text, 1440), takes: Number, allowed: "minutes, 1 to 1440",
        fallback: Text("15"), used_by: [Master, Up],
    }
    /// How long a session goes on that nobody uses.
    REFRESH_DAYS: u32 {
        key: "auth.refresh_days", variables: ["CLOUDAI_AUTH_REFRESH_DAYS"],
        parse: |text| values::from_one(text, 3650), takes: Number, allowed: "days, 1 to 3650",
        fallback: Text("30"), used_by: [Master, Up],
    }
    /// What tasks may ask for, docs/policy.md: read again when it has changed. The master checks it when tasks are submitted, a worker before it makes a container.
    POLICY: PathBuf {
        key: "policy.file", flag: "--policy", variables: ["CLOUDAI_POLICY_FILE"],
        parse: values::file, allowed: "a TOML file: cloudai policy check FILE",
        fallback: Nothing("nothing is denied"), used_by: [Master, Worker, Up],
    }
    /// Whether users may run programs in containers (`cloudai task exec`); of a master and of a worker, both must allow it.
    EXEC: bool {
        key: "exec.enabled", variables: ["CLOUDAI_EXEC_ENABLED"],
        parse: truth, takes: Truth, allowed: "true or false",
        fallback: Text("true"), used_by: [Master, Worker, Up],
    }
    /// Names and addresses of the master beside those that it finds out, for its certificate.
    TLS_NAMES: Vec<String> {
        key: "tls.names", variables: ["CLOUDAI_TLS_NAMES"],
        parse: values::tls_names, takes: List, allowed: "names and IP addresses, several with commas",
        fallback: Nothing("those of the machine"), used_by: [Master, Up],
    }
    /// How long the certificate of a worker is valid; it gets the next one when a third of that is left.
    WORKER_DAYS: u32 {
        key: "tls.worker_days", variables: ["CLOUDAI_TLS_WORKER_DAYS"],
        parse: values::worker_days, takes: Number, allowed: "days, 1 to 365",
        fallback: Text("30"), used_by: [Master, Up],
    }
    /// Which workers are let in: those with a join token, of those the registered ones, or all of the master's own machine.
    REGISTRATION: Registration {
        key: "workers.registration", variables: ["CLOUDAI_WORKERS_REGISTRATION"],
        parse: values::registration, allowed: "token, preregistered or open",
        fallback: Text("token"), used_by: [Master, Up],
    }
    /// Where a worker's master is.
    MASTER: String {
        key: "worker.master", flag: "--master", variables: ["CLOUDAI_MASTER", "MASTER_ADDR"],
        parse: values::master, takes: List, allowed: "host:port; several are still to come",
        fallback: Nothing("it waits to be called"), used_by: [Worker],
    }
    /// How commands come to a worker: it subscribes to them, or the master calls it.
    DELIVERY: Delivery {
        key: "worker.delivery", flag: "--delivery", variables: ["CLOUDAI_DELIVERY"],
        parse: values::delivery, allowed: "subscribe or push",
        fallback: Text("subscribe"), used_by: [Worker],
    }
    /// Where a master calls a worker that asked for push delivery or was not told where its master is; others listen nowhere unless this is given.
    WORKER_LISTEN: Listen {
        key: "worker.listen", flag: "--listen", variables: ["CLOUDAI_LISTEN"],
        parse: listen, takes: Number, allowed: "ip:port, localhost:port, :port or a port; port 0 takes a free one",
        fallback: Nothing("port 50052, the next free one when it is taken"), used_by: [Worker],
    }
    /// What a worker shows to join; in the environment `ps` does not show it.
    JOIN_TOKEN: String {
        key: "worker.join_token", flag: "--join-token", variables: ["CLOUDAI_JOIN_TOKEN"],
        parse: values::token, allowed: "what `cloudai worker token` prints; open for a master that takes all workers of its machine",
        fallback: Nothing(""), secret: true, used_by: [Worker],
    }
    /// A worker's name.
    WORKER_ID: WorkerId {
        key: "worker.id", flag: "--id", variables: ["CLOUDAI_WORKER_ID", "WORKER_ID"],
        parse: values::worker_id, allowed: "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit",
        fallback: Found("the host's name", |from| Some(plain_name(&from.hostname()))), used_by: [Worker],
    }
    /// The address that a worker tells the master.
    WORKER_IP: IpAddr {
        key: "worker.ip", variables: ["CLOUDAI_WORKER_IP", "WORKER_IP"],
        parse: values::ip, allowed: "an IP address",
        fallback: Nothing("none is told"), used_by: [Worker],
    }
    /// The port of that address; has no effect without the address.
    WORKER_PORT: u16 {
        key: "worker.port", variables: ["CLOUDAI_WORKER_PORT", "WORKER_PORT"],
        parse: plain_port, takes: Number, allowed: "a port from 1, as 50052 or :50052",
        fallback: Nothing("the port that it listens on, else 50052"), used_by: [Worker],
    }
    /// What runs containers: docker, or fake for tests.
    EXECUTOR: Executor {
        key: "worker.executor", flag: "--executor", variables: ["CLOUDAI_EXECUTOR"],
        parse: values::executor, allowed: "docker or fake",
        fallback: Text("docker"), used_by: [Worker, Up],
    }
    /// Where the container engine of a worker's machine is: Docker or Podman.
    ENGINE: String {
        key: "worker.engine", flag: "--engine", variables: ["CLOUDAI_ENGINE", "DOCKER_HOST"],
        parse: values::engine, allowed: "unix://PATH or tcp://127.0.0.1:PORT, of Docker or Podman",
        fallback: Nothing("Docker's socket, else Podman's"), used_by: [Worker, Up, Bench],
    }
    /// Cores that a worker offers.
    CPUS: u64 {
        key: "worker.cpus", flag: "--cpus", variables: ["CLOUDAI_CPUS"],
        parse: thousandths, takes: Number, allowed: "a number of cores, as 4 or 0.5",
        fallback: Nothing("all but a reserve"), used_by: [Worker],
    }
    /// Memory that a worker offers.
    MEM: u64 {
        key: "worker.mem", flag: "--mem", variables: ["CLOUDAI_MEM"],
        parse: bytes, takes: Number, allowed: "a size, as 8g; a plain number is GB",
        fallback: Nothing("all but a reserve"), used_by: [Worker],
    }
    /// Disk that a worker offers.
    DISK: u64 {
        key: "worker.disk", flag: "--disk", variables: ["CLOUDAI_DISK"],
        parse: bytes, takes: Number, allowed: "a size, as 100g; a plain number is GB",
        fallback: Nothing("all but a reserve"), used_by: [Worker],
    }
    /// How full a worker's disk may be, in percent, before it takes no new work.
    DISK_PRESSURE: u32 {
        key: "worker.disk_pressure_percent", flag: "--disk-pressure", variables: ["CLOUDAI_DISK_PRESSURE_PERCENT"],
        parse: |text| whole(text, 100), takes: Number, allowed: "0 to 100 percent",
        fallback: Text("95"), used_by: [Worker, Up],
    }
    /// From how many percent of the disk on a worker removes images that it pulled and nothing uses.
    COLLECT_IMAGES: u32 {
        key: "worker.collect_images_percent", flag: "--collect-images-at",
        variables: ["CLOUDAI_COLLECT_IMAGES_PERCENT"],
        parse: |text| whole(text, 100), takes: Number, allowed: "0 to 100 percent",
        fallback: Text("85"), used_by: [Worker, Up],
    }
    /// How much disk a worker uses for inputs that later attempts may need again.
    INPUT_CACHE: u64 {
        key: "worker.input_cache", flag: "--input-cache", variables: ["CLOUDAI_INPUT_CACHE"],
        parse: bytes, takes: Number, allowed: "a size, as 20g; a plain number is GB",
        fallback: Text("20g"), used_by: [Worker, Up],
    }
    /// How much of each attempt's log a worker sends in a second: the rest waits in the engine's own log, nothing is cut. 0 for any.
    LOG_RATE: u64 {
        key: "worker.log_rate", flag: "--log-rate", variables: ["CLOUDAI_LOG_RATE"],
        parse: bytes_or_zero, takes: Number, allowed: "a size, as 1m; a plain number is GB; 0 for any",
        fallback: Text("0"), used_by: [Worker, Up],
    }
    /// Devices that a worker offers.
    GPUS: u32 {
        key: "worker.gpus", flag: "--gpus", variables: ["CLOUDAI_GPUS"],
        parse: |text| whole(text, 1024), takes: Number, allowed: "a number of devices, 0 to 1024",
        fallback: Nothing("those found"), used_by: [Worker],
    }
    /// Free words to find a worker by; the flag may be repeated.
    LABELS: BTreeMap<String, String> {
        key: "worker.labels", flag: "--label", variables: ["CLOUDAI_LABELS"],
        parse: values::labels, takes: List, allowed: "k=v, several with commas",
        fallback: Nothing(""), used_by: [Worker],
    }
    /// Folders of its host, with all within them, that tasks may see; the flag may be repeated.
    ALLOW_PATHS: Vec<Access> {
        key: "worker.allow_paths", flag: "--allow-path", variables: ["CLOUDAI_ALLOW_PATHS"],
        parse: values::allowed_paths, takes: List,
        allowed: "absolute paths other than /, with :ro behind what may only be read, several with commas",
        fallback: Nothing("none"), used_by: [Worker, Up],
    }
    /// Whether it may fetch inputs from loopback and link-local addresses, where other services of its host and cloud are.
    LOCAL_INPUTS: bool {
        key: "worker.local_inputs", variables: ["CLOUDAI_LOCAL_INPUTS"],
        parse: truth, takes: Truth, allowed: "true or false",
        fallback: Text("false"), used_by: [Worker, Up],
    }
    /// Volumes of its container engine that tasks may see; the flag may be repeated.
    ALLOW_VOLUMES: Vec<OfferedVolume> {
        key: "worker.allow_volumes", flag: "--allow-volume", variables: ["CLOUDAI_ALLOW_VOLUMES"],
        parse: values::allowed_volumes, takes: List,
        allowed: "names, with :ro behind what may only be read, with =nfs://SERVER/PATH?OPTION&OPTION behind what a \
                  file server has, several with commas",
        fallback: Nothing("none"), used_by: [Worker, Up],
    }
    /// How many workers `up` starts; they share the machine.
    UP_WORKERS: u32 {
        key: "up.workers", flag: "--workers", variables: ["CLOUDAI_WORKERS"],
        parse: |text| whole(text, 1000), takes: Number, allowed: "0 to 1000",
        fallback: Text("1"), used_by: [Up],
    }
    /// The MongoDB that keeps the state.
    MONGO_URI: () {
        key: "mongo_uri", variables: ["CLOUDAI_MONGO_URI", "MONGO_URI"],
        parse: values::mongo_to_come, allowed: "", fallback: Nothing(""), secret: true, used_by: [Master, Up],
    }
    /// The database in that MongoDB.
    DB_NAME: () {
        key: "db_name", variables: ["CLOUDAI_DB_NAME", "DB_NAME"],
        parse: values::mongo_to_come, allowed: "", fallback: Nothing(""), used_by: [Master, Up],
    }
    /// The user of that MongoDB.
    MONGODB_USERNAME: () {
        key: "mongodb_username", variables: ["CLOUDAI_MONGODB_USERNAME", "MONGODB_USERNAME"],
        parse: values::mongo_to_come, allowed: "", fallback: Nothing(""), used_by: [Master, Up],
    }
    /// The password of that user.
    MONGODB_PASSWORD: () {
        key: "mongodb_password", variables: ["CLOUDAI_MONGODB_PASSWORD", "MONGODB_PASSWORD"],
        parse: values::mongo_to_come, allowed: "", fallback: Nothing(""), secret: true, used_by: [Master, Up],
    }
    /// Whether clients are talked to by https: false only where everyone who reaches the master is trusted (`--insecure`).
    TLS_ENABLED: bool {
        key: "tls.enabled", variables: ["CLOUDAI_TLS_ENABLED", "TLS_ENABLED"],
        parse: truth, takes: Truth, allowed: "true (on loopback as well) or false",
        fallback: Nothing("on every address but loopback"), used_by: [Master, Up],
    }
    /// The certificate that clients are shown; read again when it changes.
    TLS_CERT_FILE: PathBuf {
        key: "tls.cert_file", variables: ["CLOUDAI_TLS_CERT_FILE", "TLS_CERT_FILE"],
        parse: values::present_file, allowed: "a file with a chain of certificates as PEM, the server's first",
        fallback: Nothing("the cluster's own"), used_by: [Master, Up],
    }
    /// The key of that certificate.
    TLS_KEY_FILE: PathBuf {
        key: "tls.key_file", variables: ["CLOUDAI_TLS_KEY_FILE", "TLS_KEY_FILE"],
        parse: values::present_file, allowed: "a file with a private key as PEM, without a password",
        fallback: Nothing("the cluster's own"), used_by: [Master, Up],
    }
}

/// The settings of knobs, in the order of `core::strategy::knobs::KNOBS`.
pub(super) static KNOB_SETTINGS: [&Setting<f64>; 10] = [
    &KNOB_UTILIZATION,
    &KNOB_MAKESPAN,
    &KNOB_BALANCE,
    &KNOB_STARVATION,
    &KNOB_PATIENCE,
    &KNOB_URGENCY,
    &KNOB_FAIR_SHARE,
    &KNOB_PLANNER_EVALUATIONS,
    &KNOB_UPPER_QUANTILE,
    &KNOB_PREEMPTION,
];

/// Variables of ours that are no settings: hooks of the fake executor, one of the scripts, the folder of contexts.
pub(crate) const NO_SETTINGS: [&str; 4] =
    ["CLOUDAI_FAKE_JOURNAL", "CLOUDAI_FAKE_HOST", "CLOUDAI_NO_INSTALL", crate::context::FOLDER];

/// System-wide for root, the user's own otherwise.
fn data_dir(from: &dyn Surroundings) -> Option<String> {
    if from.is_root() {
        return Some("/var/lib/cloudai".into());
    }
    let home = || from.var("HOME").map(|home| format!("{home}/.local/share"));
    from.var("XDG_DATA_HOME").or_else(home).map(|folder| format!("{folder}/cloudai"))
}

/// A host's name as a worker's: other characters become `-`.
fn plain_name(host: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = host.chars().map(plain).take(63).collect();
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) { name } else { "worker".into() }
}
