//! `--worker`, `--constraint`, `--prefer`, `--apart`, `--spread` and `--allow-pending`: where a task may run, and where it
//! would rather.

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
    /// A label or fact of which its worker shares none with that of a task of its name, as worker.id; may be repeated
    #[arg(long, value_name = "LABEL")]
    apart: Vec<String>,
    /// A label or fact over which it would rather be spread with tasks of its name, and how much each of these weighs:
    /// 1 to 100 behind =, as zone=80; may be repeated [default: 50]
    #[arg(long, value_name = "LABEL[=WEIGHT]", value_parser = spread)]
    spread: Vec<Value>,
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

    /// What is added to the lists of the document, each with its list and the key by which two entries of it are one.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, &'static str, Value)> {
        let text = |text: &String| Value::Text(text.clone());
        let constraints = self.constraint.iter().map(move |one| ("constraints", "expr", text(one)));
        let preferences = self.prefer.iter().map(|one| ("affinity", "expr", one.clone()));
        let apart = self.apart.iter().map(move |one| ("anti_affinity", "label", text(one)));
        let spread = self.spread.iter().map(|one| ("spread", "label", one.clone()));
        constraints.chain(preferences).chain(apart).chain(spread)
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

/// The entry of `spread` that `LABEL[=WEIGHT]` means.
fn spread(text: &str) -> Result<Value, String> {
    let (label, weight) = text.split_once('=').map_or((text, None), |(label, weight)| (label, Some(weight)));
    let mut fields = vec![("label".to_owned(), Value::Text(label.trim().to_owned()))];
    if let Some(weight) = weight {
        let weight = weight.trim().parse().map_err(|_| "expected LABEL or LABEL=WEIGHT, as zone=80".to_owned())?;
        fields.push(("weight".to_owned(), Value::Int(weight)));
    }
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

    #[test]
    fn a_number_behind_a_label_is_its_weight() {
        let label = |label: &str| ("label".to_owned(), Value::Text(label.into()));
        assert_eq!(spread("zone"), Ok(Value::Map(vec![label("zone")])));
        let weighed = vec![label("zone"), ("weight".to_owned(), Value::Int(80))];
        assert_eq!(spread("zone = 80"), Ok(Value::Map(weighed)));
        assert!(spread("zone=eu").is_err());
    }
}
