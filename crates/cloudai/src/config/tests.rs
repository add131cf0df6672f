//! Precedence and refusals of settings, in surroundings that tests make up.

use super::known::{GRPC, HTTP, STRATEGY};
use super::*;

/// Surroundings out of tables.
#[derive(Default)]
pub(crate) struct MadeUp {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
}

impl MadeUp {
    fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Surroundings for MadeUp {
    fn var(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        Ok(self.files.get(path).cloned())
    }
    fn is_root(&self) -> bool {
        false
    }
    fn hostname(&self) -> String {
        "gpu 01".into()
    }
}

fn found(from: &MadeUp, setting: &'static Setting, flag: Option<&str>) -> (String, String) {
    let found = Resolver::open(from, None).unwrap().find(setting, flag).unwrap();
    (found.text, found.source.to_string())
}

#[test]
fn the_nearest_source_wins_and_is_remembered() {
    let empty = MadeUp::default;
    let toml = "[master]\nhttp = \"file\"\n";
    let all = || {
        empty().var("CLOUDAI_HTTP", "ours").var("HTTP_PORT", "theirs").file(".env", "HTTP_PORT=dot").file(FILE, toml)
    };
    let user = empty().var("XDG_CONFIG_HOME", "x").file("x/cloudai/config.toml", toml);
    let rows = [
        (all(), Some("flag"), "flag", "flag --http"),
        (all(), None, "ours", "environment CLOUDAI_HTTP"),
        (all().var("CLOUDAI_HTTP", "n"), None, "n", "environment CLOUDAI_HTTP"),
        (empty().var("HTTP_PORT", "theirs").file(".env", "CLOUDAI_HTTP=dot"), None, "theirs", "environment HTTP_PORT"),
        (empty().file(".env", "CLOUDAI_HTTP=dot").file(FILE, toml), None, "dot", ".env CLOUDAI_HTTP"),
        (empty().file(".env", "HTTP_PORT=").file(FILE, toml), None, "file", "cloudai.toml master.http"),
        (user, None, "file", "x/cloudai/config.toml master.http"),
        (empty(), None, "127.0.0.1:8080", "default"),
    ];
    for (at, (from, flag, text, source)) in rows.into_iter().enumerate() {
        assert_eq!(found(&from, &HTTP, flag), (text.into(), source.into()), "row {at}");
    }
}

#[test]
fn the_file_here_hides_the_file_of_the_user() {
    let from = MadeUp::default()
        .var("HOME", "h")
        .file(FILE, "[master]\ngrpc = 1\n")
        .file("h/.config/cloudai/config.toml", "[master]\ngrpc = 2\nhttp = 2\n");
    assert_eq!(found(&from, &GRPC, None).0, "1");
    assert_eq!(found(&from, &HTTP, None).1, "default");
}

#[test]
fn a_named_file_must_be_there() {
    let from = MadeUp::default();
    let failure = Resolver::open(&from, Some(Path::new("other.toml"))).unwrap_err();
    assert!(failure.what.contains("other.toml"), "{failure}");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    let from = MadeUp::default().file(FILE, "[master]\nstrateggy = \"greedy\"\n");
    let failure = Resolver::open(&from, None).unwrap_err();
    assert!(failure.why[0].contains("did you mean master.strategy?"), "{failure}");
}

#[test]
fn a_bad_value_names_its_place_the_value_and_what_is_allowed() {
    let rows = [
        (MadeUp::default().var("HTTP_PORT", "eighty"), "HTTP_PORT is \"eighty\""),
        (MadeUp::default().file(".env", "SCHEDULER_STRATEGY=best"), "SCHEDULER_STRATEGY in .env is \"best\""),
        (MadeUp::default().file(FILE, "[master]\nstore = \"disk\"\n"), "master.store in cloudai.toml is \"disk\""),
        (MadeUp::default().var("HEARTBEAT_INTERVAL", "soon"), "HEARTBEAT_INTERVAL is \"soon\""),
        (MadeUp::default().var("LOG_LEVEL", "loud"), "LOG_LEVEL is \"loud\""),
    ];
    for (from, said) in rows {
        let from = from.var("HOME", "h");
        let resolver = Resolver::open(&from, None).unwrap();
        let failure = MasterSettings::resolve(&resolver, &MasterFlags::default()).unwrap_err();
        assert_eq!(failure.what, said);
        assert!(!failure.why.is_empty() && failure.next.contains(": "), "{failure}");
    }
}

#[test]
fn what_is_still_to_come_stops_master_and_worker() {
    let plain = MasterFlags::default;
    let rows = [
        (MadeUp::default().var("MONGO_URI", "mongodb://u:secret@h"), plain(), "MongoDB"),
        (MadeUp::default().var("TLS_ENABLED", "true"), plain(), "TLS"),
        (MadeUp::default(), MasterFlags { store: Some("mongodb".into()), ..plain() }, "MongoDB"),
        (MadeUp::default(), MasterFlags { strategy: Some("ai-predictive".into()), ..plain() }, "ai_predictive"),
    ];
    for (from, flags, feature) in rows {
        let from = from.var("HOME", "h");
        let failure = MasterSettings::resolve(&Resolver::open(&from, None).unwrap(), &flags).unwrap_err();
        let said = failure.to_string();
        assert!(said.contains("still to come") && said.contains(feature) && !said.contains("secret"), "{said}");
    }
    let from = MadeUp::default().var("HOME", "h").var("CLOUDAI_JOIN_TOKEN", "t");
    let flags = WorkerFlags { executor: Some("oci".into()), ..WorkerFlags::default() };
    let failure = WorkerSettings::resolve(&Resolver::open(&from, None).unwrap(), &flags).unwrap_err();
    assert!(failure.to_string().contains("still to come"), "{failure}");
}

#[test]
fn a_master_that_others_can_reach_needs_both_flags() {
    let from = MadeUp::default().var("HOME", "h");
    let resolver = Resolver::open(&from, None).unwrap();
    let flags = |insecure, sure, http: &str| MasterFlags {
        insecure,
        i_know_this_is_insecure: sure,
        http: Some(http.into()),
        ..MasterFlags::default()
    };
    for (insecure, sure) in [(false, false), (true, false), (false, true)] {
        let closed = MasterSettings::resolve(&resolver, &flags(insecure, sure, ":1")).unwrap();
        assert_eq!((closed.http.to_string(), closed.insecure), ("127.0.0.1:1".into(), false));
        let http = "0.0.0.0:1";
        let failure = MasterSettings::resolve(&resolver, &flags(insecure, sure, http)).unwrap_err();
        assert!(failure.to_string().contains("--i-know-this-is-insecure"), "{failure}");
    }
    let open = MasterSettings::resolve(&resolver, &flags(true, true, ":1")).unwrap();
    assert_eq!((open.http.to_string(), open.insecure), ("0.0.0.0:1".into(), true));
}

#[test]
fn times_that_do_not_go_together_are_refused() {
    let from = MadeUp::default().var("HOME", "h").var("CLOUDAI_WORKER_LEASE_S", "30");
    let failure = MasterSettings::resolve(&Resolver::open(&from, None).unwrap(), &MasterFlags::default()).unwrap_err();
    assert!(failure.why[0].contains("worker_lease_s is 30s"), "{failure}");
}

#[test]
fn a_worker_takes_the_names_of_the_reference() {
    let from = MadeUp::default()
        .var("HOME", "/h")
        .var("MASTER_ADDR", "m1:50051, :50052")
        .var("WORKER_IP", "10.0.0.1")
        .var("WORKER_PORT", ":7")
        .var("CLOUDAI_JOIN_TOKEN", "t");
    let resolver = Resolver::open(&from, None).unwrap();
    let flags = WorkerFlags {
        mem: Some("8g".into()),
        cpus: Some("0.5".into()),
        labels: vec!["a=1".into()],
        ..Default::default()
    };
    let settings = WorkerSettings::resolve(&resolver, &flags).unwrap();
    assert_eq!(settings.masters, ["m1:50051", "127.0.0.1:50052"]);
    assert_eq!(settings.address.unwrap().to_string(), "10.0.0.1:7");
    assert_eq!(settings.id.as_str(), "gpu-01");
    assert_eq!(
        (settings.offer.cpu_milli, settings.offer.memory, settings.offer.gpus),
        (Some(500), Some(8 << 30), None)
    );
    assert_eq!(settings.labels["a"], "1");
    assert_eq!(settings.data_dir, PathBuf::from("/h/.local/share/cloudai"));
}

#[test]
fn up_is_a_master_without_a_shell_and_its_workers() {
    let from = MadeUp::default().var("HOME", "h").var("SCHEDULER_STRATEGY", "greedy");
    let resolver = Resolver::open(&from, None).unwrap();
    let flags = UpFlags { workers: Some("3".into()), executor: Some("fake".into()), ..UpFlags::default() };
    let settings = UpSettings::resolve(&resolver, &flags).unwrap();
    assert_eq!((settings.workers, settings.executor, settings.master.shell), (3, Executor::Fake, false));
    assert_eq!(settings.master.strategy, "greedy");
    assert_eq!(found(&from, &STRATEGY, None).1, "environment SCHEDULER_STRATEGY");
}
