//! The clients of `docs/examples`, cut off and let back in. Skipped where their tools are not installed.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command as Probe, Stdio};
use std::time::Duration;

use support::{DEADLINE, Server, row};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Stands between client and server, and lets nobody through while it is shut.
struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Gate {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_open, watching) = watch::channel(true);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut watching = watching.clone();
                if !*watching.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = watching.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self { address, is_open }
    }
}

struct Follower {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { lines, _process: process }
    }

    async fn line(&mut self) -> String {
        timeout(DEADLINE, self.lines.next_line()).await.expect("says something in time").unwrap().unwrap()
    }
}

async fn check(command: impl Fn(&str) -> Command) {
    let mut server = Server::start().await;
    let gate = Gate::to(server.address).await;
    server.publish(vec![row("A", 80.5, 1), row("B", 70.5, 1), row("C", 60.5, 1)]);
    let mut follower = Follower::start(command(&format!("ws://{}/ws", gate.address)));
    for expected in ["+ A 80.5", "+ B 70.5", "+ C 60.5"] {
        assert_eq!(follower.line().await, expected);
    }
    for n in 2..=4 {
        gate.is_open.send_replace(false);
        server.until_metric("technic_publisher_clients", 0.0).await;
        server.publish(vec![row("A", 0.5 + f64::from(n), n.into())]);
        server.publish(vec![row("B", 10.5 + f64::from(n), n.into())]);
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.is_open.send_replace(true);
        // What it missed and nothing else: no snapshot was needed.
        assert_eq!(follower.line().await, format!("+ A {}", 0.5 + f64::from(n)));
        assert_eq!(follower.line().await, format!("+ B {}", 10.5 + f64::from(n)));
    }
    server.remove("C");
    assert_eq!(follower.line().await, "- C");
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples").join(name)
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let probe = Probe::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_goes_on_where_it_was() {
    if !succeeds("python3", &["-c", "import websockets"]) {
        eprintln!("skipped: no python3 with websockets");
        return;
    }
    check(|url| {
        let mut command = Command::new("python3");
        command.arg(example("follow.py")).args([url, "SC.*"]);
        command
    })
    .await;
}

/// Node from version 22.18 on runs TypeScript by itself, older ones with the packages tsx and ws in `NODE_PATH`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_goes_on_where_it_was() {
    let can_run = "process.exit(typeof WebSocket === 'function' && process.features.typescript ? 0 : 1)";
    let mut arguments = Vec::new();
    if !succeeds("node", &["-e", can_run]) {
        let resolve = "require('ws'); console.log(require.resolve('tsx'))";
        let resolved = Probe::new("node").args(["-e", resolve]).output().ok().filter(|output| output.status.success());
        let Some(resolved) = resolved else {
            eprintln!("skipped: no node that runs TypeScript, nor tsx and ws in NODE_PATH");
            return;
        };
        // Not the command tsx, which would leave a process of its own behind.
        arguments =
            vec!["--import".to_owned(), format!("file://{}", String::from_utf8(resolved.stdout).unwrap().trim())];
    }
    check(|url| {
        let mut command = Command::new("node");
        command.args(&arguments).arg(example("follow.ts")).args([url, "SC.*"]);
        command
    })
    .await;
}
