//! `cloudai user`: who may come in, and the API keys of programs.

use super::cancel::confirm;
use super::plan::{self, Would};
use super::several::{self, Refused};
use super::{Context, named, password};
use crate::account::{Key, User};
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::ids::UserId;
use cloudai_master::http::dto::List;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Where the API has users.
const PATH: [&str; 3] = ["api", "v1", "users"];
/// Where the API has keys.
const KEYS: [&str; 3] = ["api", "v1", "keys"];
/// The roles, the least first.
const ROLES: [&str; 4] = ["viewer", "user", "operator", "admin"];
/// The command that helps with passwords.
const HELP: &str = "cloudai user passwd --help";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the users
    List,
    /// Adds a user; without a password one is made and shown once
    #[command(before_help = "  cloudai user add ann                         prints her password once\n  \
                             cloudai user add bob --role operator --password-stdin < file")]
    Add(Add),
    /// Changes your password, or as an administrator another user's
    Passwd(Passwd),
    /// Changes what a user may do
    Role(Role),
    /// Lets nobody in by this name; what the user's tasks do goes on
    Disable(Name),
    /// Lets a user in again
    Enable(Name),
    /// Removes users
    Remove(Remove),
    /// Makes an API key of yours and prints it once
    #[command(before_help = "  export CLOUDAI_TOKEN=$(cloudai user token --name ci --role user --expires 30d)")]
    Token(Token),
    /// Lists API keys, without what they are
    Tokens(Tokens),
    /// Ends API keys: whoever shows them is refused from then on
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The name
    #[arg(value_parser = named::<UserId>)]
    name: String,
    /// What the user may do: viewer looks, user runs tasks, operator looks after everybody's, admin everything
    #[arg(long, default_value = "user", value_parser = ROLES)]
    role: String,
    /// Read the password from stdin, its first line, instead of making one
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Passwd {
    /// Whose; yours without
    #[arg(value_parser = named::<UserId>)]
    name: Option<String>,
    /// Read from stdin: the new password, and before it on a line of its own the one of now where it is yours
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Role {
    /// Whose
    #[arg(value_parser = named::<UserId>)]
    name: String,
    /// What the user may do from now on
    #[arg(value_parser = ROLES)]
    role: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Name {
    /// Who
    #[arg(value_parser = named::<UserId>)]
    name: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Who
    #[arg(value_name = "NAME", required = true, value_parser = named::<UserId>)]
    names: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only tell who would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// What it is for
    #[arg(long, value_name = "NAME", default_value = "cli")]
    name: String,
    /// What may be done with it, where that is less than you may do
    #[arg(long, value_parser = ROLES)]
    role: Option<String>,
    /// After which time it ends, as 30d; never without
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Tokens {
    /// Of another user, for administrators
    #[arg(long, value_name = "NAME", value_parser = named::<UserId>)]
    user: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// Which: `cloudai user tokens` shows their ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Of another user, for administrators
    #[arg(long, value_name = "NAME", value_parser = named::<UserId>)]
    user: Option<String>,
    /// Only tell which would end
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::List => {
            let list: List<User> = cx.client.get(&PATH, &[]).await?;
            let people = || render::account::users(&list.items, cx.client.now(), &cx.screen);
            cx.screen.list(&list, |user| user.name.clone(), people)?;
        }
        Command::Add(args) => add(&args, cx).await?,
        Command::Passwd(args) => passwd(&args, cx).await?,
        Command::Role(args) => change(&args.name, &json!({ "role": args.role }), cx).await?,
        Command::Disable(args) => change(&args.name, &json!({ "disabled": true }), cx).await?,
        Command::Enable(args) => change(&args.name, &json!({ "disabled": false }), cx).await?,
        Command::Remove(args) => return remove(&args, cx).await,
        Command::Token(args) => token(&args, cx).await?,
        Command::Tokens(args) => {
            let list = keys(args.user.as_ref(), cx).await?;
            let people = || render::account::keys(&list.items, cx.client.now(), &cx.screen);
            cx.screen.list(&list, |key| key.id.clone(), people)?;
        }
        Command::Revoke(args) => return revoke(&args, cx).await,
    }
    Ok(Exit::Ok)
}

async fn add(args: &Add, cx: &Context) -> Result<(), Failure> {
    let mut body = json!({ "name": args.name, "role": args.role });
    if args.password_stdin {
        body["password"] = Value::String(password::ask("password", true, "cloudai user add --help", cx).await?);
    }
    let (_, user): (_, User) = cx.client.post(&PATH, Some(&body), None).await?;
    cx.screen.one(&user, &user.name, || {
        let made = user.password.as_ref().map(|made| format!("  password {made}   (shown once)"));
        format!("{}  {}{}", user.name, user.role, made.unwrap_or_default())
    })?;
    cx.screen.hint(&format!("There: cloudai login {} --user {}", cx.client.addr(), user.name));
    Ok(())
}

async fn passwd(args: &Passwd, cx: &Context) -> Result<(), Failure> {
    match &args.name {
        Some(name) => {
            let fresh = password::ask("new password", args.password_stdin, HELP, cx).await?;
            let path = [&PATH[..], &[name]].concat();
            cx.client.tell(Method::PATCH, &path, &json!({ "password": fresh })).await?;
            cx.screen.note(&format!("{name}  has a new password"));
        }
        None => {
            let (old, new) = password::ask_both(args.password_stdin, HELP, cx).await?;
            let path = ["api", "v1", "auth", "password"];
            cx.client.tell(Method::POST, &path, &json!({ "old": old, "new": new })).await?;
            cx.screen
                .note("Your password is another one from now on. Sign in again where that is asked: cloudai login");
        }
    }
    Ok(())
}

async fn change(name: &str, body: &Value, cx: &Context) -> Result<(), Failure> {
    let user: User = cx.client.patch(&[&PATH[..], &[name]].concat(), body).await?;
    let state = if user.disabled { "disabled" } else { "active" };
    cx.screen.one(&user, &user.name, || format!("{}  {}  {state}", user.name, user.role))
}

/// Removes each that is there, whatever the others are.
async fn remove(args: &Remove, cx: &Context) -> Result<Exit, Failure> {
    let names = several::each_once(&args.names);
    let mut refused = Refused::none(names.len(), "removed");
    if args.dry_run {
        let mut plans = Vec::new();
        for name in names {
            let found = cx.client.get::<User>(&[&PATH[..], &[name]].concat(), &[]).await;
            let means = format!("remove {name}, whose tasks stay");
            plans.extend(refused.sort(name, found).map(|user| Would::of(user, "remove", means)));
        }
        let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|user| user.name.clone()).collect();
        if !plans.is_empty() {
            plan::tell(plans, |user| user.name.clone(), &lines, cx)?;
        }
        return refused.end();
    }
    if !args.yes {
        let what = match names.len() {
            1 => "remove a user".to_owned(),
            several => format!("remove {several} users"),
        };
        confirm(&what, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &cx.screen)?;
    }
    refused.remove(&PATH, &names, cx).await
}

async fn token(args: &Token, cx: &Context) -> Result<(), Failure> {
    let mut body = Map::from_iter([("name".to_owned(), json!(args.name))]);
    if let Some(role) = &args.role {
        body.insert("role".into(), json!(role));
    }
    if let Some(expires) = args.expires {
        body.insert("expires_in_s".into(), json!(expires.as_secs()));
    }
    let (_, made): (_, Key) = cx.client.post(&KEYS, Some(&Value::Object(body)), None).await?;
    let key = made.key.clone().unwrap_or_default();
    cx.screen.one(&made, &key, || key.clone())?;
    cx.screen.hint(&format!(
        "It is shown this once. Another machine: CLOUDAI_TOKEN=... cloudai --addr {}",
        cx.client.addr()
    ));
    cx.screen.hint(&format!("End it: cloudai user revoke {}", made.id));
    Ok(())
}

async fn keys(user: Option<&String>, cx: &Context) -> Result<List<Key>, Failure> {
    cx.client.get(&KEYS, &of(user)).await
}

/// Whose keys are meant; one's own without.
fn of(user: Option<&String>) -> Vec<(&'static str, String)> {
    user.map(|user| ("user", user.clone())).into_iter().collect()
}

async fn revoke(args: &Revoke, cx: &Context) -> Result<Exit, Failure> {
    let ids = several::each_once(&args.ids);
    let mut refused = Refused::none(ids.len(), "ended");
    let stored = if args.dry_run { keys(args.user.as_ref(), cx).await?.items } else { Vec::new() };
    let mut plans = Vec::new();
    for id in ids {
        if args.dry_run {
            let absent = || Failure::not_found(format!("there is no key {id}")).next("cloudai user tokens");
            let found = stored.iter().find(|key| key.id == id).cloned().ok_or_else(absent);
            let means = format!("end the key {id}: whoever shows it is refused from then on");
            plans.extend(refused.sort(id, found).map(|key| Would::of(key, "revoke", means)));
            continue;
        }
        let answer = cx.client.delete(&[&KEYS[..], &[id]].concat(), &of(args.user.as_ref())).await;
        if refused.sort(id, answer).is_some() {
            cx.screen.note(&format!("{id}  revoked"));
        }
        if !refused.goes_on() {
            break;
        }
    }
    if !plans.is_empty() {
        let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|key| key.id.clone()).collect();
        plan::tell(plans, |key| key.id.clone(), &lines, cx)?;
    }
    refused.end()
}
