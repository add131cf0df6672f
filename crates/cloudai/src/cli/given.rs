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
