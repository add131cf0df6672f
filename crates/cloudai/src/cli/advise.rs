//! `cloudai task advise`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render;
use cloudai_master::http::dto::advice::Advice;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the names of the tasks begin with
    #[arg(value_name = "NAME")]
    name: String,
    /// How many attempts of each name count, the latest
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1000))]
    last: u64,
    /// For which share of all runs a proposal is to be enough, 0.5 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = share)]
    quantile: f64,
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share.filter(|share| (0.5..=1.0).contains(share)).ok_or_else(|| "expected a number from 0.5 to 1, as 0.95".into())
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { name, last, quantile } = args;
    let query = [("name_prefix", name.clone()), ("limit", last.to_string()), ("quantile", quantile.to_string())];
    let advice: Advice = cx.client.get(&["api", "v1", "advice"], &query).await?;
    if advice.list.items.is_empty() {
        let what = format!("of your tasks whose name begins with {name:?} none has completed");
        let why = "only tasks with a name (--name) are found, and only while they are kept";
        return Err(Failure::not_found(what).why(why).next(format!("cloudai task list --all --name {name}")));
    }
    let people = || render::advice::cards(&advice, &cx.screen);
    cx.screen.list_of(&advice, &advice.list, |of| of.name.clone(), people)?;
    Ok(Exit::Ok)
}
