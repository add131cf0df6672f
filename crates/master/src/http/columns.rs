//! `fields=`: rows of a list with some of their fields.

use super::dto::{Job, List, Task, Worker};
use super::problem::Problem;
use super::query::Parameters;
use axum::Json;
use axum::response::{IntoResponse, Response};
use cloudai_core::text::distance;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::ToSchema;

/// What rows may have.
pub(super) type Known = LazyLock<BTreeSet<String>>;

pub(super) static OF_TASKS: Known = LazyLock::new(names::<Task>);
pub(super) static OF_JOBS: Known = LazyLock::new(names::<Job>);
pub(super) static OF_WORKERS: Known = LazyLock::new(names::<Worker>);

/// The fields of a type, as its schema tells them.
fn names<T: ToSchema>() -> BTreeSet<String> {
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// Which fields are asked for; all where nothing is said.
#[derive(Debug)]
pub(super) struct Columns(Option<BTreeSet<String>>);

impl Columns {
    pub(super) fn read(query: &mut Parameters, known: &Known) -> Self {
        Self(query.parsed("fields", |text| text.split(',').map(|word| field(word.trim(), known)).collect()))
    }

    /// The answer with a list.
    pub(super) fn answer<T: Serialize>(&self, list: List<T>) -> Result<Response, Problem> {
        let Some(wanted) = &self.0 else { return Ok(Json(list).into_response()) };
        let cut = |row: T| {
            let mut row = serde_json::to_value(row)?;
            if let Value::Object(fields) = &mut row {
                fields.retain(|name, _| wanted.contains(name));
            }
            Ok(row)
        };
        let items: Result<Vec<Value>, serde_json::Error> = list.items.into_iter().map(cut).collect();
        let items = items.map_err(|error| Problem::internal(&error))?;
        Ok(Json(List { items, next_cursor: list.next_cursor }).into_response())
    }
}

fn field(word: &str, known: &BTreeSet<String>) -> Result<String, String> {
    if known.contains(word) {
        return Ok(word.to_owned());
    }
    let short: String = word.chars().take(40).collect();
    match known.iter().map(|field| (distance(&short, field), field)).min() {
        Some((slips, near)) if slips <= 2 => Err(format!("{short:?} is no field of them: did you mean {near}?")),
        Some(_) | None => {
            let all: Vec<_> = known.iter().map(String::as_str).collect();
            Err(format!("{short:?} is no field of them: there are {}", all.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::{of, refused};
    use super::*;

    #[tokio::test]
    async fn a_field_that_rows_have_not_got_is_refused_with_the_nearest() {
        for (query, part) in [("fields=id,statsu", "did you mean status?"), ("fields=wombat", "there are ")] {
            let mut query = of(query);
            assert!(Columns::read(&mut query, &OF_TASKS).0.is_none());
            let said = refused(query.close().unwrap_err()).await;
            assert!(said[0].0 == "fields" && said[0].1.contains(part), "{said:?}");
        }
    }

    #[test]
    fn what_rows_may_have_is_what_they_are_made_of() {
        for (known, field) in [(&OF_TASKS, "image"), (&OF_JOBS, "groups"), (&OF_WORKERS, "capacity")] {
            assert!(known.contains("id") && known.contains("status") && known.contains(field), "{field}: {known:?}");
        }
    }
}
