//! What attempts took, for people.

use super::Screen;
use super::table::{Cell, Column, Table};
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::consumed::Report;

/// The table of `cluster usage`.
#[must_use]
pub(crate) fn table(report: &Report, screen: &Screen) -> String {
    let title = match report.by.as_str() {
        "user" => "USER",
        "project" => "PROJECT",
        "name" => "NAME",
        _ => "LABEL",
    };
    let columns = [
        Column::name(title, 0),
        Column::number("TASKS", 2),
        Column::number("ATTEMPTS", 3),
        Column::number("CORE-HOURS", 0),
        Column::number("GIB-HOURS", 1),
        Column::number("GPU-HOURS", 1),
        Column::number("CORE-HOURS USED", 2),
        Column::number("FILES NOW", 3),
    ];
    let mut table = Table::new(&columns);
    let hours = |number: f64| Cell::from(format!("{number:.2}"));
    for row in &report.items {
        table.row(vec![
            row.key.as_deref().unwrap_or("-").into(),
            row.tasks.to_string().into(),
            row.attempts.to_string().into(),
            hours(row.cpu_core_hours),
            hours(row.memory_gib_hours),
            hours(row.gpu_hours),
            hours(row.cpu_used_core_hours),
            row.kept_bytes.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default().into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}
