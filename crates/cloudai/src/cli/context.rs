//! `cloudai context`: the masters that this person works with. Asks no master.

use super::several::{self, Refused};
use crate::config::Process;
use crate::context::{ContextFile, Contexts, Entry, name as plain};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::table::{Column, Table};
use clap::Subcommand;
use cloudai_core::text::distance;
use cloudai_master::http::dto::List;
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists them, the one marked that commands use when no address is given
    List,
    /// Has commands use another one from now on
    #[command(
        before_help = "  cloudai context use prod\n  cloudai --addr https://m2:8080 task list     another one just once"
    )]
    Use {
        /// Which
        #[arg(value_parser = plain)]
        name: String,
    },
    /// Forgets contexts, with the keys and sign-ins in them
    #[command(before_help = "  cloudai logout                               ends the sign-in at the master first")]
    Remove {
        /// Which
        #[arg(value_name = "NAME", required = true, value_parser = plain)]
        names: Vec<String>,
        /// Only tell which would be forgotten
        #[arg(long)]
        dry_run: bool,
    },
}

/// A context without what is secret of it.
#[derive(Serialize)]
struct Shown {
    name: String,
    current: bool,
    addr: String,
    user: Option<String>,
    /// `key`, `password`, or none.
    signed_in_by: Option<&'static str>,
    /// Whether it trusts one authority alone.
    ca: bool,
}

impl Shown {
    fn of(name: &str, entry: &Entry, contexts: &Contexts) -> Self {
        let by = match (&entry.token, entry.is_signed_in()) {
            (Some(_), _) => Some("key"),
            (None, true) => Some("password"),
            (None, false) => None,
        };
        Self {
            name: name.to_owned(),
            current: contexts.current.as_deref() == Some(name),
            addr: entry.addr.clone(),
            user: entry.user.clone(),
            signed_in_by: by,
            ca: entry.ca_pem.is_some(),
        }
    }
}

pub(super) fn run(command: Command, screen: &Screen) -> Result<Exit, Failure> {
    let file = ContextFile::of(&Process)?;
    match command {
        Command::List => list(&file.load()?, screen),
        Command::Use { name } => {
            let entry = file.change(|contexts| {
                let entry = known(&name, contexts)?.clone();
                contexts.current = Some(name.clone());
                Ok::<_, Failure>(entry)
            })??;
            let shown = Shown::of(&name, &entry, &file.load()?);
            screen.one(&shown, &name, || format!("{name}  every command goes to {} from now on", entry.addr))?;
            Ok(Exit::Ok)
        }
        Command::Remove { names, dry_run } => {
            let names = several::each_once(&names);
            let mut refused = Refused::none(names.len(), "removed");
            for name in names {
                let removed = if dry_run {
                    known(name, &file.load()?).map(drop)
                } else {
                    file.change(|contexts| {
                        known(name, contexts)?;
                        contexts.contexts.remove(name);
                        if contexts.current.as_deref() == Some(name) {
                            contexts.current = None;
                        }
                        Ok(())
                    })?
                };
                if refused.sort(name, removed).is_some() {
                    screen.note(&if dry_run { format!("would remove {name}") } else { format!("{name}  removed") });
                }
            }
            refused.end()
        }
    }
}

/// The context of a name.
/// # Errors
/// There is none, with those that come close.
fn known<'a>(name: &str, contexts: &'a Contexts) -> Result<&'a Entry, Failure> {
    contexts.contexts.get(name).ok_or_else(|| {
        let close = |known: &&String| distance(known, name) <= 2.max(name.len() / 4);
        let near: Vec<_> = contexts.contexts.keys().filter(close).map(String::as_str).collect();
        let failure = Failure::not_found(format!("there is no context {name}"));
        let failure = if near.is_empty() { failure } else { failure.why(format!("close: {}", near.join(", "))) };
        failure.next("cloudai context list; a new one: cloudai login ADDR --name NAME")
    })
}

fn list(contexts: &Contexts, screen: &Screen) -> Result<Exit, Failure> {
    let items: Vec<_> = contexts.contexts.iter().map(|(name, entry)| Shown::of(name, entry, contexts)).collect();
    if items.is_empty() && screen.for_people() {
        screen.note("No contexts. `cloudai login ADDR` makes one, `cloudai up` the one of this machine.");
        return Ok(Exit::Ok);
    }
    let list = List { items, next_cursor: None };
    screen.list(
        &list,
        |shown| shown.name.clone(),
        || {
            let columns = [
                Column::text("", 0),
                Column::name("CONTEXT", 0),
                Column::name("ADDR", 0),
                Column::name("USER", 1),
                Column::text("SIGNED IN", 1),
            ];
            let mut table = Table::new(&columns);
            for shown in &list.items {
                let by = shown.signed_in_by.map_or_else(|| "no".to_owned(), |by| format!("by {by}"));
                table.row(vec![
                    if shown.current { "*" } else { "" }.into(),
                    shown.name.as_str().into(),
                    shown.addr.as_str().into(),
                    shown.user.as_deref().unwrap_or("-").into(),
                    by.into(),
                ]);
            }
            table.render(screen.width, screen.colour)
        },
    )?;
    Ok(Exit::Ok)
}
