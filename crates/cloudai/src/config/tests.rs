//! Precedence and refusals of settings, in surroundings that tests make up.

use super::known::{GRPC, HTTP, KNOWN, STRATEGY};
use super::*;
use cloudai_master::{Registration, Security};
use std::collections::BTreeSet;
use std::time::Duration;

mod document;

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
    fn names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
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

fn found<T>(from: &MadeUp, setting: &'static Setting<T>, flag: Option<&str>) -> (String, String) {
    let flags = Flags::default().with(setting, flag.map(ToOwned::to_owned).as_ref());
    let found = Resolver::open(from, None).unwrap().given(flags).find(&setting.facts).unwrap();
    (found.text, found.source.to_string())
}

fn master(from: &MadeUp, flags: &MasterFlags) -> Result<MasterSettings, Failure> {
    MasterSettings::resolve(&Resolver::open(from, None).unwrap(), flags)
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
        (empty().file(".env", "CLOUDAI_HTTP=dot").file(FILE, toml), None, "dot", ".env:1 CLOUDAI_HTTP"),
        (empty().file(".env", "HTTP_PORT=").file(FILE, toml), None, "file", "cloudai.toml:2 master.http"),
        (user, None, "file", "x/cloudai/config.toml:2 master.http"),
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
    for user in [User::Client, User::Master, User::Worker, User::Up] {
        let failure = Resolver::open(&from, None).unwrap().check(user).unwrap_err();
        let said = ["strateggy in cloudai.toml:2", "no such setting", "did you mean master.strategy?"];
        assert!(said.iter().all(|said| failure.to_string().contains(said)), "{failure}");
    }
}

#[test]
fn a_bad_value_names_its_place_the_value_and_what_is_allowed() {
    let rows = [
        (MadeUp::default().var("HTTP_PORT", "eighty"), "HTTP_PORT is \"eighty\""),
        (MadeUp::default().file(".env", "SCHEDULER_STRATEGY=best"), "SCHEDULER_STRATEGY in .env:1 is \"best\""),
        (MadeUp::default().file(FILE, "[master]\nstore = \"disk\"\n"), "master.store in cloudai.toml:2 is \"disk\""),
        (MadeUp::default().var("HEARTBEAT_INTERVAL", "soon"), "HEARTBEAT_INTERVAL is \"soon\""),
        (MadeUp::default().var("LOG_LEVEL", "loud"), "LOG_LEVEL is \"loud\""),
    ];
    for (from, said) in rows {
        let failure = master(&from.var("HOME", "h"), &MasterFlags::default()).unwrap_err();
        assert_eq!(failure.what, said);
        assert!(!failure.why.is_empty() && failure.next.contains(": "), "{failure}");
    }
}

#[test]
fn several_bad_values_are_told_at_once() {
    let toml = "nothing = 1\n[master]\nhttp = 'x'\n";
    let from = MadeUp::default().var("HOME", "h").file(FILE, toml).var("HEARTBEAT_INTERVAL", "soon");
    let flags = MasterFlags { strategy: Some("best".into()), ..MasterFlags::default() };
    let failure = master(&from, &flags).unwrap_err();
    assert_eq!(failure.what, "4 settings can not be used");
    for said in [
        "cloudai.toml:1: nothing",
        "cloudai.toml:3: master.http is \"x\"",
        "HEARTBEAT_INTERVAL is \"soon\"",
        "--strategy is \"best\"",
    ] {
        assert!(failure.why.iter().any(|why| why.starts_with(said)), "{said} is not in {failure}");
    }
    // What a worker does not use is not its concern.
    let from = MadeUp::default().var("HOME", "h").var("CLOUDAI_JOIN_TOKEN", "t").var("HEARTBEAT_INTERVAL", "soon");
    WorkerSettings::resolve(&Resolver::open(&from, None).unwrap(), &WorkerFlags::default()).unwrap();
}

