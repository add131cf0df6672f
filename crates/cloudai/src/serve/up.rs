//! Starts a master and its workers in one process.

use super::policy::Followed;
use super::{local, logging, master, stop, worker};
use crate::config::{Executor, UpSettings};
use anyhow::Context;
use cloudai_core::ids::WorkerId;
use cloudai_core::resources::{Bytes, Capacity, Thousandths};
use cloudai_core::spec::{TaskSpec, Value};
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
    let policy = Followed::of(settings.master.policy.as_deref()).await?;
    let (master, addresses) = master::bind(&settings.master, &policy).await?;
    let (workers, each) = prepare_workers(&settings, &policy, &master).await?;
    local::keep_context(&settings.master, &master).await;
    announce(&settings, &master)?;
    if let Some(note) = too_small(&each, settings.workers) {
        eprintln!("{note}");
    }
    let master_stop = CancellationToken::new();
    let running = Box::pin(master::run(master, settings.master, policy, addresses, master_stop.clone()));
    run(running, master_stop, workers, stop).await
}

/// Workers end before the master, so that they can tell it how their attempts ended.
async fn run(
    master: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    master_stop: CancellationToken,
    prepared: Vec<Worker>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let workers_stop = stop.child_token();
    let mut running = tokio::spawn(master);
    let mut workers = JoinSet::new();
    for worker in prepared {
        workers.spawn(worker.run(workers_stop.clone()));
    }
    let first = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = &mut running => return ended?,
        Some(ended) = workers.join_next() => ended?.map_err(anyhow::Error::from),
    };
    workers_stop.cancel();
    while workers.join_next().await.is_some() {}
    master_stop.cancel();
    running.await??;
    first
}

/// The workers, and what each of them offers.
async fn prepare_workers(
    settings: &UpSettings,
    policy: &Followed,
    master: &Master,
) -> anyhow::Result<(Vec<Worker>, Capacity)> {
    let data_dir = &settings.master.data_dir;
    let whole = worker::capacity(data_dir, &Declared::default(), settings.executor)?;
    let each = share(&whole, settings.workers);
    let mut workers = Vec::new();
    for number in 1..=settings.workers {
        let id: WorkerId = format!("local-{number}").parse()?;
        let config = Config {
            master: Some(master.grpc_address().to_string()),
            called: None,
            join_token: master.handle().join_token(&Principal::local()).to_owned(),
            address: String::new(),
            capacity: each.clone(),
            labels: std::collections::BTreeMap::new(),
            engine: worker::engine(settings.executor, settings.engine.clone()),
            data_dir: worker::folder(data_dir, &id),
            disk: settings.disk,
            offers: settings.offers.clone(),
            policy: policy.now(),
            exec: settings.master.exec,
            local_inputs: settings.local_inputs,
            log_rate: settings.log_rate,
            id,
        };
        workers.push(Worker::prepare(config).await.with_context(|| format!("worker local-{number} can not start"))?);
    }
    Ok((workers, each))
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

/// What to say when a task that asks for nothing in particular fits on no worker.
fn too_small(each: &Capacity, workers: u32) -> Option<String> {
    let plain = Value::Map(vec![("image".into(), Value::Text("plain".into()))]);
    let asked = TaskSpec::from_value(&plain).ok()?.demand;
    let kinds = [(each.cpu_milli, asked.cpu_milli), (each.memory, asked.memory), (each.storage, asked.storage)];
    let lacking = kinds.iter().position(|(has, wants)| has < wants).filter(|_| workers > 0)?;
    let bytes = |amount| Bytes(amount).to_string();
    let (has, wants, less) = match lacking {
        0 => {
            let (has, wants) = (Thousandths(each.cpu_milli), Thousandths(asked.cpu_milli));
            (format!("{has} cpu"), wants.to_string(), format!("--cpus {has}"))
        }
        1 => (format!("{} memory", bytes(each.memory)), bytes(asked.memory), format!("--mem {}m", each.memory >> 20)),
        _ => (format!("{} disk", bytes(each.storage)), bytes(asked.storage), format!("--disk {}m", each.storage >> 20)),
    };
    let would_fit = |fewer: &u32| {
        kinds.iter().all(|(has, wants)| has.saturating_mul(u64::from(workers)) / u64::from(*fewer) >= *wants)
    };
    let fewer = (1..workers).rev().find(would_fit);
    let fewer = fewer.map_or_else(String::new, |fewer| format!("cloudai up --workers {fewer}, or "));
    Some(format!(
        "warning: each worker offers {has}, and a task asks for {wants} unless it says otherwise: none can run it\n  \
         next: {fewer}cloudai task submit {less}"
    ))
}

fn announce(settings: &UpSettings, master: &Master) -> anyhow::Result<()> {
    if settings.master.print_addresses {
        return master::announce(&settings.master, master);
    }
    eprintln!("ready   {} worker(s)   {}", settings.workers, local::link(&settings.master, master));
    master::tell_first_password(master);
    let (image, command) = match settings.executor {
        Executor::Docker => ("IMAGE", " -- COMMAND"),
        Executor::Fake => ("fake:NAME", ""),
    };
    eprintln!("run a task:  {} task submit {image} --follow{command}", local::command(&settings.master, master));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::resources::GIB;

    #[test]
    fn workers_on_which_no_plain_task_fits_are_told_with_what_mends_it() {
        let whole = Capacity { cpu_milli: 1500, memory: 8 * GIB, storage: 100 * GIB, gpus: Vec::new() };
        let told = |whole: &Capacity, workers| too_small(&share(whole, workers), workers);
        assert_eq!(told(&whole, 1), None);
        assert_eq!(told(&whole, 0), None);
        let two = told(&whole, 2).unwrap();
        assert!(
            two.contains("offers 0.75 cpu") && two.contains("up --workers 1, or cloudai task submit --cpus 0.75"),
            "{two}"
        );
        let small = told(&Capacity { memory: GIB / 4, ..whole }, 1).unwrap();
        assert!(small.contains("next: cloudai task submit --mem 256m"), "{small}");
    }
}
