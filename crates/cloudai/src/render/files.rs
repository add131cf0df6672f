//! Files of a task, for people.

use super::Screen;
use super::table::{Cell, Column, Table, printable};
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::File;

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