#[test]
fn what_is_still_to_come_stops_whoever_would_use_it_and_says_what_to_do() {
    let plain = MasterFlags::default;
    let variable = |name: &str| MadeUp::default().var(name, "secret");
    let rows = [
        (variable("MONGO_URI"), plain(), "MongoDB", "unset MONGO_URI"),
        (variable("DB_NAME"), plain(), "MongoDB", "unset DB_NAME"),
        (variable("MONGODB_USERNAME"), plain(), "MongoDB", "unset MONGODB_USERNAME"),
        (variable("MONGODB_PASSWORD"), plain(), "MongoDB", "unset MONGODB_PASSWORD"),
        (MadeUp::default().file(FILE, "mongo_uri = 'secret'"), plain(), "MongoDB", "next: take mongo_uri out"),
        (MadeUp::default(), MasterFlags { store: Some("mongodb".into()), ..plain() }, "MongoDB", "--store: sqlite"),
    ];
    for (from, flags, feature, next) in rows {
        let failure = master(&from.var("HOME", "h"), &flags).unwrap_err();
        let said = failure.to_string();
        assert!(said.contains("still to come") && said.contains(feature) && said.contains(next), "{said}");
    }
    for hidden in ["MONGO_URI", "MONGODB_PASSWORD"] {
        let said = master(&variable(hidden).var("HOME", "h"), &plain()).unwrap_err().to_string();
        assert!(!said.contains("secret"), "{said}");
    }
    let from = MadeUp::default().var("HOME", "h").var("CLOUDAI_JOIN_TOKEN", "t");
    let worker = |from: &MadeUp, executor: Option<&str>| {
        let flags = WorkerFlags { executor: executor.map(ToOwned::to_owned), ..WorkerFlags::default() };
        WorkerSettings::resolve(&Resolver::open(from, None).unwrap(), &flags)
    };
    assert!(worker(&from, Some("oci")).unwrap_err().to_string().contains("still to come"));
}

#[test]
fn a_certificate_goes_with_its_key_and_encryption_is_off_only_where_nobody_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    for name in ["cert.pem", "key.pem"] {
        std::fs::write(at(name), "").unwrap();
    }
    let home = || MadeUp::default().var("HOME", "h");
    let both = || home().var("TLS_CERT_FILE", &at("cert.pem")).var("TLS_KEY_FILE", &at("key.pem"));
    let https = |from: MadeUp, flags: &MasterFlags| master(&from, flags).map(|master| master.https);
    let plain = MasterFlags::default();
    assert_eq!(https(home(), &plain), Ok(HttpsSettings::default()));
    assert_eq!(https(home().var("TLS_ENABLED", "false"), &plain), Ok(HttpsSettings::default()));
    let files = Some((dir.path().join("cert.pem"), dir.path().join("key.pem")));
    assert_eq!(https(both(), &plain).unwrap().files, files);
    assert!(https(both().var("TLS_ENABLED", "true"), &plain).unwrap().on_loopback);
    let rows = [
        (home().var("TLS_CERT_FILE", &at("cert.pem")), "give CLOUDAI_TLS_KEY_FILE or TLS_KEY_FILE as well"),
        (home().var("TLS_KEY_FILE", &at("key.pem")), "give CLOUDAI_TLS_CERT_FILE or TLS_CERT_FILE as well"),
        (both().var("TLS_CERT_FILE", &at("none.pem")), "there is no such file"),
        (both().var("TLS_ENABLED", "false"), "take one of them out"),
    ];
    for (from, said) in rows {
        let failure = https(from, &plain).unwrap_err().to_string();
        assert!(failure.contains(said), "{failure}");
    }
    let from = home().var("TLS_ENABLED", "false");
    let resolver = Resolver::open(&from, None).unwrap();
    let others: std::net::SocketAddr = "10.0.0.1:8080".parse().unwrap();
    let failure = HttpsSettings::resolve(&resolver, others, false).unwrap_err().to_string();
    assert!(failure.contains("tls.enabled is false") && failure.contains("10.0.0.1:8080"), "{failure}");
    assert_eq!(HttpsSettings::resolve(&resolver, others, true), Ok(HttpsSettings::default()));
}

