//! Licences, bans, sources and advisories of the dependencies, by cargo-deny.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::command::{cargo, run};
use crate::version::{self, Version};
use crate::{Result, workspace};

/// What we install. pip has 0.14.2, which panics on what today's cargo prints, so there is no ready-made binary.
const INSTALLED: Version = Version(0, 20, 2);
/// The first that reads our `deny.toml`.
const OLDEST: Version = Version(0, 18, 0);
/// A closed network may swallow packets instead of refusing them.
const FETCH_PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn deny() -> Result<()> {
    let program = cargo_deny()?;
    let deny = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root()).args(args);
        command
    };
    run(&mut deny(&["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;

    // The database lies on a git host that not every machine reaches; the answer "unknown" is then not a failure,
    // unless somebody asks for certainty.
    let Err(why) = fetch_advisories(deny(&["fetch", "db"])) else {
        return run(&mut deny(&["--frozen", "check", "--hide-inclusion-graph", "advisories"]));
    };
    if env::var_os("TECHNIC_DENY_ADVISORIES").is_some_and(|value| value == "1") {
        return Err(format!("TECHNIC_DENY_ADVISORIES=1, but the advisory database cannot be had: {why}"));
    }
    eprintln!(
        "ADVISORIES WERE NOT CHECKED: the database cannot be had ({why}); TECHNIC_DENY_ADVISORIES=1 makes this an error"
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a deadline of a developer command; no stage is near")]
fn fetch_advisories(mut fetch: Command) -> Result<()> {
    fetch.env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = fetch.spawn().map_err(|error| format!("cannot start cargo-deny: {error}"))?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) => return Err("`cargo deny fetch db` failed".to_owned()),
            Ok(None) if start.elapsed() < FETCH_PATIENCE => sleep(Duration::from_millis(100)),
            Ok(None) => {
                child.kill().and_then(|()| child.wait()).map_err(|error| format!("cannot stop cargo-deny: {error}"))?;
                return Err(format!("`cargo deny fetch db` took over {} s", FETCH_PATIENCE.as_secs()));
            }
            Err(error) => return Err(format!("cannot wait for cargo-deny: {error}")),
        }
    }
}

/// The one on PATH or the one we keep, else built, which takes some minutes once.
fn cargo_deny() -> Result<PathBuf> {
    let file = format!("cargo-deny{}", env::consts::EXE_SUFFIX);
    let root = workspace::tools_dir();
    let kept = root.join("bin").join(file);
    let known = workspace::on_path(Path::new("cargo-deny")).into_iter().chain([kept.clone()]);
    for path in known.filter(|path| path.is_file()) {
        match version::of(&path) {
            Ok(version) if version >= OLDEST => {
                eprintln!("cargo-deny {version}: {}", path.display());
                return Ok(path);
            }
            Ok(version) => eprintln!("cargo-deny {version} is too old, passed over: {}", path.display()),
            Err(why) => eprintln!("passed over: {why}"),
        }
    }

    eprintln!("no cargo-deny yet: building {INSTALLED} into {}, once, a few minutes", root.display());
    fs::create_dir_all(&root).map_err(|error| format!("cannot create `{}`: {error}", root.display()))?;
    // Unoptimised it is built in half the time, and a check still takes only seconds.
    let version = INSTALLED.to_string();
    run(cargo(["install", "cargo-deny", "--locked", "--force", "--debug", "--version", &version, "--root"])
        .arg(&root)
        .env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
    Ok(kept)
}
