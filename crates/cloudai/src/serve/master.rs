//! Starts a master.

use super::{logging, stop};
use crate::config::{MasterSettings, Store};
use anyhow::Context;
use cloudai_master::principal::Principal;
use cloudai_master::{Config, Master};
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::memory::MemoryStore;
use cloudai_store::sqlite::SqliteStore;
use serde_json::json;
use std::io::Write;
use std::sync::Arc;
use tracing::warn;

/// Runs a master until the process is asked to stop.
/// # Errors
/// When it can not start, or fails on the way.
pub(crate) async fn run_master(settings: MasterSettings) -> anyhow::Result<()> {
    let stop = stop::on_signal(logging::start(&settings.log)?)?;
    let master = bind(&settings).await?;
    announce(&settings, &master)?;
    master.run(stop).await?;
    Ok(())
}

/// Opens the data and takes the addresses.
pub(super) async fn bind(settings: &MasterSettings) -> anyhow::Result<Master> {
    let dir = &settings.data_dir;
    let store: Arc<dyn cloudai_store::Store> = match settings.store {
        Store::Sqlite => Arc::new(SqliteStore::open(dir)?),
        Store::Memory => {
            warn!("state is kept in memory only: everything is gone when this master ends");
            Arc::new(MemoryStore::new())
        }
    };
    let bulk = LocalBulk::open(&dir.join("bulk"))
        .with_context(|| format!("the folder for logs and files in {} can not be used", dir.display()))?;
    let config = Config {
        grpc: settings.grpc,
        http: settings.http,
        store,
        bulk: Arc::new(bulk),
        strategy: settings.strategy.clone(),
        timing: settings.timing,
    };
    Ok(Master::bind(config).await?)
}

/// Tells where it listens and how workers join: to programs as they asked, else to people.
pub(super) fn announce(settings: &MasterSettings, master: &Master) -> anyhow::Result<()> {
    let (grpc, http) = (master.grpc_address(), master.http_address());
    let mut out = std::io::stdout().lock();
    if settings.print_addresses {
        writeln!(out, "{}", json!({"grpc": grpc.to_string(), "http": http.to_string()}))?;
    }
    if settings.print_credentials && master.is_first_start() {
        writeln!(out, "{}", json!({"join_token": master.handle().join_token(&Principal::local())}))?;
    }
    out.flush()?;
    if settings.insecure {
        warn!("listening without encryption and users: everyone who reaches this master can run containers");
    }
    if !settings.print_addresses {
        eprintln!("master ready   workers at {grpc}   users at http://{http}");
        if master.is_first_start() && !settings.print_credentials {
            eprintln!(
                "join token:    {}   (made just now; again: cloudai worker token)",
                master.handle().join_token(&Principal::local())
            );
        }
        eprintln!("add a worker:  cloudai worker start --master {grpc} --join-token $(cloudai worker token)");
        eprintln!("run a task:    cloudai task submit IMAGE --follow -- COMMAND");
    }
    Ok(())
}
