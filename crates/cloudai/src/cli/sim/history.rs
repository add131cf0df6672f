//! The history of a running master as a workload: asked for page by page, and what is said of it.

mod past;

use crate::cli::Context;
use crate::cli::when::{When, when};
use crate::exit::Failure;
use cloudai_master::http::dto::{List, Task, Worker};
use cloudai_sim::replay::actual::ACTUAL;
use cloudai_sim::replay::{Actual, Workload, figure};
use jiff::Timestamp;
use past::{Counts, Past, moment};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How many rows one answer may have.
const PAGE: &str = "1000";
/// After so many tasks more people are told how far it is.
const TELL: usize = 10_000;

/// Flags beside which there is no history.
const FILES: [&str; 3] = ["tasks", "workers", "swf"];

/// Which part of the history is asked for.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Asked {
    /// Instead of files the history of a running master: tasks that ran and ended, on the workers that it knows now
    #[arg(long, conflicts_with_all = FILES)]
    pub(super) from_history: bool,
    /// With --from-history: what was submitted since then, as 7d, 2026-01-31 or 2026-01-31T08:00:00Z [default: all]
    #[arg(long, value_name = "TIME", requires = "from_history", conflicts_with_all = FILES, value_parser = when)]
    since: Option<When>,
    /// With --from-history: what was submitted until then
    #[arg(long, value_name = "TIME", requires = "from_history", conflicts_with_all = FILES, value_parser = when)]
    until: Option<When>,
    /// With --from-history: so many tasks at most, the newest
    #[arg(long, value_name = "N", requires = "from_history", conflicts_with_all = FILES, default_value_t = 50_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// With --from-history: only this user's tasks
    #[arg(long, value_name = "NAME", requires = "from_history", conflicts_with_all = FILES)]
    user: Option<String>,
    /// With --from-history: keeps it as NAME.tasks.csv and NAME.workers.csv, which --tasks and --workers take
    #[arg(long, value_name = "NAME", requires = "from_history", conflicts_with_all = FILES, value_parser = name)]
    pub(super) workload_out: Option<PathBuf>,
}

/// The beginning of the names of two files; the endings that they get may be typed.
fn name(text: &str) -> Result<PathBuf, String> {
    let name = text.strip_suffix(".csv").unwrap_or(text);
    let name = ["tasks", "workers"].iter().find_map(|of| name.strip_suffix(&format!(".{of}"))).unwrap_or(name);
    let path = Path::new(name);
    if path.file_name().is_none() || text.ends_with('/') {
        return Err(format!("{text:?} names no file: expected a name, as last-week or reports/last-week"));
    }
    Ok(path.to_owned())
}

/// What really happened, and what is to be known of what is replayed.
#[derive(Debug)]
pub(super) struct History {
    pub(super) actual: Actual,
    /// What is in it and what is not: the first is always told.
    pub(super) notes: Vec<String>,
    counts: Counts,
    /// Whether older tasks were left out for `--limit`.
    more: bool,
}

/// The same for programs.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    #[serde(flatten)]
    counts: &'a Counts,
    more: bool,
    notes: &'a [String],
}

impl History {
    pub(super) fn told(&self) -> Told<'_> {
        Told { counts: &self.counts, more: self.more, notes: &self.notes }
    }
}

