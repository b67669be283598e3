//! Developer commands: `cargo xtask <command>`. Only std, so that it is built in a second.

mod clients;
mod command;
mod deny;
mod nats_server;
mod onnx_runtime;
mod page;
mod redis_server;
mod version;
mod wheel;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use command::{cargo, run, step};

/// A developer reads every error as text and nothing else happens to it.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask <command>

  fetch-tools   find or download nats-server, the ONNX Runtime library and redis-server, and print where they are
  test [ARGS]   everything the tests need, doc tests, the page in a browser, then all tests;
                ARGS go to the test runner (and leave out the first two)
  page          the page's tests only; takes the pictures of the README
  check         fmt, clippy, docs, deny, types of the page: what CI asks besides the tests
  deny          licences, bans, sources and, where the database can be had, advisories
  ci            check, then test
";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let name = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    let outcome = match name.to_str() {
        Some("test") => test(&rest),
        Some("fetch-tools" | "page" | "check" | "deny" | "ci") if !rest.is_empty() => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
        Some("fetch-tools") => fetch_tools(),
        Some("page") => build().and_then(|technic| page::test(&technic, Some(&workspace::root().join("docs/images")))),
        Some("check") => check(),
        Some("deny") => deny::deny(),
        Some("ci") => check().and_then(|()| test(&[])),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fetch_tools() -> Result<()> {
    println!("{}", nats_server::fetch()?.display());
    println!("{}", onnx_runtime::fetch()?.display());
    println!("{}", redis_server::fetch()?.display());
    Ok(())
}

/// Everything in the release profile: proc macros, build scripts and their dependencies are then built once, for
/// these steps, for the tests and for `cargo run --release`.
fn check() -> Result<()> {
    step("fmt", || run(&mut cargo(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run(&mut cargo(["clippy", "--locked", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    step("docs", || {
        run(cargo(["doc", "--locked", "--release", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("types of the page", page::types)?;
    step("deny", deny::deny)
}

/// The binary, and the tests beside it.
fn build() -> Result<PathBuf> {
    // The whole workspace, not `-p technic`: features are unified over the selected packages, and a second selection
    // could build the largest dependencies a second time.
    step("build", || run(&mut cargo(["build", "--release", "--workspace", "--bins", "--tests"])))?;
    let technic = workspace::target_dir().join("release").join(format!("technic{}", env::consts::EXE_SUFFIX));
    if technic.is_file() { Ok(technic) } else { Err(format!("the build left no `{}`", technic.display())) }
}

fn test(args: &[OsString]) -> Result<()> {
    let nats_server = nats_server::fetch()?;
    let onnx_runtime = match onnx_runtime::fetch() {
        Ok(library) => Some(library),
        Err(why) => {
            eprintln!("WITHOUT ONNX RUNTIME, the tests beside it are skipped: {why}");
            None
        }
    };
    let redis_server = match redis_server::fetch() {
        Ok(server) => Some(server),
        Err(why) => {
            eprintln!("WITHOUT REDIS, the tests of the shared table are skipped: {why}");
            None
        }
    };
    let clients = clients::variables();
    let technic = build()?;
    let prepared = |arguments: &[&str]| {
        let mut command = cargo(arguments);
        command.env("NATS_SERVER", &nats_server).env("TECHNIC_BIN", &technic);
        if let Some(library) = &onnx_runtime {
            command.env("ORT_DYLIB_PATH", library);
        }
        if let Some(server) = &redis_server {
            command.env("REDIS_SERVER", server);
        }
        command.envs(clients.iter().map(|(name, path)| (name, path)));
        command
    };

    let doc_tests = if args.is_empty() {
        step("doc tests", || run(&mut prepared(&["test", "--release", "--workspace", "--doc"])))
    } else {
        Ok(())
    };
    let page = if args.is_empty() { step("page", || page::test(&technic, None)) } else { Ok(()) };
    // Nothing is printed after the last runner unless something failed: its summary is what one looks for.
    eprintln!(
        "==> tests, with NATS_SERVER={} TECHNIC_BIN={}; doc tests: {}; page: {}",
        nats_server.display(),
        technic.display(),
        if !args.is_empty() {
            "left out"
        } else if doc_tests.is_ok() {
            "passed"
        } else {
            "FAILED"
        },
        if !args.is_empty() {
            "left out"
        } else if page.is_ok() {
            "no failure"
        } else {
            "FAILED"
        },
    );
    let tests = if command::answers(&mut cargo(["nextest", "--version"])) {
        run(prepared(&["nextest", "run", "--release", "--workspace", "--no-fail-fast"]).args(args))
    } else {
        run(prepared(&["test", "--release", "--workspace", "--no-fail-fast", "--tests"]).args(args))
    };
    tests.and(doc_tests).and(page)
}
