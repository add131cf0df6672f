//! `cloudai task files`: what a task left.

use super::{Context, task::One};
use crate::exit::{Exit, Failure};
use crate::id::{self, short};
use crate::render;
use cloudai_master::http::dto::{File, List};

pub(super) async fn run(one: &One, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, &one.id).await?;
    let list: List<File> = cx.client.get(&["api", "v1", "tasks", &id, "files"], &[]).await?;
    if list.items.is_empty() && cx.screen.for_people() {
        cx.screen.note(&format!("{} left no files.", short(&id)));
        return Ok(Exit::Ok);
    }
    cx.screen.list(&list, |file| file.path.clone(), || render::files::table(&list.items, &cx.screen))?;
    if cx.screen.for_people() {
        cx.screen.note(&format!("next: cloudai task download {}", short(&id)));
    }
    Ok(Exit::Ok)
}
