pub(crate) mod cached;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use pipeline::{Rejected, Stage, Watermarks};
use schemars::JsonSchema;
use schemas::{EXCLUSIONS, EventTime, Market, ModelRef, Partition, ResultRow, ResultV1, ScoreBatch, Symbol};
use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::snapshot::{Ranked, Snapshot};

/// Most symbols that the table knows, those that left it included.
const SYMBOLS_MAX: usize = 65_536;

/// Most names of sources that are remembered.
const SOURCES_MAX: usize = 64;

/// The latest table: the newest result of every symbol.
///
/// A result applies only if it is newer than what is known of its symbol, by run and number of the scores and not
/// behind by bar and revision. As scoring never goes back in either, batches may come in any order and any number of
/// times: the table ends the same.
#[derive(Debug, Default)]
pub struct Board {
    entries: BTreeMap<Symbol, Entry>,
    n_rows: usize,
    /// Number of the newest update.
    u: u64,
    origin: Origin,
    sources: BTreeSet<Arc<str>>,
    watermarks: Watermarks,
    newest_event_time: Option<EventTime>,
    market: Option<Arc<Market>>,
    /// Only a shared table vouches for the market so far.
    is_market_cached: bool,
    /// `None` after a change, until somebody looks.
    ranked: Option<Arc<Ranked>>,
}

/// A result and its JSON, which is written once and shared by everything that sends it.
#[derive(Debug, Clone)]
pub struct Row {
    pub result: Arc<ResultRow>,
    pub json: Bytes,
    /// Written when the first client asks for it.
    msgpack: Arc<OnceLock<Bytes>>,
    /// When the pipeline first saw what made it; `None` for what was restored.
    pub(crate) arrived: Option<EventTime>,
}

/// A change of the table.
#[derive(Debug, Clone)]
pub struct Update {
    /// 1, 2, 3 …: its number among all updates of this board.
    pub u: u64,
    pub symbol: Symbol,
    /// `None` when the symbol left the table.
    pub result: Option<Row>,
    pub epoch: u64,
    pub seq: u64,
    pub source: Arc<str>,
    pub models: Arc<[ModelRef]>,
    /// When the pipeline first saw the bar that caused it; `None` for what was restored, and for a row that moved because
    /// others did.
    pub ingest_time: Option<EventTime>,
}

/// What kind of market the numbers are from. Said wherever numbers are shown: nobody may take a generated market for
/// a real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// Nothing has arrived.
    #[default]
    None,
    Synthetic,
    Replay,
    Live,
}

#[derive(Debug)]
struct Entry {
    version: Version,
    /// Number of the update that brought it.
    u: u64,
    /// `None` when the symbol left the table.
    row: Option<Row>,
    /// Why it is not in it, as far as that was said.
    why_not: Option<Cow<'static, str>>,
    /// Only a table that another publisher shared vouches for it so far.
    is_cached: bool,
}

/// What is known of a symbol, without a copy of its row.
type SharedEntry = (Symbol, Version, Option<Row>, Option<Cow<'static, str>>);

/// Orders the results of a symbol: run of the scores, number of the batch, place in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    epoch: u64,
    seq: u64,
    place: usize,
}

/// One partition of the table, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct StoredPartition<'a> {
    source: String,
    models: Vec<ModelRef>,
    watermark: Option<EventTime>,
    entries: Vec<StoredEntry<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredEntry<'a> {
    symbol: Symbol,
    epoch: u64,
    seq: u64,
    place: u64,
    row: Option<Cow<'a, ResultRow>>,
    why_not: Option<Cow<'static, str>>,
}

/// Where the newest results come from.
#[derive(Debug, Clone)]
struct Origin {
    epoch: u64,
    source: Arc<str>,
    models: Arc<[ModelRef]>,
    data: DataKind,
}

impl Stage for Board {
    type Input = ScoreBatch;
    type Output = Update;

