//! What the documentation says of settings is made of their table.

use super::*;

/// The table between the marks of the document, as it must be.
fn document() -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let code = |text: &str| if text.is_empty() { "–".to_owned() } else { format!("`{}`", cell(text)) };
    let mut table = String::from(
        "| key | flag | variables | value | default | used by | what it is |\n|---|---|---|---|---|---|---|\n",
    );
    for facts in KNOWN.iter().map(|setting| setting.facts()) {
        let variables: Vec<_> = facts.variables.iter().map(|name| code(name)).collect();
        let default = match facts.fallback {
            setting::Fallback::Text(text) => code(text),
            setting::Fallback::Found(words, _) | setting::Fallback::Nothing(words) => cell(words),
        };
        let users: Vec<_> = facts.used_by.iter().map(|user| user.word()).collect();
        let allowed = if facts.allowed.is_empty() { "none yet: still to come" } else { facts.allowed };
        table.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            facts.key,
            code(facts.flag.unwrap_or_default()),
            variables.join(" "),
            cell(allowed),
            default,
            users.join(", "),
            cell(facts.about),
        ));
    }
    table
}

#[test]
fn the_document_has_every_setting_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- settings: made by `make docs` -->\n", "<!-- settings end -->\n");
    let (before, rest) = text.split_once(begin).unwrap();
    let (kept, after) = rest.split_once(end).unwrap();
    let fresh = document();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, format!("{before}{begin}{fresh}{end}{after}")).unwrap();
    } else {
        assert!(
            kept == fresh,
            "docs/configuration.md is older than crates/cloudai/src/config/known.rs: run `make docs`"
        );
    }
}
