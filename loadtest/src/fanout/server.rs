use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::{ServerChoice, Tools};
use crate::target;

/// A server in a process of its own; killed on drop.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Server {
    pub(super) fn start(choice: ServerChoice, rate: u32, tick_ms: u64, tools: &Tools) -> anyhow::Result<Self> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let rate = rate.to_string();
        let mut command = match choice {
            ServerChoice::Publisher | ServerChoice::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["serve", choice.as_str(), "--rate", &rate, "--tick-ms", &tick_ms.to_string()]);
                command
            }
            ServerChoice::Node => {
                let mut command = Command::new("node");
                let modules = tools.node_modules.canonicalize().context("no folder --node-modules")?;
                command.arg(peers.join("node.mjs")).arg(&rate).env("NODE_PATH", modules);
                command
            }
            ServerChoice::Fastapi => {
                let mut command = Command::new(&tools.python);
                command.arg(peers.join("fastapi_app.py")).arg(&rate);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", choice.as_str()))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening ").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            child.kill()?;
            anyhow::bail!("{} does not say where it listens: `{}`", choice.as_str(), line.trim());
        };
        Ok(Self { address, child })
    }

    /// Lets it make updates. Before, clients connect undisturbed.
    pub(super) fn go(&mut self) -> anyhow::Result<()> {
        self.child.stdin.as_mut().context("stdin is piped")?.write_all(b"go\n").context("the server has ended")
    }

    pub(super) fn cpu_time(&self) -> anyhow::Result<Duration> {
        target::cpu_time(self.child.id()).context("the server has ended")
    }

    pub(super) fn memory_mib(&self) -> anyhow::Result<f64> {
        target::memory_mib(self.child.id(), "VmRSS:").context("the server has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
