//! `cloudai login`, `logout`, `whoami`: who somebody is to a master, kept in a context.

use super::connect::{Known, connect, given_ca, secret};
use super::{Context, ca, password};
use crate::account::Me;
use crate::client::{Client, Credentials, Tokens, Trust, UNTRUSTED, parse_addr};
use crate::config::{ADDR, Process, Resolver};
use crate::context::{self, ContextFile, Contexts, Entry};
use crate::exit::{Exit, Failure};
use crate::render::{self, Screen};
use reqwest::{Method, Url};
use serde::Serialize;
use std::io::{BufRead, IsTerminal};

/// Where the API has it.
const AUTH: [&str; 3] = ["api", "v1", "auth"];
/// The command that helps.
const HELP: &str = "cloudai login --help";

#[derive(Debug, clap::Args)]
pub(super) struct Login {
    /// The master's address, instead of --addr
    #[arg(value_name = "ADDR")]
    master: Option<String>,
    /// As whom
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from stdin, its first line
    #[arg(long)]
    password_stdin: bool,
    /// Trust the authority of this SHA-256, as `cloudai ca export` tells it on the master's machine
    #[arg(long, value_name = "HEX", value_parser = ca::hash)]
    ca_hash: Option<String>,
    /// What to call the context; the master's host without
    #[arg(long, value_name = "NAME", value_parser = context::name)]
    name: Option<String>,
}

/// Who has signed in, and under which context.
#[derive(Serialize)]
struct SignedIn {
    context: String,
    addr: String,
    user: String,
    role: String,
}

/// An address as it stands in contexts.
fn plain(base: &Url) -> String {
    base.as_str().trim_end_matches('/').to_owned()
}

pub(super) async fn login(args: &Login, resolver: &Resolver<'_>, screen: Screen) -> Result<Exit, Failure> {
    let base = match &args.master {
        Some(typed) => parse_addr(typed).map_err(|why| Failure::usage(format!("{typed:?}: {why}")).next(HELP))?,
        None => resolver.required(&ADDR)?,
    };
    secret(&base)?;
    let file = ContextFile::of(&Process)?;
    let known = Known::of(&base)?.map(|known| known.entry);
    if let Some(name) = &args.name {
        not_anothers(name, &base, &file.load()?)?;
    }
    let ca_pem = trusted(args, &base, (given_ca(resolver)?, known.as_ref()), &screen).await?;
    let trust = ca_pem.clone().map_or(Trust::System, Trust::Only);
    let cx = Context { client: Client::with(base.clone(), &trust, Credentials::Nobody)?, screen };
    let user = user(args, known.as_ref(), &cx.screen)?;
    let password = password::ask("password", args.password_stdin, HELP, &cx).await?;
    let body = serde_json::json!({ "user": user, "password": password });
    let (_, tokens): (_, Tokens) = cx.client.post(&[&AUTH[..], &["login"]].concat(), Some(&body), None).await?;
    let (role, addr) = (tokens.user.role.clone(), plain(&base));
    let user = if tokens.user.name.is_empty() { user } else { tokens.user.name.clone() };
    let entry = {
        let mut entry = Entry { addr: addr.clone(), user: Some(user.clone()), ca_pem, ..Entry::default() };
        tokens.keep(&mut entry);
        entry
    };
    let context = file.change(|contexts| {
        let name = args.name.clone().unwrap_or_else(|| contexts.name_for(&base));
        contexts.contexts.insert(name.clone(), entry);
        contexts.current = Some(name.clone());
        name
    })?;
    let signed_in = SignedIn { context, addr, user, role };
    let line = || {
        let SignedIn { context, addr, user, role } = &signed_in;
        format!("{user}  {role}  signed in at {addr}; every command goes there from now on (context {context})")
    };
    cx.screen.one(&signed_in, &signed_in.context, line)?;
    Ok(Exit::Ok)
}

