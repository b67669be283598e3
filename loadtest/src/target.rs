//! What is measured: the services, in this process or in others, and the way in.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use runtime::bus::{Bus, BusError, BusOptions};
use runtime::outlet::{BusOutlet, Outgoing, Outlet as _, Tagged};
use runtime::shutdown::Shutdown;
use runtime::streams;
use schemas::subject::Namespace;
use schemas::{BarBatch, Partition};
use technic::{Config, Ports, ServiceName};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::BusChoice;
use crate::http;
use crate::market::Market;
use crate::nats_server::NatsServer;

const START_MAX: Duration = Duration::from_mins(1);
const HISTORY_MAX: Duration = Duration::from_mins(10);

/// The services behind ingest, and a bus on which this process takes the place of ingest.
pub(crate) struct Target {
    pub(crate) bus: Bus,
    pub(crate) bus_options: BusOptions,
    pub(crate) address: SocketAddr,
    host: Host,
}

enum Host {
    Here { shutdown: Shutdown, services: JoinHandle<anyhow::Result<()>> },
    Elsewhere { technic: Box<Technic>, _server: Box<NatsServer> },
}

impl Target {
    pub(crate) async fn start(choice: BusChoice) -> anyhow::Result<Self> {
        let target = match choice {
            BusChoice::Memory => Self::start_here().await?,
            BusChoice::Nats => Self::start_elsewhere().await?,
        };
        http::until_ready(target.address, START_MAX).await?;
        Ok(target)
    }

    async fn start_here() -> anyhow::Result<Self> {
        let flags = [
            ("bus", "memory"),
            ("publisher.listen", "127.0.0.1:0"),
            ("publisher.requests_per_second", "0"),
            ("admin.listen", "auto"),
        ];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let loaded = Config::load(None, flags)?;
        let services = BTreeSet::from([
            ServiceName::Indicator,
            ServiceName::Inference,
            ServiceName::Scoring,
            ServiceName::Publisher,
        ]);
        let ports = Ports::take(&loaded.config, &services).await?;
        let address = ports.publisher().context("the publisher has no port")?;
        let bus_options = loaded.config.bus_options("loadtest".to_owned());
        let bus = Bus::connect(&bus_options).await?;
        let shutdown = Shutdown::new();
        let (bus_used, until) = (bus.clone(), shutdown.clone());
        let services =
            tokio::spawn(async move { technic::run_on_bus(loaded, &services, ports, &bus_used, &until).await });
        Ok(Self { bus, bus_options, address, host: Host::Here { shutdown, services } })
    }

    async fn start_elsewhere() -> anyhow::Result<Self> {
        let server = NatsServer::start().await?;
        let loaded = Config::load(None, vec![("bus".to_owned(), server.url())])?;
        let bus_options = loaded.config.bus_options("loadtest".to_owned());
        let bus = Bus::connect(&bus_options).await?;
        streams::ensure(&bus, &Namespace::Live).await?;
        let arguments = ["run", "indicator", "inference", "scoring", "publisher", "--bus", &server.url()];
        let (technic, address) = Technic::start_publisher(&arguments).await?;
        Ok(Self {
            bus,
            bus_options,
            address,
            host: Host::Elsewhere { technic: Box::new(technic), _server: Box::new(server) },
        })
    }

    /// Delivers reference data and so many sessions, and waits until the table is at rest.
    pub(crate) async fn warm_up(&self, market: &mut Market, n_sessions: usize) -> anyhow::Result<()> {
        eprintln!("history: {} symbols, {n_sessions} sessions", market.n_stocks());
        self.publish(market.instruments()).await?;
        for _ in 0..n_sessions {
            self.publish(market.close_session()).await?;
        }
        let status = http::until_at_rest(self.address, &market.last_closed(), HISTORY_MAX).await?;
        if status.rows < market.n_stocks() {
            bail!("only {} of {} symbols are ranked", status.rows, market.n_stocks());
        }
        Ok(())
    }

    /// Publishes as ingest does, and waits for the confirmations.
    pub(crate) async fn publish<O: Outgoing + Send + Sync + 'static>(&self, outputs: Vec<O>) -> Result<(), BusError> {
        let outputs = outputs.into_iter().map(|output| Tagged { output, input_sequence: None }).collect();
        BusOutlet::new(self.bus.clone(), Namespace::Live).deliver(outputs).await.map(drop)
    }

    /// Memory that the services took at most, in MiB. With `--bus memory` that includes the load generator.
    pub(crate) fn memory_mib_max(&self) -> Option<f64> {
        match &self.host {
            Host::Here { .. } => memory_mib_max(std::process::id()),
            Host::Elsewhere { technic, .. } => technic.memory_mib_max(),
        }
    }

    /// Processor time that the services took so far. With `--bus memory` that includes the load generator.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        match &self.host {
            Host::Here { .. } => cpu_time(std::process::id()),
            Host::Elsewhere { technic, .. } => cpu_time(technic.child.id()?),
        }
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.host {
            Host::Here { shutdown, services } => {
                shutdown.trigger("measured");
                services.await.context("the services panicked")??;
            }
            Host::Elsewhere { technic, .. } => technic.stop().await?,
        }
        Ok(())
    }
}