#[test]
fn a_client_calls_the_current_context_unless_it_is_told_another_address() {
    let contexts = "current = \"prod\"\n[contexts.prod]\naddr = \"https://m1:8080\"\n";
    let addr = |from: &MadeUp| Resolver::open(from, None).unwrap().required(&ADDR).unwrap().to_string();
    let from = MadeUp::default().var("HOME", "h");
    assert_eq!(addr(&from), "http://127.0.0.1:8080/");
    let from = from.file("h/.config/cloudai/contexts.toml", contexts);
    assert_eq!(addr(&from), "https://m1:8080/");
    let from = from.file("c/contexts.toml", &contexts.replace("m1", "m2")).var("CLOUDAI_CONFIG_DIR", "c");
    assert_eq!(addr(&from), "https://m2:8080/");
    let from = from.file(FILE, "addr = 'http://m3:1'\n");
    assert_eq!(addr(&from), "http://m3:1/");
    assert_eq!(addr(&from.var("CLOUDAI_ADDR", "http://m4:1")), "http://m4:1/");
}

#[test]
fn every_name_of_the_reference_is_a_setting() {
    let names = "MONGO_URI DB_NAME MONGODB_USERNAME MONGODB_PASSWORD GRPC_PORT HTTP_PORT JWT_SECRET LOG_LEVEL \
                 TLS_ENABLED TLS_CERT_FILE TLS_KEY_FILE MASTER_ADDR WORKER_ID WORKER_IP WORKER_PORT \
                 HEARTBEAT_INTERVAL SCHEDULER_STRATEGY";
    for name in names.split_whitespace() {
        let of = KNOWN.iter().filter(|setting| setting.facts().variables.contains(&name));
        assert_eq!(of.count(), 1, "{name}");
    }
}

#[test]
fn no_key_or_variable_means_two_things_and_every_default_is_allowed() {
    let (mut keys, mut variables) = (BTreeSet::new(), BTreeSet::new());
    let from = MadeUp::default().var("HOME", "h");
    for setting in KNOWN {
        let facts = setting.facts();
        assert!(keys.insert(facts.key), "{} stands twice", facts.key);
        assert!(facts.variables.iter().all(|name| variables.insert(name)), "{:?}", facts.variables);
        assert!(facts.variables[0].starts_with("CLOUDAI_"), "{}: ours comes first", facts.key);
        assert!(!facts.about.is_empty() && !facts.used_by.is_empty(), "{}", facts.key);
        if let Some(found) = Resolver::open(&from, None).unwrap().find(facts) {
            assert_eq!(setting.check(&found.text), Ok(()), "{}", facts.key);
        }
    }
}

#[test]
fn every_flag_of_a_setting_is_a_flag_of_the_commands_that_use_it_and_its_help_tells_the_rest() {
    let tree = crate::cli::tree();
    let of = |user| match user {
        User::Client => &tree,
        User::Master => tree.find_subcommand("master").unwrap(),
        User::Up => tree.find_subcommand("up").unwrap(),
        User::Worker => tree.find_subcommand("worker").unwrap().find_subcommand("start").unwrap(),
        User::Bench => tree.find_subcommand("bench").unwrap().find_subcommand("docker").unwrap(),
    };
    // `up` is for the first minutes: it keeps its state where a master does by itself.
    let without = [(User::Up, "--store")];
    for facts in KNOWN.iter().map(|setting| setting.facts()) {
        let Some(flag) = facts.flag else { continue };
        for user in facts.used_by.iter().copied().filter(|user| !without.contains(&(*user, flag))) {
            let arg = of(user).get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
            let help = arg.unwrap_or_else(|| panic!("{} has no {flag}", user.word())).get_help().unwrap().to_string();
            assert!(facts.variables.iter().all(|name| help.contains(name)), "{flag}: {help}");
            assert!(help.contains(facts.fallback.words()), "{flag}: {help}");
        }
    }
}