    fn on_batch(&mut self, batch: ScoreBatch, out: &mut Vec<Update>) -> Result<(), Rejected> {
        let ScoreBatch { header, models, rows, removed, why_not, market } = batch;
        let symbols = removed.iter().copied().chain(rows.iter().map(|row| row.symbol));
        let n_new = symbols.filter(|symbol| !self.entries.contains_key(symbol)).count();
        if self.entries.len() + n_new > SYMBOLS_MAX {
            return Err(Rejected::new("universe_full", format!("more than {SYMBOLS_MAX} symbols")));
        }
        self.newest_event_time = self.newest_event_time.max(Some(header.event_time));
        if let Some(watermark) = header.watermark {
            self.watermarks.observe(header.partition, watermark);
        }
        if let Some(market) = market
            && self.market.as_ref().is_none_or(|known| self.is_market_cached || market.as_of >= known.as_of)
        {
            (self.market, self.is_market_cached) = (Some(Arc::new(market)), false);
        }
        let origin = self.origin(header.epoch, &header.source, models, DataKind::of(&header.source, &rows));
        let mut reasons: BTreeMap<Symbol, Cow<'static, str>> =
            why_not.into_iter().map(|why_not| (why_not.symbol, why_not.condition)).collect();
        let results =
            removed.into_iter().map(|symbol| (symbol, None)).chain(rows.into_iter().map(|row| (row.symbol, Some(row))));
        for (place, (symbol, result)) in results.enumerate() {
            let version = Version { epoch: header.epoch, seq: header.seq, place };
            let content = match result {
                Some(row) => Ok(row),
                None => Err(reasons.remove(&symbol)),
            };
            out.extend(self.put(symbol, version, content, &origin, Some(header.ingest_time)));
        }
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<Update>) {}

    fn on_refresh(&mut self, _: &mut Vec<Update>) {}

    fn needs_refresh(&self) -> bool {
        false
    }
}

impl Board {
    /// Takes in a result of an earlier run. It gives an update when it changes the table.
    ///
    /// # Errors
    /// When the board knows too many symbols. It is then unchanged.
    pub fn restore_result(&mut self, restored: ResultV1) -> Result<Option<Update>, Rejected> {
        let ResultV1 { symbol, source, epoch, seq, models, row, why_not, .. } = restored;
        if self.entries.len() == SYMBOLS_MAX && !self.entries.contains_key(&symbol) {
            return Err(Rejected::new("universe_full", format!("more than {SYMBOLS_MAX} symbols")));
        }
        let origin = self.origin(epoch, &source, models, DataKind::of(&source, row.as_slice()));
        // The stream of results keeps the last of a batch, so a repeat of the batch is not newer.
        let version = Version { epoch, seq, place: usize::MAX };
        Ok(self.put(symbol, version, row.ok_or(why_not), &origin, None))
    }

    /// The state of one partition, so that a restart need not read all scores that are still in their stream.
    ///
    /// # Panics
    /// Never: plain data serialises to MessagePack.
    pub fn partition_bytes(&self, partition: Partition) -> Vec<u8> {
        self.part(partition).bytes()
    }

    /// Takes in what [`Self::partition_bytes`] gave. What it changes in the table comes back as updates.
    ///
    /// # Errors
    /// When the bytes are something else, or of another partition. The board is then unchanged.
    pub fn restore_partition(&mut self, partition: Partition, bytes: &[u8]) -> Result<Vec<Update>, Rejected> {
        let stored = parse_partition(partition, bytes)?;
        self.check_room(stored.entries.len())?;
        Ok(self.put_stored(partition, stored))
    }

    fn check_room(&self, n_entries: usize) -> Result<(), Rejected> {
        if self.entries.len() + n_entries > SYMBOLS_MAX {
            return Err(Rejected::new("universe_full", format!("more than {SYMBOLS_MAX} symbols")));
        }
        Ok(())
    }

