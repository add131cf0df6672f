//! Starts a master.

use super::policy::Followed;
use super::{logging, stop};
use crate::client::DEFAULT_ADDR;
use crate::config::{HttpsSettings, MasterSettings, Sourced, Store};
use crate::exit::Failure;
use anyhow::Context;
use cloudai_master::machine::Machine;
use cloudai_master::opened::Setup;
use cloudai_master::principal::Principal;
use cloudai_master::{Addresses, CertificateFiles, Ended, Https, InputRules, Master, Policies, Rules, Security};
use cloudai_store::StoreError;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::s3::{Bucket, BucketError, Sources};
use cloudai_store::memory::MemoryStore;
use cloudai_store::sqlite::SqliteStore;
use serde_json::json;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the data is tried that the life before may still be reading: a copy of a large database
/// takes a while, and can not be broken off.
const TRIES: u32 = 1200;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs a master until the process is asked to stop.
/// # Errors
/// When it can not start, or fails on the way.
pub(crate) async fn run_master(settings: MasterSettings) -> anyhow::Result<()> {
    let stop = stop::on_signal(logging::start(&settings.log)?)?;
    let policy = Followed::of(settings.policy.as_deref()).await?;
    let (master, addresses) = bind(&settings, &policy).await?;
    announce(&settings, &master)?;
    Box::pin(run(master, settings, policy, addresses, stop)).await
}

/// Runs a master, and after a restore the next one at the same addresses, until told to stop.
pub(super) async fn run(
    mut master: Master,
    settings: MasterSettings,
    policy: Followed,
    addresses: Addresses,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let ended = master.run(stop.child_token()).await?;
        if ended == Ended::Stopped || stop.is_cancelled() {
            return Ok(());
        }
        let data = reopen(&settings, &policy).await.with_context(|| {
            let dir = settings.data_dir.display();
            format!("the restored data in {dir} can not be opened: the next start of a master tries again")
        })?;
        master = Master::at(&addresses, data).await?;
        info!(incarnation = master.handle().facts().incarnation.0, "master began again with restored data");
    }
}

/// Opens the data and takes the addresses.
pub(super) async fn bind(settings: &MasterSettings, policy: &Followed) -> anyhow::Result<(Master, Addresses)> {
    if let Some(bucket) = bucket(settings)? {
        bucket.probe().await.map_err(unusable)?;
    }
    let data = open(settings, Policies::of(policy.now()))?;
    let addresses = Addresses::take(settings.grpc, settings.http).await?;
    Ok((Master::at(&addresses, data).await?, addresses))
}

