//! `/api/v1/usage`: what attempts took of the cluster, as JSON and as a table for spreadsheets.

use super::audit::moment;
use super::dto::consumed::{Report, Row};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view::time;
use crate::handle::Handle;
use crate::handle::usage::{self, By};
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cloudai_store::consumed::{Consumed, HOUR};
use std::time::Duration;

/// What is told when no time is given.
const LATELY: Duration = Duration::from_secs(30 * 24 * 3600);
/// The head of the table.
const HEAD: &str = "tasks,attempts,cpu_core_hours,memory_gib_hours,gpu_hours,cpu_used_core_hours,kept_bytes";
/// Mebibytes of a GiB.
const MIB: f64 = 1024.0;

/// Adds up what was taken.
pub(super) async fn get(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let now = handle.now();
    let since = query.parsed("since", moment).unwrap_or(now - LATELY);
    let until = query.parsed("until", moment).unwrap_or(now);
    let by = query.parsed("by", read_by).unwrap_or(By::User);
    let csv = query.parsed("format", |text| match text {
        "json" => Ok(false),
        "csv" => Ok(true),
        other => Err(format!("{other:?} is no format: expected json or csv")),
    });
    if until <= since {
        query.wrong("until", None, "is not after since");
    }
    query.close()?;
    let usage::Report { since, until, rows, cut } = handle.consumption(&who, &by, (since, until)).await?;
    let items = rows.into_iter().map(shown).collect();
    let report = Report { since: time(since), until: time(until), by: word(&by), items, cut };
    if csv == Some(true) {
        return Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8")], table(&report)).into_response());
    }
    Ok(Json(report).into_response())
}

fn read_by(text: &str) -> Result<By, String> {
    match text {
        "user" => Ok(By::User),
        "project" => Ok(By::Project),
        "name" => Ok(By::Name),
        other => match other.strip_prefix("label:") {
            Some(key) if !key.is_empty() => Ok(By::Label(key.to_owned())),
            Some(_) | None => Err("takes user, project, name or label:KEY".into()),
        },
    }
}

fn word(by: &By) -> String {
    match by {
        By::User => "user".into(),
        By::Project => "project".into(),
        By::Name => "name".into(),
        By::Label(key) => format!("label:{key}"),
    }
}

fn shown(row: usage::Row) -> Row {
    let usage::Row { key, sum, kept_bytes } = row;
    let Consumed { tasks, attempts, cpu_ms, memory_mib_ms, gpu_ms, used_cpu_ms } = sum;
    Row {
        key,
        tasks,
        attempts,
        cpu_core_hours: hours(cpu_ms),
        memory_gib_hours: hours(memory_mib_ms) / MIB,
        gpu_hours: hours(gpu_ms),
        cpu_used_core_hours: hours(used_cpu_ms),
        kept_bytes,
    }
}

/// For people: the sums themselves are whole numbers.
fn hours(millis: u64) -> f64 {
    millis as f64 / HOUR as f64
}

/// Lines of values, as RFC 4180 has them.
fn table(report: &Report) -> String {
    let title = field(&report.by);
    let mut text = format!("{title},{HEAD}\r\n");
    for row in &report.items {
        let Row { key, tasks, attempts, cpu_core_hours, memory_gib_hours, gpu_hours, cpu_used_core_hours, kept_bytes } =
            row;
        let key = field(key.as_deref().unwrap_or_default());
        let kept = kept_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        text.push_str(&format!(
            "{key},{tasks},{attempts},{cpu_core_hours:.6},{memory_gib_hours:.6},{gpu_hours:.6},\
             {cpu_used_core_hours:.6},{kept}\r\n"
        ));
    }
    text
}

/// A value as it stands between commas. One that a spreadsheet would take for a formula is made a text.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_and_keeps_odd_names_apart() {
        let sum = Consumed {
            tasks: 2,
            attempts: 3,
            cpu_ms: HOUR / 2,
            memory_mib_ms: 2048 * HOUR,
            gpu_ms: HOUR,
            used_cpu_ms: HOUR / 4,
        };
        let row = |key: Option<&str>| shown(usage::Row { key: key.map(Into::into), sum, kept_bytes: None });
        let items = vec![row(None), row(Some("a,\"b\"")), row(Some("=1+1"))];
        let report = Report { since: String::new(), until: String::new(), by: "label:team".into(), items, cut: false };
        let figures = "2,3,0.500000,2.000000,1.000000,0.250000,";
        let lines = [
            format!("label:team,{HEAD}"),
            format!(",{figures}"),
            format!("\"a,\"\"b\"\"\",{figures}"),
            format!("'=1+1,{figures}"),
        ];
        assert_eq!(table(&report), lines.map(|line| line + "\r\n").concat());
    }

    #[test]
    fn what_it_is_added_up_by_is_read_and_shown_alike() {
        for text in ["user", "project", "name", "label:team"] {
            assert_eq!(word(&read_by(text).unwrap()), text);
        }
        for text in ["label:", "label", "users"] {
            assert!(read_by(text).unwrap_err().contains("label:KEY"), "{text}");
        }
    }
}
