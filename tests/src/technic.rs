//! The real binary as a child process, just enough HTTP to look at it, and small markets to feed it with.

mod fleet;
mod market;

use std::env;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use runtime::clock;
use tempfile::TempDir;

pub use self::fleet::{Expected, Fleet, connect, difference, results_text, rows_text};
pub use self::market::{Market, MarketRow, days_of, last_sessions, read_parquet, write_parquet};

pub const BARS_FILE: &str = "daily_bars.parquet";
pub const UNIVERSE_FILE: &str = "universe.parquet";

/// In the order of the line.
pub const SERVICES: [&str; 5] = ["ingest", "indicator", "inference", "scoring", "publisher"];

/// Nothing in the tests takes this long unless it hangs, also on a loaded machine.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// How long a process may take to say where it listens, or to refuse to start.
const START_MAX: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long one HTTP answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The binary: `$TECHNIC_BIN`, else that of the workspace's release profile.
pub fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/technic");
    env::var_os("TECHNIC_BIN").map_or_else(built, PathBuf::from)
}

/// The binary with none of our settings inherited.
fn program() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TECHNIC__") {
            command.env_remove(name);
        }
    }
    command
}

/// Looks until there is something to see.
///
/// # Panics
/// When the time is up. `what` says what was missing.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = clock::monotonic();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(POLL);
    }
}

/// What a command that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, with these settings in its environment.
///
/// # Panics
/// When the binary is not there, or writes no text.
pub fn run_with<'a>(settings: &[(&str, &str)], arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    let output = program()
        .args(arguments)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", binary().display()));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output is text");
    Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command to its end.
///
/// # Panics
/// As [`run_with`].
pub fn run<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    run_with(&[], arguments)
}

impl Finished {
    /// # Panics
    /// When the code is another, or stderr lacks one of the texts.
    #[track_caller]
    #[expect(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "often only the check is wanted")]
    pub fn expect(self, code: i32, on_stderr: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in on_stderr {
            assert!(self.stderr.contains(text), "`{text}` is not in {:#?}", self.stderr);
        }
        self
    }
}

/// How to start `technic run`.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
}

impl Launch {
    /// These services; none means all. Ports are free ones, unless [`Self::set`] says otherwise.
    pub fn of(services: &[&str], state_dir: &Path) -> Self {
        let arguments = ["run"].iter().chain(services).map(|&text| text.to_owned()).collect();
        Self { arguments, settings: Vec::new() }
            .set("ADMIN__LISTEN", "127.0.0.1:0")
            .set("PUBLISHER__LISTEN", "127.0.0.1:0")
            .set("STATE_DIR", &state_dir.to_string_lossy())
    }

    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Sets `TECHNIC__<key>`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("TECHNIC__{key}"), value.to_owned()));
        self
    }

    /// # Panics
    /// When the binary cannot be started.
    pub fn start(&self) -> Process {
        let logs = tempfile::tempdir().expect("there is room for logs");
        let create = |name: &str| File::create(logs.path().join(name)).expect("the folder is ours");
        let child = program()
            .args(&self.arguments)
            .envs(self.settings.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(create("stdout"))
            .stderr(create("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", binary().display()));
        Process { child, logs, name: self.arguments.join(" ") }
    }
}

/// A running `technic run`, killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    logs: TempDir,
    name: String,
}

impl Process {
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// The end of the log.
    fn last_lines(&self) -> String {
        let text = self.stderr();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.logs.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where the publisher says that it listens.
    ///
    /// # Panics
    /// When it does not say so in time.
    pub fn address(&mut self) -> SocketAddr {
        self.said("stdout", "http://", |rest| rest.split('/').next())
    }

    /// Where the admin port listens.
    ///
    /// # Panics
    /// When the log does not say so in time.
    pub fn admin_address(&mut self) -> SocketAddr {
        self.said("stderr", "admin_address=", |rest| rest.split_whitespace().next())
    }

    fn said(&mut self, file: &str, before: &str, cut: fn(&str) -> Option<&str>) -> SocketAddr {
        until(&format!("`{}` says where it listens", self.name), START_MAX, || {
            let text = self.read(file);
            assert!(self.ended().is_none(), "`{}` ended: {}", self.name, self.stderr());
            // A line that is still being written has no end yet.
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.filter_map(|line| line.split_once(before)).find_map(|(_, rest)| cut(rest.trim_end())?.parse().ok())
        })
    }

    /// How it ended, if it did.
    ///
    /// # Panics
    /// When the system does not know the process any more.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// When the system does not know the process any more.
    pub fn kill9(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    /// Asks it to end, as a supervisor would.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("there is a `kill`").success(), "`{}` has ended already: {}", self.name, self.stderr());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("`{}` ends", self.name);
        until(&what, limit, || self.ended())
    }

    /// Waits for an end that is expected at start-up.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn finish(mut self) -> Finished {
        let code = self.wait(START_MAX).code();
        Finished { code, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let shown = self.last_lines();
            eprintln!("--- the end of the log of `{}`\n{shown}", self.name);
        }
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// # Errors
/// When nobody answers, or not in HTTP.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    // Version 1.0: the answer comes in one piece and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).context("the answer is no text")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no head")?;
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    if let Some((_, rest)) = head.split_once("content-length: ") {
        let length: usize = rest.lines().next().unwrap_or_default().trim().parse()?;
        ensure!(length == body.len(), "the answer to {path} is cut off: {} of {length} bytes", body.len());
    }
    Ok(Answer { status, body: body.to_owned() })
}

/// A body that must be there.
///
/// # Errors
/// When nobody answers, or with another status than 200.
pub fn body_of(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let Answer { status, body } = get(address, path)?;
    if status != 200 {
        bail!("{path} is answered with {status}: {body}");
    }
    Ok(body)
}

/// The value of one line of `/metrics`; `None` when there is no such line.
///
/// # Errors
/// When nobody answers.
pub fn metric(address: SocketAddr, name: &str) -> anyhow::Result<Option<f64>> {
    let text = body_of(address, "/metrics")?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    Ok(text.lines().find_map(value))
}
