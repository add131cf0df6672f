//! Which workload is run: two CSV files, a trace of jobs, or the history of a running master.

use super::history::Asked;
use crate::exit::Failure;
use cloudai_sim::replay::{ReadError, Workload, csv, swf};
use std::path::PathBuf;

/// Where the workload is read from.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Source {
    /// Tasks as CSV, also .gz: task_id,arrival_s,cpu,mem_gb,storage_gb,gpu,runtime_s and where known
    /// estimate_s,priority,deadline_s,user,image
    #[arg(long, value_name = "FILE", requires = "workers", required_unless_present_any = ["swf", "from_history"])]
    tasks: Option<PathBuf>,
    /// Workers as CSV: worker_id,cpu,mem_gb,storage_gb,gpu
    #[arg(long, value_name = "FILE", requires = "tasks")]
    workers: Option<PathBuf>,
    /// A trace of jobs in the Standard Workload Format, also .gz, instead of --tasks and --workers
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tasks", "workers"])]
    swf: Option<PathBuf>,
    /// With --swf: the processors of its machine [default: what its header says]
    #[arg(long, value_name = "N", requires = "swf", value_parser = clap::value_parser!(u32).range(1..))]
    procs: Option<u32>,
    /// With --swf: not the whole trace but the sequences of a published comparison
    #[arg(long, value_name = "NAME", value_enum, requires = "swf")]
    protocol: Option<Protocol>,
    /// With --protocol: takes the sequences out of the 10,000 jobs after the first N
    #[arg(long, value_name = "N", requires = "protocol", default_value_t = 0)]
    pub(super) slice: usize,
    #[command(flatten)]
    pub(super) history: Asked,
}

/// How a trace is cut for a comparison.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Protocol {
    /// Ten sequences of 1,024 jobs, each on an empty machine (Zhang et al., SC'20)
    Rlscheduler,
}

impl Source {
    /// Whether the trace is run in sequences.
    pub(super) fn is_protocol(&self) -> bool {
        match self.protocol {
            Some(Protocol::Rlscheduler) => true,
            None => false,
        }
    }

    /// Reads the workload, which is in files.
    /// # Errors
    /// A file can not be used: it says which, where and why.
    pub(super) fn read(&self) -> Result<Workload, Failure> {
        match (&self.swf, &self.tasks, &self.workers) {
            (Some(trace), _, _) => swf::read_swf(trace, self.procs).map_err(unread),
            (None, Some(tasks), Some(workers)) => csv::read_workload(tasks, workers).map_err(unread),
            (None, _, _) => Err(Failure::usage("no workload is given")
                .next("--tasks FILE --workers FILE, --swf FILE, or --from-history")),
        }
    }
}

/// What is said of a file that can not be used.
pub(super) fn unread(error: ReadError) -> Failure {
    let failure = Failure::usage(format!("{}: {}", error.place(), error.problem));
    let failure = if error.allowed.is_empty() { failure } else { failure.why(error.allowed) };
    failure.next("`cloudai sim run --help` says what the files hold")
}
