//! `--worker`, `--constraint`, `--prefer` and `--allow-pending`: where a task may run, and where it would rather.

use super::limits::Field;
use cloudai_core::label::Constraint;
use cloudai_core::spec::Value;

/// Where a task may run.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Placement {
    /// The only worker that may run it
    #[arg(long, value_name = "ID")]
    pub(super) worker: Option<String>,
    /// What must hold of its worker's labels or facts, as 'zone = eu' or 'gpu.model in (a100, h100)'; may be repeated
    #[arg(long, value_name = "EXPR")]
    constraint: Vec<String>,
    /// What of that it would rather have, and how much: -100 to 100 behind another =, as 'zone = eu=80'; may be repeated
    /// [default: 50]
    #[arg(long, value_name = "EXPR[=WEIGHT]", value_parser = preference)]
    prefer: Vec<Value>,
    /// Accept it although no worker could run it yet
    #[arg(long)]
    allow_pending: bool,
}

impl Placement {
    /// The fields that have one value.
    pub(super) fn fields(&self) -> [Field; 2] {
        [
            ("worker_id", self.worker.clone().map(Value::Text)),
            ("allow_pending", self.allow_pending.then_some(Value::Bool(true))),
        ]
    }

    /// What is added to the lists of the document, each with its list. Two preferences of the same `expr` are one.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let constraints = self.constraint.iter().map(|text| ("constraints", Value::Text(text.clone())));
        constraints.chain(self.prefer.iter().map(|one| ("affinity", one.clone())))
    }
}

/// The entry of `affinity` that `EXPR[=WEIGHT]` means: a number behind what is an expression without it is its weight.
fn preference(text: &str) -> Result<Value, std::convert::Infallible> {
    let weighed = text.rsplit_once('=').and_then(|(expr, weight)| {
        let weight: i64 = weight.trim().parse().ok()?;
        expr.parse::<Constraint>().is_ok().then_some((expr, weight))
    });
    let expr = weighed.map_or(text, |(expr, _)| expr).trim();
    let mut fields = vec![("expr".to_owned(), Value::Text(expr.to_owned()))];
    fields.extend(weighed.map(|(_, weight)| ("weight".to_owned(), Value::Int(weight))));
    Ok(Value::Map(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_an_expression_is_its_weight() {
        let rows = [
            ("zone = eu", "zone = eu", None),
            ("zone=eu=80", "zone=eu", Some(80)),
            ("zone = eu = -5", "zone = eu", Some(-5)),
            ("exists ssd=1000", "exists ssd", Some(1000)), // the core refuses it with its range
            ("!slow=7", "!slow", Some(7)),
            ("rack = 7", "rack = 7", None),
            ("rack = 7=7", "rack = 7", Some(7)),
            ("zone in (eu, us)=9", "zone in (eu, us)", Some(9)),
            ("zone", "zone", None),
        ];
        for (text, expr, weight) in rows {
            let mut fields = vec![("expr".to_owned(), Value::Text(expr.into()))];
            fields.extend(weight.map(|weight| ("weight".to_owned(), Value::Int(weight))));
            assert_eq!(preference(text), Ok(Value::Map(fields)), "{text}");
        }
    }
}
