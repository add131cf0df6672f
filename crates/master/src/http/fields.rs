//! The fields of a small document: each is read by name, every wrong one is named, unknown ones are refused. As
//! `query.rs` does for parameters.

use super::dto::FieldProblem;
use super::problem::{Code, Problem};
use cloudai_core::spec::Value;
use zeroize::Zeroizing;

/// The largest of these documents: names and passwords.
pub(super) const MAX_FIELDS: usize = 64 << 10;

/// The fields of one document. [`Fields::close`] refuses what nobody asked for.
pub(super) struct Fields {
    given: Vec<(String, Value)>,
    known: Vec<&'static str>,
    errors: Vec<FieldProblem>,
}

impl Fields {
    /// Of a document that is a map.
    pub(super) fn of(document: Value) -> Result<Self, Problem> {
        match document {
            Value::Map(given) => Ok(Self { given, known: Vec::new(), errors: Vec::new() }),
            other => {
                Err(Problem::new(Code::Invalid, format!("the body is {}: a map of fields was expected", other.kind())))
            }
        }
    }

    /// Of a document that may be left out.
    pub(super) fn of_any(document: Option<Value>) -> Result<Self, Problem> {
        Self::of(document.unwrap_or_else(|| Value::Map(Vec::new())))
    }

    /// A text that may be left out, or be null.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::Text(text) => Some(text),
            other => {
                self.wrong(name, None, format!("is {}: a text was expected", other.kind()));
                None
            }
        }
    }

    /// The same for what is shown to nobody.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        self.text(name).map(Zeroizing::new)
    }

    /// A text in a form of its own, that may be left out.
    pub(super) fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.wrong(name, Some(&text), problem);
                None
            }
        }
    }

    /// A truth value that may be left out.
    pub(super) fn truth(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(truth) => Some(truth),
            other => {
                self.wrong(name, None, format!("is {}: true or false was expected", other.kind()));
                None
            }
        }
    }

    /// A whole number from 1 on that may be left out.
    pub(super) fn count(&mut self, name: &'static str, most: u64) -> Option<u64> {
        let found = match self.take(name)? {
            Value::Int(number) => u64::try_from(number).ok().filter(|number| (1..=most).contains(number)),
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        };
        if found.is_none() {
            self.wrong(name, None, format!("is no whole number from 1 to {most}"));
        }
        found
    }

    /// A list of texts, each in a form of its own.
    pub(super) fn list<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let Value::List(items) = self.take(name)? else {
            self.wrong(name, None, "is no list of names");
            return None;
        };
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let parsed = match &item {
                Value::Text(text) => parse(text).map_err(|problem| (Some(text.as_str()), problem)),
                other => Err((None, format!("has {}: a list of names was expected", other.kind()))),
            };
            match parsed {
                Ok(value) => all.push(value),
                Err((value, problem)) => self.wrong(name, value, problem),
            }
        }
        Some(all)
    }

    /// What must be there; none is noted as wrong.
    pub(super) fn needed<T>(&mut self, name: &'static str, found: Option<T>) -> Option<T> {
        if found.is_none() && !self.errors.iter().any(|error| error.path == name) {
            self.wrong(name, None, "is missing");
        }
        found
    }

    /// Notes that a field is wrong.
    pub(super) fn wrong(&mut self, name: &str, value: Option<&str>, problem: impl Into<String>) {
        let value = value.map(|value| format!("{:?}", value.chars().take(80).collect::<String>()));
        self.errors.push(FieldProblem { path: name.into(), value, problem: problem.into() });
    }

    /// Ends the reading: refuses everything wrong and everything that was never asked for. No value of those is told: it
    /// may be a password under a wrong name.
    pub(super) fn close(&mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.given) {
            let shown: String = name.chars().take(80).collect();
            let problem = if self.known.iter().any(|known| *known == name) {
                "is given twice".to_owned()
            } else if self.known.is_empty() {
                "is unknown: there are no fields".to_owned()
            } else {
                format!("is unknown: there are {}", self.known.join(", "))
            };
            self.wrong(&shown, None, problem);
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(std::mem::take(&mut self.errors))) }
    }

    /// The first of a name; null is none.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let place = self.given.iter().position(|(given, _)| given == name)?;
        let (_, value) = self.given.remove(place);
        (value != Value::Null).then_some(value)
    }
}

/// What was read, once nothing is wrong; what is needed and missing is noted by then.
pub(super) fn missing() -> Problem {
    Problem::new(Code::Invalid, "a field is missing")
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::refused;
    use super::*;

    fn of(json: &str) -> Fields {
        Fields::of(serde_json::from_str(json).unwrap()).unwrap_or_else(|_| panic!("{json} is no map"))
    }

    #[tokio::test]
    async fn every_wrong_field_is_named_at_once_and_no_value_of_an_unknown_one() {
        let mut fields = of(r#"{"name": 7, "role": "root", "disabled": "no", "days": 0, "members": ["ann", 1, "-"],
                                "pasword": "hush", "name": "x"}"#);
        assert_eq!(fields.text("name"), None);
        assert_eq!(fields.parsed("role", |_| Err::<(), _>("is no role".into())), None);
        assert_eq!(fields.truth("disabled"), None);
        assert_eq!(fields.count("days", 9), None);
        let parse = |text: &str| if text == "-" { Err("is no name".into()) } else { Ok(text.to_owned()) };
        assert_eq!(fields.list("members", parse).unwrap(), ["ann"]);
        let password = fields.secret("password");
        assert!(fields.needed("password", password).is_none());
        let said = refused(fields.close().unwrap_err()).await;
        let paths: Vec<&str> = said.iter().map(|(path, _)| path.as_str()).collect();
        let expected = ["name", "role", "disabled", "days", "members", "members", "password", "pasword", "name"];
        assert_eq!(paths, expected, "{said:?}");
        assert!(said.iter().all(|(_, problem)| !problem.contains("hush")), "{said:?}");
        assert!(said[7].1.contains("there are name, role, disabled, days, members, password"), "{said:?}");
        assert!(said[8].1.contains("given twice"), "{said:?}");
    }

    #[test]
    fn null_is_left_out() {
        let mut fields = of(r#"{"name": null, "days": 3}"#);
        assert_eq!((fields.text("name"), fields.count("days", 9)), (None, Some(3)));
        assert!(fields.close().is_ok());
        assert!(Fields::of(Value::List(Vec::new())).is_err());
        assert!(Fields::of_any(None).unwrap_or_else(|_| panic!("none is a map")).close().is_ok());
    }
}
