//! The command line: one file a command.

/// `trailhouse compact`.
pub mod compact;

/// `trailhouse convert`.
pub mod convert;

/// `trailhouse expire`.
pub mod expire;

/// `trailhouse export`.
pub mod export;

/// What several commands are told in the same way.
pub mod lake;
/// `trailhouse replay`.
pub mod replay;

/// `trailhouse schema`.
pub mod schema;

/// The shell of `trailhouse sql`.
pub mod shell;

/// Sizes on the command line.
pub mod size;

/// `trailhouse sql`.
pub mod sql;

/// `trailhouse status`.
pub mod status;

/// What is said beside the rows.
pub mod ui;

/// `trailhouse vacuum`.
pub mod vacuum;

/// Points in time on the command line.
pub mod when;

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use crate::error::{Error, Kind, Result};

/// Turn AWS CloudTrail logs into a lake of Parquet, and answer SQL over it
#[derive(Debug, Parser)]
#[command(name = "trailhouse", version, max_term_width = 100)]
#[command(after_help = "`trailhouse COMMAND --help` shows examples.")]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Say only what went wrong
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,

    /// Say what was done; twice: how (RUST_LOG sets it in detail)
    #[arg(short, long, global = true, display_order = 901, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(Box<convert::ConvertArgs>),
    Sql(Box<sql::SqlArgs>),
    Status(status::StatusArgs),
    Schema(schema::SchemaArgs),
    Export(export::ExportArgs),
    Replay(replay::ReplayArgs),
    Compact(compact::CompactArgs),
    Expire(expire::ExpireArgs),
    Vacuum(vacuum::VacuumArgs),

    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Print the manual pages, one after the other, in roff
    Man,
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Done,
    /// It is done, and some input was rejected or not readable.
    Rejected,
}

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for, everything else is wrong usage.
            let code = if error.use_stderr() { 2 } else { 0 };
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    ui::start_log(cli.verbose, cli.quiet);
    match start(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Rejected) => ExitCode::from(3),
        Err(error) => {
            ui::print_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(cli: Cli) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // They only read and write local files; the default of 512 would each keep some memory.
        .max_blocking_threads(16)
        .build()
        .map_err(|error| Error::failed("starting").caused_by(error))?;
    let ends_on_ctrl_c = !matches!(&cli.command, Command::Sql(args) if args.is_interactive());
    let done = runtime.block_on(async {
        tokio::select! {
            done = dispatch(cli.command, cli.quiet) => done,
            signal = interrupted(ends_on_ctrl_c) => Err(signal),
        }
    });
    // After an interrupt workers may still be busy with rows that nobody will read.
    runtime.shutdown_background();
    done
}

async fn dispatch(command: Command, quiet: bool) -> Result<Outcome> {
    match command {
        Command::Convert(args) => convert::run(*args, quiet).await,
        Command::Sql(args) => sql::run(*args, quiet).await.map(|()| Outcome::Done),
        Command::Status(args) => status::run(args).await,
        Command::Schema(args) => schema::run(&args),
        Command::Export(args) => export::run(args).await,
        Command::Replay(args) => replay::run(args, quiet).await,
        Command::Compact(args) => compact::run(args, quiet).await,
        Command::Expire(args) => expire::run(args, quiet).await,
        Command::Vacuum(args) => vacuum::run(args, quiet).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "trailhouse", &mut script);
            ui::print_out(&script).map(|()| Outcome::Done)
        }
        Command::Man => man(),
    }
}

/// Resolves when the user or the system asks the program to end.
async fn interrupted(by_ctrl_c: bool) -> Error {
    let ctrl_c = async {
        if !by_ctrl_c || tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = ctrl_c => {}
                _ = terminate.recv() => {}
            }
        } else {
            ctrl_c.await;
        }
    }
    #[cfg(not(unix))]
    ctrl_c.await;
    Error::new(Kind::Interrupted, "interrupted")
        .hint("a lake is as its last commit left it; run the command again to go on")
}

fn man() -> Result<Outcome> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    let mut render = |command: &clap::Command| {
        clap_mangen::Man::new(command.clone())
            .source(concat!("trailhouse ", env!("CARGO_PKG_VERSION")))
            .render(&mut pages)
            .map_err(|error| Error::failed("writing the manual").caused_by(error))
    };
    render(&command)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        render(sub)?;
    }
    ui::print_out(&pages).map(|()| Outcome::Done)
}

/// An id for a run that no other run has.
fn run_id(now: DateTime<Utc>) -> String {
    format!("{}-{:08x}", now.format("%Y%m%dT%H%M%S%6fZ"), std::process::id())
}