/// Opens the data once the last reader of the life before has gone.
async fn reopen(settings: &MasterSettings, policy: &Followed) -> anyhow::Result<Setup> {
    let mut tries = 0;
    loop {
        let (settings, policies) = (settings.clone(), Policies::of(policy.now()));
        match tokio::task::spawn_blocking(move || open(&settings, policies)).await? {
            Err(error) if tries < TRIES && matches!(error.downcast_ref(), Some(StoreError::Locked(_))) => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Where contents are kept, if not in the data folder.
fn bucket(settings: &MasterSettings) -> anyhow::Result<Option<Bucket>> {
    Ok(settings.bucket.as_ref().map(Bucket::new).transpose().map_err(unusable)?)
}

fn unusable(error: BucketError) -> Failure {
    Failure::error("files.s3.url names a bucket that can not be used: no master is started without the files of its tasks")
        .why(error.to_string())
        .next(
            "check files.s3.url, files.s3.endpoint, files.s3.region and the key (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), \
             which has to be allowed to put, get and delete objects there: cloudai config show",
        )
}

/// From which addresses tasks may have inputs.
fn inputs(settings: &MasterSettings) -> anyhow::Result<InputRules> {
    let (urls, Sourced { server, buckets }) = (settings.input_urls.clone(), &settings.input_buckets);
    let unusable = |error: BucketError| {
        Failure::error("inputs.buckets names a bucket that can not be read")
            .why(error.to_string())
            .next("check files.s3.endpoint, files.s3.region and the key (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY): cloudai config show")
    };
    let buckets = server.as_ref().map(|server| Sources::new(server, buckets)).transpose().map_err(unusable)?;
    Ok(InputRules { urls, buckets: buckets.unwrap_or_default() })
}

/// How users are talked to.
fn https(settings: &MasterSettings) -> anyhow::Result<Https> {
    let HttpsSettings { files, on_loopback } = settings.https.clone();
    let open = |(cert, key)| {
        CertificateFiles::open(cert, key).map(Arc::new).map_err(|error| {
            let failure = Failure::usage(error.to_string());
            let why = std::error::Error::source(&error).map(ToString::to_string);
            why.into_iter()
                .fold(failure, Failure::why)
                .next("check tls.cert_file and tls.key_file: cloudai config show")
        })
    };
    Ok(Https { certificate: files.map(open).transpose()?, on_loopback })
}

/// Opens the data.
fn open(settings: &MasterSettings, policies: Policies) -> anyhow::Result<Setup> {
    let dir = &settings.data_dir;
    let store: Arc<dyn cloudai_store::Store> = match settings.store {
        Store::Sqlite => Arc::new(SqliteStore::open(dir)?),
        Store::Memory => {
            warn!("state is kept in memory only: everything is gone when this master ends");
            Arc::new(MemoryStore::new())
        }
    };
    let (bulk, bucket) = (dir.join("bulk"), bucket(settings)?);
    let bulk = bucket
        .map_or_else(|| LocalBulk::open(&bulk), |bucket| LocalBulk::open_with(&bulk, bucket))
        .with_context(|| format!("the folder for logs and files in {} can not be used", dir.display()))?;
    Ok(Setup {
        store,
        bulk: Arc::new(bulk),
        strategy: settings.strategy.clone(),
        fallback: settings.fallback.clone(),
        timing: settings.timing,
        rules: Rules {
            retention: settings.retention,
            max_log_bytes: settings.max_log_bytes,
            files: settings.files,
            secrets: settings.secrets.clone(),
            policies,
            inputs: inputs(settings)?,
            exec: settings.exec,
            auth: settings.auth.clone(),
            https: https(settings)?,
        },
        security: settings.security.clone(),
        machine: Machine::default(),
    })
}

/// Tells where it listens and how workers join: to programs as they asked, else to people.
pub(super) fn announce(settings: &MasterSettings, master: &Master) -> anyhow::Result<()> {
    let (grpc, http) = (master.grpc_address(), master.http_address());
    let mut out = std::io::stdout().lock();
    if settings.print_addresses {
        writeln!(out, "{}", json!({"grpc": grpc.to_string(), "http": http.to_string()}))?;
    }
    // A cluster of before may get its users by a later start than its first.
    if settings.print_credentials && (master.is_first_start() || master.admin_password().is_some()) {
        let mut made = json!({"join_token": master.handle().join_token(&Principal::local())});
        if let Some(password) = master.admin_password() {
            made["admin_password"] = password.into();
        }
        writeln!(out, "{made}")?;
    }
    out.flush()?;
    if settings.security == Security::Insecure && !(grpc.ip().is_loopback() && http.ip().is_loopback()) {
        warn!("listening without encryption and users: everyone who reaches this master can run containers");
    }
    // It is told whatever else is not: nobody could come in without it.
    if !settings.print_credentials {
        tell_first_password(master);
    }
    if !settings.print_addresses {
        let scheme = scheme(settings, master);
        eprintln!("master ready   workers at {grpc}   users at {scheme}://{http}");
        if master.is_first_start() && !settings.print_credentials {
            eprintln!(
                "join token:    {}   (made just now; again: cloudai worker token)",
                master.handle().join_token(&Principal::local())
            );
        }
        let cloudai = client(scheme, http);
        if master.handle().has_users() {
            eprintln!("sign in:       cloudai login {} --user admin", here(scheme, http));
        }
        eprintln!("add a worker:  cloudai worker start --master {grpc} --join-token $({cloudai} worker token)");
        eprintln!("run a task:    {cloudai} task submit IMAGE --follow -- COMMAND");
    }
    Ok(())
}

/// Tells the password of the administrator that this start made, which nobody can tell later.
pub(super) fn tell_first_password(master: &Master) {
    if let Some(password) = master.admin_password() {
        eprintln!("administrator: admin   password {password}   (shown once; another one: cloudai user passwd)");
    }
}

/// How users talk to a master.
pub(super) fn scheme(settings: &MasterSettings, master: &Master) -> &'static str {
    let https = &settings.https;
    let has = master.handle().has_users() || https.files.is_some();
    if has && (https.on_loopback || !master.http_address().ip().is_loopback()) { "https" } else { "http" }
}

/// The address by which a program of this machine calls this master.
fn here(scheme: &str, http: SocketAddr) -> String {
    let here = match http.ip() {
        ip if !ip.is_unspecified() => http,
        _ => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), http.port()),
    };
    format!("{scheme}://{here}")
}

/// How a client of this machine is called that talks to this master.
fn client(scheme: &str, http: SocketAddr) -> String {
    let address = here(scheme, http);
    if address == DEFAULT_ADDR { "cloudai".into() } else { format!("cloudai --addr {address}") }
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn a_client_is_told_the_address_where_it_is_not_the_default() {
        let rows = [
            ("127.0.0.1:8080", "cloudai"),
            ("0.0.0.0:8080", "cloudai"),
            ("127.0.0.1:18090", "cloudai --addr http://127.0.0.1:18090"),
            ("[::1]:8080", "cloudai --addr http://[::1]:8080"),
        ];
        for (http, command) in rows {
            assert_eq!(client("http", http.parse().unwrap()), command, "{http}");
        }
        let secret = client("https", "10.0.0.1:8080".parse().unwrap());
        assert_eq!(secret, "cloudai --addr https://10.0.0.1:8080");
    }
}
