//! A `nats-server` that lives and dies with this process.

use std::fs::{File, TryLockError};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::BusError;

/// How long a server may take to recover its store and listen.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to end before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the folder may still be locked: a predecessor may be ending, and a process just forked holds
/// a copy of the lock until it runs its own program.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How often files and processes are looked at: neither can be waited for.
const POLL: Duration = Duration::from_millis(10);

/// How often in a row a server that died is started again.
const RESTARTS_MAX: u32 = 10;

/// The pause before a restart doubles from the first to the second.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(50);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A server that ran for this long counts as healthy again.
const HEALTHY_AFTER: Duration = Duration::from_mins(1);

/// The name of the binary.
const BINARY: &str = "nats-server";

/// A supervised server.
#[derive(Debug)]
pub(super) struct NatsChild {
    port: u16,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl NatsChild {
    /// Starts a server on a free port of this machine, with its store in `<data_dir>/nats`.
    pub(super) async fn start(data_dir: &Path, binary: Option<&Path>) -> Result<Self, BusError> {
        let binary = find_nats_server(binary)?;
        let home = Home::open(&data_dir.join("nats")).await?;
        home.end_orphan(&binary).await?;
        let mut child = home.spawn(&binary, None)?;
        let port = home.wait_until_ready(&binary, &mut child).await?;
        info!(binary = %binary.display(), port, store = %home.dir.display(), "started nats-server");
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(home, binary, port, child, stopped));
        Ok(Self { port, stop, supervisor })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Ends the server, gently at first.
    pub(super) async fn stop(self) {
        // A supervisor that gave up has nothing left to stop.
        if self.stop.send(()).is_ok()
            && let Err(error) = self.supervisor.await
        {
            error!(%error, "the supervisor of nats-server failed");
        }
    }
}

/// The folder of the server, locked against other processes.
#[derive(Debug)]
struct Home {
    dir: PathBuf,
    /// The system releases the lock when this process ends, however it does.
    _lock: File,
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

impl Home {
    async fn open(dir: &Path) -> Result<Self, BusError> {
        std::fs::create_dir_all(dir).map_err(io("create", dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(io("create", &path))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Self { dir: dir.to_owned(), _lock: lock });
                }
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(BusError::DirectoryInUse { path: dir.to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
            }
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("server.pid")
    }

    /// Ends the server a killed predecessor of this process left behind: two on one store would ruin it.
    async fn end_orphan(&self, binary: &Path) -> Result<(), BusError> {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        let Ok(pid) = pid.trim().parse::<u32>() else {
            return Ok(());
        };
        let command_line = PathBuf::from(format!("/proc/{pid}/cmdline"));
        let store = self.dir.to_string_lossy().into_owned();
        let is_ours = || {
            std::fs::read(&command_line).is_ok_and(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                text.contains(BINARY) && text.split('\0').any(|argument| argument == store)
            })
        };
        if !is_ours() {
            return Ok(());
        }
        warn!(pid, "ending a nats-server that outlived its owner");
        signal(binary, pid, "term").await;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while is_ours() {
            if Instant::now() > deadline {
                return Err(BusError::DirectoryInUse { path: self.dir.clone() });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn spawn(&self, binary: &Path, port: Option<u16>) -> Result<Child, BusError> {
        let log = self.log();
        let log_file = File::options()
            .create(true)
            .append(port.is_some())
            .write(true)
            .truncate(port.is_none())
            .open(&log)
            .map_err(io("open", &log))?;
        let mut command = Command::new(binary);
        command
            .args(["--js", "--addr", "127.0.0.1", "--port"])
            .arg(port.map_or_else(|| "-1".to_owned(), |port| port.to_string()))
            .arg("--store_dir")
            .arg(&self.dir)
            .arg("--ports_file_dir")
            .arg(&self.dir)
            .arg("--pid")
            .arg(self.pid_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log_file))
            .kill_on_drop(true);
        // Ctrl-C is for us: the server has to outlive the last acknowledgement.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(io("start", binary))
    }

    /// Waits for the file in which the server tells its port, which it writes once it listens.
    async fn wait_until_ready(&self, binary: &Path, child: &mut Child) -> Result<u16, BusError> {
        let failed = |reason: String| BusError::ChildFailed { binary: binary.to_owned(), reason, log: self.log() };
        let pid = child.id().unwrap_or_default();
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        let path = self.dir.join(format!("{name}_{pid}.ports"));
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if let Some(port) = read_port(&path) {
                if let Err(error) = std::fs::remove_file(&path) {
                    warn!(%error, path = %path.display(), "cannot remove a file of nats-server");
                }
                return Ok(port);
            }
            match child.try_wait() {
                Ok(Some(status)) => return Err(failed(format!("it ended with {status}"))),
                Ok(None) => {}
                Err(error) => return Err(failed(error.to_string())),
            }
            if Instant::now() > deadline {
                return Err(failed(format!("it was not ready within {READY_TIMEOUT:?}")));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Keeps a server running until told to stop.
async fn supervise(home: Home, binary: PathBuf, port: u16, mut child: Child, mut stopped: oneshot::Receiver<()>) {
    let mut n_restarts = 0;
    let mut pause = RESTART_PAUSE_MIN;
    loop {
        let started = Instant::now();
        tokio::select! {
            biased;
            // A dropped sender means the bus is gone without being closed.
            _ = &mut stopped => {
                end(&binary, &mut child).await;
                return;
            }
            status = child.wait() => {
                warn!(?status, port, log = %home.log().display(), "nats-server ended unasked");
            }
        }
        if started.elapsed() > HEALTHY_AFTER {
            n_restarts = 0;
            pause = RESTART_PAUSE_MIN;
        }
        child = loop {
            if n_restarts == RESTARTS_MAX {
                error!(n_restarts, "giving up on nats-server");
                return;
            }
            n_restarts += 1;
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RESTART_PAUSE_MAX);
            match restart(&home, &binary, port).await {
                Ok(child) => break child,
                Err(error) => error!(%error, n_restarts, "cannot start nats-server again"),
            }
        };
        info!(port, n_restarts, "started nats-server again");
    }
}

async fn restart(home: &Home, binary: &Path, port: u16) -> Result<Child, BusError> {
    let mut child = home.spawn(binary, Some(port))?;
    home.wait_until_ready(binary, &mut child).await?;
    Ok(child)
}

async fn end(binary: &Path, child: &mut Child) {
    if let Some(pid) = child.id() {
        signal(binary, pid, "term").await;
    }
    match tokio::time::timeout(STOP_TIMEOUT, child.wait()).await {
        Ok(Ok(status)) => info!(%status, "nats-server ended"),
        Ok(Err(error)) => error!(%error, "cannot wait for nats-server"),
        Err(_) => {
            warn!("nats-server does not end; killing it");
            if let Err(error) = child.kill().await {
                error!(%error, "cannot kill nats-server");
            }
        }
    }
}

/// Sends a signal through the server's own binary: the standard library can only kill.
async fn signal(binary: &Path, pid: u32, name: &str) {
    let mut command = Command::new(binary);
    command
        .arg("--signal")
        .arg(format!("{name}={pid}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(STOP_TIMEOUT, command.status()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => warn!(%error, pid, "cannot signal nats-server"),
        Err(_) => warn!(pid, "signalling nats-server took too long"),
    }
}

fn read_port(path: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(path).ok()?;
    let ports: Ports = serde_json::from_str(&text).ok()?;
    ports.nats.first()?.rsplit(':').next()?.parse().ok()
}

/// Finds the `nats-server` binary: the one given, else on PATH, else in a `target/tools` folder of the working
/// directory or above the running executable.
///
/// # Errors
/// [`BusError::BinaryNotFound`], which lists the places.
pub fn find_nats_server(given: Option<&Path>) -> Result<PathBuf, BusError> {
    let candidates = match given {
        Some(path) => vec![path.to_owned()],
        None => candidates(),
    };
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let searched: Vec<String> = candidates.iter().map(|path| format!("`{}`", path.display())).collect();
    Err(BusError::BinaryNotFound { searched: searched.join(", ") })
}

fn candidates() -> Vec<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&on_path).map(|dir| dir.join(BINARY)).collect();
    candidates.push(Path::new("target/tools").join(BINARY));
    let executable = std::env::current_exe().unwrap_or_default();
    let targets = executable.ancestors().filter(|dir| dir.file_name().is_some_and(|name| name == "target"));
    candidates.extend(targets.map(|dir| dir.join("tools").join(BINARY)));
    candidates
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BusError + use<> {
    let path = path.to_owned();
    move |source| BusError::Io { what, path, source }
}
