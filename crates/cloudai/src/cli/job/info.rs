//! `cloudai job info`.

use super::{One, whole};
use crate::cli::Context;
use crate::exit::{Exit, Failure};
use crate::{id, render};

pub(super) async fn run(args: &One, cx: &Context) -> Result<Exit, Failure> {
    let job = whole(&id::resolve_job(&cx.client, &args.id).await?, cx).await?;
    cx.screen.one(&job, &job.id, || render::job::card(&job, cx.client.now(), &cx.screen))?;
    Ok(Exit::Ok)
}