#[test]
fn validating_lists_every_problem_of_every_place_also_the_overridden() {
    let toml = "[master]\nhtp = 1\nhttp = 'x'\n[worker]\ncpus = 'many'\nport = 7\n";
    let from = MadeUp::default()
        .file(FILE, toml)
        .file(".env", "HTTP_PORT=y\nCLOUDAI_WORKER_LEASE_SS=9\nOTHER=z\n")
        .var("CLOUDAI_HTTP", "z")
        .var("HTTP_PORT", "0.0.0.0:1")
        .var("CLOUDAI_FAKE_JOURNAL", "f")
        .var("JWT_SECRET", "hush");
    let told: Vec<_> = Resolver::open(&from, None).unwrap().validate().iter().map(ToString::to_string).collect();
    let expected = [
        "cloudai.toml:2: master.htp: there is no such setting; did you mean master.http?",
        "CLOUDAI_HTTP is \"z\": ",
        ".env:1: HTTP_PORT is \"y\": ",
        "cloudai.toml:3: master.http is \"x\": ",
        "JWT_SECRET: it has 4 bytes, and 32 are the least",
        "cloudai.toml:5: worker.cpus is \"many\": it is no number; worker.cpus: a number of cores, as 4 or 0.5",
        "cloudai.toml:6: worker.port is \"7\": it has no effect without worker.ip",
        "HTTP_PORT is \"0.0.0.0:1\": CLOUDAI_HTTP is the same setting and wins; take one of them out",
        ".env:2: CLOUDAI_WORKER_LEASE_SS: there is no such setting; did you mean CLOUDAI_WORKER_LEASE_S?",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
    let alone = Resolver::open(&FileAlone(&from), Some(Path::new(FILE))).unwrap().validate();
    assert!(alone.len() == 4 && alone.iter().all(|problem| problem.at.source == Layer::File), "{alone:?}");
}

#[test]
fn times_that_do_not_go_together_are_a_problem_at_the_place_that_was_given() {
    let from = MadeUp::default().var("HOME", "h").file(FILE, "[master]\nworker_lease_s = 30\n");
    let problems = Resolver::open(&from, None).unwrap().validate();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].starts_with("cloudai.toml:2: ") && told[0].contains("worker_lease_s is 30s"),
        "{told:?}"
    );
    // What others than the culprit are given is told with it, and never blamed instead of it.
    let from = MadeUp::default()
        .var("HOME", "h")
        .var("HEARTBEAT_INTERVAL", "4")
        .file(".env", "CLOUDAI_WORKER_LEASE_S=30\n")
        .file(FILE, "[master]\nworker_lease_margin_s = 20\n");
    let failure = master(&from, &MasterFlags::default()).unwrap_err();
    let next = "change one of master.worker_lease_s = 30 (.env:1 CLOUDAI_WORKER_LEASE_S), \
                master.worker_lease_margin_s = 20 (cloudai.toml:2), master.heartbeat_s = 4 (HEARTBEAT_INTERVAL)";
    assert_eq!(failure.next, next);
    let problems = Resolver::open(&from, None).unwrap().validate();
    assert_eq!(problems[0].at.place(), "CLOUDAI_WORKER_LEASE_S in .env:1");
}

#[test]
fn a_value_of_another_type_of_toml_is_a_problem_at_its_line() {
    let toml = "data_dir = 5\naddr = 127\n[master]\nhttp = ['127.0.0.1:1']\ngrpc = 7\nheartbeat_s = '4'\n[worker]\n\
                id = true\nport = 0\nlabels = ['a=b']\ncpus = '2'\n[up]\nworkers = 2\n";
    let from = MadeUp::default().file(FILE, toml).var("CLOUDAI_WORKER_IP", "10.0.0.1");
    let problems = Resolver::open(&from, None).unwrap().validate();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let mut lines: Vec<_> = problems.iter().filter_map(|problem| problem.at.line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [1, 2, 4, 8, 9], "{told:#?}");
    let text = told.iter().find(|told| told.starts_with("cloudai.toml:1: ")).unwrap();
    assert_eq!(
        text,
        "cloudai.toml:1: data_dir is \"5\": it is a number: expected a text in quotes; data_dir: a folder"
    );
    let failure = master(&from, &MasterFlags::default()).unwrap_err();
    assert!(failure.to_string().contains("it is a list: expected a number or a text in quotes"), "{failure}");
}

