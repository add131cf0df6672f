//! Starts a master and its workers in one process.

use super::{logging, master, stop, worker};
use crate::config::UpSettings;
use anyhow::Context;
use cloudai_core::ids::WorkerId;
use cloudai_core::resources::Capacity;
use cloudai_master::Master;
use cloudai_master::principal::Principal;
use cloudai_worker::probe::host::Declared;
use cloudai_worker::{Config, Worker};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs a master and its workers until the process is asked to stop.
/// # Errors
/// When it can not start, or fails on the way.
pub(crate) async fn run_up(settings: UpSettings) -> anyhow::Result<()> {
    let stop = stop::on_signal(logging::start(&settings.master.log)?)?;
    let master = master::bind(&settings.master).await?;
    let workers = prepare_workers(&settings, &master).await?;
    announce(&settings, &master)?;
    run(master, workers, stop).await
}

/// Workers end before the master, so that they can tell it how their attempts ended.
async fn run(master: Master, prepared: Vec<Worker>, stop: CancellationToken) -> anyhow::Result<()> {
    let (master_stop, workers_stop) = (CancellationToken::new(), stop.child_token());
    let mut running = tokio::spawn(master.run(master_stop.clone()));
    let mut workers = JoinSet::new();
    for worker in prepared {
        workers.spawn(worker.run(workers_stop.clone()));
    }
    let first = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = &mut running => return Ok(ended??),
        Some(ended) = workers.join_next() => ended?.map_err(anyhow::Error::from),
    };
    workers_stop.cancel();
    while workers.join_next().await.is_some() {}
    master_stop.cancel();
    running.await??;
    first
}

async fn prepare_workers(settings: &UpSettings, master: &Master) -> anyhow::Result<Vec<Worker>> {
    let data_dir = &settings.master.data_dir;
    let whole = worker::capacity(data_dir, &Declared::default(), settings.executor)?;
    let mut workers = Vec::new();
    for number in 1..=settings.workers {
        let id: WorkerId = format!("local-{number}").parse()?;
        let config = Config {
            master: master.grpc_address().to_string(),
            join_token: master.handle().join_token(&Principal::local()).to_owned(),
            address: String::new(),
            capacity: share(&whole, settings.workers),
            labels: std::collections::BTreeMap::new(),
            engine: worker::engine(settings.executor, settings.engine.clone()),
            data_dir: worker::folder(data_dir, &id),
            id,
        };
        workers.push(Worker::prepare(config).await.with_context(|| format!("worker local-{number} can not start"))?);
    }
    Ok(workers)
}

/// The workers share the machine evenly; its devices go to a worker only where it is the only one.
fn share(whole: &Capacity, workers: u32) -> Capacity {
    let part = |amount: u64| amount / u64::from(workers.max(1));
    Capacity {
        cpu_milli: part(whole.cpu_milli),
        memory: part(whole.memory),
        storage: part(whole.storage),
        gpus: if workers == 1 { whole.gpus.clone() } else { Vec::new() },
    }
}

fn announce(settings: &UpSettings, master: &Master) -> anyhow::Result<()> {
    if settings.master.print_addresses {
        return master::announce(&settings.master, master);
    }
    let http = master.http_address();
    eprintln!("ready   {} worker(s)   http://{http}", settings.workers);
    eprintln!("run a task:  cloudai --addr http://{http} task submit IMAGE --follow -- COMMAND");
    Ok(())
}
