//! The one command tree: what can be typed, and which function does it.

mod advise;
mod audit;
mod backup;
mod bench;
mod beside;
mod brought;
mod ca;
mod cancel;
mod cluster;
mod config;
mod connect;
mod context;
mod debug;
mod document;
mod download;
mod duty;
mod empty;
mod event;
mod exec;
mod explain;
mod files;
mod follow;
mod forms;
mod given;
mod hidden;
mod hold;
mod job;
mod kept;
mod label;
mod limits;
mod list;
mod local;
mod login;
mod logs;
mod made;
mod password;
mod placement;
mod plan;
mod policy;
mod project;
mod queue;
mod reference;
mod registry;
mod request;
mod restore;
mod retry;
mod schedule;
mod secret;
mod send;
mod several;
mod sim;
mod strategy;
mod submit;
mod task;
mod template;
mod token;
mod usage;
mod user;
mod wait;
mod waits;
mod when;
mod worker;

use crate::aliases;
use crate::client::Client;
use crate::config::{
    ADDR, CA, Flags, KNOWN, MasterFlags, MasterSettings, Process, Resolver, TOKEN, UpFlags, UpSettings, User,
    WorkerSettings,
};
use crate::exit::{self, Exit, Failure};
use crate::render::{Format, Screen};
use crate::serve;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs container tasks on a cluster of machines
#[derive(Debug, Parser)]
#[command(
    name = "cloudai",
    version,
    disable_version_flag = false,
    before_help = "  cloudai up                                   a master and a worker on this machine\n  \
                   cloudai task submit python:3.12 -- python -c 'print(1)'\n  \
                   cloudai task logs last --follow              what it prints, live\n  \
                   cloudai task list                            what waits and runs"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// The master's HTTP address
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    addr: Option<String>,
    /// Who you are to it: an API key; in the environment `ps` does not show it
    #[arg(long, global = true, value_name = "KEY", help_heading = "Everywhere")]
    token: Option<String>,
    /// Trust the certificates in this file for its https, and no others
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    ca: Option<String>,
    /// A configuration file, instead of ./cloudai.toml and the user's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// The form of the data on stdout; messages go to stderr
    #[arg(short = 'o', long, global = true, value_name = "FORM", help_heading = "Everywhere")]
    output: Option<Format>,
    /// The same as --output json
    #[arg(long, global = true, conflicts_with = "output", help_heading = "Everywhere")]
    json: bool,
}

impl Global {
    fn format(&self) -> Option<Format> {
        if self.json { Some(Format::Json) } else { self.output }
    }

    /// What of it are settings.
    fn settings(&self) -> Flags {
        let flags = Flags::default().with(&ADDR, self.addr.as_ref());
        flags.with(&TOKEN, self.token.as_ref()).with(&CA, self.ca.as_ref())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a master: accepts, places and keeps tasks
    #[command(before_help = "  cloudai master --data-dir ./state            on 127.0.0.1, ports 50051 and 8080\n  \
                             cloudai master --http :0 --print-addresses   on a free port, told as JSON")]
    Master(MasterFlags),
    /// Starts workers, lists, drains and removes them
    #[command(subcommand)]
    Worker(worker::Command),
    /// Starts a master and its workers on this machine, in one process
    #[command(before_help = "  cloudai up                                   one worker, Docker\n  \
                             cloudai up --workers 3 --executor fake       three that only act\n  \
                             cloudai task submit fake:NAME                what they run: images named fake:*")]
    Up(UpFlags),
    /// Submits tasks and follows them; `task IMAGE` is short for `task submit IMAGE`
    #[command(subcommand)]
    Task(task::Command),
    /// Tasks that belong together, in one file: pipelines, arrays, sweeps
    #[command(subcommand)]
    Job(job::Command),
    /// Tasks and jobs with places for parameters, kept by the master
    #[command(subcommand)]
    Template(template::Command),
    /// What is submitted again and again, when its time comes
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Lists the files that all tasks of a user left, those of the newest task first
    #[command(before_help = "  cloudai files                                yours\n  \
                             cloudai files ann --limit 200 -o wide        ann's, with where each is kept\n  \
                             cloudai files --task 9QZD -o quiet           one ID/PATH a line")]
    Files(kept::Args),
    /// Tasks that wait for a place
    #[command(args_conflicts_with_subcommands = true)]
    Queue {
        #[command(subcommand)]
        verb: Option<queue::Command>,
    },
    /// What changes, as it changes
    #[command(subcommand)]
    Event(event::Command),
    /// What places tasks: lists, switches, shows what is predicted
    #[command(subcommand)]
    Strategy(strategy::Command),
    /// Values that tasks are given and nobody is shown
    #[command(subcommand)]
    Secret(secret::Command),
    /// Credentials of registries, by which images are pulled
    #[command(subcommand)]
    Registry(registry::Command),
    /// What the operator lets tasks ask for
    #[command(subcommand)]
    Policy(policy::Command),
    /// The cluster as a whole
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Signs in at a master and has commands go there from now on
    #[command(before_help = "  cloudai login https://gpu-01:8080 --user ann       asks for the password\n  \
                             cloudai login https://gpu-01:8080 --ca-hash HEX    trusts its authority by this hash\n  \
                             cloudai login --user ci --password-stdin < file")]
    Login(login::Login),
    /// Ends the sign-in at the master in use
    Logout,
    /// Shows who you are to the master in use
    Whoami,
    /// The masters that you work with, and which of them commands use
    #[command(subcommand)]
    Context(context::Command),
    /// Who may come in: users, their passwords and roles, and the API keys of programs
    #[command(subcommand)]
    User(user::Command),
    /// Users who see each other's tasks
    #[command(subcommand)]
    Project(project::Command),
    /// The certificate by which the cluster's https is known
    #[command(subcommand)]
    Ca(ca::Command),
    /// Who did what, from where, with which outcome
    #[command(subcommand)]
    Audit(audit::Command),
    /// Settings and where they come from
    #[command(subcommand)]
    Config(config::Command),
    /// Looks into a running master: its state, what disagrees, a file for whoever helps
    #[command(subcommand)]
    Debug(debug::Command),
    /// Runs strategies on recorded workloads or on the history of a master, and compares them
    #[command(subcommand)]
    Sim(sim::Command),
    /// Measures how fast this build is on this machine
    #[command(subcommand)]
    Bench(bench::Command),
    /// Prints the version
    Version,
    #[command(flatten)]
    Reference(reference::Command),
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) screen: Screen,
}

