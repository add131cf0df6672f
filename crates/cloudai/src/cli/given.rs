//! `--volume`, `--secret` and `--secret-env`: what a task is given of its worker's host and of stored secrets.

use crate::config::key_value;
use crate::exit::Failure;
use cloudai_core::spec::Value;

/// The entry of `volumes` that `SOURCE[:PLACE][:rw|:ro]` means; its own rules are the core's.
pub(super) fn volume(text: &str) -> Result<Value, String> {
    let (rest, read_only) = match text.strip_suffix(":rw") {
        Some(rest) => (rest, false),
        None => (text.strip_suffix(":ro").unwrap_or(text), true),
    };
    let source = rest.split_once(':').map_or(rest, |(source, _)| source);
    if !source.starts_with('/') && (source.starts_with(['.', '~']) || source.contains('/')) {
        return Err(format!(
            "{text:?} is no volume: its source must be an absolute path on the worker's host, as /data:/mnt, or the name of \
             a volume of its engine, as scratch:/mnt; a file or folder of this machine is sent with --input {}",
            text.strip_suffix(":ro").unwrap_or(text)
        ));
    }
    let expected = "expected /FOLDER, /FOLDER:/PLACE or VOLUME:/PLACE, with :rw behind what is to be written to";
    let (source, place) = match rest.split_once(':') {
        Some((source, place)) if place.starts_with('/') && !place.contains(':') => (source, place),
        None if rest.starts_with('/') => (rest, rest),
        Some(_) | None => return Err(format!("{text:?} names no volume and its place: {expected}")),
    };
    let kind = if source.starts_with('/') { "host_path" } else { "volume" };
    let field = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    let mut fields = vec![field(kind, source), field("container_path", place)];
    if !read_only {
        fields.push(("read_only".into(), Value::Bool(false)));
    }
    Ok(Value::Map(fields))
}

/// The entry of `secrets` that `NAME[:PLACE]` means.
pub(super) fn secret_file(text: &str) -> Result<Value, String> {
    let (name, place) = match text.split_once(':') {
        Some((_, place)) if place.contains(':') => {
            return Err(format!(
                "{text:?} has an ending behind the place: secrets are only read, expected NAME or NAME:PLACE"
            ));
        }
        Some((name, place)) => (name, place.to_owned()),
        None => (text, format!("/run/secrets/{text}")),
    };
    Ok(secret(name, "file", place))
}

/// The entry of `secrets` that `VARIABLE=NAME` means.
pub(super) fn secret_variable(text: &str) -> Result<Value, String> {
    let (variable, name) = key_value(text).map_err(|_| format!("{text:?} names no secret: expected VARIABLE=NAME"))?;
    Ok(secret(&name, "env", variable))
}

/// The flag by which a wrong field of `secrets` was given, where a flag gave it; `given` are those that flags gave.
pub(super) fn secret_flag(path: &str, given: &Value) -> String {
    let by = |field: &str| {
        let has = |one: &Value| matches!(one, Value::Map(fields) if fields.iter().any(|(name, _)| name == field));
        matches!(given, Value::List(all) if all.iter().any(has))
    };
    let flag = match (by("file"), by("env")) {
        (_, true) if path.ends_with(".env") => "--secret-env",
        (true, _) if path.ends_with(".file") => "--secret",
        (true, true) => "--secret or --secret-env",
        (false, true) => "--secret-env",
        (_, false) => "--secret",
    };
    flag.into()
}

fn secret(name: &str, place: &str, at: String) -> Value {
    Value::Map(vec![("name".into(), Value::Text(name.into())), (place.into(), Value::Text(at))])
}

/// Whether no two flags say what is at the same place: one would be lost without a word. Over what a file says a flag may go.
/// # Errors
/// The place that two of them name.
pub(super) fn apart(flag: &str, key: &str, all: &[Value]) -> Result<(), Failure> {
    let mut seen = Vec::new();
    for one in all {
        let Value::Map(fields) = one else { continue };
        let Some((_, Value::Text(place))) = fields.iter().find(|(name, _)| name == key) else { continue };
        if seen.contains(&place) {
            return Err(
                Failure::usage(format!("{flag} says twice what is at {place}")).why("each needs a place of its own")
            );
        }
        seen.push(place);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_read_as_engines_read_it_but_read_only_unless_said() {
        let rows = [
            ("/data", r#"{"host_path": "/data", "container_path": "/data"}"#),
            ("/data:ro", r#"{"host_path": "/data", "container_path": "/data"}"#),
            ("/data:/mnt", r#"{"host_path": "/data", "container_path": "/mnt"}"#),
            ("/data:/mnt:rw", r#"{"host_path": "/data", "container_path": "/mnt", "read_only": false}"#),
            ("scratch:/mnt:rw", r#"{"volume": "scratch", "container_path": "/mnt", "read_only": false}"#),
        ];
        for (text, expected) in rows {
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(volume(text).unwrap(), expected, "{text}");
        }
        for bad in ["", "scratch", "scratch:mnt", "/a:/b:/c", "/data:/mnt:wr"] {
            assert!(volume(bad).unwrap_err().contains("expected /FOLDER"), "{bad}");
        }
        for local in ["./data:/x", "./data", "../data:/x:rw", "data/sub:/x", "~/data:/x", "."] {
            let told = volume(local).unwrap_err();
            assert!(told.contains("absolute path") && told.ends_with(&format!("--input {local}")), "{told}");
        }
        assert!(volume("./data:/x:ro").unwrap_err().ends_with("--input ./data:/x"));
    }

    #[test]
    fn a_wrong_secret_is_told_by_the_flag_that_gave_it() {
        let (file, env) = (secret_file("token").unwrap(), secret_variable("TOKEN=token").unwrap());
        let flag = |path: &str, all: &[&Value]| secret_flag(path, &Value::List(all.iter().copied().cloned().collect()));
        assert_eq!(flag("secrets[0].name", &[&file]), "--secret");
        assert_eq!(flag("secrets[0].name", &[&env]), "--secret-env");
        assert_eq!(flag("secrets[1].env", &[&file, &env]), "--secret-env");
        assert_eq!(flag("secrets[0].file", &[&file, &env]), "--secret");
        assert_eq!(flag("secrets[0].name", &[&file, &env]), "--secret or --secret-env");
    }

    #[test]
    fn two_flags_for_one_place_are_a_mistake_and_a_secret_is_not_written_to() {
        let two =
            |one: &str, other: &str| apart("-v", "container_path", &[volume(one).unwrap(), volume(other).unwrap()]);
        assert!(two("/a:/x", "/b:/x:rw").unwrap_err().to_string().contains("twice what is at /x"));
        assert!(two("/a:/x", "/a:/y").is_ok());
        assert!(secret_file("token:/etc/k:rw").unwrap_err().contains("only read"));
    }
}