/// Asks the master for its workers and its history: what is replayed, and what is known of it; for whoever
/// `compares` strategies with what really happened, more of that.
/// # Errors
/// The master can not be asked, no worker offers anything, or nothing of the history can be replayed.
pub(super) async fn fetch(asked: &Asked, compares: bool, cx: &Context) -> Result<(Workload, History), Failure> {
    let workers: List<Worker> = cx.client.get(&["api", "v1", "workers"], &[]).await?;
    let mut past = Past::on(&workers.items);
    if past.machines().is_empty() {
        return Err(Failure::not_found("no worker is registered that has told what it offers")
            .why("the history is replayed on the workers of now")
            .next("cloudai worker list, and `cloudai worker token` says how to add one"));
    }
    let now = cx.client.now();
    let window = asked.window(now)?;
    let more = asked.read(window, &mut past, cx).await?;
    let counts = past.counts().clone();
    let Some((workload, actual, begin)) = past.finish() else { return Err(nothing(&counts, asked)) };
    let mut notes = vec![sentence(&counts, workload.workers.len(), more)];
    if more {
        let limit = figure::amount(f64::from(asked.limit));
        notes.push(format!(
            "These are the newest {limit} of those that were asked for; older ones too: --limit N. What \
             ran before them had its part of the workers, and is not replayed."
        ));
    }
    notes.extend(out_of_work(&workers.items));
    if compares {
        notes.extend(actual.times_only.clone().or_else(|| came_later(&workers.items, begin)));
        notes.extend(asked.user.is_some().then(|| {
            format!(
                "What others ran is not replayed: in {ACTUAL} these tasks shared the workers, strategies give them all."
            )
        }));
    }
    Ok((workload, History { actual, notes, counts, more }))
}

impl Asked {
    /// The first and the last moment that count.
    fn window(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
        let since = self.since.map_or(Timestamp::MIN, |when| when.at(now));
        let until = self.until.map_or(Timestamp::MAX, |when| when.at(now));
        if since > until {
            return Err(Failure::usage(format!("--since ({since}) is later than --until ({until})"))
                .next("--since 7d --until 1d takes what was submitted between a week and a day ago"));
        }
        Ok((since, until))
    }

    /// Reads page by page, the newest tasks first; of a page only what is replayed is kept. Tells whether older tasks
    /// of the window were left out for the limit.
    async fn read(&self, window: (Timestamp, Timestamp), past: &mut Past, cx: &Context) -> Result<bool, Failure> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let (mut cursor, mut tell) = (None, TELL);
        loop {
            let mut query = vec![("sort", "-created".to_owned()), ("limit", PAGE.to_owned())];
            query.push(("expand", "true".to_owned()));
            query.extend(self.user.clone().map(|user| ("user", user)));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: List<Task> = cx.client.get(&["api", "v1", "tasks"], &query).await?;
            let mut older = 0;
            for task in &page.items {
                match moment(&task.created_at) {
                    Some(at) if at > window.1 => {}
                    // A clock that was set makes single ones look older: only a whole page of them is the end.
                    Some(at) if at < window.0 => older += 1,
                    Some(_) | None => {
                        if !past.take(task, limit) {
                            return Ok(true);
                        }
                    }
                }
            }
            if past.counts().replayed() >= tell {
                cx.screen.hint(&format!("{} tasks read", figure::amount(past.counts().replayed() as f64)));
                tell += TELL;
            }
            if !page.items.is_empty() && older == page.items.len() {
                return Ok(false);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(false);
            }
        }
    }
}

fn nothing(counts: &Counts, asked: &Asked) -> Failure {
    let narrowed = asked.since.is_some() || asked.until.is_some() || asked.user.is_some();
    let what = if narrowed { "no task that was asked for has run and ended" } else { "no task has run and ended yet" };
    let failure = Failure::not_found(format!("{what}: there is nothing to replay"));
    let failure = match left_out(counts) {
        Some(left_out) => failure.why(left_out),
        None if narrowed => failure.why("the master has no task that these options ask for"),
        None => failure.why("the master has no tasks"),
    };
    failure.next(if narrowed {
        "cloudai task list --all, then a wider --since, another --until or --user"
    } else {
        "cloudai task submit IMAGE --wait, then the same again"
    })
}

