//! From what people type for a task or a job to its id: whole, a part of it, or `last`.

use crate::client::Client;
use crate::exit::Failure;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::text::distance;
use cloudai_master::http::dto::{Job, List, Task};
use serde::de::DeserializeOwned;

/// Characters of an id that lists show.
const SHOWN: usize = 8;
/// Fewer would match too much.
const LEAST: usize = 4;

/// What people name by an id or a part of it.
trait Named: DeserializeOwned {
    /// The word for it.
    const NOUN: &'static str;
    /// The word for several, in words and in paths.
    const NOUNS: &'static str;
    /// What every id of it begins with.
    const PREFIX: &'static str;
    /// What is asked for the newest.
    const NEWEST: &'static [(&'static str, &'static str)];
    /// How the first one comes to be.
    const FIRST: &'static str;
    /// What it may be taken for.
    type Other: Named;

    /// The id that a text is as a whole.
    fn whole(text: &str) -> Option<String>;
    fn id(&self) -> &str;
    fn name(&self) -> Option<&str>;

    /// The id of the one that was submitted last.
    async fn last(client: &Client) -> Result<String, Failure> {
        let newest = newest::<Self>(client).await?;
        newest.map(|newest| newest.id().to_owned()).ok_or_else(none_yet::<Self>)
    }
}

impl Named for Task {
    const NOUN: &'static str = "task";
    const NOUNS: &'static str = "tasks";
    const PREFIX: &'static str = TaskId::PREFIX;
    const NEWEST: &'static [(&'static str, &'static str)] = &[("sort", "-created"), ("limit", "1")];
    const FIRST: &'static str = "cloudai task submit IMAGE";
    type Other = Job;

    fn whole(text: &str) -> Option<String> {
        text.parse::<TaskId>().ok().map(|id| id.to_string())
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A task that waits for others is in no list until it has its turn: then its job tells that it is there.
    async fn last(client: &Client) -> Result<String, Failure> {
        let listed = newest::<Self>(client).await?.and_then(|task| task.id.parse::<TaskId>().ok());
        // An older master knows no jobs.
        let job = newest::<Job>(client).await.ok().flatten().filter(|job| job.groups == 1);
        let only = job.and_then(|job| job.id.parse::<JobId>().ok()).map(|job| job.group(0));
        let later = only.filter(|only| listed.is_none_or(|listed| only.ulid() > listed.ulid()));
        later.or(listed).map(|id| id.to_string()).ok_or_else(none_yet::<Self>)
    }
}

impl Named for Job {
    const NOUN: &'static str = "job";
    const NOUNS: &'static str = "jobs";
    const PREFIX: &'static str = "job-";
    const NEWEST: &'static [(&'static str, &'static str)] = &[("limit", "1")];
    const FIRST: &'static str = "cloudai job run FILE";
    type Other = Task;

