//! What is written into a document before it is submitted for somebody: where it comes from, and under which key.

use crate::spec::Value;

/// The label of what a template made: the template's name.
pub const OF_TEMPLATE: &str = "cloudai.template";
/// The label of what a template made: the template's version.
pub const OF_VERSION: &str = "cloudai.template.version";
/// The label of what a schedule made: the schedule's name.
pub const MADE_BY: &str = "cloudai.schedule";
/// The label of what a schedule made: for which time.
pub const MADE_AT: &str = "cloudai.schedule.time";

/// The document of a task or a job with these labels, over those of the same name. What is wrong with its own labels is
/// left to whoever reads it.
#[must_use]
pub fn with_labels(document: Value, labels: &[(&str, String)]) -> Value {
    let Value::Map(mut fields) = document else { return document };
    let place = fields.iter().position(|(name, value)| name == "labels" && *value != Value::Null);
    let mut own = match place.map(|place| fields.remove(place).1) {
        Some(Value::Map(own)) => own,
        Some(wrong) => {
            fields.push(("labels".into(), wrong));
            return Value::Map(fields);
        }
        None => Vec::new(),
    };
    own.retain(|(name, _)| labels.iter().all(|(label, _)| name != label));
    own.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), Value::Text(value.clone()))));
    with_field(Value::Map(fields), "labels", Value::Map(own))
}

/// A document with a field in the place of its own.
#[must_use]
pub fn with_field(document: Value, name: &str, value: Value) -> Value {
    let Value::Map(mut fields) = document else { return document };
    fields.retain(|(field, _)| field != name);
    fields.push((name.to_owned(), value));
    Value::Map(fields)
}
