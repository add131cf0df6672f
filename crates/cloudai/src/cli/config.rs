//! `cloudai config`: what is set, and where.

use crate::config::{ADDR, KNOWN, Process, Resolver, file_candidates};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::table::{Column, Table};
use clap::Subcommand;
use cloudai_master::http::dto::List;
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows every setting, its value and where that comes from
    #[command(before_help = "  cloudai config show\n  HTTP_PORT=9090 cloudai config show -o quiet")]
    Show,
    /// Prints the configuration file in use
    #[command(before_help = "  cloudai config path")]
    Path,
}

/// One setting, as shown.
#[derive(Serialize)]
struct Shown {
    key: &'static str,
    value: Option<String>,
    source: Option<String>,
    allowed: &'static str,
}

pub(super) fn run(
    command: &Command,
    resolver: &Resolver<'_>,
    addr: Option<&str>,
    screen: &Screen,
) -> Result<Exit, Failure> {
    match command {
        Command::Show => show(resolver, addr, screen)?,
        Command::Path => path(resolver, screen)?,
    }
    Ok(Exit::Ok)
}

fn show(resolver: &Resolver<'_>, addr: Option<&str>, screen: &Screen) -> Result<(), Failure> {
    let shown = KNOWN.iter().map(|setting| {
        let flag = addr.filter(|_| setting.key == ADDR.key);
        let found = resolver.find(setting, flag);
        let value = |text: &String| if setting.secret { "(set)".to_owned() } else { text.clone() };
        Shown {
            key: setting.key,
            value: found.as_ref().map(|found| value(&found.text)),
            source: found.map(|found| found.source.to_string()),
            allowed: setting.allowed,
        }
    });
    let list = List { items: shown.collect(), next_cursor: None };
    let plain = |shown: &Shown| format!("{}={}", shown.key, shown.value.as_deref().unwrap_or_default());
    screen.list(&list, plain, || {
        let mut columns = vec![Column::text("KEY", 0), Column::name("VALUE", 0), Column::text("SOURCE", 1)];
        if screen.wide() {
            columns.push(Column::text("ALLOWED", 2));
        }
        let mut table = Table::new(&columns);
        for shown in &list.items {
            let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into()).into();
            let mut row = vec![shown.key.into(), or_nothing(&shown.value), or_nothing(&shown.source)];
            if screen.wide() {
                row.push(shown.allowed.into());
            }
            table.row(row);
        }
        table.render(if screen.wide() { None } else { screen.width }, screen.colour)
    })
}

fn path(resolver: &Resolver<'_>, screen: &Screen) -> Result<(), Failure> {
    if let Some(path) = resolver.file() {
        return screen.line(&path.display().to_string());
    }
    let places: Vec<_> = file_candidates(&Process, None).iter().map(|path| path.display().to_string()).collect();
    screen.note(&format!("There is no configuration file. It would be {}", places.join(" or ")));
    Ok(())
}
