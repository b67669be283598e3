//! The composition: which services run where, and the commands. The only crate that knows all the others.

mod allocation;
mod cli;
mod config;
mod error;
mod features;
mod funnel;
mod models;
mod new_file;
mod newest;
mod outcomes;
mod output;
mod progress;
mod recompute;
mod replay;
mod replica;
mod run;
mod scan;

pub use cli::{Cli, Command, ScanFormat, ServiceName};
pub use config::Config;
pub use error::{EXIT_BAD_DATA, EXIT_FAILURE, EXIT_USAGE, exit_code};
pub use models::is_golden_reader;
pub use run::{Ports, run_on_bus};

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Parser as _;
use runtime::{shutdown, telemetry};

/// Parses the command line, does what it says, and gives the exit code: 0 done, 2 wrong usage or configuration, 3 bad
/// input data, 1 anything else.
pub fn main() -> i32 {
    // Ends the process itself on `--help` and on wrong usage, the latter with code 2.
    let cli = Cli::parse();
    match execute(cli) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("technic: {error:#}");
            exit_code(&error)
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    let command = cli.command.unwrap_or_default();
    match command {
        Command::Run(args) => {
            let loaded = Config::load(args.config.as_deref(), args.overrides())?;
            let _telemetry = telemetry::init(&loaded.config.telemetry)?;
            multi_threaded()?.block_on(run::run(loaded, &args.services, shutdown::on_signal))
        }
        Command::Replay(args) => {
            let loaded = Config::load(args.config.as_deref(), args.overrides())?;
            let _telemetry = telemetry::init(&loaded.config.telemetry)?;
            multi_threaded()?.block_on(replay::replay(loaded, shutdown::on_signal))
        }
        Command::Scan(args) => scan::scan(&args),
        Command::Features(args) => features::features(&args),
        Command::Outcomes(args) => outcomes::record(&args),
        Command::Models { command } => models::run(&command),
        Command::CheckConfig { config } => {
            let loaded = Config::load(config.as_deref(), Vec::new())?;
            print(&loaded.masked)
        }
        Command::Schema { command: cli::SchemaCommand::Export { output } } => export_schemas(output.as_deref()),
        Command::Version => print(&format!("technic {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn multi_threaded() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the async runtime")
}

/// Results go to stdout, everything else to stderr. A reader that closes the pipe has had enough: that is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// One file per message kind into a folder, or all of them as one JSON object on stdout.
fn export_schemas(folder: Option<&Path>) -> anyhow::Result<()> {
    let schemas = schemas::json_schemas();
    let Some(folder) = folder else {
        let all: serde_json::Map<String, serde_json::Value> =
            schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&all)?));
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    for (name, schema) in schemas {
        let path = folder.join(format!("{name}.schema.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(&schema)?);
        std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
