//! `/api/v1/strategies`: what can place, what does, and what it is told of run times.

use super::dto::{FieldProblem, Figures, KindOfTask, Knob, List, Predictions, Strategies, Strategy};
use super::extract::{Caller, Document};
use super::problem::Problem;
use super::query::Parameters;
use crate::choice::Chosen;
use crate::handle::Handle;
use crate::handle::strategy;
use axum::Json;
use axum::extract::State;
use cloudai_core::predict;
use cloudai_core::spec::Value;
use cloudai_core::strategy::knobs::Knob as Known;
use cloudai_core::strategy::{Knobs, about, names};
use cloudai_core::text::distance;

/// A name and some numbers.
pub(super) const MAX_BODY: usize = 16 * 1024;
/// Kinds of tasks, unless another number is asked for, and at most.
const KINDS: usize = 100;
const MOST: usize = 1_000;

/// Every strategy, which places now, and the knobs.
pub(super) async fn list(
    Caller(_who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
) -> Result<Json<Strategies>, Problem> {
    query.close()?;
    Ok(Json(show(handle.strategy())))
}

/// Lets another strategy place, or the same with other knobs.
pub(super) async fn set(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    body: Document<MAX_BODY>,
) -> Result<Json<Strategies>, Problem> {
    query.close()?;
    let chosen = read(&body.parse()?, handle.strategy().knobs).map_err(Problem::fields)?;
    handle.set_strategy(&who, chosen).await?;
    Ok(Json(show(chosen)))
}

/// What is known of run times.
pub(super) async fn predictions(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Predictions>, Problem> {
    let limit = query.whole("limit", 1..=MOST as u64).and_then(|limit| usize::try_from(limit).ok());
    query.close()?;
    let known = handle.predictions(&who, limit.unwrap_or(KINDS)).await?;
    Ok(Json(shown(&known)))
}

/// The strategy of a document; every wrong field is named. Knobs that are left out stay as they are.
fn read(document: &Value, mut knobs: Knobs) -> Result<Chosen, Vec<FieldProblem>> {
    let wrong = |path: &str, value: Option<&Value>, problem: String| FieldProblem {
        path: path.chars().take(80).collect(),
        value: value.map(ToString::to_string),
        problem,
    };
    let Value::Map(fields) = document else {
        return Err(vec![wrong("strategy", None, "must be a map, as {\"name\": \"greedy\"}".into())]);
    };
    let (mut chosen, mut errors, mut named) = (None, Vec::new(), false);
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("name", Value::Text(name)) => {
                named = true;
                chosen = Chosen::of(name, knobs);
                if chosen.is_none() {
                    errors.push(wrong(
                        "name",
                        Some(value),
                        format!("is no strategy: there are {}", names().join(", ")),
                    ));
                }
            }
            ("knobs", Value::Map(given)) => {
                for (name, value) in given {
                    if let Err(problem) = set_knob(&mut knobs, name, value) {
                        // Of what is no knob the value says nothing.
                        let value = Known::of(name).map(|_| value);
                        errors.push(wrong(&format!("knobs.{name}"), value, problem));
                    }
                }
            }
            ("knobs", Value::Null) => {}
            ("name", other) => {
                named = true;
                errors.push(wrong("name", Some(other), "must be a text".into()));
            }
            ("knobs", other) => errors.push(wrong("knobs", Some(other), "must be a map of knobs to numbers".into())),
            (other, _) => errors.push(wrong(other, None, "is unknown: there are name, knobs".into())),
        }
    }
    if !named {
        errors.push(wrong("name", None, format!("is missing: name one of {}", names().join(", "))));
    }
    match chosen {
        Some(chosen) if errors.is_empty() => Ok(chosen.with(knobs)),
        Some(_) | None => Err(errors),
    }
}