#[test]
fn a_key_without_its_table_is_told_with_it_and_a_wrong_value_with_its_line() {
    let from = MadeUp::default().file(FILE, "strategy = 'greedy'\n");
    let failure = master(&from, &MasterFlags::default()).unwrap_err();
    let told = ["strategy in cloudai.toml:1 can not be used", "did you mean master.strategy?"];
    assert_eq!([failure.what.as_str(), failure.next.as_str()], told);
    let from = MadeUp::default().file(FILE, "[master]\nstrategy = 'best'\n");
    let failure = master(&from, &MasterFlags::default()).unwrap_err();
    assert_eq!(failure.what, "master.strategy in cloudai.toml:2 is \"best\"");
    assert!(failure.next.starts_with("master.strategy: greedy, round_robin, "), "{failure}");
}

#[test]
fn a_strategy_or_a_knob_that_is_written_anywhere_is_explicit() {
    let strategy = |from: MadeUp| master(&from.var("HOME", "h"), &MasterFlags::default()).map(|master| master.strategy);
    assert_eq!(strategy(MadeUp::default()), Ok("ai".into()));
    let from = MadeUp::default().file(FILE, "[strategy]\npatience = 2.5\n").var("CLOUDAI_STRATEGY_URGENCY", "0");
    let configured = strategy(from).unwrap();
    let changed: Vec<_> = configured.knobs.changed().map(|(knob, value)| (knob.name, value)).collect();
    assert_eq!((configured.explicit, changed), (true, vec![("patience", 2.5), ("urgency", 0.0)]));
    assert!(strategy(MadeUp::default().var("CLOUDAI_STRATEGY", "greedy")).unwrap().explicit);
    let failure = strategy(MadeUp::default().file(FILE, "[strategy]\nbalance = 2\n")).unwrap_err().to_string();
    assert!(failure.contains("strategy.balance in cloudai.toml:2") && failure.contains("from 0 to 1"), "{failure}");
}

#[test]
fn one_port_for_workers_and_users_is_refused() {
    let from = MadeUp::default().var("HOME", "h").var("GRPC_PORT", "8080");
    let failure = master(&from, &MasterFlags::default()).unwrap_err();
    assert!(failure.what.contains("are one port"), "{failure}");
    assert_eq!(Resolver::open(&from, None).unwrap().validate().len(), 1);
    let flags = MasterFlags { http: Some(":0".into()), grpc: Some(":0".into()), ..MasterFlags::default() };
    assert!(master(&MadeUp::default().var("HOME", "h"), &flags).is_ok());
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
    let asks = |settings: &MasterSettings| matches!(settings.security, Security::Secured(_));
    for (insecure, sure) in [(false, false), (true, false), (false, true)] {
        let closed = MasterSettings::resolve(&resolver, &flags(insecure, sure, ":1")).unwrap();
        assert_eq!((closed.http.to_string(), asks(&closed)), ("127.0.0.1:1".into(), !insecure));
        let open = MasterSettings::resolve(&resolver, &flags(insecure, sure, "0.0.0.0:1"));
        match open {
            Ok(open) => assert!(!insecure && asks(&open), "one flag alone opened it"),
            Err(failure) => assert!(insecure && failure.to_string().contains("--i-know-this-is-insecure"), "{failure}"),
        }
    }
    // `up` has only the first of them.
    let up = UpFlags { http: Some("0.0.0.0:1".into()), insecure: true, ..UpFlags::default() };
    let failure = UpSettings::resolve(&resolver, &up).unwrap_err();
    assert_eq!(failure.next, "--http 127.0.0.1:1, or leave --insecure out");
    let up = UpSettings::resolve(&resolver, &UpFlags::default()).unwrap();
    assert!(asks(&up.master));
    let open = MasterSettings::resolve(&resolver, &flags(true, true, ":1")).unwrap();
    assert_eq!((open.http.to_string(), asks(&open)), ("0.0.0.0:1".into(), false));
}

