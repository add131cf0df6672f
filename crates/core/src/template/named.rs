//! A task document that names a stored template, which says all else.

use super::wrong::{Wrong, shown};
use crate::ids::{IdError, TemplateName};
use crate::spec::{SpecError, Value};
use std::collections::BTreeMap;

/// The field that names a template.
const TEMPLATE: &str = "template";
/// What may stand beside it.
const BESIDE: [&str; 2] = ["params", "idempotency_key"];

/// What such a document says.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Which template.
    pub name: TemplateName,
    /// What it is filled with; `null` where nothing is said.
    pub params: Value,
    /// Under which key what it makes is submitted.
    pub idempotency_key: Option<String>,
}

impl Named {
    /// Reads a document; none where it names no template.
    /// # Errors
    /// All wrong fields at once, each that can not be beside a template among them.
    pub fn from_value(document: &Value) -> Result<Option<Self>, SpecError> {
        let Value::Map(entries) = document else { return Ok(None) };
        let given = || entries.iter().filter(|(_, value)| *value != Value::Null);
        if !given().any(|(name, _)| name == TEMPLATE || name == "params") {
            return Ok(None);
        }
        let (mut wrong, mut fields) = (Wrong::default(), BTreeMap::new());
        for (name, value) in given() {
            if name != TEMPLATE && !BESIDE.contains(&name.as_str()) {
                let problem =
                    "can not be beside template, which says what the task is: make it a parameter of the template";
                wrong.add(shown(name), None, problem);
            } else if fields.insert(name.as_str(), value).is_some() {
                wrong.add(name.as_str(), None, "is given twice");
            }
        }
        let name = template(fields.get(TEMPLATE).copied(), &mut wrong);
        let idempotency_key = match fields.get("idempotency_key") {
            None => None,
            Some(Value::Text(key)) => Some(key.clone()),
            Some(other) => {
                wrong.add("idempotency_key", Some(*other), "must be a text");
                None
            }
        };
        match name {
            Some(name) if wrong.is_none() => {
                let params = fields.get("params").map_or(Value::Null, |params| (*params).clone());
                Ok(Some(Self { name, params, idempotency_key }))
            }
            Some(_) | None => Err(wrong.into_error()),
        }
    }
}

fn template(given: Option<&Value>, wrong: &mut Wrong) -> Option<TemplateName> {
    match given {
        None => {
            wrong.add("params", None, "is for a template: name it, as {\"template\": \"train\", \"params\": {}}");
            None
        }
        Some(Value::Text(text)) => text.parse().map_err(|why: IdError| wrong.add(TEMPLATE, None, why.to_string())).ok(),
        Some(other) => {
            wrong.add(TEMPLATE, Some(other), "must be the name of a stored template");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Named>, SpecError> {
        Named::from_value(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_document_names_a_template_and_what_it_is_filled_with() {
        let named = read(r#"{"template": "train", "params": {"lr": 1}, "idempotency_key": "k"}"#).unwrap().unwrap();
        assert_eq!((named.name.to_string(), named.idempotency_key.as_deref()), ("train".into(), Some("k")));
        assert_eq!(named.params, Value::Map(vec![("lr".into(), Value::Int(1))]));
        assert_eq!(read(r#"{"template": "train", "image": null}"#).unwrap().unwrap().params, Value::Null);
        for text in ["7", "{}", r#"{"image": "a", "template": null, "params": null}"#] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_stands_beside_a_template_is_named() {
        let rows = [
            (r#"{"template": "t", "image": "a", "cpu_cores": 1}"#, vec!["image", "cpu_cores"]),
            (r#"{"template": "t", "params": {}, "array": 3}"#, vec!["array"]),
            (r#"{"params": {}}"#, vec!["params"]),
            (r#"{"template": 7}"#, vec!["template"]),
            (r#"{"template": "no name", "idempotency_key": 7}"#, vec!["template", "idempotency_key"]),
            (r#"{"template": "t", "template": "u"}"#, vec!["template"]),
        ];
        for (text, expected) in rows {
            let error = read(text).unwrap_err();
            let paths: Vec<&str> = error.0.iter().map(|field| field.path.as_str()).collect();
            assert_eq!(paths, expected, "{text}");
        }
    }
}