    fn whole(text: &str) -> Option<String> {
        text.parse::<JobId>().ok().map(|id| id.to_string())
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// An id without what says of what it is.
fn bare(id: &str) -> &str {
    id.strip_prefix(Task::PREFIX).or_else(|| id.strip_prefix(Job::PREFIX)).unwrap_or(id)
}

/// The end of an id, as lists show it: the last 8 characters, an array element's index after.
#[must_use]
pub(crate) fn short(id: &str) -> String {
    let bare = bare(id);
    let (ulid, index) = bare.split_once('.').map_or((bare, None), |(ulid, index)| (ulid, Some(index)));
    let start = ulid.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
    match index {
        Some(index) => format!("{}.{index}", &ulid[start..]),
        None => ulid[start..].to_owned(),
    }
}

/// The id of the task that a typed word means.
/// # Errors
/// The word is too short, means no task or several.
pub(crate) async fn resolve(client: &Client, typed: &str) -> Result<String, Failure> {
    // An element, as lists show it: the id of its array and its index.
    if let Some((array, index)) = typed.split_once('.')
        && index.parse::<u32>().is_ok()
    {
        let array = resolve_as::<Task>(client, array).await?;
        return Ok(format!("{array}.{index}"));
    }
    resolve_as::<Task>(client, typed).await
}

/// The id of the job that a typed word means.
/// # Errors
/// As of [`resolve`].
pub(crate) async fn resolve_job(client: &Client, typed: &str) -> Result<String, Failure> {
    resolve_as::<Job>(client, typed).await
}

async fn resolve_as<T: Named>(client: &Client, typed: &str) -> Result<String, Failure> {
    let (noun, prefix) = (T::NOUN, T::PREFIX);
    if typed == "last" {
        return T::last(client).await;
    }
    if typed.starts_with(T::Other::PREFIX) {
        let other = T::Other::NOUN;
        return Err(Failure::usage(format!("{typed:?} is a {other}, not a {noun}"))
            .next(format!("cloudai {other} info {typed}")));
    }
    let part = typed.strip_prefix(prefix).unwrap_or(typed).to_ascii_uppercase();
    if let Some(id) = T::whole(&format!("{prefix}{part}")) {
        return Ok(id);
    }
    if !part.chars().all(|c| c.is_ascii_alphanumeric()) || part.len() > 26 {
        return Err(Failure::usage(format!("{typed:?} is no {noun} id"))
            .why(format!("expected {prefix}<26 characters>, 4 or more from its beginning or end, or last"))
            .next(format!("cloudai {noun} list")));
    }
    if part.len() < LEAST {
        return Err(Failure::usage(format!("{typed:?} is too short"))
            .why(format!("{LEAST} characters of an id are needed"))
            .next(format!("add more of it, or cloudai {noun} list")));
    }
    let found = like::<T>(client, &part).await?;
    match found.items.as_slice() {
        [one] => Ok(one.id().to_owned()),
        [] => Err(unknown::<T>(client, typed, &part).await),
        several => Err(ambiguous(typed, several, found.next_cursor.is_some())),
    }
}

/// Those whose ids begin or end so.
async fn like<T: Named>(client: &Client, part: &str) -> Result<List<T>, Failure> {
    client.get(&["api", "v1", T::NOUNS, "resolve"], &[("part", part.to_owned())]).await
}

async fn newest<T: Named>(client: &Client) -> Result<Option<T>, Failure> {
    let query: Vec<_> = T::NEWEST.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let list: List<T> = client.get(&["api", "v1", T::NOUNS], &query).await?;
    Ok(list.items.into_iter().next())
}

fn none_yet<T: Named>() -> Failure {
    Failure::not_found(format!("there is no last {}", T::NOUN)).why("nothing was submitted yet").next(T::FIRST)
}

/// The failure of a part that no id has: what else it is, or those among the newest that come close.
async fn unknown<T: Named>(client: &Client, typed: &str, part: &str) -> Failure {
    let noun = T::NOUN;
    let failure = Failure::not_found(format!("no {noun} {typed:?}"));
    // An older master knows no jobs: then there is nothing to tell.
    if let Ok(others) = like::<T::Other>(client, part).await
        && let [other] = others.items.as_slice()
    {
        let word = T::Other::NOUN;
        return failure
            .why(format!("that is a {word}: {}", label(other)))
            .next(format!("cloudai {word} info {}", short(other.id())));
    }
    let query = [("limit", "200".to_owned())];
    let Ok(list) = client.get::<List<T>>(&["api", "v1", T::NOUNS], &query).await else { return failure };
    let near: Vec<_> = list.items.iter().filter(|one| is_near(one.id(), part)).take(3).map(label).collect();
    let failure = if near.is_empty() {
        failure.why("no id begins or ends so")
    } else {
        failure.why(format!("close: {}", near.join(", ")))
    };
    failure.why("type the last 4 characters that a list shows, or more").next(format!("cloudai {noun} list --all"))
}

/// Whether what a list shows of an id begins so, or the beginning or the end of the id is one slip away.
fn is_near(id: &str, part: &str) -> bool {
    let bare = bare(id);
    let ulid = bare.split('.').next().unwrap_or(bare);
    if short(id).starts_with(part) {
        return true;
    }
    let slip = if part.len() > 6 { 2 } else { 1 };
    let ends = [ulid.get(..part.len()), ulid.len().checked_sub(part.len()).and_then(|at| ulid.get(at..))];
    ends.into_iter().flatten().any(|end| distance(end, part) <= slip)
}

fn label<T: Named>(thing: &T) -> String {
    match thing.name() {
        Some(name) => format!("{} {}", short(thing.id()), crate::render::table::printable(name)),
        None => short(thing.id()),
    }
}

fn ambiguous<T: Named>(typed: &str, found: &[T], more: bool) -> Failure {
    let nouns = T::NOUNS;
    let count = match (found.len(), more || found.len() >= 20) {
        (2, _) => format!("two {nouns}"),
        (number, true) => format!("{number} {nouns} or more"),
        (number, false) => format!("{number} {nouns}"),
    };
    let names: Vec<_> = found.iter().take(5).map(label).collect();
    let rest = if found.len() > names.len() { ", ..." } else { "" };
    let shorts: Vec<_> = found.iter().map(|one| short(one.id())).collect();
    let same_end = shorts.iter().any(|one| shorts.iter().filter(|other| one == *other).count() > 1);
    let next = if same_end {
        format!("give the whole id: cloudai {} list -o quiet", T::NOUN)
    } else {
        "add a letter, or take one of these".into()
    };
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
            ("job-01JD000000000000007K3M9QZD", "7K3M9QZD"),
            ("job-X", "X"),
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