#[test]
fn how_workers_are_let_in_is_said_by_the_operator_and_open_only_on_one_machine() {
    let from = MadeUp::default()
        .var("HOME", "h")
        .var("CLOUDAI_WORKERS_REGISTRATION", "open")
        .var("CLOUDAI_TLS_NAMES", "gpu.example.org, 10.0.0.9")
        .var("CLOUDAI_TLS_WORKER_DAYS", "7");
    let settings = master(&from, &MasterFlags::default()).unwrap();
    let Security::Secured(secured) = settings.security else { panic!("it asks nobody") };
    assert_eq!(secured.registration, Registration::Open);
    assert_eq!(secured.names, ["gpu.example.org", "10.0.0.9"]);
    assert_eq!(secured.worker_life, Duration::from_secs(7 * 24 * 60 * 60));
    let flags = MasterFlags { grpc: Some("0.0.0.0:1".into()), ..MasterFlags::default() };
    let failure = master(&from, &flags).unwrap_err();
    assert!(failure.what.contains("workers.registration is open"), "{failure}");
    for (variable, text) in [
        ("CLOUDAI_WORKERS_REGISTRATION", "all"),
        ("CLOUDAI_TLS_NAMES", "a b"),
        ("CLOUDAI_TLS_WORKER_DAYS", "0"),
        ("CLOUDAI_TLS_WORKER_DAYS", "366"),
    ] {
        let from = MadeUp::default().var("HOME", "h").var(variable, text);
        let failure = master(&from, &MasterFlags::default()).unwrap_err();
        assert!(failure.to_string().contains(variable), "{variable} {text}: {failure}");
    }
}

#[test]
fn a_worker_that_has_joined_needs_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let from = MadeUp::default().var("HOME", "h");
    let resolver = Resolver::open(&from, None).unwrap();
    let flags = WorkerFlags { data_dir: Some(data), id: Some("w1".into()), ..WorkerFlags::default() };
    let failure = WorkerSettings::resolve(&resolver, &flags).unwrap_err();
    assert!(failure.to_string().contains("cloudai worker token"), "{failure}");
    let folder = crate::serve::worker_folder(dir.path(), &"w1".parse().unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("worker.crt"), "").unwrap();
    assert_eq!(WorkerSettings::resolve(&resolver, &flags).unwrap().join_token, "");
}

#[test]
fn times_that_do_not_go_together_are_refused() {
    let from = MadeUp::default().var("HOME", "h").var("CLOUDAI_WORKER_LEASE_S", "30");
    let failure = master(&from, &MasterFlags::default()).unwrap_err();
    assert!(failure.why[0].contains("worker_lease_s is 30s"), "{failure}");
}

#[test]
fn a_worker_takes_the_names_of_the_reference() {
    let from = MadeUp::default()
        .var("HOME", "/h")
        .var("MASTER_ADDR", "m1:50051")
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
    assert_eq!((settings.master.as_deref(), settings.listen), (Some("m1:50051"), None));
    assert_eq!((settings.ip, settings.port), (Some([10, 0, 0, 1].into()), Some(7)));
    assert_eq!(settings.id.as_str(), "gpu-01");
    assert_eq!(
        (settings.offer.cpu_milli, settings.offer.memory, settings.offer.gpus),
        (Some(500), Some(8 << 30), None)
    );
    assert_eq!(settings.labels["a"], "1");
    assert_eq!(settings.data_dir, PathBuf::from("/h/.local/share/cloudai"));
}

#[test]
fn a_worker_listens_where_its_master_is_to_call_it_and_nowhere_else() {
    let from = MadeUp::default().var("HOME", "/h").var("CLOUDAI_JOIN_TOKEN", "t");
    let resolver = Resolver::open(&from, None).unwrap();
    let listens = |master: Option<&str>, delivery: Option<&str>, listen: Option<&str>| {
        let given = |text: Option<&str>| text.map(ToOwned::to_owned);
        let (master, delivery, listen) = (given(master), given(delivery), given(listen));
        let flags = WorkerFlags { master, delivery, listen, ..WorkerFlags::default() };
        let listen = WorkerSettings::resolve(&resolver, &flags).unwrap().listen;
        listen.map(|listen| (listen.address.to_string(), listen.exact))
    };
    let usual = || Some(("0.0.0.0:50052".to_owned(), false));
    assert_eq!(listens(Some("m:1"), None, None), None);
    assert_eq!(listens(None, None, None), usual());
    assert_eq!(listens(Some("m:1"), Some("push"), None), usual());
    assert_eq!(listens(Some("m:1"), None, Some("localhost:0")), Some(("127.0.0.1:0".to_owned(), true)));
    assert_eq!(listens(None, Some("push"), Some("7")), Some(("0.0.0.0:7".to_owned(), true)));
}

