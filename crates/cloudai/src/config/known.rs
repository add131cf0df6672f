//! The table of every setting: its key, flag, variables, default and what is allowed.

use super::Surroundings;

/// A setting that `config show` lists.
pub(crate) struct Setting {
    /// Its key in `cloudai.toml`, dots for tables.
    pub(crate) key: &'static str,
    /// Its flag.
    pub(crate) flag: &'static str,
    /// Its variables: ours first, then the reference's.
    pub(crate) variables: &'static [&'static str],
    /// Its value when nobody gives one.
    pub(crate) default: fn(&dyn Surroundings) -> Option<String>,
    /// What its value may be.
    pub(crate) allowed: &'static str,
    /// Never shown.
    pub(crate) secret: bool,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Declares the settings as statics and the list of them.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $flag:literal, [$($variable:literal),*], $default:expr, $allowed:literal;)+) => {
        $($(#[$doc])* pub(crate) static $name: Setting = Setting {
            key: $key,
            flag: $flag,
            variables: &[$($variable),*],
            default: $default,
            allowed: $allowed,
            secret: matches!($key.as_bytes(), b"worker.join_token" | b"mongo_uri"),
        };)+
        /// Every setting, in the order of `config show`.
        pub(crate) static KNOWN: &[&Setting] = &[$(&$name),+];
    };
}

fn none(_: &dyn Surroundings) -> Option<String> {
    None
}

macro_rules! text {
    ($text:literal) => {
        |_| Some($text.into())
    };
}

settings! {
    /// The master that clients talk to.
    ADDR = "addr", "--addr", ["CLOUDAI_ADDR"], text!("http://127.0.0.1:8080"), "a URL, as http://127.0.0.1:8080";
    /// Where state is kept.
    DATA_DIR = "data_dir", "--data-dir", ["CLOUDAI_DATA_DIR"], data_dir, "a folder";
    /// How much is logged.
    LOG_LEVEL = "log_level", "-", ["CLOUDAI_LOG", "LOG_LEVEL"], text!("info"), "trace, debug, info, warn, error, or directives as info,cloudai_master=debug";
    /// Where workers reach the master.
    GRPC = "master.grpc", "--grpc", ["CLOUDAI_GRPC", "GRPC_PORT"], text!("127.0.0.1:50051"), "ip:port, :port or a port; port 0 takes a free one";
    /// Where clients reach the master.
    HTTP = "master.http", "--http", ["CLOUDAI_HTTP", "HTTP_PORT"], text!("127.0.0.1:8080"), "ip:port, :port or a port; port 0 takes a free one";
    /// What keeps the state.
    STORE = "master.store", "--store", ["CLOUDAI_STORE"], text!("auto"), "sqlite, memory or auto (sqlite)";
    /// How tasks are placed.
    STRATEGY = "master.strategy", "--strategy", ["CLOUDAI_STRATEGY", "SCHEDULER_STRATEGY"], text!("greedy"), "greedy or round_robin";
    /// Between two heartbeats.
    HEARTBEAT = "master.heartbeat_s", "-", ["CLOUDAI_HEARTBEAT_S", "HEARTBEAT_INTERVAL"], text!("5"), "seconds above 0, as 5 or 500ms";
    /// Silence until a worker gets no new work.
    INACTIVE = "master.worker_inactive_s", "-", ["CLOUDAI_WORKER_INACTIVE_S"], text!("30"), "seconds: above two heartbeats, at most the lease";
    /// How long a heartbeat keeps a worker's attempts its own.
    LEASE = "master.worker_lease_s", "-", ["CLOUDAI_WORKER_LEASE_S"], text!("120"), "seconds: above kill_after_s + the margin + two heartbeats";
    /// What the master waits longer and the worker stops earlier.
    LEASE_MARGIN = "master.worker_lease_margin_s", "-", ["CLOUDAI_WORKER_LEASE_MARGIN_S"], text!("10"), "seconds";
    /// The masters of a worker.
    MASTER = "worker.master", "--master", ["CLOUDAI_MASTER", "MASTER_ADDR"], text!("127.0.0.1:50051"), "host:port, several with commas";
    /// What a worker shows to join.
    JOIN_TOKEN = "worker.join_token", "--join-token", ["CLOUDAI_JOIN_TOKEN"], none, "what `cloudai worker token` prints";
    /// A worker's name.
    WORKER_ID = "worker.id", "--id", ["CLOUDAI_WORKER_ID", "WORKER_ID"], |from| Some(plain_name(&from.hostname())), "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit";
    /// The address that a worker tells.
    WORKER_IP = "worker.ip", "-", ["CLOUDAI_WORKER_IP", "WORKER_IP"], none, "an IP address";
    /// The port of that address.
    WORKER_PORT = "worker.port", "-", ["CLOUDAI_WORKER_PORT", "WORKER_PORT"], none, "a port";
    /// What runs containers.
    EXECUTOR = "worker.executor", "--executor", ["CLOUDAI_EXECUTOR"], text!("docker"), "docker or fake";
    /// Cores a worker offers.
    CPUS = "worker.cpus", "--cpus", ["CLOUDAI_CPUS"], none, "a number of cores, as 4 or 0.5; all but the reserve when not given";
    /// Memory a worker offers.
    MEM = "worker.mem", "--mem", ["CLOUDAI_MEM"], none, "a size, as 8g; a plain number is GB; all but the reserve when not given";
    /// Disk a worker offers.
    DISK = "worker.disk", "--disk", ["CLOUDAI_DISK"], none, "a size, as 100g; a plain number is GB; all but the reserve when not given";
    /// Devices a worker offers.
    GPUS = "worker.gpus", "--gpus", ["CLOUDAI_GPUS"], none, "a number of devices, 0 to 1024; those found when not given";
    /// A worker's labels.
    LABELS = "worker.labels", "--label", ["CLOUDAI_LABELS"], none, "k=v, several with commas";
    /// How many workers `up` starts.
    UP_WORKERS = "up.workers", "--workers", ["CLOUDAI_WORKERS"], text!("1"), "0 to 1000";
    /// Of a store that is to come.
    MONGO_URI = "mongo_uri", "-", ["MONGO_URI"], none, "nothing yet: the MongoDB store is still to come";
    /// Of encryption that is to come.
    TLS_ENABLED = "tls_enabled", "-", ["CLOUDAI_TLS_ENABLED", "TLS_ENABLED"], text!("false"), "false: TLS is still to come";
}

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
