//! `cloudai`: master, worker and command line in one binary.
//!
//! Reading order: `cli` (the command tree and what each command does), `aliases` (the words and
//! spellings of the reference), `client` (the REST API), `context` (masters, and how one
//! is known there), `render` (output), `config` (settings and
//! where they come from), `serve` (starting master and workers), `policy` (the file of an operator's rules), `bench` (how fast it is), `exit` (codes and failures).

mod account;
mod addresses;
mod aliases;
mod bench;
mod cli;
mod client;
mod config;
mod context;
mod exit;
mod id;
mod policy;
mod render;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything may encrypt: the libraries choose nothing by themselves. It can not have been done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ExitCode::from(cli::enter(std::env::args_os().collect()).code())
}
