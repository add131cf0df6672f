//! How long a strategy thinks: the state machine and the placing thread's view of it, in this process.

use super::figures::{Figure, Sample, as_f64};
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan};
use crate::exit::Failure;
use cloudai_core::strategy::{ROUND, by_name, placing};
use std::time::Duration;
use world::World;

mod world;

/// So many tasks end before each round of the steady phase: half of what a round places at most. A few more are
/// placed, as small ones go where large ones ended: what runs grows slowly.
const ENDS: usize = ROUND / 2;

/// A full cluster with a long queue.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Placing {
    /// The strategy: `cloudai strategy list` shows all
    #[arg(long, value_name = "NAME", default_value = "ai", value_parser = placing())]
    strategy: String,
    /// How many tasks wait
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = upto::<u32, 10_000_000>)]
    tasks: u32,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = upto::<u32, 100_000>)]
    workers: u32,
    /// How many rounds, before each of which some tasks end and as many come
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = upto::<u32, 100_000>)]
    rounds: u32,
}

/// What a round took, and what it placed.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// The strategy alone.
    thought: Duration,
    /// With what the view does around it.
    whole: Duration,
    placed: u32,
}

impl Benchmark for Placing {
    const NAME: &'static str = "placing";
    const WHAT: &'static str = "the strategy's thread alone, without store or network; times of one placement are \
                                those of its round over how many it placed";

    async fn measure(&self, _: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        let strategy = by_name(&self.strategy).ok_or_else(|| Failure::error("the strategy is gone"))?;
        let mut world = World::new(strategy, self.workers)?;
        let tasks = self.tasks as usize;
        while !world.wait_for(tasks)? {
            breathe(stop).await?;
        }
        let mut filling = Vec::new();
        loop {
            let round = world.round()?;
            if round.placed == 0 {
                break;
            }
            filling.push(round);
            world.wait_for(tasks)?;
            breathe(stop).await?;
        }
        let mut steady = Vec::new();
        for _ in 0..self.rounds {
            world.end(ENDS)?;
            world.wait_for(tasks)?;
            steady.push(world.round()?);
            breathe(stop).await?;
        }
        while world.round()?.placed > 0 {
            breathe(stop).await?;
        }
        let again = world.everything_again()?;
        let mut figures = vec![Figure::ms("everything looked at again", again.whole)];
        figures.extend(each("filling, strategy alone", &filling, |round| round.thought));
        figures.extend(each("steady, strategy alone", &steady, |round| round.thought));
        figures.extend(each("steady, whole round", &steady, |round| round.whole));
        figures.extend(rounds(&steady));
        let (rows, mirrored) = world.mirrored();
        figures.push(Figure::new("to mirror a committed row", "us", mirrored.as_secs_f64() * 1e6 / as_f64(rows)));
        Ok(figures)
    }
}

/// Lets signals be heard between two rounds.
async fn breathe(stop: &Stop) -> Result<(), Failure> {
    tokio::task::yield_now().await;
    stop.check()
}

/// The time of one placement, over rounds that placed something.
fn each(what: &str, rounds: &[Round], time: impl Fn(&Round) -> Duration) -> Vec<Figure> {
    let mut sample = Sample::default();
    rounds.iter().filter(|round| round.placed > 0).for_each(|round| sample.add(time(round) / round.placed));
    let share = |name: &str, percent| {
        Figure::new(format!("{what}: a placement {name}"), "us", sample.share(percent).as_secs_f64() * 1e6)
    };
    vec![share("p50", 50), share("p99", 99)]
}

fn rounds(steady: &[Round]) -> Vec<Figure> {
    let mut sample = Sample::default();
    steady.iter().for_each(|round| sample.add(round.whole));
    let placed: u64 = steady.iter().map(|round| u64::from(round.placed)).sum();
    let mut figures = sample.figures("steady: a round");
    figures.push(Figure::new("placed in a round", "tasks", as_f64(placed) / as_f64(steady.len().max(1) as u64)));
    figures
}
