//! Secrets for people: that they are there.

use super::Screen;
use super::quantity::age;
use super::table::{Column, Table};
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::Secret;

/// The table of `secret list`.
#[must_use]
pub(crate) fn list(secrets: &[Secret], screen: &Screen) -> String {
    let columns =
        [Column::name("SECRET", 0), Column::number("SIZE", 1), Column::number("SET", 2), Column::number("ADDED", 3)];
    let (mut table, now) = (Table::new(&columns), jiff::Timestamp::now());
    for secret in secrets {
        table.row(vec![
            secret.name.as_str().into(),
            Bytes(secret.bytes as u64).to_string().into(),
            age(&secret.updated_at, now).into(),
            age(&secret.created_at, now).into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}
