//! `cargo bench -p indicator [-- --seconds N --json FILE --only TEXT --target NAME]`: the comparison with the peers. It is
//! a crate of its own (`bench-indicator`), so that nobody builds the peers who builds or tests this one.

use std::env;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Cargo says to every benchmark that it is one.
    let arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let run = ["run", "--release", "--package", "bench-indicator", "--"];
    match Command::new(env!("CARGO")).args(run).args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed to run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
