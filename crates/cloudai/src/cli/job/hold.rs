//! `cloudai job hold` and `release`.

use super::{One, show};
use crate::cli::Context;
use crate::exit::{Exit, Failure};
use crate::id;
use cloudai_master::http::dto::Job;

pub(super) async fn hold(args: &One, cx: &Context) -> Result<Exit, Failure> {
    order(args, "hold", cx).await
}

pub(super) async fn release(args: &One, cx: &Context) -> Result<Exit, Failure> {
    order(args, "release", cx).await
}

async fn order(args: &One, verb: &str, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.id).await?;
    let (_, job): (_, Job) = cx.client.post(&["api", "v1", "jobs", &id, verb], None, None).await?;
    show(&job, cx).map(|()| Exit::Ok)
}
