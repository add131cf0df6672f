//! Takes what nobody else may know out of texts.

use crate::addresses::{HIDDEN, without_passwords};

/// Shorter ones would hide half of every text.
const SHORTEST: usize = 4;
/// How a join token begins.
const TOKEN: &str = "cai1-";

/// A text without these secrets, without join tokens, and without users and passwords in addresses.
pub(super) fn without(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        text = text.replace(secret.as_str(), HIDDEN);
    }
    without_passwords(&of_tokens(&text))
}

fn of_tokens(text: &str) -> String {
    let mut parts = text.split(TOKEN);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(part.len());
        kept.push_str(HIDDEN);
        kept.push_str(&part[end..]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_tokens_and_passwords_in_addresses_are_hidden_and_nothing_else_is() {
        let rows = [
            ("a swordfish b", "a (hidden) b"),
            ("token cai1-0-00ff, next", "token (hidden), next"),
            ("tcp://bob:p@ss@127.0.0.1:2375/x", "tcp://(hidden)@127.0.0.1:2375/x"),
            ("\"http://u:p@h\" and http://h/a@b", "\"http://(hidden)@h\" and http://h/a@b"),
            ("http://127.0.0.1:8080 at x@y", "http://127.0.0.1:8080 at x@y"),
            ("of abc nothing", "of abc nothing"),
        ];
        for (text, expected) in rows {
            assert_eq!(without(text, &["swordfish".into(), "abc".into()]), expected);
        }
    }
}
