//! `cloudai worker token`: what lets workers join.

use super::Context;
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::render;
use cloudai_master::http::dto::{IssuedToken, JoinToken, List};
use serde_json::json;
use std::time::Duration;

const PATH: [&str; 3] = ["api", "v1", "join-tokens"];

/// What `worker token` takes; alone it prints the token that the first start made.
#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// Makes another one
    #[arg(long)]
    new: bool,
    /// One that lets in one worker
    #[arg(long, requires = "new")]
    single_use: bool,
    /// How long it is good, as 90s, 1h or 7d; for ever without
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "new")]
    expires: Option<Duration>,
    /// Lists all, without the tokens themselves
    #[arg(long, conflicts_with = "new")]
    list: bool,
    /// Takes one back; workers that it let in stay
    #[arg(long, value_name = "ID", conflicts_with_all = ["new", "list"])]
    revoke: Option<String>,
}

pub(super) async fn run(args: &Token, cx: &Context) -> Result<Exit, Failure> {
    if args.list {
        list(cx).await?;
    } else if let Some(id) = &args.revoke {
        cx.client.delete(&[&PATH[..], &[id.as_str()]].concat(), &[]).await?;
        cx.screen.note(&format!("the join token {id} is revoked"));
    } else if args.new {
        make(args, cx).await?;
    } else {
        let token: JoinToken = cx.client.get(&["api", "v1", "cluster", "join-token"], &[]).await?;
        cx.screen.one(&token, &token.join_token, || token.join_token.clone())?;
        hint(&token.join_token, cx);
    }
    Ok(Exit::Ok)
}

async fn make(args: &Token, cx: &Context) -> Result<(), Failure> {
    let seconds = args.expires.map(|time| time.as_secs().max(1));
    let body = json!({"reusable": !args.single_use, "expires_in_s": seconds});
    let (_, made): (_, IssuedToken) = cx.client.post(&PATH, Some(&body), None).await?;
    let token = made.token.clone().unwrap_or_default();
    cx.screen.one(&made, &token, || token.clone())?;
    cx.screen.hint(&format!("It is {} and shown only now.", made.id));
    hint(&token, cx);
    Ok(())
}

fn hint(token: &str, cx: &Context) {
    cx.screen.hint("On the worker's machine:");
    cx.screen.hint(&format!("  CLOUDAI_JOIN_TOKEN={token} cloudai worker start --master HOST:50051"));
}

async fn list(cx: &Context) -> Result<(), Failure> {
    let list: List<IssuedToken> = cx.client.get(&PATH, &[]).await?;
    cx.screen.list(&list, |token| token.id.clone(), || render::token::list(&list.items, &cx.screen))
}
