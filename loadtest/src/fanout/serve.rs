//! The servers that `fanout` measures, each in a process of its own.

use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use clap::{Args, ValueEnum};
use prometheus::Registry;
use publisher::{BarUpdate, History, Hub, PublisherOptions, TableCache};
use runtime::clock;
use schemas::{Bar, BarFlags, EventTime, Plan, Symbol, Timeframe};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use super::bare;

/// Symbols that the updates are of, one after the other.
const N_SYMBOLS: u32 = 6000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    server: ServerKind,
    #[arg(long)]
    rate: u32,
    /// Of the bare loop: updates of so many milliseconds leave together.
    #[arg(long, default_value_t = 10)]
    tick_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerKind {
    Publisher,
    Bare,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?);
    match options.server {
        ServerKind::Publisher => publish(listener, options.rate).await,
        ServerKind::Bare => bare::run(listener, options.rate, Duration::from_millis(options.tick_ms)).await,
    }
}

/// The publisher as it ships; only where its updates come from is other.
async fn publish(listener: TcpListener, rate: u32) -> anyhow::Result<()> {
    let hub = Hub::new("load", clock::now_ns, &Registry::new())?;
    let options = PublisherOptions { write_stall_max: Duration::from_mins(2), ..PublisherOptions::default() };
    let source = hub.clone();
    tokio::spawn(async move {
        go().await;
        let mut pace = Pace::new(rate);
        loop {
            let n = pace.next().await;
            source.apply_bars([update(n)]);
        }
    });
    // Nobody asks for charts here.
    let history = History::new(Plan::new(["close"; 0]), 0);
    publisher::serve(listener, hub, history, Router::new(), std::future::pending(), options, TableCache::memory())
        .await
        .context("the publisher failed")
}

/// Returns when somebody says so on stdin; its end says it, too.
pub(super) async fn go() {
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()).ok()).await.ok();
}

/// The n-th update. Its volume is the moment it is made, in microseconds of Unix time.
pub(super) fn update(n: u32) -> BarUpdate {
    let symbol = Symbol::new(&format!("L{:04}", n % N_SYMBOLS)).expect("a letter and four digits are a symbol");
    let bar = Bar {
        open_time: EventTime::from_days(20_412),
        open: 100.25,
        high: 108.75,
        low: 99.5,
        close: 100.5 + f64::from(n % 7),
        volume: (clock::now_ns().as_ns() / 1000) as f64,
        revision: n,
        flags: BarFlags::SYNTHETIC,
    };
    BarUpdate { symbol, timeframe: Timeframe::D1, bar }
}

/// Says when the next update is due, whether or not the earlier ones were late.
pub(super) struct Pace {
    started: Instant,
    rate: u32,
    n: u32,
}

impl Pace {
    pub(super) fn new(rate: u32) -> Self {
        Self { started: Instant::now(), rate, n: 0 }
    }

    /// Waits until the next update is due, and numbers it.
    pub(super) async fn next(&mut self) -> u32 {
        let due = self.started + Duration::from_secs(1).mul_f64(f64::from(self.n) / f64::from(self.rate));
        if Instant::now() < due {
            sleep_until(due).await;
        }
        self.n += 1;
        self.n
    }
}