/// Layout of every help page: what it is, examples, usage, flags.
const HELP: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The command tree with its help pages laid out.
#[must_use]
pub(crate) fn tree() -> clap::Command {
    fn laid_out(command: clap::Command) -> clap::Command {
        command.help_template(HELP).mut_subcommands(laid_out)
    }
    let tree = laid_out(Cli::command()).after_help(exit::HELP).arg_required_else_help(true);
    let mut tree = with_settings(tree, User::Client)
        .mut_subcommand("master", |command| with_settings(command, User::Master))
        .mut_subcommand("up", |command| with_settings(command, User::Up))
        .mut_subcommand("worker", |worker| {
            worker.mut_subcommand("start", |command| with_settings(command, User::Worker))
        })
        .mut_subcommand("bench", |bench| bench.mut_subcommand("docker", |command| with_settings(command, User::Bench)));
    tree.build();
    tree
}

/// Says behind each flag that is a setting where else it may be given.
fn with_settings(command: clap::Command, user: User) -> clap::Command {
    command.mut_args(|arg| {
        let flag = arg.get_long().map(|long| format!("--{long}"));
        let mut settings = KNOWN.iter().map(|setting| setting.facts()).filter(|facts| facts.used_by.contains(&user));
        match settings.find(|facts| facts.flag.is_some() && facts.flag == flag.as_deref()) {
            Some(facts) => {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                arg.help(format!("{help} {}", facts.hint()))
            }
            None => arg,
        }
    })
}

/// Runs a command line to its end; everything that goes wrong has been told when this returns.
#[must_use]
pub(crate) fn enter(argv: Vec<OsString>) -> Exit {
    let tree = tree();
    let argv = match aliases::normalise(argv, &tree) {
        Ok(argv) => argv,
        Err(failure) => return told(&failure, None),
    };
    let parsed = tree.try_get_matches_from(argv).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is a mistake; a closed pipe is neither.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let format = cli.global.format();
    let ended = runtime().map_err(Failure::from).and_then(|runtime| runtime.block_on(run(cli)));
    ended.unwrap_or_else(|failure| told(&failure, format))
}

/// One core is left to the threads that decide and wait for the disk: the engine's, the worker's.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread().worker_threads(cores.saturating_sub(1).max(1)).enable_all().build()
}

