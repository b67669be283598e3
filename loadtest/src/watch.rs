//! Who looks at what comes out. Each watcher has a thread of its own, so that reading does not hold up the pipeline's
//! threads any more than another process would.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use runtime::bus::{Bus, BusKind, BusOptions};
use runtime::clock;
use schemas::subject::{BatchKind, Namespace};
use schemas::{FeatureBatch, Message as _, PredictionBatch, ResultV1, ScoreBatch, Symbol};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// Messages that wait for a watcher of the bus.
const BUS_QUEUE_MAX: usize = 1 << 18;

/// A bar, where it was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) at: Instant,
    pub(crate) symbol: Symbol,
    pub(crate) open_time_ns: i64,
    pub(crate) revision: u32,
}

type Sightings = mpsc::UnboundedSender<anyhow::Result<Vec<Sighting>>>;

/// A place where results pass.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) name: &'static str,
    sightings: mpsc::UnboundedReceiver<anyhow::Result<Vec<Sighting>>>,
}

/// Where on the bus a bar shows on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hop {
    Features,
    Predictions,
    Scores,
    Results,
}

impl Watch {
    /// A WebSocket client that subscribed to every score.
    pub(crate) async fn websocket(address: SocketAddr) -> anyhow::Result<Self> {
        Self::spawn("websocket", move |sightings, is_watching| watch_websocket(address, sightings, is_watching)).await
    }

    /// A listener on the bus.
    pub(crate) async fn hop(hop: Hop, bus: &Bus, options: &BusOptions) -> anyhow::Result<Self> {
        let (bus, options) = (bus.clone(), options.clone());
        Self::spawn(hop.name(), move |sightings, is_watching| watch_bus(hop, bus, options, sightings, is_watching))
            .await
    }

    /// Returns when it is watching.
    async fn spawn<F: Future<Output = anyhow::Result<()>>>(
        name: &'static str,
        watch: impl FnOnce(Sightings, oneshot::Sender<()>) -> F + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, sightings) = mpsc::unbounded_channel();
        let (is_watching, watching) = oneshot::channel();
        std::thread::Builder::new().name(format!("watch-{name}")).spawn(move || {
            let watched = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start a watcher")
                .and_then(|runtime| runtime.block_on(watch(sender.clone(), is_watching)));
            if let Err(error) = watched {
                // Nobody listens any more when everything is measured.
                sender.send(Err(error)).ok();
            }
        })?;
        let mut watch = Self { name, sightings };
        if watching.await.is_err() {
            watch.recv().await?;
            bail!("the watcher of {name} ended");
        }
        Ok(watch)
    }

    /// What is seen next.
    pub(crate) async fn recv(&mut self) -> anyhow::Result<Vec<Sighting>> {
        self.sightings.recv().await.with_context(|| format!("the watcher of {} ended", self.name))?
    }

    /// Everything that is seen until nothing new is seen for a while.
    pub(crate) async fn until_quiet(&mut self, quiet: Duration) -> anyhow::Result<Vec<Sighting>> {
        let mut all = Vec::new();
        while let Ok(seen) = tokio::time::timeout(quiet, self.recv()).await {
            all.extend(seen?);
        }
        Ok(all)
    }
}

impl Hop {
    pub(crate) const ALL: [Self; 4] = [Self::Features, Self::Predictions, Self::Scores, Self::Results];

    const fn name(self) -> &'static str {
        match self {
            Self::Features => "feature",
            Self::Predictions => "prediction",
            Self::Scores => "score",
            Self::Results => "result",
        }
    }

    fn filter(self) -> String {
        let namespace = Namespace::Live;
        match self {
            Self::Features => namespace.batches(BatchKind::Feature),
            Self::Predictions => namespace.batches(BatchKind::Prediction),
            Self::Scores => namespace.batches(BatchKind::Score),
            Self::Results => namespace.results(),
        }
    }

    fn read(self, payload: &[u8], at: Instant) -> anyhow::Result<Vec<Sighting>> {
        let bar = |(symbol, bar): &(Symbol, schemas::Bar)| Sighting {
            at,
            symbol: *symbol,
            open_time_ns: bar.open_time.as_ns(),
            revision: bar.revision,
        };
        let row = |row: &schemas::ResultRow| Sighting {
            at,
            symbol: row.symbol,
            open_time_ns: row.freshness.open_time_ns,
            revision: row.freshness.revision,
        };
        Ok(match self {
            Self::Features => FeatureBatch::decode(payload)?.bars().rows().iter().map(bar).collect(),
            Self::Predictions => PredictionBatch::decode(payload)?.features().bars().rows().iter().map(bar).collect(),
            Self::Scores => ScoreBatch::decode(payload)?.rows.iter().map(row).collect(),
            Self::Results => ResultV1::from_json(payload)?.row.iter().map(row).collect(),
        })
    }
}

/// An event as far as it matters here; anything else in it is skipped.
#[derive(Debug, Deserialize)]
struct Event {
    sym: Option<Symbol>,
    freshness: Option<Freshness>,
    /// Of a snapshot, which the server sends to a client that fell too far behind.
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    symbol: Symbol,
    freshness: Freshness,
}

#[derive(Debug, Deserialize)]
struct Freshness {
    open_time_ns: i64,
    revision: u32,
}

impl Freshness {
    fn sighting(&self, symbol: Symbol, at: Instant) -> Sighting {
        Sighting { at, symbol, open_time_ns: self.open_time_ns, revision: self.revision }
    }
}

async fn watch_websocket(
    address: SocketAddr,
    sightings: Sightings,
    is_watching: oneshot::Sender<()>,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async(format!("ws://{address}/ws"), stream).await.context("no WebSocket")?;
    let request = r#"{"action":"subscribe","id":1,"params":"SC.*","snapshot":false}"#;
    socket.send(Message::text(request)).await?;
    let mut is_watching = Some(is_watching);
    while let Some(message) = socket.next().await {
        let at = clock::monotonic();
        let Message::Text(text) = message? else { continue };
        if is_watching.is_some() && text.contains(r#""status":"success""#) {
            is_watching.take().map(|is_watching| is_watching.send(()));
        }
        let events: Vec<Event> = serde_json::from_str(&text).context("a frame is not understood")?;
        let seen = events.iter().flat_map(|event| {
            let own = event.sym.zip(event.freshness.as_ref());
            let own = own.map(|(symbol, freshness)| freshness.sighting(symbol, at));
            own.into_iter().chain(event.rows.iter().map(|row| row.freshness.sighting(row.symbol, at)))
        });
        let seen: Vec<Sighting> = seen.collect();
        if !seen.is_empty() && sightings.send(Ok(seen)).is_err() {
            return Ok(());
        }
    }
    bail!("the publisher closed the connection")
}

async fn watch_bus(
    hop: Hop,
    bus: Bus,
    options: BusOptions,
    sightings: Sightings,
    is_watching: oneshot::Sender<()>,
) -> anyhow::Result<()> {
    // On a server each watcher has a connection of its own, read by its own thread.
    let bus = if options.kind == BusKind::Memory { bus } else { Bus::connect(&options).await? };
    let mut subscription = bus.subscribe(&hop.filter(), BUS_QUEUE_MAX).await?;
    if is_watching.send(()).is_err() {
        return Ok(());
    }
    while let Some(message) = subscription.next().await {
        let seen = hop.read(&message.payload, clock::monotonic())?;
        if !seen.is_empty() && sightings.send(Ok(seen)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
