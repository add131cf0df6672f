//! What a policy reads as, and what it denies.

use super::*;
use crate::spec::{FieldError, LIVE};
use proptest::prelude::*;

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn list(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|one| text(one)).collect())
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A task of these fields; of busybox unless they say otherwise.
fn spec(fields: &[(&str, Value)]) -> TaskSpec {
    let image = [("image", text("busybox"))];
    let unsaid = image.iter().filter(|_| !fields.iter().any(|(name, _)| *name == "image"));
    let fields: Vec<_> = unsaid.chain(fields).cloned().collect();
    TaskSpec::from_value(&map(&fields)).unwrap()
}

/// A document of one rule: `images.allow` and its value.
fn rule(path: &str, value: Value) -> Value {
    let (section, name) = path.split_once('.').unwrap();
    map(&[(section, map(&[(name, value)]))])
}

fn policy(path: &str, value: Value) -> Policy {
    Policy::from_value(&rule(path, value)).unwrap()
}

/// The fields of a task that a policy denies, each with the rule.
fn denied(policy: &Policy, fields: &[(&str, Value)]) -> Vec<String> {
    let denied = policy.check(&spec(fields)).err().unwrap_or_default();
    denied.into_iter().map(|denied| format!("{} {}", denied.path, denied.rule)).collect()
}

fn volume(field: &str, value: &str, read_only: bool) -> Value {
    let volume = [(field, text(value)), ("container_path", text("/data")), ("read_only", Value::Bool(read_only))];
    Value::List(vec![map(&volume)])
}

fn secret(place: &str, value: &str) -> Value {
    Value::List(vec![map(&[("name", text("token")), (place, text(value))])])
}

