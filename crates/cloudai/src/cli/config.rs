//! `cloudai config`: what is set, where, and whether it is right.

use crate::addresses::without_passwords;
use crate::config::{
    DOTENV, FileAlone, Flags, KNOWN, Layer, Process, Resolver, Severity, Source, Surroundings, file_candidates,
};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::table::{Column, Table};
use clap::Subcommand;
use cloudai_master::http::dto::List;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows every setting, its value and where that comes from
    #[command(before_help = "  cloudai config show\n  HTTP_PORT=9090 cloudai config show -o quiet")]
    Show,
    /// Lists the files that are looked for, best first, and which of them are read
    #[command(before_help = "  cloudai config path\n  cloudai config path -o quiet     those that are read")]
    Path,
    /// Checks everything that is configured, or one file alone, and lists every problem
    #[command(before_help = "  cloudai config validate                    the file, .env and the environment\n  \
                             cloudai config validate --config my.toml   the same with this file\n  \
                             cloudai config validate cloudai.toml       this file alone")]
    Validate {
        /// Checks this file alone, without .env and the environment
        file: Option<PathBuf>,
    },
}

/// One setting, as shown.
#[derive(Serialize)]
pub(super) struct Shown {
    key: &'static str,
    /// `(set)` of a secret.
    value: Option<String>,
    #[serde(flatten)]
    at: Source,
    about: &'static str,
    allowed: &'static str,
    used_by: Vec<&'static str>,
}

/// A file of settings.
#[derive(Serialize)]
struct Place {
    path: String,
    kind: &'static str,
    /// `read`, `not there`, or `hidden` behind a better one.
    state: &'static str,
}

pub(super) fn run(command: &Command, named: Option<&Path>, settings: &Flags, screen: &Screen) -> Result<Exit, Failure> {
    let flags = || settings.clone();
    match command {
        Command::Show => show(&Resolver::open(&Process, named)?.given(flags()), screen),
        Command::Path => path(&Resolver::open(&Process, named)?, named, screen),
        Command::Validate { file: None } => validate(&Resolver::open(&Process, named)?.given(flags()), screen),
        Command::Validate { file: Some(file) } => validate(&Resolver::open(&FileAlone(&Process), Some(file))?, screen),
    }
}

/// Every setting as it may be shown.
pub(super) fn shown(resolver: &Resolver<'_>) -> Vec<Shown> {
    let shown = KNOWN.iter().map(|setting| {
        let facts = setting.facts();
        let found = resolver.find(facts);
        let value = |text: &String| if facts.secret { "(set)".to_owned() } else { without_passwords(text) };
        Shown {
            key: facts.key,
            value: found.as_ref().map(|found| value(&found.text)),
            at: found.map_or_else(|| Source::plain(Layer::Default, None), |found| found.source),
            about: facts.about,
            allowed: facts.allowed,
            used_by: facts.used_by.iter().map(|user| user.word()).collect(),
        }
    });
    shown.collect()
}

fn show(resolver: &Resolver<'_>, screen: &Screen) -> Result<Exit, Failure> {
    let list = List { items: shown(resolver), next_cursor: None };
    let plain = |shown: &Shown| format!("{}={}", shown.key, shown.value.as_deref().unwrap_or_default());
    screen.list(&list, plain, || settings_table(&list.items, screen))?;
    let problems = resolver.validate();
    if !problems.is_empty() {
        screen.note(&format!("{} problem(s): {}", problems.len(), resolver.validation()));
    }
    Ok(Exit::Ok)
}

fn settings_table(settings: &[Shown], screen: &Screen) -> String {
    let mut columns = vec![Column::text("KEY", 0), Column::name("VALUE", 0), Column::text("SOURCE", 1)];
    if screen.wide() {
        columns.extend([Column::text("USED BY", 3), Column::text("ALLOWED", 2)]);
    }
    let mut table = Table::new(&columns);
    for shown in settings {
        let value = shown.value.as_deref().unwrap_or("-");
        let mut row = vec![shown.key.into(), value.into(), shown.at.to_string().into()];
        if screen.wide() {
            let allowed = if shown.allowed.is_empty() { "nothing yet" } else { shown.allowed };
            row.extend([shown.used_by.join(", ").into(), allowed.into()]);
        }
        table.row(row);
    }
    table.render(if screen.wide() { None } else { screen.width }, screen.colour)
}

fn path(resolver: &Resolver<'_>, named: Option<&Path>, screen: &Screen) -> Result<Exit, Failure> {
    let mut found = resolver.file().is_some();
    let dotenv = if resolver.has_dotenv() { "read" } else { "not there" };
    let mut places = vec![Place { path: absolute(Path::new(DOTENV)), kind: "variables", state: dotenv }];
    let mut hidden = false;
    for candidate in file_candidates(&Process, named) {
        let read = found && resolver.file() == Some(candidate.as_path());
        let there = hidden && matches!(Process.read(&candidate), Ok(Some(_)));
        let state = if read {
            "read"
        } else if there {
            "hidden"
        } else {
            "not there"
        };
        places.push(Place { path: absolute(&candidate), kind: "settings", state });
        hidden |= read;
        found &= !read;
    }
    let list = List { items: places, next_cursor: None };
    if screen.quiet() {
        let mut read = list.items.iter().filter(|place| place.state == "read");
        return read.try_for_each(|place| screen.line(&place.path)).map(|()| Exit::Ok);
    }
    screen.list(
        &list,
        |place| place.path.clone(),
        || {
            let mut table = Table::new(&[Column::text("PATH", 0), Column::text("KIND", 1), Column::text("STATE", 0)]);
            for place in &list.items {
                table.row(vec![place.path.as_str().into(), place.kind.into(), place.state.into()]);
            }
            table.render(screen.width, screen.colour)
        },
    )?;
    Ok(Exit::Ok)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn validate(resolver: &Resolver<'_>, screen: &Screen) -> Result<Exit, Failure> {
    let problems = resolver.validate();
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    if problems.is_empty() && screen.for_people() {
        let dotenv = resolver.has_dotenv().then(|| DOTENV.to_owned());
        let files: Vec<_> = resolver.file().map(|path| path.display().to_string()).into_iter().chain(dotenv).collect();
        let files = if files.is_empty() { "no file".into() } else { files.join(", ") };
        screen.line(&format!("every setting is right ({files})"))?;
        return Ok(Exit::Ok);
    }
    let list = List { items: problems, next_cursor: None };
    let line = |problem: &crate::config::Problem| {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let layer = match problem.at.source {
            Layer::Environment => "environment: ",
            Layer::Flag => "flag: ",
            Layer::Dotenv | Layer::File | Layer::Default => "",
        };
        format!("{severity}: {layer}{problem}")
    };
    screen.list(&list, line, || list.items.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(if wrong { Exit::Usage } else { Exit::Ok })
}
