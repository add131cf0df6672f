//! Credentials of registries for people: that they are there.

use super::Screen;
use super::quantity::age;
use super::table::{Column, Table};
use cloudai_master::http::dto::Registry;

/// The table of `registry list`.
#[must_use]
pub(crate) fn list(registries: &[Registry], screen: &Screen) -> String {
    let columns = [
        Column::name("REGISTRY", 0),
        Column::name("USER", 1),
        Column::name("FOR", 2),
        Column::number("SET", 3),
        Column::number("ADDED", 4),
    ];
    let (mut table, now) = (Table::new(&columns), jiff::Timestamp::now());
    for registry in registries {
        table.row(vec![
            registry.host.as_str().into(),
            registry.username.as_deref().unwrap_or("(its key is lost)").into(),
            if registry.scope == "cluster" { "everybody" } else { "you" }.into(),
            age(&registry.updated_at, now).into(),
            age(&registry.created_at, now).into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}