/// `null` sets the default.
fn set_knob(knobs: &mut Knobs, name: &str, value: &Value) -> Result<(), String> {
    let text = match value {
        Value::Null => Known::of(name).map_or_else(String::new, |knob| knob.default.to_string()),
        Value::Text(text) => text.clone(),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::List(_) | Value::Map(_) => value.to_string(),
    };
    knobs.set(name, &text).map_err(|_| {
        let known = Known::of(name).map(|knob| format!("is not allowed: it takes {}", knob.allowed()));
        let all: Vec<_> = Knobs::default().each().map(|(knob, _)| knob.name).collect();
        let near = all.iter().find(|known| distance(known, name) <= 2);
        let near = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
        known.unwrap_or_else(|| format!("is no knob{near}: there are {}", all.join(", ")))
    })
}

fn show(chosen: Chosen) -> Strategies {
    let strategy = |name: &str| Strategy {
        name: name.into(),
        about: about(name).unwrap_or_default().into(),
        current: name == chosen.name(),
    };
    let knob = |(knob, value): (&'static Known, f64)| Knob {
        name: knob.name.into(),
        about: knob.about.into(),
        value,
        default: knob.default,
        least: knob.least,
        most: knob.most,
    };
    Strategies {
        current: chosen.name().into(),
        items: names().into_iter().map(strategy).collect(),
        knobs: chosen.knobs.each().map(knob).collect(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "thousandths and milliseconds far below 2^53")]
fn shown(known: &strategy::Predictions) -> Predictions {
    let share = |milli: u64| milli as f64 / 1000.0;
    let figures = |figures: &predict::Figures| Figures {
        closeness: share(figures.closeness_milli),
        within_upper: share(figures.within_upper_milli),
        log2_error: share(figures.log2_error_milli),
    };
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(ToString::to_string);
    let kind = |kind: &predict::Kind| KindOfTask {
        user_id: text(&kind.user),
        image: text(&kind.image),
        command: text(&kind.command),
        runs: kind.summary.runs,
        shortest_s: share(kind.summary.lengths[0]),
        median_s: share(kind.summary.lengths[1]),
        longest_s: share(kind.summary.lengths[2]),
        mean_s: share(kind.prediction.mean),
        upper_s: share(kind.prediction.upper),
        expert: kind.prediction.expert.as_str().into(),
        confidence: kind.prediction.confidence,
    };
    Predictions {
        runs: known.accuracy.runs,
        total: figures(&known.accuracy.total),
        recent: figures(&known.accuracy.recent),
        kinds: known.all,
        list: List { items: known.kinds.iter().map(kind).collect(), next_cursor: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<Chosen, Vec<String>> {
        let mut now = Knobs::default();
        now.set("urgency", "0.7").unwrap();
        let document: Value = serde_json::from_str(json).unwrap();
        read(&document, now)
            .map_err(|errors| errors.into_iter().map(|e| format!("{}: {}", e.path, e.problem)).collect())
    }

    #[test]
    fn knobs_that_are_left_out_stay_and_null_is_the_default() {
        let chosen = asked(r#"{"name":"balanced","knobs":{"patience":3}}"#).unwrap();
        assert_eq!(chosen.to_string(), "balanced patience=3 urgency=0.7");
        let chosen = asked(r#"{"knobs":{"urgency":null,"patience":"4.5"},"name":"greedy"}"#).unwrap();
        assert_eq!(chosen.to_string(), "greedy patience=4.5");
    }

    #[test]
    fn every_wrong_field_of_a_strategy_is_named_with_what_is_allowed() {
        let errors = asked(r#"{"name":"best","knobs":{"patience":-1,"speed":1},"x":1}"#).unwrap_err();
        let said = [
            "name: is no strategy: there are greedy, ",
            "knobs.patience: is not allowed: it takes a number from 0 to 1000",
            "knobs.speed: is no knob: there are utilization, ",
            "x: is unknown",
        ];
        assert_eq!(errors.len(), said.len(), "{errors:?}");
        assert!(errors.iter().zip(said).all(|(error, said)| error.starts_with(said)), "{errors:?}");
        assert!(asked("{}").unwrap_err()[0].starts_with("name: is missing: name one of greedy, "));
        assert!(asked("[]").unwrap_err()[0].starts_with("strategy: must be a map"));
        assert_eq!(asked(r#"{"name":1,"knobs":[]}"#).unwrap_err().len(), 2);
    }
}
