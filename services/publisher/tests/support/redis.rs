//! A real `redis-server`: free port, nothing on disk, killed on drop.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::DEADLINE;

pub(crate) struct RedisServer {
    binary: PathBuf,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl RedisServer {
    /// `None`, and says so, where there is no server: `cargo xtask test` gets one.
    pub(crate) async fn start() -> Option<Self> {
        let Some(binary) = binary() else {
            let why = "no redis-server: install it (Debian: redis-server) or set REDIS_SERVER";
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
            eprintln!("SKIPPED: {why}");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { binary, port, child: None };
        server.run().await;
        Some(server)
    }

    pub(crate) async fn run(&mut self) {
        let port = self.port.to_string();
        let arguments = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"];
        let child = Command::new(&self.binary).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        self.child = Some(child.unwrap());
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(Instant::now() < until, "redis-server does not listen");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The answer to a command: text, or the bytes of a value.
    pub(crate) async fn ask(&self, command: &[&[u8]]) -> Vec<u8> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            request.extend_from_slice(part);
            request.extend_from_slice(b"\r\n");
        }
        stream.write_all(&request).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert!(!line.starts_with('-'), "{line}");
        match line.trim_end().strip_prefix('$').map(str::parse::<usize>) {
            Some(length) => {
                let mut value = vec![0; length.unwrap()];
                stream.read_exact(&mut value).await.unwrap();
                value
            }
            None => line.trim_end().as_bytes()[1..].to_vec(),
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `$REDIS_SERVER`, else on PATH.
fn binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("REDIS_SERVER").filter(|path| !path.is_empty()) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("redis-server")).find(|path| path.is_file())
}