type Fields = Vec<(&'static str, Value)>;
/// A rule and its value, a task that it denies, by which field, and one that it lets through.
type Row = (&'static str, Value, Fields, &'static str, Fields);

fn of_images_and_places() -> Vec<Row> {
    let image = |name: &str| vec![("image", text(name))];
    vec![
        ("images.allow", list(&["ghcr.io/team/*"]), image("busybox"), "image", image("ghcr.io/team/a:1")),
        ("images.deny", list(&["*:latest"]), image("ghcr.io/a"), "image", image("busybox:1")),
        ("images.deny", list(&["busybox:*"]), image("docker.io/library/busybox:1"), "image", image("alpine")),
        ("registries.allow", list(&["*.example.com"]), image("busybox"), "image", image("x.example.com/a")),
        ("registries.allow", list(&["Index.Docker.io"]), image("quay.io/a"), "image", image("busybox")),
        (
            "host_paths.allow",
            list(&["/data", "/ref:ro"]),
            vec![("volumes", volume("host_path", "/ref/a", false))],
            "volumes[0].host_path",
            vec![("volumes", volume("host_path", "/data/a", false))],
        ),
        (
            "host_paths.allow",
            list(&["/data"]),
            vec![("volumes", volume("host_path", "/database", true))],
            "volumes[0].host_path",
            vec![("volumes", volume("volume", "database", true))],
        ),
        (
            "volumes.allow",
            list(&["scratch-*", "ref:ro"]),
            vec![("volumes", volume("volume", "ref", false))],
            "volumes[0].volume",
            vec![("volumes", volume("volume", "scratch-1", false))],
        ),
        ("networks.allow", list(&["none"]), vec![("network", text("bridge"))], "network", vec![]),
        ("networks.allow", list(&["bridge"]), vec![], "network", vec![("network", text("bridge"))]),
    ]
}

fn of_amounts_and_users() -> Vec<Row> {
    let two = |first: f64, second: f64| {
        let request = |cpus: f64| map(&[("cpu_cores", Value::Float(cpus))]);
        vec![("requests", Value::List(vec![request(first), request(second)]))]
    };
    vec![
        (
            "max.cpu_cores",
            Value::Int(2),
            vec![("cpu_cores", Value::Float(2.001))],
            "cpu_cores",
            vec![("cpu_cores", Value::Int(2))],
        ),
        ("max.cpu_cores", Value::Int(2), two(1.0, 3.0), "requests[1].cpu_cores", two(1.0, 2.0)),
        ("max.memory_gb", Value::Int(1), vec![("memory_gb", Value::Int(2))], "memory_gb", vec![]),
        ("max.storage_gb", Value::Int(1), vec![("storage_gb", Value::Int(2))], "storage_gb", vec![]),
        ("max.gpu_cores", Value::Int(0), vec![("gpu_cores", Value::Float(0.5))], "gpu_cores", vec![]),
        (
            "max.timeout_s",
            Value::Int(60),
            vec![("timeout_s", Value::Int(61))],
            "timeout_s",
            vec![("timeout_s", Value::Int(60))],
        ),
        // The whole time over all attempts is the master's: no worker is told of it.
        (
            "max.timeout_s",
            Value::Int(60),
            vec![("total_timeout_s", Value::Int(60))],
            "timeout_s",
            vec![("timeout_s", Value::Float(0.5))],
        ),
        ("containers.forbid_root", Value::Bool(true), vec![], "user", vec![("user", text("1000:0"))]),
        (
            "containers.forbid_root",
            Value::Bool(true),
            vec![("user", text("0:1000"))],
            "user",
            vec![("user", text("1"))],
        ),
        (
            "containers.require_read_only_root",
            Value::Bool(true),
            vec![],
            "read_only_root",
            vec![("read_only_root", Value::Bool(true))],
        ),
        (
            "containers.secrets_as_env",
            Value::Bool(false),
            vec![("secrets", secret("env", "TOKEN"))],
            "secrets[0].env",
            vec![("secrets", secret("file", "/run/secrets/token"))],
        ),
    ]
}

/// SPEC 9: "network none by default, ... host paths only from the allow-list, read-only root by option ...", "as
/// environment only by policy"; SPEC 3.1 has the fields.
#[test]
fn every_rule_denies_what_it_is_about_and_nothing_else() {
    for (path, value, wrong, field, right) in of_images_and_places().into_iter().chain(of_amounts_and_users()) {
        let policy = policy(path, value);
        assert_eq!(denied(&policy, &wrong), [format!("{field} {path}")], "{path}: {wrong:?}");
        assert_eq!(denied(&policy, &right), Vec::<String>::new(), "{path}: {right:?}");
        assert_eq!(denied(&Policy::default(), &wrong), Vec::<String>::new(), "without a word nothing is denied");
    }
}

#[test]
fn a_user_who_may_be_root_is_forbidden_however_root_is_written() {
    let policy = policy("containers.forbid_root", Value::Bool(true));
    for user in ["root", "0", "00", "0:0", "nobody", "+0", "-0", ":1", "4294967296", "1000x"] {
        assert_eq!(denied(&policy, &[("user", text(user))]), ["user containers.forbid_root"], "{user}");
    }
    for user in ["root", "0", "nobody"] {
        assert!(policy.check_exec(user).is_err(), "{user}");
        assert_eq!(Policy::default().check_exec(user), Ok(()), "{user}");
    }
    assert_eq!(policy.check_exec("1000"), Ok(()));
    for user in ["1", "1000:1000", "65534:staff"] {
        assert!(denied(&policy, &[("user", text(user))]).is_empty(), "{user}");
    }
}

#[test]
fn an_image_is_never_let_through_by_the_id_of_another() {
    for (path, pattern) in [("images.allow", "docker.io/*"), ("images.deny", "evil"), ("registries.allow", "docker.io")]
    {
        let policy = policy(path, list(&[pattern]));
        for image in ["cafe", &format!("sha256:{}", "0".repeat(64))] {
            assert_eq!(denied(&policy, &[("image", text(image))]), [format!("image {path}")], "{image}");
        }
        assert!(denied(&policy, &[("image", text("cafe:1"))]).is_empty());
    }
    assert!(denied(&Policy::default(), &[("image", text("cafe"))]).is_empty());
}

#[test]
fn deny_wins_and_an_empty_list_allows_nothing() {
    let both = map(&[("images", map(&[("allow", list(&["ghcr.io/*"])), ("deny", list(&["ghcr.io/evil/*"]))]))]);
    let both = Policy::from_value(&both).unwrap();
    assert_eq!(denied(&both, &[("image", text("ghcr.io/evil/a"))]), ["image images.deny"]);
    assert!(denied(&both, &[("image", text("ghcr.io/good/a"))]).is_empty());
    assert_eq!(denied(&policy("images.allow", list(&[])), &[]), ["image images.allow"]);
    assert_eq!(denied(&policy("networks.allow", list(&[])), &[]), ["network networks.allow"]);
    let empty = Policy::from_value(&map(&[("images", map(&[]))])).unwrap();
    assert_eq!(empty, Policy::default(), "a section says nothing by being there");
}

#[test]
fn a_denial_names_field_value_rule_and_what_is_allowed() {
    let said = |policy: &Policy, fields: &[(&str, Value)]| policy.check(&spec(fields)).unwrap_err()[0].to_string();
    let allow = policy("images.allow", list(&["ghcr.io/team/*", "busybox:1"]));
    assert_eq!(
        said(&allow, &[]),
        "image: \"busybox\" is denied by images.allow of the policy: it is docker.io/library/busybox:latest, allowed \
         are ghcr.io/team/*, busybox:1"
    );
    let timeout = policy("max.timeout_s", Value::Int(3600));
    assert_eq!(
        said(&timeout, &[]),
        "timeout_s: is denied by max.timeout_s of the policy: it is missing, name one of at most 3600 seconds"
    );
    let memory = policy("max.memory_gb", Value::Float(1.5));
    assert_eq!(
        said(&memory, &[("memory_gb", Value::Int(2))]),
        "memory_gb: 2 GiB is denied by max.memory_gb of the policy: at most 1.5 GiB is allowed"
    );
    let many: Vec<String> = (0..12).map(|n| format!("r{n}.io/*")).collect();
    let many = policy("images.allow", list(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(said(&many, &[]).ends_with("r9.io/* and 2 more"), "{}", said(&many, &[]));
}

#[test]
fn every_wrong_field_of_a_policy_is_named_with_what_is_allowed() {
    let rows = [
        (map(&[("imges", map(&[]))]), "imges: is no field of a policy: did you mean images?"),
        (rule("images.alow", list(&[])), "images.alow: is no field of images: did you mean allow?"),
        (rule("capabilities.add", list(&["SYS_ADMIN"])), "capabilities.add: is no field of capabilities"),
        (map(&[("images", list(&["a"]))]), "images: a list of 1 must be a section with any of allow, deny"),
        (rule("images.allow", text("a")), "images.allow: \"a\" must be a list of texts"),
        (rule("images.allow", Value::List(vec![Value::Int(1)])), "images.allow[0]: 1 must be a text"),
        (rule("images.deny", list(&["a", "a b"])), "images.deny[1]: \"a b\" must be 1 to 512 characters"),
        (rule("registries.allow", list(&["ghcr.io/a"])), "registries.allow[0]: \"ghcr.io/a\" must be the host"),
        (rule("host_paths.allow", list(&["data"])), "host_paths.allow[0]: \"data\" must be an absolute path"),
        (rule("host_paths.allow", list(&["/a/../b"])), "host_paths.allow[0]: \"/a/../b\" must be an absolute path"),
        (rule("volumes.allow", list(&["/data"])), "volumes.allow[0]: \"/data\" must be a pattern of volumes' names"),
        (rule("networks.allow", list(&["host"])), "networks.allow[0]: \"host\" is no network of a container"),
        (rule("capabilities.drop", list(&["SYS_ADMIN"])), "capabilities.drop[0]: \"SYS_ADMIN\" is none that"),
        (rule("max.cpu_cores", Value::Int(0)), "max.cpu_cores: 0 must be a number: allowed are 0.001 to 4096 cores"),
        (rule("max.memory_gb", text("4g")), "max.memory_gb: \"4g\" must be a number: allowed are 6 MiB to 64 TiB"),
        (rule("max.timeout_s", Value::Float(0.5)), "max.timeout_s: 0.5 must be a number: allowed are 1 second"),
        (rule("max.pids", Value::Int(15)), "max.pids: 15 must be a whole number from 16 to 4096"),
        (rule("max.pids", Value::Int(4097)), "max.pids: 4097 must be a whole number from 16 to 4096"),
        (rule("containers.forbid_root", text("yes")), "containers.forbid_root: \"yes\" must be true or false"),
        (text("images"), "policy: is a text: expected sections"),
    ];
    for (document, said) in rows {
        let SpecError(errors) = Policy::from_value(&document).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().starts_with(said), "{} / {said}", errors[0]);
    }
    let two = map(&[("images", map(&[("allow", Value::Null), ("x", Value::Null)])), ("y", Value::Null)]);
    let SpecError(errors) = Policy::from_value(&two).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["y", "images.x"]);
}

/// SPEC 9: "all capabilities dropped but a short list, pids limit": a policy makes both smaller, never larger.
#[test]
fn a_policy_takes_capabilities_and_processes_away_and_gives_none() {
    assert_eq!(Policy::default().capabilities(), CAPABILITIES);
    assert_eq!(Policy::default().pids(), PIDS);
    let dropped = policy("capabilities.drop", list(&["KILL", "cap_setuid"]));
    assert_eq!(dropped.capabilities(), ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "NET_BIND_SERVICE"]);
    assert!(policy("capabilities.drop", list(&["ALL"])).capabilities().is_empty());
    assert_eq!(policy("max.pids", Value::Int(64)).pids(), 64);
    assert!(policy("containers.require_user_namespaces", Value::Bool(true)).wants_user_namespaces());
}

