//! The audit log for people.

use super::Screen;
use super::quantity::moment;
use super::table::{Cell, Column, Table};
use cloudai_master::http::dto::audit::Row;
use jiff::Timestamp;

/// Red.
const BAD: &str = "31";

/// The table of `audit list`.
#[must_use]
pub(crate) fn list(rows: &[Row], now: Timestamp, screen: &Screen) -> String {
    let columns = [
        Column::number("ROW", 1),
        Column::text("AT", 0),
        Column::name("USER", 0),
        Column::text("FROM", 2),
        Column::name("ACTION", 0),
        Column::name("OBJECT", 1),
        Column::text("OUTCOME", 0),
        Column::number("TIMES", 3),
        Column::name("DETAILS", 4),
    ];
    let mut table = Table::new(&columns);
    for row in rows {
        let outcome = match row.outcome.as_str() {
            "ok" => Cell::from("ok"),
            other => Cell::coloured(other, BAD),
        };
        let details = if row.details.is_empty() {
            String::new()
        } else {
            // A map of texts always is JSON.
            serde_json::to_string(&row.details).unwrap_or_default()
        };
        table.row(vec![
            row.seq.to_string().into(),
            if screen.wide() { row.at.as_str().into() } else { moment(&row.at, now).into() },
            row.user.as_str().into(),
            row.from.as_deref().unwrap_or_default().into(),
            row.action.as_str().into(),
            row.object.as_deref().unwrap_or_default().into(),
            outcome,
            row.count.to_string().into(),
            details.into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}
