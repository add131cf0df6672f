//! Items from the text of a table, or of lines. Knows nothing of the command line: `crates/fuzzing` reads with it too.

use cloudai_core::spec::Value;

/// The rows of a table (RFC 4180), each a map by the names of the first row.
/// # Errors
/// What is no table, or that it has no row.
pub(super) fn rows(text: &str) -> Result<Vec<Value>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let row = names.iter().zip(&record).map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())));
        rows.push(Value::Map(row.collect()));
    }
    if rows.is_empty() { Err("it has no row behind the first, which names the values".into()) } else { Ok(rows) }
}

/// The lines that are not empty.
/// # Errors
/// There are none.
pub(super) fn lines(text: &str) -> Result<Vec<Value>, String> {
    let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<Value> = lines.map(|line| Value::Text(line.to_owned())).collect();
    if lines.is_empty() { Err("all of its lines are empty".into()) } else { Ok(lines) }
}