    fn put_stored(&mut self, partition: Partition, stored: StoredPartition<'_>) -> Vec<Update> {
        if let Some(watermark) = stored.watermark {
            self.watermarks.observe(partition, watermark);
        }
        let mut updates = Vec::new();
        for StoredEntry { symbol, epoch, seq, place, row, why_not } in stored.entries {
            let row = row.map(Cow::into_owned);
            let data = DataKind::of(&stored.source, row.as_slice());
            let origin = self.origin(epoch, &stored.source, stored.models.clone(), data);
            if let Some(row) = &row {
                self.newest_event_time = self.newest_event_time.max(Some(row.position().0));
            }
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            updates.extend(self.put(symbol, Version { epoch, seq, place }, row.ok_or(why_not), &origin, None));
        }
        updates
    }

    /// The table as it is now. Cheap unless it changed since the last call: then it is ranked anew.
    pub fn snapshot(&mut self) -> Snapshot {
        let ranked = self.ranked.get_or_insert_with(|| {
            Arc::new(Ranked::new(self.entries.values().filter_map(|entry| entry.row.clone()).collect()))
        });
        Snapshot {
            u: self.u,
            ranked: Arc::clone(ranked),
            n_symbols: self.entries.len(),
            models: Arc::clone(&self.origin.models),
            source: Arc::clone(&self.origin.source),
            sources: self.sources.iter().cloned().collect(),
            data: self.origin.data,
            watermark: self.watermarks.min(),
            newest_event_time: self.newest_event_time,
            market: self.market.clone(),
        }
    }

    pub fn row(&self, symbol: Symbol) -> Option<&Row> {
        self.entries.get(&symbol)?.row.as_ref()
    }

    /// Why a symbol has no row, as far as that was said.
    pub fn why_not(&self, symbol: Symbol) -> Option<&str> {
        self.entries.get(&symbol)?.why_not.as_deref()
    }

