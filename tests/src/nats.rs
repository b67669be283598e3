//! A real `nats-server` for tests: free port, own store folder, killed on drop.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

/// How often readiness is looked at, and how many times: 30 s.
const POLL: Duration = Duration::from_millis(10);
const POLLS_MAX: usize = 3000;

/// How many ports are tried before giving up: another process may take one between our look and the server's.
const PORTS_TRIED_MAX: usize = 5;

/// A running server.
#[derive(Debug)]
pub struct NatsServer {
    binary: PathBuf,
    port: u16,
    store: TempDir,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// There is no binary, or it does not start.
    pub fn start() -> anyhow::Result<Self> {
        let binary = binary()?;
        let mut last_error = None;
        for _ in 0..PORTS_TRIED_MAX {
            let mut server =
                Self { binary: binary.clone(), port: free_port()?, store: tempfile::tempdir()?, child: None };
            match server.run() {
                Ok(()) => return Ok(server),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.context("no port was tried")?)
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Kills the server as a crash would, and starts it again on the same port and store.
    ///
    /// # Errors
    /// It does not start again.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.run()
    }

    /// Kills the server as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it has ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts a stopped server.
    ///
    /// # Errors
    /// It does not start.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::create(self.store.path().join("server.log"))?;
        let child = Command::new(&self.binary)
            .args(["--js", "--addr", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .arg("--store_dir")
            .arg(self.store.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let child = self.child.insert(child);
        for _ in 0..POLLS_MAX {
            if let Some(status) = child.try_wait()? {
                bail!("nats-server ended with {status}");
            }
            if is_nats(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))) {
                return Ok(());
            }
            sleep(POLL);
        }
        bail!("nats-server does not listen on port {}", self.port)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The binary: `$NATS_SERVER`, else on PATH, else in the workspace's tools folder.
///
/// # Errors
/// It is nowhere.
pub fn binary() -> anyhow::Result<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/nats-server");
    if let Some(given) = std::env::var_os("NATS_SERVER") {
        return Ok(given.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|dir| dir.join("nats-server")).chain([tools]).find(|path| path.is_file());
    found.context("no nats-server: run `cargo xtask fetch-tools` or set NATS_SERVER")
}

/// A port nobody listens on right now.
///
/// # Errors
/// The system has none left.
pub fn free_port() -> anyhow::Result<u16> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    ensure!(port != 0, "the system gave no port");
    Ok(port)
}

fn is_nats(address: SocketAddr) -> bool {
    use std::io::Read;
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && &greeting == b"INFO"
}
