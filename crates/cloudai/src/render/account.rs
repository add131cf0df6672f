//! Users, keys, projects and contexts for people.

use super::Screen;
use super::quantity::{age, until};
use super::table::{Column, Table};
use crate::account::{Key, Me, Project, User};

/// The table of `user list`.
#[must_use]
pub(crate) fn users(users: &[User], now: jiff::Timestamp, screen: &Screen) -> String {
    let columns =
        [Column::name("USER", 0), Column::text("ROLE", 0), Column::text("STATE", 1), Column::number("ADDED", 2)];
    let mut table = Table::new(&columns);
    for user in users {
        let added = user.created_at.as_deref().map_or_else(|| "-".into(), |moment| age(moment, now));
        let state = if user.disabled { "disabled" } else { "active" };
        table.row(vec![user.name.as_str().into(), user.role.as_str().into(), state.into(), added.into()]);
    }
    table.render(screen.width, screen.colour)
}

/// The table of `user tokens`.
#[must_use]
pub(crate) fn keys(keys: &[Key], now: jiff::Timestamp, screen: &Screen) -> String {
    let columns = [
        Column::text("ID", 0),
        Column::name("NAME", 0),
        Column::text("ROLE", 1),
        Column::number("ENDS", 1),
        Column::number("MADE", 2),
    ];
    let mut table = Table::new(&columns);
    for key in keys {
        let made = key.created_at.as_deref().map_or_else(|| "-".into(), |moment| age(moment, now));
        let ends = key.expires_at.as_deref().map_or_else(|| "never".into(), |moment| until(moment, now));
        table.row(vec![
            key.id.as_str().into(),
            key.name.as_deref().unwrap_or("-").into(),
            key.role.as_deref().unwrap_or("yours").into(),
            ends.into(),
            made.into(),
        ]);
    }
    table.render(screen.width, screen.colour)
}

/// The table of `project list`.
#[must_use]
pub(crate) fn projects(projects: &[Project], screen: &Screen) -> String {
    let mut table = Table::new(&[Column::name("PROJECT", 0), Column::sentence("MEMBERS")]);
    for project in projects {
        table.row(vec![project.name.as_str().into(), project.members.join(", ").into()]);
    }
    table.render(screen.width, screen.colour)
}

/// The line of `whoami`.
#[must_use]
pub(crate) fn me(me: &Me, addr: &str) -> String {
    let projects =
        if me.projects.is_empty() { String::new() } else { format!("  projects {}", me.projects.join(", ")) };
    format!("{}  {}  at {addr}{projects}", me.name, me.role)
}
