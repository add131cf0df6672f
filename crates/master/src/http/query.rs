//! Query parameters: each is read by name, every wrong one is named, unknown ones are refused.

use super::dto::FieldProblem;
use super::problem::{Code, Problem};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use cloudai_core::text::distance;
use std::ops::RangeInclusive;

/// The parameters of one request. [`Parameters::close`] refuses what nobody asked for.
#[derive(Debug)]
pub(super) struct Parameters {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<FieldProblem>,
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(given) = given.map_err(|error| Problem::new(Code::Invalid, error.body_text()))?;
        Ok(Self { given, known: Vec::new(), errors: Vec::new() })
    }
}

impl Parameters {
    /// A parameter's text; an empty one counts as absent.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let mut given = self.take(name)?;
        if given.len() > 1 {
            self.wrong(name, None, "is given twice");
        }
        given.pop().filter(|text| !text.is_empty())
    }

    /// Every value of a parameter that may be given several times, in order.
    pub(super) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.take(name).unwrap_or_default()
    }

    /// A parameter in a form of its own.
    pub(super) fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.wrong(name, None, problem);
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn whole(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let allowed = if *range.end() == u64::MAX {
                format!("is no whole number from {} on", range.start())
            } else {
                format!("is no whole number from {} to {}", range.start(), range.end())
            };
            self.wrong(name, Some(&text), allowed);
        }
        number
    }

    /// A truth value; the name alone means true.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.take(name).as_deref() {
            None => false,
            Some([text]) => match text.as_str() {
                "" | "true" | "1" => true,
                "false" | "0" => false,
                other => {
                    self.wrong(name, Some(other), "is neither true nor false");
                    false
                }
            },
            Some(_) => {
                self.wrong(name, None, "is given twice");
                false
            }
        }
    }

    /// Notes that a parameter is wrong.
    pub(super) fn wrong(&mut self, name: &str, value: Option<&str>, problem: impl Into<String>) {
        let value = value.map(|value| format!("{:?}", value.chars().take(80).collect::<String>()));
        self.errors.push(FieldProblem { path: name.into(), value, problem: problem.into() });
    }

    /// Ends the reading: refuses everything wrong and everything that was never asked for.
    pub(super) fn close(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.given) {
            let problem = self.unknown(&name);
            let shown: String = name.chars().take(80).collect();
            self.wrong(&shown, None, problem);
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }

    fn unknown(&self, name: &str) -> String {
        let short: String = name.chars().take(40).collect();
        let nearest = self.known.iter().map(|known| (distance(&short, known), known)).min();
        match nearest {
            None => "is no parameter of this call: it takes none".into(),
            Some((slips, near)) if slips <= 2.max(near.len() / 3) => {
                format!("is no parameter of this call: did you mean {near}?")
            }
            Some(_) => format!("is no parameter of this call: it takes {}", self.known.join(", ")),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.known.push(name);
        let (mine, rest) = std::mem::take(&mut self.given).into_iter().partition(|(given, _)| given == name);
        self.given = rest;
        let mine: Vec<(String, String)> = mine;
        (!mine.is_empty()).then(|| mine.into_iter().map(|(_, text)| text).collect())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use axum::http::Request;
    use axum::response::IntoResponse;

    /// The parameters of a query string.
    pub(in crate::http) fn of(query: &str) -> Parameters {
        let request = Request::get(format!("/x?{query}")).body(()).unwrap();
        let Query(given) = Query::try_from_uri(request.uri()).unwrap();
        Parameters { given, known: Vec::new(), errors: Vec::new() }
    }

    /// The wrong parameters that a refusal names, with what it says of them.
    pub(in crate::http) async fn refused(problem: Problem) -> Vec<(String, String)> {
        let body = axum::body::to_bytes(problem.into_response().into_body(), 1 << 20).await.unwrap();
        let problem: super::super::dto::Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.status, 400);
        problem.errors.into_iter().map(|error| (error.path, error.problem)).collect()
    }

    #[tokio::test]
    async fn every_wrong_parameter_is_named_at_once() {
        let mut query = of("limit=0&follow=maybe&tail=3&tail=4&folow=1&zzzzzzzzz=2");
        assert_eq!(query.whole("limit", 1..=10), None);
        assert!(!query.flag("follow"));
        assert_eq!(query.whole("tail", 0..=u64::MAX), Some(4));
        let said = refused(query.close().unwrap_err()).await;
        let expected = [
            ("limit", "from 1 to 10"),
            ("follow", "neither true nor false"),
            ("tail", "given twice"),
            ("folow", "did you mean follow?"),
            ("zzzzzzzzz", "it takes limit, follow, tail"),
        ];
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for ((path, problem), (name, part)) in said.iter().zip(expected) {
            assert!(path == name && problem.contains(part), "{path}: {problem}");
        }
    }

    #[test]
    fn an_empty_parameter_is_absent_and_a_bare_flag_is_set() {
        let mut query = of("name=&follow&raw=false");
        assert_eq!(query.text("name"), None);
        assert!(query.flag("follow"));
        assert!(!query.flag("raw"));
        assert!(!query.flag("other"));
        assert!(query.close().is_ok());
    }
}
