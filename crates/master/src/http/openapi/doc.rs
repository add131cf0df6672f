//! What a route says of itself, as values: parameters, body, answers. Knows nothing of the document they become.

use super::shapes::Shape;
use crate::http::problem::Code;

/// A call, for those who write clients.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Doc {
    /// The name of the call, unique: `tasks_list`.
    pub(super) id: &'static str,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// The rest of what is to be said.
    pub(super) about: &'static str,
    pub(super) params: &'static [Param],
    pub(super) body: Body,
    pub(super) answers: &'static [Answer],
    /// Problems that not every call of its kind may have.
    pub(super) problems: &'static [Code],
}

impl Doc {
    pub(in crate::http) const fn new(id: &'static str, summary: &'static str, answers: &'static [Answer]) -> Self {
        Self { id, summary, about: "", params: &[], body: Body::None, answers, problems: &[] }
    }

    pub(in crate::http) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    pub(in crate::http) const fn params(self, params: &'static [Param]) -> Self {
        Self { params, ..self }
    }

    pub(in crate::http) const fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    pub(in crate::http) const fn problems(self, problems: &'static [Code]) -> Self {
        Self { problems, ..self }
    }

    /// The same call at another path.
    pub(in crate::http) const fn named(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    /// The names of its parameters after the `?`.
    #[cfg(test)]
    pub(in crate::http) fn query(&self) -> impl Iterator<Item = &'static str> {
        self.params.iter().filter(|param| param.place == Place::Query).map(|param| param.name)
    }
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Header,
}

/// A parameter, those of the path left out: they follow from it.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Param {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
    pub(super) required: bool,
    /// What it is while nobody gives it.
    pub(super) default: Option<&'static str>,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) enum Kind {
    Text,
    /// Texts: it may be given several times.
    Texts,
    /// A whole number from and to.
    Whole(u64, u64),
    /// A number from and to.
    Number(f64, f64),
    /// True or false; the name alone means true.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, with commas between them.
    Words(&'static [&'static str]),
}

impl Param {
    const fn of(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, place: Place::Query, kind, about, required: false, default: None }
    }

    pub(in crate::http) const fn text(name: &'static str, about: &'static str) -> Self {
        Self::of(name, Kind::Text, about)
    }

    pub(in crate::http) const fn texts(name: &'static str, about: &'static str) -> Self {
        Self::of(name, Kind::Texts, about)
    }

    pub(in crate::http) const fn whole(name: &'static str, (least, most): (u64, u64), about: &'static str) -> Self {
        Self::of(name, Kind::Whole(least, most), about)
    }

    pub(in crate::http) const fn number(name: &'static str, (least, most): (f64, f64), about: &'static str) -> Self {
        Self::of(name, Kind::Number(least, most), about)
    }

    pub(in crate::http) const fn flag(name: &'static str, about: &'static str) -> Self {
        Self::of(name, Kind::Flag, about)
    }

    pub(in crate::http) const fn word(name: &'static str, words: &'static [&'static str], about: &'static str) -> Self {
        Self::of(name, Kind::Word(words), about)
    }

    pub(in crate::http) const fn words(
        name: &'static str,
        words: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self::of(name, Kind::Words(words), about)
    }

    pub(in crate::http) const fn header(name: &'static str, about: &'static str) -> Self {
        Self { place: Place::Header, ..Self::of(name, Kind::Text, about) }
    }

    pub(in crate::http) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(in crate::http) const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// What is sent along.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) enum Body {
    None,
    Json(Shape),
    /// JSON that may be left out.
    Perhaps(Shape),
    /// Bytes, which are said to be so.
    Bytes,
}

/// What comes back when all goes well.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Answer {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) content: Content,
    /// A header that it has, and what stands in it.
    pub(super) header: Option<(&'static str, &'static str)>,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Nothing,
    Json(Shape),
    /// JSON, or the same as another type.
    JsonOr(Shape, &'static str),
    /// Of one of these types.
    Raw(&'static [&'static str]),
}

impl Answer {
    pub(in crate::http) const fn json(status: u16, about: &'static str, shape: Shape) -> Self {
        Self { status, about, content: Content::Json(shape), header: None }
    }

    pub(in crate::http) const fn json_or(status: u16, about: &'static str, shape: Shape, other: &'static str) -> Self {
        Self { status, about, content: Content::JsonOr(shape, other), header: None }
    }

    pub(in crate::http) const fn raw(status: u16, about: &'static str, types: &'static [&'static str]) -> Self {
        Self { status, about, content: Content::Raw(types), header: None }
    }

    pub(in crate::http) const fn nothing(status: u16, about: &'static str) -> Self {
        Self { status, about, content: Content::Nothing, header: None }
    }

    pub(in crate::http) const fn with(self, header: &'static str, about: &'static str) -> Self {
        Self { header: Some((header, about)), ..self }
    }
}
