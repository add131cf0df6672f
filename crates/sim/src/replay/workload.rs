//! A recorded workload: tasks with their arrivals and run times, and the machines they ran for.

/// Tasks and machines of a trace (SPEC 5), as they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// What it is called in reports, as `appcA1`.
    pub name: String,
    /// In the order of the file.
    pub tasks: Vec<Task>,
    /// In the order of the file.
    pub workers: Vec<Machine>,
}

/// A task of a trace. Times are seconds, amounts as in the file; nothing is negative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// Unique in its workload.
    pub id: String,
    /// When it is submitted.
    pub arrival_s: f64,
    /// Cores, GB of memory, GB of disk, GPUs.
    pub demand: [f64; 4],
    /// How long it runs.
    pub runtime_s: f64,
    /// What its user says of that.
    pub estimate_s: Option<f64>,
    /// -100 to 100, higher is more urgent.
    pub priority: i32,
    /// When it should have ended.
    pub deadline_s: Option<f64>,
    /// Whose it is; empty where the trace does not say.
    pub user: String,
    /// The image that it runs; empty where the trace does not say. Run times are learned by it.
    pub image: String,
}

/// A worker of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Unique in its workload.
    pub id: String,
    /// Cores, GB of memory, GB of disk, GPUs.
    pub capacity: [f64; 4],
}
