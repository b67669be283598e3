//! All clients are cut off at once and come back at once, each where it was.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use runtime::clock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::server::Server;
use super::{ServerChoice, Tools};
use crate::Common;
use crate::latency::Latencies;
use crate::report::{Outcome, Table};

/// How long a client may take to come back.
const RETURN_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    #[arg(long, value_name = "N", default_value_t = 1000)]
    clients: usize,
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate: u32,
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeat: usize,
    #[command(flatten)]
    #[serde(flatten)]
    tools: Tools,
}

/// An event as far as it matters here.
#[derive(Debug, Deserialize)]
struct Event {
    ev: String,
    epoch: Option<String>,
    recovered: Option<bool>,
    #[serde(rename = "U")]
    first: Option<u64>,
    u: Option<u64>,
    #[serde(default)]
    gap: bool,
}

/// A client and how far it has come.
struct Client {
    socket: WebSocketStream<TcpStream>,
    epoch: String,
    u: u64,
    recovered: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut server = Server::start(ServerChoice::Publisher, options.rate, 0, &options.tools)?;
    server.go()?;
    let address = server.address;
    let mut table = Table::default();
    let first = (0..options.clients).map(|_| connect(address, None));
    let mut clients = try_join_all(first).await?;
    for run in 1..=options.repeat {
        let places: Vec<(String, u64)> = clients.iter().map(|client| (client.epoch.clone(), client.u)).collect();
        drop(clients);
        let started = clock::monotonic();
        let cpu_before = server.cpu_time()?;
        let returns = places.into_iter().map(|place| async move {
            let client = tokio::time::timeout(RETURN_MAX, connect(address, Some(place))).await;
            let client = client.context("a client did not come back")??;
            Ok::<_, anyhow::Error>((client, started.elapsed()))
        });
        let returned = try_join_all(returns).await?;
        let cpu = server.cpu_time()?.saturating_sub(cpu_before);
        let mut latencies = Latencies::new()?;
        for (_, elapsed) in &returned {
            latencies.record(*elapsed);
        }
        let n_lost = returned.iter().filter(|(client, _)| !client.recovered).count();
        eprintln!("run {run}: all back after {:.0} ms", ms(started));
        let mut figures = latencies.figures_ms().to_vec();
        figures.push(("not_recovered", n_lost as f64));
        figures.push(("cpu_us_per_client", cpu.as_secs_f64() * 1e6 / options.clients as f64));
        table.push("return", figures);
        clients = returned.into_iter().map(|(client, _)| client).collect();
    }
    Outcome::new("reconnect-storm", options.common.bus, options, table, Some(server.memory_mib()?))
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Returns when the client has an update that follows the last it had.
async fn connect(address: std::net::SocketAddr, place: Option<(String, u64)>) -> anyhow::Result<Client> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(format!("ws://{address}/ws"), stream).await?;
    let u = place.as_ref().map(|(_, u)| *u);
    let mut client = Client { socket, epoch: String::new(), u: u.unwrap_or(0), recovered: false };
    let mut request = json!({"action": "subscribe", "params": "AM.*", "snapshot": false});
    if let Some((epoch, seq)) = &place {
        request["resume"] = json!({"epoch": epoch, "seq": seq});
    }
    client.socket.send(Message::text(request.to_string())).await?;
    let mut known = u;
    loop {
        let Some(message) = client.socket.next().await else { bail!("the server closed a connection") };
        let Message::Text(text) = message? else { continue };
        let events: Vec<Event> = serde_json::from_str(&text).context("a frame is not understood")?;
        for event in events {
            client.epoch = event.epoch.unwrap_or(client.epoch);
            client.recovered |= event.recovered == Some(true);
            if event.ev == "seq" {
                let (first, last) = event.first.zip(event.u).context("a sequence without numbers")?;
                if event.gap || known.is_some_and(|known| first != known + 1) {
                    bail!("updates are missing: {first} follows {known:?}");
                }
                known = Some(last);
                client.u = last;
            }
        }
        // Without a resumption where the server lost the place, the first sequence begins anew.
        if known.is_some() && client.u > u.unwrap_or(0) {
            return Ok(client);
        }
    }
}
