//! What constraints mean, how they are written, and what makes them hold.

use super::*;

fn constraint(text: &str) -> Constraint {
    text.parse().unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

/// `zone=eu,disk=ssd`.
fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn an_expression_holds_of_the_values_that_it_means() {
    let rows: [(&str, &[&str], bool); 30] = [
        ("zone = eu", &["eu"], true),
        ("zone = eu", &["us"], false),
        ("zone = eu", &["EU"], false),
        ("zone = eu", &[], false),
        ("zone == eu", &["eu"], true),
        ("zone != eu", &["eu"], false),
        ("zone != eu", &["us"], true),
        ("zone != eu", &[], true), // as everywhere: who has no zone is in none that is not wanted
        ("zone in (eu, us)", &["us"], true),
        ("zone in (eu, us)", &["as"], false),
        ("zone in (eu, us)", &[], false),
        ("zone notin (eu, us)", &["us"], false),
        ("zone notin (eu, us)", &["as"], true),
        ("zone not in (eu)", &[], true),
        ("exists zone", &[""], true),
        ("exists zone", &[], false),
        ("zone exists", &["eu"], true),
        ("!zone", &["eu"], false),
        ("!zone", &[], true),
        ("not exists zone", &[], true),
        ("zone not exists", &["eu"], false),
        ("gpu.model = a100", &["t4", "a100"], true),
        ("gpu.model != a100", &["t4", "a100"], false),
        ("gpu.model notin (h100, t4)", &["a100", "a100"], true),
        ("gpu.model = NVIDIA A100-SXM4-80GB", &["NVIDIA A100-SXM4-80GB"], true),
        ("a = b=c", &["b=c"], true),
        ("image = busybox", &["a:1", "busybox:latest"], true),
        ("image = docker.io/library/busybox:1", &["busybox:latest"], false),
        ("image in (a:1, busybox:1)", &["busybox:1"], true),
        ("image != busybox", &["busybox:latest"], false),
    ];
    for (text, values, holds) in rows {
        assert_eq!(constraint(text).holds(values.iter().copied()), holds, "{text} {values:?}");
    }
}

#[test]
fn every_spelling_is_shown_in_one_form_and_read_back() {
    let rows = [
        ("zone=eu", "zone = eu"),
        (" zone  ==eu ", "zone = eu"),
        ("zone in (eu)", "zone = eu"),
        ("zone!=eu", "zone != eu"),
        ("zone notin(eu)", "zone != eu"),
        ("zone in(us,eu , us)", "zone in (eu, us)"),
        ("zone not in (us, eu)", "zone notin (eu, us)"),
        ("zone exists", "exists zone"),
        ("exists = a", "exists = a"),
        ("exists exists", "exists exists"),
        ("! zone", "!zone"),
        ("not exists zone", "!zone"),
        ("not = exists", "not = exists"),
        ("in in (in)", "in = in"),
        ("example.org/disk-kind = nvme", "example.org/disk-kind = nvme"),
        ("image = docker.io/library/busybox", "image = busybox:latest"),
        ("image in (docker.io/b, a:1, b:latest)", "image in (a:1, b:latest)"),
        ("exists image", "exists image"),
        ("zone = docker.io/b", "zone = docker.io/b"),
    ];
    for (text, shown) in rows {
        assert_eq!(constraint(text).to_string(), shown, "{text}");
        assert_eq!(constraint(shown), constraint(text), "{text}");
        let stored = serde_json::to_string(&constraint(text)).unwrap();
        assert_eq!(serde_json::from_str::<Constraint>(&stored).unwrap(), constraint(text), "{stored}");
    }
}

#[test]
fn what_is_no_constraint_says_what_is() {
    let long = format!("zone = {}", "x".repeat(201));
    let long_image = format!("image = {}", "x".repeat(195));
    let longer = format!("zone in ({})", (1000..1200).map(|n| n.to_string()).collect::<Vec<_>>().join(", "));
    let rows = [
        ("", "expected zone = eu"),
        ("zone", "expected zone = eu"),
        ("zone ~ eu", "expected zone = eu"),
        ("zone > 3", "expected zone = eu"),
        ("a b = c", "expected zone = eu"),
        ("= eu", "expected zone = eu"),
        ("!", "expected zone = eu"),
        ("!a b", "expected zone = eu"),
        ("zone in eu", "expected zone = eu"),
        ("zone inside (eu)", "expected zone = eu"),
        ("exists a b", "expected zone = eu"),
        ("zone =", "has an empty value"),
        ("zone in ()", "has an empty value"),
        ("zone in (eu,)", "has an empty value"),
        ("zone = eu, us", "is no value of a label"),
        ("zone = \"eu\"", "is no value of a label"),
        ("zone = e\nu", "is no value of a label"),
        (&long, "at most 200 bytes"),
        (&long_image, "longer than 200 bytes"),
        (&longer, "at most 1024 are allowed"),
    ];
    for (text, said) in rows {
        let problem = text.parse::<Constraint>().unwrap_err();
        assert!(problem.contains(said), "{text}: {problem}");
    }
}

#[test]
fn parts_must_go_together() {
    let of = |key: &str, word: &str, values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        Constraint::of(key, Operator::of_word(word)?, values).map(|made| made.to_string())
    };
    assert_eq!(of("zone", "in", &["us", "eu"]), Ok("zone in (eu, us)".into()));
    assert_eq!(of("zone", "=", &["eu"]), Ok("zone = eu".into()));
    assert_eq!(of("zone", "exists", &[]), Ok("exists zone".into()));
    for (key, word, values, said) in [
        ("zone", "like", &["eu"][..], "no operator"),
        ("a b", "exists", &[], "no label name"),
        ("zone", "=", &["eu", "us"], "takes one value"),
        ("zone", "!=", &[], "takes one value"),
        ("zone", "in", &[], "takes values"),
        ("zone", "!", &["eu"], "takes no value"),
        ("zone", "in", &[" eu"], "no value of a label"),
    ] {
        let problem = of(key, word, values).unwrap_err();
        assert!(problem.contains(said), "{key} {word}: {problem}");
    }
}

#[test]
fn a_remedy_changes_as_few_labels_as_it_can_and_knows_when_nothing_helps() {
    let rows: [(&[&str], &str, Option<&str>); 11] = [
        (&["zone = eu"], "zone=us", Some("zone=eu")),
        (&["zone = eu"], "zone=eu", Some("")),
        (&["zone in (eu, us)", "zone != eu"], "", Some("zone=us")),
        (&["zone = eu", "zone = us"], "", None),
        (&["zone != eu", "zone != us"], "zone=us", Some("zone-")),
        (&["exists zone", "zone != true"], "", None),
        (&["exists zone"], "", Some("zone=true")),
        (&["!zone", "disk = ssd"], "zone=eu", Some("disk=ssd zone-")),
        (&["zone = a b"], "", Some("'zone=a b'")),
        (&["os = linux", "zone = eu"], "", Some("zone=eu")),
        (&["os = linux"], "", Some("")),
    ];
    for (constraints, given, words) in rows {
        let constraints: Vec<_> = constraints.iter().map(|text| constraint(text)).collect();
        let changes = remedy(&constraints, &labels(given));
        assert_eq!(changes.as_ref().map(|changes| Words(changes).to_string()).as_deref(), words, "{constraints:?}");
        let Some(changes) = changes else { continue };
        let mut after = labels(given);
        change(&mut after, &changes);
        for one in constraints.iter().filter(|one| !one.is_of_fact()) {
            assert!(one.holds(after.get(one.key()).map(String::as_str).into_iter()), "{one} of {after:?}");
        }
    }
}
