use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use runtime::clock;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::Common;
use crate::latency::Latencies;
use crate::market::Market;
use crate::report::{Outcome, Table};
use crate::target::{InFlight, Target};

/// What is asked, by name. None answers with everything: that measures how fast memory is copied.
const QUERIES: [(&str, &str); 3] = [
    ("filter", "min_merit=50&sectors=Energy,Technology"),
    ("filter_sorted", "min_merit=50&sectors=Energy,Technology&sort=-alpha_10d,symbol"),
    ("filter_fields", "min_merit=50&sectors=Energy,Technology&fields=symbol,merit,signal"),
];

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    #[arg(long, value_name = "N", default_value_t = 6000)]
    symbols: usize,
    /// Daily history before the measurement.
    #[arg(long, value_name = "N", default_value_t = 60)]
    sessions: usize,
    /// Of each kind.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    requests: usize,
    /// Time between two bars that change the table meanwhile, so that it is ranked anew; 0: none comes.
    #[arg(long, value_name = "MS", default_value_t = 10)]
    bar_ms: u64,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut market = Market::new(options.symbols)?;
    let target = Target::start(options.common.bus).await?;
    target.warm_up(&mut market, options.sessions).await?;
    let mut client = Client::connect(target.address).await?;
    let mut table = Table::default();
    for (name, query) in QUERIES {
        let mut latencies = Latencies::new()?;
        let mut bytes = 0;
        let mut in_flight = InFlight::new(&target);
        let mut bar_at = clock::monotonic();
        for _ in 0..options.requests {
            if options.bar_ms > 0 && clock::monotonic() >= bar_at {
                let stock = market.shuffled()[0];
                in_flight.publish(market.trade(&[stock]).0);
                bar_at = clock::monotonic() + Duration::from_millis(options.bar_ms);
                // As much time as it takes for the bar to get on its way.
                in_flight.until(clock::monotonic() + Duration::from_micros(100)).await?;
            }
            let (took, n_bytes) = client.get(&format!("/v1/scan?{query}")).await?;
            latencies.record(took);
            bytes = n_bytes;
        }
        in_flight.finish().await?;
        let mut figures = latencies.figures_ms().to_vec();
        figures.extend([("requests", options.requests as f64), ("bytes", bytes as f64)]);
        table.push(name, figures);
    }
    let memory_mib_max = target.memory_mib_max();
    target.stop().await?;
    Outcome::new("scan", options.common.bus, options, table, memory_mib_max)
}

/// A connection that asks again and again.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 20, stream) })
    }

    /// From just before the request to the last byte of the answer, and how many those were.
    async fn get(&mut self, path: &str) -> anyhow::Result<(Duration, usize)> {
        let started: Instant = clock::monotonic();
        self.stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nhost: loadtest\r\n\r\n").as_bytes()).await?;
        let mut n_bytes = None;
        for number in 0.. {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            if number == 0 && !line.contains(" 200 ") {
                bail!("{path} is answered with {line}");
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                n_bytes = Some(length.trim().parse()?);
            }
        }
        let n_bytes: usize = n_bytes.context("an answer without a length")?;
        let mut body = vec![0; n_bytes];
        self.stream.read_exact(&mut body).await?;
        Ok((started.elapsed(), n_bytes))
    }
}
