//! Files of a task, for people.

use super::Screen;
use super::quantity::{NOTHING, age};
use super::table::{Cell, Column, Table, printable};
use crate::id::short;
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::{File, KeptFile};
use jiff::Timestamp;

/// The digits of a checksum that are shown where there is not room for all.
const DIGITS: usize = 12;

/// The table of `task files`.
#[must_use]
pub(crate) fn table(files: &[File], screen: &Screen) -> String {
    let mut table = Table::new(&[Column::number("SIZE", 0), Column::text("SHA256", 1), Column::sentence("PATH")]);
    for File { path, size, sha256, .. } in files {
        let sum = if screen.wide() { sha256 } else { sha256.get(..DIGITS).unwrap_or(sha256) };
        let row: Vec<Cell> = vec![Bytes(*size).to_string().into(), sum.into(), printable(path).into()];
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

/// The table of `task files --links`: paths and addresses, none of them cut.
#[must_use]
pub(crate) fn links(rows: &[(&str, &str)], screen: &Screen) -> String {
    let mut table = Table::new(&[Column::text("PATH", 0), Column::sentence("ADDRESS")]);
    for (path, url) in rows {
        table.row(vec![printable(path).into(), printable(url).into()]);
    }
    table.render(None, screen.colour)
}

/// The table of `files`.
#[must_use]
pub(crate) fn kept(files: &[KeptFile], now: Timestamp, screen: &Screen) -> String {
    let mut columns = vec![Column::text("TASK", 0), Column::name("NAME", 2), Column::number("KEPT", 3)];
    columns.extend(screen.wide().then(|| Column::number("ATT", 5)));
    columns.extend([Column::number("SIZE", 0), Column::text("SHA256", 4), Column::sentence("PATH")]);
    columns.extend(screen.wide().then(|| Column::sentence("LOCATION")));
    let mut table = Table::new(&columns);
    for KeptFile { task_id, task_name, attempt, kept_since, file } in files {
        let id = if screen.wide() { task_id.clone() } else { short(task_id) };
        let sum: &str = if screen.wide() { &file.sha256 } else { file.sha256.get(..DIGITS).unwrap_or(&file.sha256) };
        let name = task_name.as_deref().unwrap_or(NOTHING);
        let mut row: Vec<Cell> = vec![Cell::coloured(id, "1"), name.into(), age(kept_since, now).into()];
        row.extend(screen.wide().then(|| Cell::from(attempt.to_string())));
        row.extend([Cell::from(Bytes(file.size).to_string()), Cell::from(sum), Cell::from(printable(&file.path))]);
        row.extend(screen.wide().then(|| Cell::from(file.location.as_deref().unwrap_or(NOTHING))));
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;

    #[test]
    fn kept_files_are_shown_with_their_tasks_and_wide_with_where_they_are() {
        let file: KeptFile = serde_json::from_value(serde_json::json!({
            "task_id": "task-01JD0000000000000007K3M9QZ", "task_name": null, "attempt": 2,
            "kept_since": "2026-11-21T14:02:05.000Z", "path": "a/b\n", "size": 1536, "sha256": "f".repeat(64),
            "location": "/data/x",
        }))
        .unwrap();
        let now = "2026-11-21T14:03:05Z".parse().unwrap();
        let screen = |format| Screen {
            format,
            format_given: true,
            terminal: false,
            messages_terminal: false,
            width: None,
            colour: false,
        };
        let shown = kept(std::slice::from_ref(&file), now, &screen(Format::Table));
        let expected = "\
TASK      NAME   KEPT     SIZE  SHA256        PATH
07K3M9QZ  -     1m00s  1.5 KiB  ffffffffffff  a/b";
        assert_eq!(shown, expected);
        let wide = kept(&[file], now, &screen(Format::Wide));
        assert!(wide.contains("task-01JD0000000000000007K3M9QZ") && wide.ends_with("/data/x"), "{wide}");
    }
}