#[test]
fn a_denial_becomes_a_wrong_field_of_the_same_path() {
    let denied = policy("networks.allow", list(&["bridge"])).check(&spec(&[])).unwrap_err().remove(0);
    let field = FieldError::from(denied.clone());
    assert_eq!((field.path, field.value), (denied.path, denied.value));
    assert!(LIVE.contains(&"network"));
}

fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

/// Documents of policies, most of which deny something.
fn policies() -> impl Strategy<Value = Policy> {
    let images = one_of(&["*", "busybox", "ghcr.io/*", "*:1", "docker.io/library/*"]);
    let paths = one_of(&["/data", "/data:ro", "/", "/ref:ro"]);
    let volumes = one_of(&["*", "a*:ro", "b"]);
    let networks = one_of(&["none", "bridge"]);
    let flags = prop::collection::vec(any::<bool>(), 4);
    let sizes = prop::collection::vec(prop::option::of(1i64..5), 4);
    (images, paths, volumes, networks, flags, sizes, prop::option::of(1i64..100)).prop_map(
        |(image, path, volume, network, flags, sizes, timeout)| {
            let names = ["cpu_cores", "memory_gb", "storage_gb", "gpu_cores", "timeout_s"];
            let sizes = sizes.into_iter().chain([timeout]);
            let max: Vec<_> =
                names.into_iter().zip(sizes).filter_map(|(n, size)| Some((n, Value::Int(size?)))).collect();
            let names = ["forbid_root", "require_user_namespaces", "require_read_only_root", "secrets_as_env"];
            let flags: Vec<_> = names.into_iter().zip(flags).map(|(name, flag)| (name, Value::Bool(flag))).collect();
            let allow = |pattern: &str| map(&[("allow", list(&[pattern]))]);
            let document = map(&[
                ("images", allow(image)),
                ("host_paths", allow(path)),
                ("volumes", allow(volume)),
                ("networks", map(&[("allow", list(&["none", network]))])),
                ("max", map(&max)),
                ("containers", map(&flags)),
            ]);
            Policy::from_value(&document).unwrap()
        },
    )
}

