//! The programs of `docs/examples`: clients that are cut off and let back in, and the conformance test. `cargo xtask test`
//! installs what they need; where that is missing they are skipped, which is a failure with `CI=true`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command as Probe, Output, Stdio};
use std::time::Duration;

use publisher::{BarUpdate, IndicatorUpdate, PublisherOptions};
use schemas::{Bar, BarFlags, EventTime, Plan, Timeframe};
use support::{DEADLINE, Server, row, symbol};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// The SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// How long all cases of the conformance test may take; some wait for what a slow client is allowed.
const CONFORMANCE_MAX: Duration = Duration::from_mins(3);

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

/// `None` where it has not got the modules, and then says so.
fn python(modules: &str) -> Option<PathBuf> {
    let named = std::env::var_os("TECHNIC_CLIENTS_PYTHON").filter(|path| !path.is_empty());
    let python = named.map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    if succeeds(python.to_str().unwrap(), &["-c", &format!("import {modules}")]) {
        return Some(python);
    }
    skipped(&format!("`{}` has not got {modules}; TECHNIC_CLIENTS_PYTHON names one that has", python.display()));
    None
}

/// What comes before the script. Node from version 22.18 on runs TypeScript by itself, older ones with the packages tsx
/// and ws in `NODE_PATH`.
fn node() -> Option<Vec<String>> {
    let can_run = "process.exit(typeof WebSocket === 'function' && process.features.typescript ? 0 : 1)";
    if succeeds("node", &["-e", can_run]) {
        return Some(Vec::new());
    }
    let resolve = "require('ws'); console.log(require.resolve('tsx'))";
    let resolved = Probe::new("node").args(["-e", resolve]).output().ok().filter(|output| output.status.success());
    let Some(resolved) = resolved else {
        skipped("no node that runs TypeScript, nor tsx and ws in NODE_PATH");
        return None;
    };
    // Not the command tsx, which would leave a process of its own behind.
    Some(vec!["--import".to_owned(), format!("file://{}", String::from_utf8(resolved.stdout).unwrap().trim())])
}

fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
}

fn with_key() -> PublisherOptions {
    PublisherOptions { keys: vec![format!("desk:{ABC}")], ..PublisherOptions::default() }
}

/// Runs to the end, which comes by itself.
async fn ended(mut command: Command) -> Output {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(CONFORMANCE_MAX, running).await.expect("ends by itself").unwrap()
}

/// Without a key, with a wrong one, and with a topic that there is not.
async fn ends_when_refused(command: impl Fn(&str) -> Command) {
    let server = Server::start_with(with_key()).await;
    let url = format!("ws://{}/ws", server.address);
    for (key, topic, named) in
        [(None, "SC.*", "TECHNIC_KEY"), (Some("abd"), "SC.*", "error 401"), (Some("abc"), "XX.*", "error 404")]
    {
        let mut command = command(&url);
        command.arg(topic).env_remove("TECHNIC_KEY").envs(key.map(|key| ("TECHNIC_KEY", key)));
        let output = ended(command).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{key:?} {topic}: {said}");
        assert!(said.contains(named) && said.lines().count() == 1, "{key:?} {topic}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_goes_on_where_it_was() {
    let Some(python) = python("websockets") else { return };
    let follow = |url: &str| {
        let mut command = Command::new(&python);
        command.arg(example("follow.py")).arg(url);
        command
    };
    check(|url| {
        let mut command = follow(url);
        command.arg("SC.*");
        command
    })
    .await;
    ends_when_refused(follow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_goes_on_where_it_was() {
    let Some(arguments) = node() else { return };
    let follow = |url: &str| {
        let mut command = Command::new("node");
        command.args(&arguments).arg(example("follow.ts")).arg(url);
        command
    };
    check(|url| {
        let mut command = follow(url);
        command.arg("SC.*");
        command
    })
    .await;
    ends_when_refused(follow).await;
}

/// Every case has to be tried, so bars, indicators and rows keep coming meanwhile.
async fn conforms(options: PublisherOptions, arguments: &[&str]) {
    let Some(python) = python("websockets, jsonschema, yaml, msgpack") else { return };
    let heartbeat = Duration::from_millis(500);
    let mut server = Server::start_with(PublisherOptions { heartbeat, ..options }).await;
    let name = |n: i32| format!("S{n}");
    // More than a page of a snapshot takes.
    server.publish((0..700).map(|n| row(&name(n), f64::from(n) / 7.0, 1)).collect());
    let mut command = Command::new(python);
    command.arg(example("conformance.py")).arg(format!("ws://{}/ws", server.address)).arg("--strict").args(arguments);
    command.env_remove("TECHNIC_KEY");
    let plan = std::sync::Arc::new(Plan::new(["rsi14", "sma20"]));
    let mut running = std::pin::pin!(ended(command));
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    let mut n = 0;
    let output = loop {
        tokio::select! {
            output = &mut running => break output,
            _ = tick.tick() => {
                n += 1;
                let text = name(n % 700);
                let open_time = EventTime::from_days(20_000 + n);
                let (open, high, low, close) = (1.0, 3.0, 1.0, 2.0);
                let bar = Bar { open_time, open, high, low, close, volume: 5.0, revision: 0, flags: BarFlags::FINAL };
                let bar = BarUpdate { symbol: symbol(&text), timeframe: Timeframe::D1, bar };
                server.hub.apply_bars([bar]);
                let values = [50.0, f64::NAN].into();
                server.hub.apply_indicators([IndicatorUpdate { bar, plan: plan.clone(), values }]);
                server.publish(vec![row(&text, f64::from(n % 100), i64::from(n) + 1)]);
            }
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" 0 failed, 0 untried"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_conforms_to_its_description() {
    conforms(PublisherOptions::default(), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_keys_conforms_to_its_description() {
    conforms(with_key(), &["--key", "abc"]).await;
}
