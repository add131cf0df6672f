//! The real binary as real processes: masters, workers and commands, as a user starts them.
//!
//! One file per family. Modules whose tests need a container engine are named `docker`; without
//! an engine they fail and say so.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod cluster;
mod dockerd;
mod engine;
mod https_server;
mod link;
mod process;
mod registry;
mod rest;
#[path = "../../../store/tests/s3_server/mod.rs"]
mod s3_server;

mod addresses;
mod advise;
mod agent;
mod audit;
mod backup;
mod bench;
mod bench_docker;
mod clock;
mod debug;
mod disk;
mod duty;
mod engine_restart_docker;
mod enrol;
mod exec;
mod exec_docker;
mod faults_docker;
mod field;
mod files;
mod follow;
mod full_disk;
mod https;
mod images_docker;
mod input;
mod input_fields;
mod input_start;
mod inputs;
mod inputs_docker;
mod jobs;
mod jobs_docker;
mod jobs_plan;
mod labels;
mod log_file;
mod login;
mod path;
mod path_docker;
mod policy;
mod policy_docker;
mod preempt;
mod processes;
mod processes_docker;
mod push;
mod push_secured;
mod read_only;
mod registries;
mod registries_docker;
mod released;
mod restart;
mod s3;
mod s3_docker;
mod schedules;
mod secrets;
mod secrets_docker;
mod sim;
mod single;
mod stalled_store;
mod templates;
mod volumes;
mod volumes_docker;
mod worker_python;