/// Tasks that policies may deny, with several requests or one.
fn specs() -> impl Strategy<Value = TaskSpec> {
    let image = one_of(&["busybox", "busybox:1", "ghcr.io/a:1", "team/a", "cafe"]);
    let origin = one_of(&["", "/data/a", "/ref", "/etc", "a1", "b", "c"]);
    let user = one_of(&["", "0", "1000", "nobody"]);
    let amounts = prop::collection::vec(0.5f64..6.0, 4);
    let switches = prop::collection::vec(any::<bool>(), 5);
    (image, origin, user, amounts, switches, prop::option::of(1i64..120)).prop_map(
        |(image, origin, user, amounts, switches, timeout)| {
            let mut fields = vec![
                ("image", text(image)),
                ("memory_gb", Value::Float(amounts[1])),
                ("storage_gb", Value::Float(amounts[2])),
                ("gpu_cores", Value::Int(i64::from(switches[0]))),
                ("read_only_root", Value::Bool(switches[1])),
                ("network", text(if switches[2] { "bridge" } else { "none" })),
                ("total_timeout_s", Value::Int(500)),
            ];
            let request = |cpus: f64| map(&[("cpu_cores", Value::Float(cpus))]);
            if switches[3] {
                fields.push(("requests", Value::List(vec![request(amounts[0]), request(amounts[3] + 10.0)])));
            } else {
                fields.push(("cpu_cores", Value::Float(amounts[0])));
            }
            if !origin.is_empty() {
                let field = if origin.starts_with('/') { "host_path" } else { "volume" };
                fields.push(("volumes", volume(field, origin, switches[4])));
            }
            if !user.is_empty() {
                fields.push(("user", text(user)));
            }
            if let Some(timeout) = timeout {
                fields.push(("timeout_s", Value::Int(timeout)));
            }
            TaskSpec::from_value(&map(&fields)).unwrap()
        },
    )
}

proptest! {
    /// The same document stands at the master and at its workers: what the master lets through no worker refuses,
    /// though a worker sees only the part of the task that concerns it, and one of its requests.
    #[test]
    fn what_passes_at_the_master_passes_by_the_same_policy_at_a_worker(policy in policies(), spec in specs()) {
        if policy.check(&spec).is_ok() {
            for number in 0..spec.requests() {
                let number = u8::try_from(number).unwrap();
                let taken = TaskSpec { demand: spec.request(number).clone(), alternatives: Vec::new(), ..spec.clone() };
                let heard = TaskSpec::from_value(&taken.for_worker()).unwrap();
                prop_assert_eq!(policy.check(&heard), Ok(()));
            }
        }
    }

    /// No document is a panic.
    #[test]
    fn any_texts_are_read_or_refused(
        section in "[a-z_]{0,12}",
        name in "[a-z_]{0,8}",
        texts in prop::collection::vec(".{0,20}", 0..3),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let Ok(policy) = Policy::from_value(&map(&[(section.as_str(), map(&[(name.as_str(), list(&texts))]))])) {
            let _ = policy.check(&spec(&[]));
        }
        for path in ["images.allow", "images.deny", "registries.allow", "volumes.allow", "host_paths.allow"] {
            if let Ok(policy) = Policy::from_value(&rule(path, list(&texts))) {
                let _ = policy.check(&spec(&[]));
            }
        }
    }
}
