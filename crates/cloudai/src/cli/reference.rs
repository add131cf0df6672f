//! The reference's words: each does what one of our commands does.

use super::{Context, cancel, cluster, debug, download, files, list, logs, submit, worker};
use crate::exit::{Exit, Failure};
use clap::Subcommand;
use cloudai_core::state::Status;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// `task submit` on a worker of your choice
    #[command(before_help = "  cloudai dispatch worker-1 busybox --cpus 1 -- date")]
    Dispatch(Box<submit::Dispatch>),
    /// `task logs --follow`
    #[command(before_help = "  cloudai monitor 9QZD")]
    Monitor {
        /// Its id, the last 4 characters of it or more, or `last`
        id: String,
        /// Whose it is; every task is yours until there are users
        user: Option<String>,
    },
    /// `task cancel`
    #[command(before_help = "  cloudai cancel 9QZD")]
    Cancel {
        /// Its id, the last 4 characters of it or more, or `last`
        id: String,
    },
    /// `task list --all`, or of one status
    #[command(before_help = "  cloudai list-tasks running")]
    ListTasks {
        /// queued, pending, running, completed, failed or cancelled
        status: Option<Status>,
    },
    /// `task files`
    #[command(before_help = "  cloudai task-files 9QZD")]
    TaskFiles {
        /// Its id, the last 4 characters of it or more, or `last`
        id: String,
        /// Whose it is; every task is yours until there are users
        user: Option<String>,
    },
    /// `task download` of all files
    #[command(before_help = "  cloudai download 9QZD local ./results")]
    Download {
        /// Its id, the last 4 characters of it or more, or `last`
        id: String,
        /// Whose it is; every task is yours until there are users
        user: String,
        /// The folder; made when it is not there
        dir: PathBuf,
    },
    /// `worker list`; on a terminal as the reference's box
    #[command(before_help = "  cloudai workers")]
    Workers,
    /// `cluster status`; on a terminal as the reference's box
    #[command(before_help = "  cloudai status")]
    Status,
    /// `debug state`
    #[command(before_help = "  cloudai internal-state")]
    InternalState,
    /// `debug reconcile`
    #[command(before_help = "  cloudai fix-resources")]
    FixResources,
    /// `worker register`
    #[command(before_help = "  cloudai register worker-3 192.168.1.102:50052")]
    Register {
        /// Its name
        id: String,
        /// Where it can be reached
        #[arg(value_name = "IP:PORT")]
        address: String,
    },
    /// `worker remove`
    #[command(before_help = "  cloudai unregister worker-3")]
    Unregister {
        /// Its name
        id: String,
    },
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Dispatch(args) => submit::dispatch(*args, cx).await,
        Command::Monitor { id, user: _ } => logs::run(&logs::Args::following(id), cx).await,
        Command::Cancel { id } => cancel::run(&cancel::Args::of(id), cx).await,
        Command::ListTasks { status } => list::run(&list::Args::of_status(status), cx).await,
        Command::TaskFiles { id, user: _ } => files::run(&files::Args::of(id), cx).await,
        Command::Download { id, user: _, dir } => download::run(&download::Args::of(id, dir), cx).await,
        Command::Workers => worker::list(cx, true).await,
        Command::Status => cluster::status(cx, true).await,
        Command::InternalState => debug::state(&debug::State::default(), cx).await,
        Command::FixResources => debug::reconcile(&debug::Reconcile::default(), cx).await,
        Command::Register { id, address } => worker::register_as(id, Some(address), cx).await,
        Command::Unregister { id } => worker::remove_as(id, cx).await,
    }
}
