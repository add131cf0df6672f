//! Join tokens for people: that they are there, and what they are good for.

use super::Screen;
use super::quantity::age;
use super::table::{Column, Table};
use cloudai_master::http::dto::IssuedToken;

/// The table of `worker token --list`.
#[must_use]
pub(crate) fn list(tokens: &[IssuedToken], screen: &Screen) -> String {
    let columns = [
        Column::name("TOKEN", 0),
        Column::name("STATE", 1),
        Column::name("FOR", 2),
        Column::number("USES", 3),
        Column::name("EXPIRES", 4),
        Column::number("MADE", 5),
    ];
    let (mut table, now) = (Table::new(&columns), jiff::Timestamp::now());
    for token in tokens {
        table.row(vec![
            token.id.as_str().into(),
            token.state.as_str().into(),
            if token.reusable { "many" } else { "one" }.into(),
            token.uses.to_string().into(),
            token.expires_at.as_deref().unwrap_or("never").into(),
            age(&token.created_at, now).into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}
