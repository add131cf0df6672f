//! How fast lists are answered in a large cluster: every filter that is offered, in both orders.

use super::bed::{Bed, Make};
use super::dispatch::until_ended;
use super::figures::{Figure, Sample};
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, load, on_cluster};
use crate::exit::Failure;
use cloudai_master::http::dto::{List as Rows, Task};
use std::time::Duration;
use tokio::time::Instant;

/// Rows of a page: what a screen shows.
const PAGE: &str = "50";
/// Pages that are read one after the other, each from the cursor of the one before.
const PAGES: u32 = 4;

/// A long queue beside a long history.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct List {
    /// How many tasks wait
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = upto::<u64, 10_000_000>)]
    tasks: u64,
    /// How many have ended before
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = upto::<u64, 10_000_000>)]
    ended: u64,
    /// How often each list is asked for
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = upto::<u32, 100_000>)]
    times: u32,
}

impl Benchmark for List {
    const NAME: &'static str = "list";
    const WHAT: &'static str = "pages of 50 rows, four in a row from cursor to cursor, over all filters and orders";

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        on_cluster(plan, stop, &Make::fake(1, 1024), async |bed| stop.unless(self.run(bed)).await).await
    }
}

impl List {
    async fn run(&self, bed: &mut Bed) -> Result<Vec<Figure>, Failure> {
        load::submit(bed, self.ended, 2).await?;
        until_ended(bed, self.ended).await?;
        bed.end_workers();
        load::submit(bed, self.tasks, 4).await?;
        let mut worst = Duration::ZERO;
        let mut figures = Vec::new();
        for (name, query) in lists() {
            let mut sample = Sample::default();
            for _ in 0..self.times {
                self.walk(bed, &query, &mut sample).await?;
            }
            worst = worst.max(sample.share(99));
            figures.extend(sample.figures(&name).into_iter().take(2));
        }
        figures.insert(0, Figure::ms("worst p99 of all lists", worst));
        Ok(figures)
    }
}

impl List {
    async fn walk(&self, bed: &Bed, query: &[(&'static str, String)], sample: &mut Sample) -> Result<(), Failure> {
        let mut query = query.to_vec();
        for _ in 0..PAGES {
            let began = Instant::now();
            let page: Rows<Task> = bed.client().get(&["api", "v1", "tasks"], &query).await?;
            sample.add(began.elapsed());
            let Some(next) = page.next_cursor else { return Ok(()) };
            query.retain(|(name, _)| *name != "cursor");
            query.push(("cursor", next));
        }
        Ok(())
    }
}

/// Every filter alone and with a status, in both orders.
fn lists() -> Vec<(String, Vec<(&'static str, String)>)> {
    let filters: [(&str, &[(&str, &str)]); 7] = [
        ("all", &[]),
        ("queued", &[("status", "queued")]),
        ("completed", &[("status", "completed")]),
        ("failed, of which there are none", &[("status", "failed")]),
        ("of a user", &[("user", "local")]),
        ("of a user, completed", &[("user", "local"), ("status", "completed")]),
        ("of a worker", &[("worker", "w1")]),
    ];
    let orders = [("newest first", "-created"), ("oldest first", "created")];
    let lists = filters.into_iter().flat_map(|(name, filter)| {
        orders.map(|(order, sort)| {
            let fixed = [("limit", PAGE), ("sort", sort)];
            let query = filter.iter().copied().chain(fixed).map(|(name, value)| (name, value.to_owned()));
            (format!("{name}, {order}"), query.collect())
        })
    });
    lists.collect()
}