/// What is replayed and what is not, and why; `more` tells that the limit left some out.
fn sentence(counts: &Counts, workers: usize, more: bool) -> String {
    let all = counts.replayed();
    let tasks = if all == 1 { "1 task".to_owned() } else { format!("{} tasks", grouped(all)) };
    let on = if workers == 1 { "1 worker".to_owned() } else { format!("{} workers", grouped(workers)) };
    let all_but = if more { "of those not older nothing else is left out" } else { "nothing is left out" };
    let left_out = left_out(counts).unwrap_or_else(|| all_but.to_owned());
    let [completed, failed, cancelled] =
        [(counts.completed, "completed"), (counts.failed, "failed"), (counts.cancelled, "cancelled while they ran")]
            .map(|(count, word)| (count > 0).then(|| format!("{} {word}", grouped(count))));
    let ends: Vec<String> = [completed, failed, cancelled].into_iter().flatten().collect();
    format!("Replays {tasks} of the history ({}) on {on}; {left_out}.", ends.join(", "))
}

/// What is not replayed, each with its reason; none when that is nothing.
fn left_out(counts: &Counts) -> Option<String> {
    let rows = [
        (counts.never_ran, "ended without having run (cancelled or failed before a start)"),
        (counts.live, "still waiting or running"),
        (counts.too_large, "larger than every worker of now"),
    ];
    let parts: Vec<String> = rows
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{} {why}", grouped(count)))
        .collect();
    (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", ")))
}

/// Workers that get no new work now, or never told what they offer.
fn out_of_work(workers: &[Worker]) -> impl Iterator<Item = String> {
    let (have, have_not): (Vec<&Worker>, Vec<&Worker>) = workers.iter().partition(|worker| past::offers(worker));
    let idle = have.into_iter().filter_map(|worker| {
        let state = worker.duty.as_ref().map_or(worker.status.as_str(), |duty| duty.state.as_str());
        (state != "active").then(|| format!("{} ({state})", worker.id))
    });
    let idle: Vec<String> = idle.collect();
    let names: Vec<&str> = have_not.iter().map(|worker| worker.id.as_str()).collect();
    let idle = (!idle.is_empty()).then(|| format!("Counted as if they took work: {}.", idle.join(", ")));
    let unknown =
        (!names.is_empty()).then(|| format!("Not counted, as they never told what they offer: {}.", names.join(", ")));
    idle.into_iter().chain(unknown)
}

/// Workers that were added after the first of the tasks was submitted.
fn came_later(workers: &[Worker], begin: Timestamp) -> Option<String> {
    let later = workers.iter().filter(|worker| past::offers(worker));
    let later = later.filter(|worker| moment(&worker.registered_at).is_some_and(|at| at > begin));
    let names: Vec<&str> = later.map(|worker| worker.id.as_str()).collect();
    let verb = if names.len() == 1 { "counts" } else { "count" };
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!(
            "{names} came after the first task: in {ACTUAL} {verb} as idle before, strategies use what is there now."
        )
    })
}

fn grouped(count: usize) -> String {
    figure::amount(count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endings_of_the_two_files_may_be_typed() {
        for typed in ["dir/week", "dir/week.csv", "dir/week.tasks.csv", "dir/week.workers.csv"] {
            assert_eq!(name(typed).unwrap(), Path::new("dir/week"), "{typed}");
        }
        assert!(name("..").is_err() && name("dir/").is_err() && name("").is_err());
    }

    #[test]
    fn what_is_replayed_and_what_is_not_is_one_sentence() {
        let counts = Counts { completed: 1_180, failed: 20, cancelled: 4, never_ran: 12, live: 3, too_large: 1 };
        assert_eq!(
            sentence(&counts, 3, true),
            "Replays 1,204 tasks of the history (1,180 completed, 20 failed, 4 cancelled while they ran) on 3 workers; \
             left out: 12 ended without having run (cancelled or failed before a start), 3 still waiting or running, 1 \
             larger than every worker of now."
        );
        let counts = Counts { completed: 1, ..Counts::default() };
        let said = "Replays 1 task of the history (1 completed) on 1 worker; nothing is left out.";
        assert_eq!(sentence(&counts, 1, false), said);
        assert!(sentence(&counts, 1, true).ends_with("; of those not older nothing else is left out."));
    }
}
