//! The text of a document in TOML, YAML or JSON. Knows nothing of the command line: `crates/fuzzing` reads with it too.

use cloudai_core::spec::Value;

/// The document of a text by the ending of its file, in lower case.
/// # Errors
/// What the reader of its form says.
pub(super) fn parse(ending: &str, text: &str) -> Result<Value, String> {
    match ending {
        "json" => serde_json::from_str(text).map_err(|error| error.to_string()),
        "toml" => toml::from_str(text).map_err(|error| error.to_string()),
        "yaml" | "yml" => serde_yaml_ng::from_str(text).map_err(|error| error.to_string()),
        _ => guess(text),
    }
}

/// A text without an ending: JSON begins with a brace, TOML does not parse as anything else.
fn guess(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    match toml::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => serde_yaml_ng::from_str(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_ending_is_read_as_what_it_is() {
        let expected = Value::Map(vec![("image".into(), Value::Text("a".into()))]);
        for text in ["{\"image\": \"a\"}", "image = \"a\"\n", "image: a\n", "# x\nimage: a"] {
            assert_eq!(guess(text), Ok(expected.clone()), "{text}");
        }
        assert!(guess("a: [").is_err());
    }
}