/// A name is no other master's.
fn not_anothers(name: &str, base: &Url, contexts: &Contexts) -> Result<(), Failure> {
    match contexts.contexts.get(name) {
        Some(entry) if !parse_addr(&entry.addr).is_ok_and(|addr| addr == *base) => {
            Err(Failure::new(Exit::Conflict, "conflict", format!("the context {name} is of {}", entry.addr))
                .why("one of another master does not take its place")
                .next(format!("another --name, or cloudai context remove {name}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The certificate of the authority that is to be trusted; none where the machine's own trust is enough, or nothing is
/// encrypted.
async fn trusted(
    args: &Login,
    base: &Url,
    (given, known): (Option<String>, Option<&Entry>),
    screen: &Screen,
) -> Result<Option<String>, Failure> {
    if base.scheme() != "https" {
        return Ok(None);
    }
    if let Some(hash) = &args.ca_hash {
        let found = ca::fetch(base).await?;
        found.is(hash, base)?;
        return Ok(Some(found.pem));
    }
    let before = given.or_else(|| known.and_then(|known| known.ca_pem.clone()));
    let trust = before.clone().map_or(Trust::System, Trust::Only);
    let looked = Client::with(base.clone(), &trust, Credentials::Nobody)?.text(&["livez"]).await;
    let addr = plain(base);
    match (looked, before) {
        (Ok(_), before) => Ok(before),
        (Err(failure), Some(_)) if failure.code == UNTRUSTED => {
            Err(Failure::new(failure.exit, UNTRUSTED, format!("{addr} is not who it was"))
                .why("its certificate is signed by another authority than the one that is trusted for it")
                .why("somebody else may answer in its place")
                .next(format!(
                    "ask who runs it for the hash of its authority, then: cloudai login {addr} --ca-hash HASH"
                )))
        }
        (Err(failure), None) if failure.code == UNTRUSTED => ask_to_trust(base, screen).await.map(Some),
        (Err(failure), _) => Err(failure),
    }
}

/// Shows by which hash an unknown authority is known, and has a person compare it.
async fn ask_to_trust(base: &Url, screen: &Screen) -> Result<String, Failure> {
    let (found, addr) = (ca::fetch(base).await?, plain(base));
    let where_from = "who runs it sees the right one with: cloudai ca export -o wide";
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::NotAllowed,
            UNTRUSTED,
            format!("{addr} has an authority that is not known here"),
        )
        .why(format!("its SHA-256 is {}", found.sha256))
        .why(where_from)
        .next(format!("compare it, then: cloudai login {addr} --ca-hash {}", found.sha256)));
    }
    screen.note(&format!("{addr} has an authority that is not known here. Its SHA-256 is"));
    screen.note(&format!("  {}", found.sha256));
    screen.note(&format!("Compare it: {where_from}. Type yes to trust it:"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        return Err(Failure::error("nothing was done").why("the answer was not yes"));
    }
    Ok(found.pem)
}

/// As whom: as it is said, as before, or as it is typed.
fn user(args: &Login, known: Option<&Entry>, screen: &Screen) -> Result<String, Failure> {
    if let Some(user) = args.user.clone().or_else(|| known.and_then(|known| known.user.clone())) {
        return Ok(user);
    }
    let missing = |why| Failure::usage("as whom?").why(why).next("--user NAME");
    if !std::io::stdin().is_terminal() || args.password_stdin {
        return Err(missing("nobody can be asked"));
    }
    screen.draw("user: ");
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    match typed.trim() {
        "" => Err(missing("nothing was typed")),
        typed => Ok(typed.to_owned()),
    }
}

/// Forgets the sign-in of the address in use, here and at the master.
pub(super) async fn logout(resolver: &Resolver<'_>, screen: &Screen) -> Result<Exit, Failure> {
    let base = resolver.required(&ADDR)?;
    let addr = plain(&base);
    let known = Known::of(&base)?.filter(|known| known.entry.is_signed_in());
    let Some(Known { file, name, entry }) = known else {
        return Err(Failure::not_found(format!("nobody is signed in at {addr}")).next("cloudai context list"));
    };
    let trust = given_ca(resolver)?.or_else(|| entry.ca_pem.clone()).map_or(Trust::System, Trust::Only);
    let told = match &entry.refresh {
        Some(refresh) => {
            let client = Client::with(base, &trust, Credentials::Nobody)?;
            let body = serde_json::json!({ "refresh_token": refresh });
            client.tell(Method::POST, &[&AUTH[..], &["logout"]].concat(), &body).await
        }
        None => Ok(()),
    };
    file.change(|contexts| contexts.contexts.get_mut(&name).map(Entry::sign_out))?;
    screen.note(&format!("{}  signed out at {addr}", entry.user.as_deref().unwrap_or(&name)));
    if let Err(failure) = told {
        screen.note(&format!("The master could not be told, there the sign-in ends by itself: {}", failure.what));
    }
    if entry.token.is_some() {
        screen.note(
            "The key of the context is forgotten here and still good: cloudai user tokens, cloudai user revoke ID",
        );
    }
    Ok(Exit::Ok)
}

/// Who the master takes this client for.
pub(super) async fn whoami(resolver: &Resolver<'_>, screen: Screen) -> Result<Exit, Failure> {
    let cx = Context { client: connect(resolver)?, screen };
    let me: Me = cx.client.get(&[&AUTH[..], &["whoami"]].concat(), &[]).await?;
    cx.screen.one(&me, &me.name, || render::account::me(&me, cx.client.addr()))?;
    Ok(Exit::Ok)
}
