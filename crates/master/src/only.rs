//! Under which condition something stored is changed, so that two who edit it do not undo each other's work.

use sha2::{Digest, Sha256};

/// Under which condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Only {
    /// Under none.
    #[default]
    Always,
    /// It is not there yet.
    IfNew,
    /// It is there.
    IfThere,
    /// It is there and has one of these tags.
    If(Vec<String>),
}

impl Only {
    /// Whether it holds for something with this tag; none of what is not there.
    pub(crate) fn holds(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Always => true,
            Self::IfNew => tag.is_none(),
            Self::IfThere => tag.is_some(),
            Self::If(tags) => tag.is_some_and(|tag| tags.iter().any(|known| known == tag)),
        }
    }
}

/// The tag of what is stored as this text: another text has another.
pub(crate) fn tag(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hex::encode(hash.iter().take(16).copied().collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_for_what_it_names_and_nothing_else() {
        let one = Only::If(vec!["a".into(), "b".into()]);
        let rows = [
            (Only::Always, [true, true, true]),
            (Only::IfNew, [true, false, false]),
            (Only::IfThere, [false, true, true]),
            (one, [false, true, false]),
        ];
        for (only, expected) in rows {
            assert_eq!([None, Some("b"), Some("c")].map(|tag| only.holds(tag)), expected, "{only:?}");
        }
    }

    #[test]
    fn another_text_has_another_tag() {
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
        assert_eq!(tag("a").len(), 32);
    }
}
