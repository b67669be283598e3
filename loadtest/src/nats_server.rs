use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use runtime::{bus, config};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const POLL: Duration = Duration::from_millis(10);
const POLLS_MAX: usize = 3000;

/// A real server on a free port with a store of its own; killed on drop.
#[derive(Debug)]
pub(crate) struct NatsServer {
    address: SocketAddr,
    child: Child,
    _store: TempDir,
}

impl NatsServer {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let binary = bus::find_nats_server(config::nats_server().as_deref())?;
        let store = tempfile::tempdir().context("no folder for the server's store")?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr())?;
        let child = Command::new(&binary)
            .args(["--js", "--addr", "127.0.0.1", "--port"])
            .arg(address.port().to_string())
            .arg("--store_dir")
            .arg(store.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{}`", binary.display()))?;
        let mut server = Self { address, child, _store: store };
        for _ in 0..POLLS_MAX {
            if greets(address) {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("nats-server ended with {status}");
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("nats-server does not listen on {address}")
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}

fn greets(address: SocketAddr) -> bool {
    let mut greeting = [0; 4];
    TcpStream::connect(address).is_ok_and(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1))).is_ok() && stream.read_exact(&mut greeting).is_ok()
    }) && &greeting == b"INFO"
}
