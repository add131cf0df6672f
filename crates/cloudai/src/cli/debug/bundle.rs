//! `cloudai debug bundle`: one file for whoever helps to find a fault.

use super::super::{Context, config};
use super::{secrets, tar};
use crate::config::{KNOWN, LOG_FILE, Resolver};
use crate::exit::{Exit, Failure};
use cloudai_master::http::dto::{Happened, List};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Lines of each kind of state, and events.
const LINES: &str = "10000";
/// Of the end of a log, so many bytes.
const LOG_TAIL: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Where to; must not be there yet
    #[arg(value_name = "FILE.tar.gz")]
    file: PathBuf,
}

/// What goes into the file, and what could not be had.
#[derive(Debug, Default)]
struct Parts {
    files: Vec<(&'static str, String)>,
    missing: Vec<String>,
}

/// Writes the file; what the master does not tell is left out.
pub(in crate::cli) async fn bundle(args: &Args, resolver: &Resolver<'_>, cx: &Context) -> Result<Exit, Failure> {
    let path = &args.file;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                Failure::new(Exit::Conflict, "conflict", format!("{} is there already", path.display()))
                    .why("a bundle replaces nothing")
                    .next("give another name")
            } else {
                unwritable(path, &error)
            }
        })?;
    let parts = collect(resolver, cx).await;
    let written = pack(&parts, &all_secrets(resolver), cx).and_then(|bytes| {
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(bytes.len())
    });
    let bytes = written.map_err(|error| {
        // The failure is what counts; a rest that can not be removed is harmless.
        let _ = std::fs::remove_file(path);
        unwritable(path, &error)
    })?;
    for missing in &parts.missing {
        cx.screen.note(&format!("left out: {missing}"));
    }
    let names: Vec<_> = parts.files.iter().map(|(name, _)| *name).collect();
    let shown = path.display().to_string();
    let value = json!({"file": shown, "bytes": bytes, "parts": names, "missing": parts.missing});
    cx.screen.one(&value, &shown, || format!("{shown}   {bytes} bytes   {}", names.join(", ")))?;
    cx.screen.hint("Secrets that are settings are not in it; look through it before you give it away.");
    Ok(Exit::Ok)
}

async fn collect(resolver: &Resolver<'_>, cx: &Context) -> Parts {
    let mut parts = Parts::default();
    let limit = [("limit", LINES.to_owned())];
    let cluster: Result<Value, _> = cx.client.get(&["api", "v1", "cluster"], &[]).await;
    let master = cluster.as_ref().map_or(Value::Null, |cluster| cluster["version"].clone());
    parts.take("cluster.json", cluster.map(|cluster| format!("{cluster:#}")));
    let state: Result<Value, _> = cx.client.get(&["api", "v1", "debug", "state"], &limit).await;
    parts.take("state.json", state.map(|state| format!("{state:#}")));
    let events: Result<List<Happened>, _> = cx.client.get(&["api", "v1", "debug", "events"], &limit).await;
    parts.take("events.jsonl", events.map(|events| events.items.iter().map(line).collect()));
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let versions = json!({"client": env!("CARGO_PKG_VERSION"), "master": master, "os": os, "arch": arch});
    parts.take("versions.json", Ok::<_, String>(format!("{versions:#}")));
    let settings = serde_json::to_string_pretty(&config::shown(resolver)).map_err(|error| error.to_string());
    parts.take("config.json", settings);
    match resolver.value(&LOG_FILE) {
        Ok(Some(file)) => parts.take("log.txt", tail(&file).map_err(|error| format!("{}: {error}", file.display()))),
        Ok(None) => parts.missing.push("log.txt: no log_file is set here".into()),
        Err(failure) => parts.take("log.txt", Err::<String, _>(failure)),
    }
    parts
}

impl Parts {
    fn take(&mut self, name: &'static str, text: Result<String, impl ToString>) {
        match text {
            Ok(text) => self.files.push((name, text)),
            Err(why) => self.missing.push(format!("{name}: {}", why.to_string().replace('\n', " "))),
        }
    }
}

fn line(event: &Happened) -> String {
    // A value of ours can be written.
    serde_json::to_string(event).map(|text| text + "\n").unwrap_or_default()
}

/// The last lines of a log.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(LOG_TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The first line may have lost its beginning, and with it the mark of a secret.
    Ok(if from > 0 { text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned()) } else { text })
}

/// The texts of every setting that is a secret, wherever it stands.
fn all_secrets(resolver: &Resolver<'_>) -> Vec<String> {
    let secret = KNOWN.iter().map(|setting| setting.facts()).filter(|facts| facts.secret);
    let mut found: Vec<String> = secret.flat_map(|facts| resolver.all(facts)).map(|found| found.text).collect();
    // A longer one first: a shorter one may be a part of it.
    found.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    found
}

fn pack(parts: &Parts, secrets: &[String], cx: &Context) -> io::Result<Vec<u8>> {
    let now = u64::try_from(cx.client.now().as_second()).unwrap_or_default();
    let mut archive = Vec::new();
    let mut add = |name: &str, text: &str| {
        let text = secrets::without(text, secrets);
        tar::add(&mut archive, &format!("cloudai-debug/{name}"), now, text.as_bytes());
    };
    parts.files.iter().for_each(|(name, text)| add(name, text));
    if !parts.missing.is_empty() {
        add("missing.txt", &(parts.missing.join("\n") + "\n"));
    }
    tar::end(&mut archive);
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(&archive)?;
    gz.finish()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("{} can not be written", path.display())).why(error.to_string())
}
