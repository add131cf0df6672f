//! Templates for people: lists, and the parameters of one.

use super::Screen;
use super::quantity::{NOTHING, age, moment};
use super::table::{Cell, Column, Table, printable};
use cloudai_core::spec::Value;
use cloudai_core::template::{Kind, Param, Template as Read};
use cloudai_master::http::dto::Template;
use jiff::Timestamp;

/// The table of `template list`.
#[must_use]
pub(crate) fn list(templates: &[Template], now: Timestamp, screen: &Screen) -> String {
    let columns = [
        Column::name("TEMPLATE", 0),
        Column::number("VERSION", 0),
        Column::text("MAKES", 1),
        Column::name("PARAMS", 2),
        Column::number("KEPT", 3),
        Column::sentence("WHAT IT IS"),
    ];
    let mut table = Table::new(&columns);
    for template in templates {
        table.row(vec![
            Cell::coloured(template.name.as_str(), "1"),
            template.version.to_string().into(),
            template.kind.as_str().into(),
            or_nothing(template.params.join(" ")).into(),
            age(&template.created_at, now).into(),
            or_nothing(line_of(template.description.as_deref())).into(),
        ]);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

/// The card of `template show`.
#[must_use]
pub(crate) fn card(template: &Template, now: Timestamp, screen: &Screen) -> String {
    let (name, version) = (&template.name, template.version);
    let mut lines = vec![format!("{name}  version {version}  makes a {}", template.kind)];
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10}{value}"));
        }
    };
    field("about", template.description.as_deref().map(printable).unwrap_or_default());
    field("kept", moment(&template.created_at, now));
    let others = template.versions.iter().map(|other| other.version).filter(|other| *other != version);
    field("others", others.map(|other| other.to_string()).collect::<Vec<_>>().join(" "));
    let params = template.document.as_ref().and_then(params);
    if let Some(params) = params.filter(|params| !params.is_empty()) {
        lines.push(table_of(&params, screen));
    }
    let places: String = template.params.iter().map(|name| format!(" -p {name}=...")).collect();
    lines.push(format!("  {:<10}cloudai template run {name}{places}", "next"));
    lines.push(format!("  {:<10}cloudai template show {name} --version {version} -o yaml", ""));
    lines.join("\n")
}

/// The parameters of a document that this version understands.
fn params(document: &serde_json::Value) -> Option<Vec<Param>> {
    let document = serde_json::from_value::<Value>(document.clone()).ok()?;
    Read::from_value(&document).ok().map(|template| template.params)
}

fn table_of(params: &[Param], screen: &Screen) -> String {
    let columns = [
        Column::text("PARAMETER", 0),
        Column::text("TYPE", 0),
        Column::text("DEFAULT", 0),
        Column::name("ALLOWED", 2),
        Column::sentence("WHAT IT IS"),
    ];
    let mut table = Table::new(&columns);
    for param in params {
        // What anything of the type may be needs no words.
        let allowed = match &param.kind {
            Kind::Text | Kind::Bool => NOTHING.to_owned(),
            Kind::Number(_) | Kind::Integer(_) | Kind::Choice(_) => param.kind.allowed(),
        };
        let default = param.default.as_ref().map_or_else(|| "must be given".into(), shown);
        table.row(vec![
            param.name.as_str().into(),
            param.kind.word().into(),
            default.into(),
            printable(&allowed).into(),
            or_nothing(line_of(param.description.as_deref())).into(),
        ]);
    }
    let rows = table.render(if screen.wide() { None } else { screen.width }, screen.colour);
    rows.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// A value as it is typed.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => printable(text),
        other => other.to_string(),
    }
}

/// The first line of a text.
fn line_of(text: Option<&str>) -> String {
    text.and_then(|text| text.lines().next()).map(printable).unwrap_or_default()
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { NOTHING.into() } else { text }
}
