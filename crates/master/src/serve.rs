//! From a configuration to a running master: take the addresses early, run, stop in order.

use crate::choice::Configured;
use crate::engine::EngineError;
use crate::external::Fallback;
use crate::handle::Handle;
use crate::machine::Machine;
use crate::mailbox::AskError;
use crate::opened::{Doors, Opened, Setup};
use crate::pki::PkiError;
use crate::rules::Rules;
use crate::secrets::KeyError;
use crate::security::Security;
use cloudai_core::strategy;
use cloudai_core::timing::Timing;
use cloudai_store::bulk::{BulkError, BulkStore};
use cloudai_store::{Store, StoreError};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tracing::info;

/// What a master is made of.
#[derive(Debug)]
pub struct Config {
    /// Where workers call; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Where users call; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where state is kept.
    pub store: Arc<dyn Store>,
    /// Where logs and files are kept.
    pub bulk: Arc<dyn BulkStore>,
    /// The strategy.
    pub strategy: Configured,
    /// Who places while that is `external` and the agent is late.
    pub fallback: Fallback,
    /// The cluster's times, checked.
    pub timing: Timing,
    /// What its operator says of tasks.
    pub rules: Rules,
    /// Whether callers say who they are.
    pub security: Security,
}

/// Why a master can not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port is taken, or not ours to take.
    #[error("can not listen on {address} ({flag}): {source}; give another {flag}, or port 0 for a free one")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The store can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Contents can not be kept where they are to be.
    #[error(transparent)]
    Bulk(#[from] BulkError),
    /// The keys of stored secrets can not be read.
    #[error("stored secrets can not be opened: {0}; the file is named by secrets.key_file")]
    Secrets(#[from] KeyError),
    /// The certificates of the cluster can not be had.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Users can not be read, or the first one can not be made.
    #[error("users can not be loaded: {0}")]
    Identity(AskError),
    /// No such strategy.
    #[error("strategy {given:?} is not known: allowed are {}", strategy::names().join(", "))]
    Strategy {
        /// The given name.
        given: String,
    },
    /// No strategy that could take over from an agent.
    #[error("{given:?} can not place for an external agent that is late: allowed are {}", strategy::placing().join(", "))]
    Fallback {
        /// The given name.
        given: String,
    },
}

/// Why a master ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine ended.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine could not be started.
    #[error("the engine can not be started")]
    Thread(#[source] std::io::Error),
    /// The strategy's thread ended, which it does only by a fault.
    #[error(
        "nothing places tasks any more: the strategy's thread ended by a fault, which the log tells; all is stored, start the \
             master again"
    )]
    Placing,
    /// A server ended.
    #[error("the {0} server failed")]
    Server(&'static str, #[source] std::io::Error),
}

/// How a life of a master ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// A restore was ordered: the next opening of the data completes it.
    Restore,
}

/// The addresses of a master, taken for all its lives in this process: nobody else gets them in
/// between, and who calls meanwhile waits.
#[derive(Clone, Debug)]
pub struct Addresses {
    grpc: Arc<std::net::TcpListener>,
    http: Arc<std::net::TcpListener>,
}

impl Addresses {
    /// Takes them; port 0 takes a free one.
    /// # Errors
    /// [`BindError::Address`].
    pub async fn take(grpc: SocketAddr, http: SocketAddr) -> Result<Self, BindError> {
        Ok(Self { grpc: listen(grpc, "--grpc").await?, http: listen(http, "--http").await? })
    }
}

/// A master that holds its addresses and its state, and does not run yet.
#[derive(Debug)]
pub struct Master {
    grpc: TcpListener,
    http: TcpListener,
    grpc_address: SocketAddr,
    http_address: SocketAddr,
    opened: Opened,
}

impl Master {
    /// Takes the addresses and the lead, and loads the state.
    /// # Errors
    /// [`BindError`].
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let Config { grpc, http, store, bulk, strategy, fallback, timing, rules, security } = config;
        let addresses = Addresses::take(grpc, http).await?;
        let setup = Setup { store, bulk, strategy, fallback, timing, rules, security, machine: Machine::default() };
        Self::at(&addresses, setup).await
    }

    /// Takes the lead and loads the state, at addresses that were taken before.
    /// # Errors
    /// [`BindError`].
    pub async fn at(addresses: &Addresses, setup: Setup) -> Result<Self, BindError> {
        let (grpc, grpc_address) = listener(&addresses.grpc, "--grpc")?;
        let (http, http_address) = listener(&addresses.http, "--http")?;
        let security = setup.security.at([grpc_address.ip(), http_address.ip()]);
        let opened = Opened::open(Setup { security, ..setup }).await?;
        Ok(Self { grpc, http, grpc_address, http_address, opened })
    }

    /// Where workers call.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where users call.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Whether the data was made by this start.
    #[must_use]
    pub fn is_first_start(&self) -> bool {
        self.opened.is_first_start()
    }

    /// The password of `admin`, where this start made that user: nobody can tell it later.
    #[must_use]
    pub fn admin_password(&self) -> Option<&str> {
        self.opened.admin_password()
    }

    /// The way in, for callers in this process.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.opened.handle()
    }

    /// Runs until told to stop, or until a restore is ordered. Workers and their containers go on without it.
    /// # Errors
    /// [`RunError`].
    pub async fn run(self, stop: CancellationToken) -> Result<Ended, RunError> {
        let Self { grpc, http, grpc_address, http_address, opened } = self;
        info!(grpc = %grpc_address, http = %http_address, "master started");
        // The builder's own setting does not reach connections that come from a listener of ours.
        let grpc = TcpIncoming::from(grpc).with_nodelay(Some(true));
        let doors = Doors { grpc, http: Some((http, http_address)), grpc_address: Some(grpc_address) };
        opened.run(doors, stop).await
    }
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<Arc<std::net::TcpListener>, BindError> {
    let listener = TcpListener::bind(address).await.and_then(TcpListener::into_std);
    listener.map(Arc::new).map_err(|source| BindError::Address { address, flag, source })
}

/// One life's share of an address.
fn listener(taken: &std::net::TcpListener, flag: &'static str) -> Result<(TcpListener, SocketAddr), BindError> {
    let any = SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0));
    let address = taken.local_addr().map_err(|source| BindError::Address { address: any, flag, source })?;
    let shared = taken.try_clone().and_then(TcpListener::from_std);
    Ok((shared.map_err(|source| BindError::Address { address, flag, source })?, address))
}