fn told(failure: &Failure, format: Option<Format>) -> Exit {
    if failure.code != exit::PIPE_CLOSED {
        let screen = Screen::of_process(format);
        match format {
            Some(Format::Json | Format::Jsonl) => screen.note(&failure.to_json()),
            Some(Format::Table | Format::Wide | Format::Yaml | Format::Quiet) | None => {
                screen.note(&failure.to_string());
            }
        }
    }
    failure.exit
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let screen = Screen::of_process(cli.global.format());
    if let Command::Version = cli.command {
        let version = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
        let plain = env!("CARGO_PKG_VERSION");
        return screen.one(&version, plain, || format!("cloudai {plain}")).map(|()| Exit::Ok);
    }
    if let Command::Bench(command) = cli.command {
        return Box::pin(bench::run(command, cli.global.config.as_deref(), cli.global.json, &screen)).await;
    }
    if let Command::Job(command) = &cli.command
        && let Some(ran) = job::offline::run(command, &screen)
    {
        return ran;
    }
    if let Command::Policy(command) = &cli.command
        && let Some(ran) = policy::offline(command, &screen)
    {
        return ran;
    }
    let reads_files = matches!(&cli.command, Command::Sim(command) if !command.asks_master());
    if reads_files && let Command::Sim(command) = cli.command {
        return sim::run(command, &screen);
    }
    let (named, settings) = (cli.global.config.as_deref(), cli.global.settings());
    if let Command::Config(command) = &cli.command {
        return config::run(command, named, &settings, &screen);
    }
    if let Command::Context(command) = cli.command {
        return context::run(command, &screen);
    }
    let resolver = Resolver::open(&Process, named)?;
    match cli.command {
        Command::Master(flags) => {
            Box::pin(serve::run_master(MasterSettings::resolve(&resolver, &flags)?)).await?;
            Ok(Exit::Ok)
        }
        Command::Up(flags) => {
            Box::pin(serve::run_up(UpSettings::resolve(&resolver, &flags)?)).await?;
            Ok(Exit::Ok)
        }
        Command::Worker(worker::Command::Start(flags)) => {
            serve::run_worker(WorkerSettings::resolve(&resolver, &flags)?).await?;
            Ok(Exit::Ok)
        }
        Command::Cluster(cluster::Command::Restore(args)) if args.is_local() => {
            restore::run_restore(&args, &resolver, &screen)
        }
        Command::Login(args) => Box::pin(login::login(&args, &asking(&resolver, settings)?, screen)).await,
        Command::Logout => login::logout(&asking(&resolver, settings)?, &screen).await,
        Command::Whoami => login::whoami(&asking(&resolver, settings)?, screen).await,
        Command::Ca(command) => Box::pin(ca::run(&command, &asking(&resolver, settings)?, screen)).await,
        command => {
            let resolver = asking(&resolver, settings)?;
            let cx = Context { client: connect::connect(&resolver)?, screen };
            match command {
                Command::Debug(debug::Command::Bundle(args)) => Box::pin(debug::bundle(&args, &resolver, &cx)).await,
                command => Box::pin(ask(command, &cx)).await,
            }
        }
    }
}

/// The settings of a command that asks a master.
fn asking<'a>(resolver: &Resolver<'a>, settings: Flags) -> Result<Resolver<'a>, Failure> {
    let resolver = resolver.given(settings);
    resolver.check(User::Client)?;
    Ok(resolver)
}

/// The commands that talk to a master.
async fn ask(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Task(command) => task::run(command, cx).await,
        Command::Job(command) => job::run(command, cx).await,
        Command::Template(command) => template::run(command, cx).await,
        Command::Schedule(command) => schedule::run(command, cx).await,
        Command::Worker(command) => worker::run(command, cx).await,
        Command::Files(args) => kept::run(&args, cx).await,
        Command::Queue { verb } => queue::run(verb, cx).await,
        Command::Event(command) => event::run(command, cx).await,
        Command::Strategy(command) => strategy::run(command, cx).await,
        Command::Secret(command) => secret::run(command, cx).await,
        Command::Registry(command) => registry::run(command, cx).await,
        Command::Policy(command) => policy::run(command, cx).await,
        Command::Cluster(command) => cluster::run(command, cx).await,
        Command::Audit(command) => audit::run(&command, cx).await,
        Command::Debug(command) => debug::run(command, cx).await,
        Command::Reference(command) => reference::run(command, cx).await,
        Command::Sim(command) => sim::run_history(command, cx).await,
        Command::User(command) => user::run(command, cx).await,
        Command::Project(command) => project::run(command, cx).await,
        Command::Master(_) | Command::Up(_) | Command::Config(_) | Command::Bench(_) | Command::Version => Ok(Exit::Ok),
        Command::Login(_) | Command::Logout | Command::Whoami | Command::Context(_) | Command::Ca(_) => Ok(Exit::Ok),
    }
}

/// A name as the master takes it, for a flag or a word: another would lead to another of its calls.
fn named<T: std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display>(text: &str) -> Result<String, String> {
    text.parse::<T>().map(|name| name.to_string()).map_err(|why| why.to_string())
}