#[test]
fn an_engine_elsewhere_stops_only_what_needs_one() {
    let from = MadeUp::default().var("HOME", "h").var("DOCKER_HOST", "tcp://docker:2375");
    let resolver = Resolver::open(&from, None).unwrap();
    let up = |executor: &str| {
        UpSettings::resolve(&resolver, &UpFlags { executor: Some(executor.into()), ..UpFlags::default() })
    };
    assert_eq!(up("fake").unwrap().engine, None);
    assert!(up("docker").unwrap_err().what.contains("DOCKER_HOST is"));
}

#[test]
fn the_password_of_an_engines_address_is_not_repeated() {
    let address = "tcp://bob:hunter2@docker:2375";
    let from = MadeUp::default().var("HOME", "h").var("DOCKER_HOST", address).var("CLOUDAI_ENGINE", "tcp://h:1");
    let told = format!("{:?}", Resolver::open(&from, None).unwrap().validate());
    assert!(
        told.contains("DOCKER_HOST") && told.contains("(hidden)@docker:2375") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn up_is_a_master_without_a_shell_and_its_workers() {
    let from = MadeUp::default().var("HOME", "h").var("SCHEDULER_STRATEGY", "greedy");
    let resolver = Resolver::open(&from, None).unwrap();
    let flags = UpFlags { workers: Some("3".into()), executor: Some("fake".into()), ..UpFlags::default() };
    let settings = UpSettings::resolve(&resolver, &flags).unwrap();
    assert_eq!((settings.workers, settings.executor, settings.master.shell), (3, Executor::Fake, false));
    assert_eq!((settings.master.strategy.name.as_str(), settings.master.strategy.explicit), ("greedy", true));
    assert_eq!(found(&from, &STRATEGY, None).1, "environment SCHEDULER_STRATEGY");
}

#[test]
fn how_users_come_in_is_set_and_a_key_that_can_be_guessed_is_refused_unseen() {
    let from = || MadeUp::default().var("HOME", "h");
    let plain = master(&from(), &MasterFlags::default()).unwrap().auth;
    assert_eq!(plain, cloudai_master::AuthRules::default(), "the defaults are those of a master that is told nothing");
    let key = "0123456789abcdef0123456789abcdef";
    let set = from()
        .var("JWT_SECRET", key)
        .var("CLOUDAI_AUTH_SELF_REGISTER", "true")
        .var("CLOUDAI_AUTH_ACCESS_MINUTES", "5")
        .var("CLOUDAI_AUTH_REFRESH_DAYS", "7");
    let auth = master(&set, &MasterFlags::default()).unwrap().auth;
    assert_eq!(auth.jwt_secret.as_ref().map(|secret| secret.as_str()), Some(key));
    assert!(auth.self_register);
    assert_eq!((auth.access.as_secs(), auth.refresh.as_secs()), (5 * 60, 7 * 24 * 60 * 60));
    assert!(!format!("{auth:?}").contains(key));
    let short = master(&from().var("JWT_SECRET", &key[1..]), &MasterFlags::default()).unwrap_err().to_string();
    assert!(short.contains("31 bytes") && !short.contains(&key[1..]), "{short}");
    for (name, value) in [("CLOUDAI_AUTH_ACCESS_MINUTES", "0"), ("CLOUDAI_AUTH_REFRESH_DAYS", "3651")] {
        let said = master(&from().var(name, value), &MasterFlags::default()).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains(value), "{said}");
    }
}
