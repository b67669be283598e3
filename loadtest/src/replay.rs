use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use runtime::clock;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::http::{self, Status};
use crate::nats_server::NatsServer;
use crate::report::{Outcome, Table};
use crate::target::{self, Technic};
use crate::{BusChoice, Common};

const POLL: Duration = Duration::from_millis(50);
const REPLAY_MAX: Duration = Duration::from_mins(30);
const METRIC_ROWS: &str = "technic_ingest_rows_out_total ";

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    /// Folder with `daily_bars.parquet`; by default `../shared/data`, when it is there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// `None` when there is nothing to replay.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Option<Outcome>> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = options.data.clone().unwrap_or(default);
    if !data.join("daily_bars.parquet").is_file() {
        if options.data.is_some() {
            bail!("`{}` has no daily_bars.parquet", data.display());
        }
        eprintln!("skipped: no `{}`; name a folder with --data", data.display());
        return Ok(None);
    }
    let data = data.canonicalize()?;
    let last_session = last_session(&data).await?;
    eprintln!("replaying `{}` up to {last_session}", data.display());
    let replay = Replay { source: format!("replay:{}", data.display()), last_session };
    let measured = match options.common.bus {
        BusChoice::Memory => replay.in_one_process().await?,
        BusChoice::Nats => replay.in_five_processes().await?,
    };
    let seconds = measured.took.as_secs_f64();
    let mut table = Table::default();
    table.push(
        "replay",
        vec![
            ("bars_per_s", measured.n_bars / seconds),
            ("bars", measured.n_bars),
            ("seconds", seconds),
            ("rows", measured.status.rows as f64),
            ("updates", measured.status.seq as f64),
        ],
    );
    Outcome::new("replay", options.common.bus, options, table, Some(measured.memory_mib_max)).map(Some)
}

struct Replay {
    source: String,
    last_session: String,
}

struct Measured {
    took: Duration,
    n_bars: f64,
    status: Status,
    /// All processes together.
    memory_mib_max: f64,
}

impl Replay {
    async fn in_one_process(&self) -> anyhow::Result<Measured> {
        let started = clock::monotonic();
        let (technic, address) = Technic::start_publisher(&["run", "--source", &self.source]).await?;
        let (took, status) = self.until_through(address, started).await?;
        let n_bars = bars(address).await?;
        let memory_mib_max = technic.memory_mib_max().unwrap_or_default();
        technic.stop().await?;
        Ok(Measured { took, n_bars, status, memory_mib_max })
    }

    async fn in_five_processes(&self) -> anyhow::Result<Measured> {
        let server = NatsServer::start().await?;
        let url = server.url();
        let started = clock::monotonic();
        let (publisher, address) = Technic::start_publisher(&["run", "publisher", "--bus", &url]).await?;
        let mut processes = vec![publisher];
        for service in ["scoring", "inference", "indicator"] {
            processes.push(Technic::start(&["run", service, "--bus", &url], &[])?);
        }
        let admin = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr())?;
        let arguments = ["run", "ingest", "--source", &self.source, "--bus", &url];
        processes.push(Technic::start(&arguments, &[("TECHNIC__ADMIN__LISTEN", admin.to_string())])?);
        let (took, status) = self.until_through(address, started).await?;
        let n_bars = bars(admin).await?;
        let memory_mib_max = processes.iter().filter_map(Technic::memory_mib_max).sum();
        for process in processes {
            process.stop().await?;
        }
        Ok(Measured { took, n_bars, status, memory_mib_max })
    }

    async fn until_through(
        &self,
        address: std::net::SocketAddr,
        started: Instant,
    ) -> anyhow::Result<(Duration, Status)> {
        let through = async {
            loop {
                let status = Status::of(address).await?;
                if status.covers(&self.last_session) {
                    return Ok((started.elapsed(), status));
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(REPLAY_MAX, through).await.context("the replay does not end")?
    }
}

/// Bars that ingest has published.
async fn bars(address: std::net::SocketAddr) -> anyhow::Result<f64> {
    let (_, metrics) = http::get(address, "/metrics").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(METRIC_ROWS)).context("ingest has no metrics")?;
    line.trim().parse().context("a metric is no number")
}

/// The newest session of a folder, as the product itself sees it.
async fn last_session(data: &Path) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Scan {
        as_of: String,
    }
    let mut scan = Command::new(target::binary()?);
    scan.args(["scan", "--limit", "1", "--format", "json", "--data"]).arg(data);
    let output = scan.output().await.context("cannot scan")?;
    if !output.status.success() {
        bail!("the scan of `{}` failed: {}", data.display(), String::from_utf8_lossy(&output.stderr));
    }
    let scan: Scan = serde_json::from_slice(&output.stdout).context("the scan is not understood")?;
    Ok(scan.as_of)
}
