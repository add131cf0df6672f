//! From what people type for a task to its id: whole, a part of it, or `last`.

use crate::client::Client;
use crate::exit::Failure;
use cloudai_core::ids::TaskId;
use cloudai_core::text::distance;
use cloudai_master::http::dto::{List, Task};

/// Characters of an id that lists show.
const SHOWN: usize = 8;
/// Fewer would match too much.
const LEAST: usize = 4;

/// The end of an id, as lists show it: the last 8 characters, an array element's index after.
#[must_use]
pub(crate) fn short(id: &str) -> String {
    let bare = id.strip_prefix(TaskId::PREFIX).unwrap_or(id);
    let (ulid, index) = bare.split_once('.').map_or((bare, None), |(ulid, index)| (ulid, Some(index)));
    let start = ulid.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
    match index {
        Some(index) => format!("{}.{index}", &ulid[start..]),
        None => ulid[start..].to_owned(),
    }
}

/// The id that a typed word means.
/// # Errors
/// The word is too short, means no task or several.
pub(crate) async fn resolve(client: &Client, typed: &str) -> Result<String, Failure> {
    if typed == "last" {
        return newest(client).await;
    }
    let bare = typed.strip_prefix(TaskId::PREFIX).unwrap_or(typed).to_ascii_uppercase();
    if let Ok(id) = format!("{}{bare}", TaskId::PREFIX).parse::<TaskId>() {
        return Ok(id.to_string());
    }
    if !bare.chars().all(|c| c.is_ascii_alphanumeric()) || bare.len() > 26 {
        return Err(Failure::usage(format!("{typed:?} is no task id"))
            .why("expected task-<26 characters>, 4 or more from its beginning or end, or last")
            .next("cloudai task list"));
    }
    if bare.len() < LEAST {
        return Err(Failure::usage(format!("{typed:?} is too short"))
            .why(format!("{LEAST} characters of an id are needed"))
            .next("add more of it, or cloudai task list"));
    }
    let found: List<Task> = client.get(&["api", "v1", "tasks", "resolve"], &[("part", bare.clone())]).await?;
    match found.items.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(unknown(client, typed, &bare).await),
        several => Err(ambiguous(typed, several, found.next_cursor.is_some())),
    }
}

async fn newest(client: &Client) -> Result<String, Failure> {
    let query = [("sort", "-created".to_owned()), ("limit", "1".to_owned())];
    let list: List<Task> = client.get(&["api", "v1", "tasks"], &query).await?;
    list.items.into_iter().next().map(|task| task.id).ok_or_else(|| {
        Failure::not_found("there is no last task").why("nothing was submitted yet").next("cloudai task submit IMAGE")
    })
}

/// The failure of a part that no id has, with those among the newest tasks that come close.
async fn unknown(client: &Client, typed: &str, bare: &str) -> Failure {
    let failure = Failure::not_found(format!("no task {typed:?}"));
    let query = [("limit", "200".to_owned())];
    let Ok(list) = client.get::<List<Task>>(&["api", "v1", "tasks"], &query).await else { return failure };
    let near: Vec<_> = list.items.iter().filter(|task| is_near(&task.id, bare)).take(3).map(label).collect();
    let failure = if near.is_empty() {
        failure.why("no id begins or ends so")
    } else {
        failure.why(format!("close: {}", near.join(", ")))
    };
    failure.why("type the last 4 characters that a list shows, or more").next("cloudai task list --all")
}

/// Whether what a list shows of an id begins so, or the beginning or the end of the id is one slip away.
fn is_near(id: &str, part: &str) -> bool {
    let bare = id.strip_prefix(TaskId::PREFIX).unwrap_or(id);
    let ulid = bare.split('.').next().unwrap_or(bare);
    if short(id).starts_with(part) {
        return true;
    }
    let slip = if part.len() > 6 { 2 } else { 1 };
    let ends = [ulid.get(..part.len()), ulid.len().checked_sub(part.len()).and_then(|at| ulid.get(at..))];
    ends.into_iter().flatten().any(|end| distance(end, part) <= slip)
}

fn label(task: &Task) -> String {
    match &task.name {
        Some(name) => format!("{} {}", short(&task.id), crate::render::table::printable(name)),
        None => short(&task.id),
    }
}

fn ambiguous(typed: &str, tasks: &[Task], more: bool) -> Failure {
    let count = match (tasks.len(), more || tasks.len() >= 20) {
        (2, _) => "two tasks".to_owned(),
        (number, true) => format!("{number} tasks or more"),
        (number, false) => format!("{number} tasks"),
    };
    let names: Vec<_> = tasks.iter().take(5).map(label).collect();
    let rest = if tasks.len() > names.len() { ", ..." } else { "" };
    let shorts: Vec<_> = tasks.iter().map(|task| short(&task.id)).collect();
    let same_end = shorts.iter().any(|one| shorts.iter().filter(|other| one == *other).count() > 1);
    let next =
        if same_end { "give the whole id: cloudai task list -o quiet" } else { "add a letter, or take one of these" };
    Failure::usage(format!("{typed:?} is {count}")).why(format!("{}{rest}", names.join(", "))).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_by_its_end() {
        let rows = [
            ("task-01JD000000000000007K3M9QZD", "7K3M9QZD"),
            ("task-01JD000000000000007K3M9QZD.12", "7K3M9QZD.12"),
            ("x", "x"),
            ("", ""),
        ];
        for (id, shown) in rows {
            assert_eq!(short(id), shown);
        }
    }

    #[test]
    fn one_slip_in_a_part_is_near() {
        let id = "task-01JD000000000000007K3M9QZD";
        assert!(is_near(id, "9QZX") && is_near(id, "01JE") && is_near(id, "7K3M9QXX"));
        assert!(is_near(id, "7K3M"), "the beginning of what lists show");
        assert!(!is_near(id, "AAAA") && !is_near(id, "9QXX"));
    }
}
