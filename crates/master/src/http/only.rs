//! `ETag`, `If-Match` and `If-None-Match` of what is stored and edited.

use super::problem::{Code, Problem};
use crate::only::Only;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

/// Under which condition a request changes something.
pub(super) fn only(headers: &HeaderMap) -> Result<Only, Problem> {
    match (list(headers, IF_MATCH, "If-Match")?, list(headers, IF_NONE_MATCH, "If-None-Match")?) {
        (None, None) => Ok(Only::Always),
        (Some(tags), None) if tags == ["*"] => Ok(Only::IfThere),
        (Some(tags), None) => Ok(Only::If(tags.into_iter().map(|tag| tag.trim_matches('"').to_owned()).collect())),
        (None, Some(tags)) if tags == ["*"] => Ok(Only::IfNew),
        (None, Some(_)) => Err(Problem::field("If-None-Match", "takes *: only if there is none of this name yet")),
        (Some(_), Some(_)) => Err(Problem::field("If-None-Match", "is given together with If-Match: give one of them")),
    }
}

/// The entries of a header that may hold several.
fn list(headers: &HeaderMap, name: HeaderName, shown: &str) -> Result<Option<Vec<String>>, Problem> {
    let mut tags = Vec::new();
    for value in headers.get_all(&name) {
        let text = value.to_str().map_err(|_| Problem::field(shown, "must be plain ASCII"))?;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()));
    }
    // A weak tag keeps its mark: it promises nothing about the bytes, and never is the one.
    Ok(headers.contains_key(&name).then_some(tags))
}

/// The answer with the tag of what it shows.
pub(super) fn tagged(tag: &str, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// It is not what the caller takes it for.
pub(super) fn changed(what: &str) -> Problem {
    let why = format!("the {what} is not what If-Match or If-None-Match says: somebody changed it, or removed it");
    Problem::new(Code::Changed, why).next("GET it, make your change in what is there now, and send that with its ETag")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Only, Problem> {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        only(&pairs.collect())
    }

    #[test]
    fn a_condition_is_read_from_either_header() {
        let is = |tags: &[&str]| Only::If(tags.iter().map(|tag| (*tag).to_owned()).collect());
        let rows = [
            (&[("if-match", "*")][..], Only::IfThere),
            (&[], Only::Always),
            (&[("if-none-match", "*")], Only::IfNew),
            (&[("if-match", "\"3\"")], is(&["3"])),
            (&[("if-match", "\"3\", \"4\"")], is(&["3", "4"])),
            (&[("if-match", "W/\"3\"")], is(&["W/\"3"])),
            (&[("if-match", "")], is(&[])),
        ];
        for (headers, expected) in rows {
            assert_eq!(read(headers).unwrap(), expected, "{headers:?}");
        }
        assert!(read(&[("if-none-match", "\"3\"")]).is_err());
        assert!(read(&[("if-none-match", "*"), ("if-match", "*")]).is_err());
    }
}
