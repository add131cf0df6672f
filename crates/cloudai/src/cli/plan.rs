//! `--dry-run`: what a command would do, told in the form of its answer.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render::Format;
use cloudai_master::http::dto::List;
use serde::Serialize;

/// What would be done with one thing: the thing as it is now, and what.
#[derive(Debug, Serialize)]
pub(super) struct Would<T> {
    #[serde(flatten)]
    item: T,
    /// The command's verb, or [`NOTHING`].
    would: &'static str,
    /// The same as a sentence.
    means: String,
    /// The tasks that it touches, where the thing is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    task_ids: Vec<String>,
    dry_run: bool,
}

/// What is done with something that stays as it is.
pub(super) const NOTHING: &str = "nothing";

/// Several of them.
#[derive(Serialize)]
struct Plans<T> {
    items: Vec<Would<T>>,
    dry_run: bool,
}

impl<T> Would<T> {
    /// The thing `item` would be done to.
    pub(super) fn of(item: T, would: &'static str, means: impl Into<String>) -> Self {
        Self { item, would, means: means.into(), task_ids: Vec::new(), dry_run: true }
    }

    /// The thing, unless nothing is done to it.
    pub(super) fn touched(&self) -> Option<&T> {
        (self.would != NOTHING).then_some(&self.item)
    }

    /// With the tasks that it touches.
    pub(super) fn touching(self, task_ids: Vec<String>) -> Self {
        Self { task_ids, ..self }
    }
}

/// Tells what would be done; `id` names a thing, `lines` are stdout for people, who read the
/// sentences on stderr.
pub(super) fn tell<T: Serialize>(
    plans: Vec<Would<T>>,
    id: impl Fn(&T) -> String,
    lines: &[String],
    cx: &Context,
) -> Result<Exit, Failure> {
    let screen = &cx.screen;
    match screen.format {
        Format::Table | Format::Wide => {
            plans.iter().for_each(|plan| screen.note(&format!("would {}", plan.means)));
            lines.iter().try_for_each(|line| screen.line(line))?;
        }
        Format::Quiet => {
            plans.iter().filter_map(Would::touched).try_for_each(|item| screen.line(&id(item)))?;
        }
        Format::Json | Format::Yaml | Format::Jsonl => match plans.as_slice() {
            [plan] => screen.one(plan, "", String::new)?,
            _ if screen.format == Format::Jsonl => {
                screen.list(&List { items: plans, next_cursor: None }, |_| String::new(), String::new)?;
            }
            _ => screen.one(&Plans { items: plans, dry_run: true }, "", String::new)?,
        },
    }
    Ok(Exit::Ok)
}
