//! Addresses as they may be shown.

/// Instead of what nobody else may know.
pub(crate) const HIDDEN: &str = "(hidden)";

/// `scheme://user:password@host` to `scheme://(hidden)@host`, wherever it stands in a text.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "/\"'<>".contains(c)).unwrap_or(part.len());
        kept.push_str("://");
        match part[..end].rfind('@') {
            Some(at) => {
                kept.push_str(HIDDEN);
                kept.push_str(&part[at..]);
            }
            None => kept.push_str(part),
        }
    }
    kept
}