    /// How many symbols fail each condition of the universe first, with or without a row, in the order in which they are
    /// asked.
    pub fn funnel(&self) -> Vec<(Cow<'static, str>, usize)> {
        let condition = |entry: &Entry| match &entry.row {
            Some(row) => row.result.excluded.clone(),
            None => entry.why_not.clone(),
        };
        let mut counts: BTreeMap<(usize, Cow<'static, str>), usize> = BTreeMap::new();
        for condition in self.entries.values().filter_map(condition) {
            let place = EXCLUSIONS.iter().position(|known| *known == condition).unwrap_or(EXCLUSIONS.len());
            *counts.entry((place, condition)).or_default() += 1;
        }
        counts.into_iter().map(|((_, condition), n)| (condition, n)).collect()
    }

    /// The row, unless it is newer than the update `u`.
    pub(crate) fn row_until(&self, symbol: Symbol, u: u64) -> Option<&Row> {
        let entry = self.entries.get(&symbol)?;
        if entry.u <= u { entry.row.as_ref() } else { None }
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn data(&self) -> DataKind {
        self.origin.data
    }

    pub fn watermark_of(&self, partition: Partition) -> Option<EventTime> {
        self.watermarks.of(partition)
    }

    /// Remembers where the results come from and gives it in a form that updates share.
    fn origin(&mut self, epoch: u64, source: &str, models: Vec<ModelRef>, data: DataKind) -> Origin {
        let same_models = *self.origin.models == *models;
        let origin = Origin {
            epoch,
            source: if *self.origin.source == *source { Arc::clone(&self.origin.source) } else { source.into() },
            models: if same_models { Arc::clone(&self.origin.models) } else { models.into() },
            data,
        };
        if epoch >= self.origin.epoch {
            self.origin = origin.clone();
        }
        if self.sources.len() < SOURCES_MAX && !self.sources.contains(source) {
            self.sources.insert(Arc::clone(&origin.source));
        }
        origin
    }

    fn put(
        &mut self,
        symbol: Symbol,
        version: Version,
        result: Result<ResultRow, Option<Cow<'static, str>>>,
        origin: &Origin,
        ingest_time: Option<EventTime>,
    ) -> Option<Update> {
        let mut known = self.entries.get_mut(&symbol);
        if let Some(entry) = &mut known {
            // Whoever puts it knows the symbol.
            entry.is_cached = false;
        }
        let known_row = known.as_ref().and_then(|entry| entry.row.as_ref());
        let is_behind = match (known_row, &result) {
            (Some(known_row), Ok(result)) => result.position() < known_row.result.position(),
            _ => false,
        };
        if is_behind || known.as_ref().is_some_and(|entry| version <= entry.version) {
            return None;
        }
        let (row, why_not) = match result {
            Ok(result) => (Some(Row::new(result, ingest_time)), None),
            Err(why_not) => (None, why_not),
        };
        let is_new_bar = row.as_ref().map(|row| row.result.position()) > known_row.map(|row| row.result.position());
        let is_same = row.as_ref().map(|row| &row.json) == known_row.map(|row| &row.json);
        let was_row = known_row.is_some();
        let u = self.u + 1;
        match known {
            Some(entry) if is_same => {
                // A reason is no update of the table: who follows it is told of rows.
                (entry.version, entry.why_not) = (version, why_not);
            }
            Some(entry) => *entry = Entry { version, u, row: row.clone(), why_not, is_cached: false },
            None => {
                drop(self.entries.insert(symbol, Entry { version, u, row: row.clone(), why_not, is_cached: false }));
            }
        }
        if is_same {
            return None;
        }
        self.n_rows = self.n_rows + usize::from(row.is_some()) - usize::from(was_row);
        self.ranked = None;
        self.u = u;
        Some(Update {
            u: self.u,
            symbol,
            result: row,
            epoch: version.epoch,
            seq: version.seq,
            source: Arc::clone(&origin.source),
            models: Arc::clone(&origin.models),
            ingest_time: ingest_time.filter(|_| is_new_bar),
        })
    }
}

/// Reads what [`Board::partition_bytes`] gave.
fn parse_partition(partition: Partition, bytes: &[u8]) -> Result<StoredPartition<'static>, Rejected> {
    let stored: StoredPartition<'static> =
        rmp_serde::from_slice(bytes).map_err(|error| Rejected::new("snapshot", error.to_string()))?;
    if let Some(stray) = stored.entries.iter().find(|entry| Partition::of(entry.symbol) != partition) {
        return Err(Rejected::new("snapshot", format!("{} is not of partition {partition}", stray.symbol)));
    }
    Ok(stored)
}

impl Default for Origin {
    fn default() -> Self {
        Self { epoch: 0, source: "".into(), models: [].into(), data: DataKind::None }
    }
}

impl Row {
    fn new(result: ResultRow, arrived: Option<EventTime>) -> Self {
        let json = serde_json::to_vec(&result).expect("a result serialises to JSON");
        Self { result: Arc::new(result), json: json.into(), msgpack: Arc::default(), arrived }
    }

    pub(crate) fn msgpack(&self) -> &Bytes {
        self.msgpack.get_or_init(|| Format::MessagePack.encode(&*self.result).into())
    }

    pub(crate) fn encoded(&self, format: Format) -> &Bytes {
        match format {
            Format::Json => &self.json,
            Format::MessagePack => self.msgpack(),
        }
    }
}

impl DataKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Synthetic => "synthetic",
            Self::Replay => "replay",
            Self::Live => "live",
        }
    }

    /// A row that says it is not real outweighs the name of the source.
    fn of(source: &str, rows: &[ResultRow]) -> Self {
        let name = source.split(':').next().unwrap_or(source);
        if name == "synthetic" || rows.iter().any(|row| row.freshness.is_synthetic) {
            Self::Synthetic
        } else if name == "replay" || rows.iter().any(|row| row.freshness.is_replayed) {
            Self::Replay
        } else {
            Self::Live
        }
    }
}
