//! `cloudai task explain`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::{id, render};
use cloudai_master::http::dto::explain::Explanation;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "ID")]
    id: String,
    /// Also what this strategy would do with it
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, &args.id).await?;
    let query: Vec<_> = args.strategy.iter().map(|name| ("strategy", name.replace('-', "_"))).collect();
    let told: Explanation = cx.client.get(&["api", "v1", "tasks", &id, "explain"], &query).await?;
    let asked = args.strategy.is_some();
    cx.screen.one(&told, &told.id, || render::explain::card(&told, asked, cx.client.now(), &cx.screen))?;
    Ok(Exit::Ok)
}
