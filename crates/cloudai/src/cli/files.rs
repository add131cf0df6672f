//! `cloudai task files`: what a task left, and where it is.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render;
use cloudai_master::http::dto::{File, Link, List};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "ID")]
    id: String,
    /// An address for each file at which whoever has it fetches it from the bucket, without the master; valid for `files.presign_s`
    #[arg(long)]
    links: bool,
}

impl Args {
    /// `task files ID`.
    pub(super) fn of(id: String) -> Self {
        Self { id, links: false }
    }
}

/// Addresses asked for at once.
const AT_ONCE: usize = 8;

/// A file and where it can be fetched.
#[derive(Debug, Serialize)]
struct Linked {
    #[serde(flatten)]
    file: File,
    #[serde(flatten)]
    link: Link,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, &args.id).await?;
    let list: List<File> = cx.client.get(&["api", "v1", "tasks", &id, "files"], &[]).await?;
    if list.items.is_empty() && cx.screen.for_people() {
        cx.screen.note(&format!("{} left no files.", short(&id)));
        return Ok(Exit::Ok);
    }
    if args.links {
        return links(&id, list.items, cx).await;
    }
    cx.screen.list(&list, |file| file.path.clone(), || render::files::table(&list.items, &cx.screen))?;
    if cx.screen.for_people() {
        cx.screen.note(&format!("next: cloudai task download {}", short(&id)));
    }
    Ok(Exit::Ok)
}

async fn links(id: &str, files: Vec<File>, cx: &Context) -> Result<Exit, Failure> {
    let asked = files.into_iter().map(|file| async move {
        let mut path = vec!["api", "v1", "tasks", id, "files"];
        path.extend(file.path.split('/'));
        let link: Link = cx.client.get(&path, &[("presign", "true".to_owned())]).await?;
        Ok::<_, Failure>(Linked { file, link })
    });
    let items: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let list = List { items, next_cursor: None };
    let rows =
        || list.items.iter().map(|linked| (linked.file.path.as_str(), linked.link.url.as_str())).collect::<Vec<_>>();
    cx.screen.list(&list, |linked| linked.link.url.clone(), || render::files::links(&rows(), &cx.screen))?;
    if let Some(first) = list.items.first().filter(|_| cx.screen.for_people()) {
        cx.screen.note(&format!("whoever has an address fetches the file with it until {}", first.link.expires_at));
    }
    Ok(Exit::Ok)
}