/// Publishes that are under way: a bar does not wait for the confirmation of the one before, unless both are of one
/// partition, where order counts.
pub(crate) struct InFlight<'a> {
    target: &'a Target,
    publishing: FuturesUnordered<BoxFuture<'a, Result<Partition, BusError>>>,
    /// For each partition with a batch under way, those that have to wait for it.
    waiting: BTreeMap<Partition, VecDeque<BarBatch>>,
}

impl<'a> InFlight<'a> {
    pub(crate) fn new(target: &'a Target) -> Self {
        Self { target, publishing: FuturesUnordered::new(), waiting: BTreeMap::new() }
    }

    pub(crate) fn publish(&mut self, batches: Vec<BarBatch>) {
        for batch in batches {
            match self.waiting.entry(batch.header().partition) {
                Entry::Occupied(mut entry) => entry.get_mut().push_back(batch),
                Entry::Vacant(entry) => {
                    entry.insert(VecDeque::new());
                    self.start(batch);
                }
            }
        }
    }

    /// Goes on publishing until a moment has come.
    pub(crate) async fn until(&mut self, at: Instant) -> Result<(), BusError> {
        let mut sleep = std::pin::pin!(tokio::time::sleep_until(at.into()));
        loop {
            tokio::select! {
                biased;
                Some(published) = self.publishing.next() => self.go_on(published?),
                () = &mut sleep => return Ok(()),
            }
        }
    }

    pub(crate) async fn finish(mut self) -> Result<(), BusError> {
        while let Some(published) = self.publishing.next().await {
            self.go_on(published?);
        }
        Ok(())
    }

    fn start(&mut self, batch: BarBatch) {
        let (target, partition) = (self.target, batch.header().partition);
        self.publishing.push(Box::pin(async move { target.publish(vec![batch]).await.map(|()| partition) }));
    }

    fn go_on(&mut self, partition: Partition) {
        match self.waiting.get_mut(&partition).and_then(VecDeque::pop_front) {
            Some(batch) => self.start(batch),
            None => drop(self.waiting.remove(&partition)),
        }
    }
}

/// A process of the real binary with a folder of its own; killed on drop.
#[derive(Debug)]
pub(crate) struct Technic {
    child: Child,
    greeting: Option<Lines<BufReader<ChildStdout>>>,
    _dir: TempDir,
}

impl Technic {
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<Self> {
        let binary = binary()?;
        let dir = tempfile::tempdir().context("no folder for state")?;
        let child = Command::new(&binary)
            .args(arguments)
            .env("TECHNIC__PUBLISHER__LISTEN", "127.0.0.1:0")
            .env("TECHNIC__PUBLISHER__REQUESTS_PER_SECOND", "0")
            .env("TECHNIC__STATE_DIR", dir.path())
            .env("TECHNIC__TELEMETRY__LOG", "warn")
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start `{}`", binary.display()))?;
        Ok(Self { child, greeting: None, _dir: dir })
    }

    /// Starts a process that contains the publisher, and reads from its greeting where that one listens.
    pub(crate) async fn start_publisher(arguments: &[&str]) -> anyhow::Result<(Self, SocketAddr)> {
        let mut technic = Self::start(arguments, &[])?;
        let stdout = technic.child.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let reading = async {
            while let Some(line) = lines.next_line().await? {
                let page = line.trim().strip_prefix("page").and_then(|rest| rest.trim().strip_prefix("http://"));
                if let Some(address) = page {
                    return address.trim_end_matches('/').parse().context("the greeting names no address");
                }
            }
            bail!("technic ended before it was ready")
        };
        let address = tokio::time::timeout(START_MAX, reading).await.context("technic does not greet")??;
        // The greeting goes on, and a closed pipe is an error to who writes it.
        technic.greeting = Some(lines);
        Ok((technic, address))
    }

    pub(crate) fn memory_mib_max(&self) -> Option<f64> {
        memory_mib_max(self.child.id()?)
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("technic ended by itself")
    }
}

/// The real binary: `$TECHNIC_BIN`, else beside this one.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os("TECHNIC_BIN") {
        Some(path) => path.into(),
        None => std::env::current_exe()?.with_file_name("technic"),
    };
    if !path.is_file() {
        bail!(
            "no `{}`: run `cargo build --release -p technic -p tests -p loadtest`, or set TECHNIC_BIN",
            path.display()
        );
    }
    Ok(path)
}

fn memory_mib_max(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmHWM:")
}

/// `VmRSS:` is what a process takes now, `VmHWM:` what it took at most.
pub(crate) fn memory_mib(pid: u32, which: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    /// Linux reports in units of 1/100 s to every program, whatever the kernel counts in.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything; user and system time are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<u32> = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Some(TICK * ticks.iter().sum())
}
