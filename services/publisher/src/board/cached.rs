//! The table as it is shared with publishers that start later.

use std::borrow::Cow;
use std::sync::Arc;

use pipeline::Rejected;
use schemas::{EventTime, Market, ModelRef, N_PARTITIONS, Partition, Symbol};
use serde::{Deserialize, Serialize};

use super::{Board, StoredEntry, StoredPartition, Update, parse_partition};

/// The entry beside those of the partitions.
const HEAD: &str = "head";

/// What belongs to the whole table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) written_at: EventTime,
    pub(crate) market: Option<Market>,
}

/// A partition as it was at one moment. Cheap to take: it shares the rows, and is written elsewhere.
#[derive(Debug)]
pub(crate) struct Part {
    partition: Partition,
    source: Arc<str>,
    models: Arc<[ModelRef]>,
    watermark: Option<EventTime>,
    entries: Vec<super::SharedEntry>,
}

impl Board {
    /// Number of the newest update.
    pub(crate) fn u(&self) -> u64 {
        self.u
    }

    /// Whether the table is ranked as it is.
    pub(crate) fn is_ranked(&self) -> bool {
        self.ranked.is_some()
    }

    /// Forgets the ranked table; the next snapshot ranks it anew.
    pub(crate) fn forget_ranked(&mut self) {
        self.ranked = None;
    }

    pub(crate) fn head(&self, written_at: EventTime) -> Head {
        Head { written_at, market: self.market.as_deref().cloned() }
    }

    /// The partitions with updates that are newer than `u`.
    pub(crate) fn changed_since(&self, u: u64) -> Vec<Partition> {
        let mut is_changed = [false; N_PARTITIONS as usize];
        for (symbol, _) in self.entries.iter().filter(|(_, entry)| entry.u > u) {
            is_changed[Partition::of(*symbol).index()] = true;
        }
        Partition::all().filter(|partition| is_changed[partition.index()]).collect()
    }

    pub(crate) fn part(&self, partition: Partition) -> Part {
        let entries = self.entries.iter().filter(|(symbol, _)| Partition::of(**symbol) == partition);
        Part {
            partition,
            source: Arc::clone(&self.origin.source),
            models: Arc::clone(&self.origin.models),
            watermark: self.watermarks.of(partition),
            entries: entries
                .map(|(&symbol, entry)| (symbol, entry.version, entry.row.clone(), entry.why_not.clone()))
                .collect(),
        }
    }

    /// Takes in a table that another publisher shared, whole or not at all. What it changes comes back as updates, and is
    /// told apart until the scores vouch for it. Gives what belongs to the whole table, too.
    ///
    /// # Errors
    /// When a part is missing, twice there or something else. The board is then unchanged.
    pub(crate) fn restore_shared(&mut self, entries: &[(String, Vec<u8>)]) -> Result<(Head, Vec<Update>), Rejected> {
        let rejected = |detail: String| Rejected::new("cache", detail);
        let entry = |name: &str| {
            let found = entries.iter().find(|(known, _)| known == name);
            found.map(|(_, bytes)| bytes).ok_or_else(|| rejected(format!("`{name}` is missing")))
        };
        let head: Head = rmp_serde::from_slice(entry(HEAD)?).map_err(|error| rejected(format!("`{HEAD}`: {error}")))?;
        let mut parts = Vec::new();
        for partition in Partition::all() {
            let stored = parse_partition(partition, entry(&partition.to_string())?)?;
            parts.push((partition, stored));
        }
        let n_entries: usize = parts.iter().map(|(_, stored)| stored.entries.len()).sum();
        self.check_room(n_entries)?;
        let mut updates = Vec::new();
        for (partition, stored) in parts {
            let symbols = stored.entries.iter().map(|entry| entry.symbol);
            let unknown: Vec<Symbol> = symbols.filter(|symbol| !self.entries.contains_key(symbol)).collect();
            updates.append(&mut self.put_stored(partition, stored));
            for symbol in unknown {
                self.entries.entry(symbol).and_modify(|entry| entry.is_cached = true);
            }
        }
        if self.market.is_none() {
            (self.market, self.is_market_cached) = (head.market.clone().map(Arc::new), true);
        }
        Ok((head, updates))
    }

    /// How many rows only a shared table vouches for.
    pub(crate) fn n_cached(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_cached && entry.row.is_some()).count()
    }

    /// Forgets the symbols that only a shared table vouches for. Those that had a row leave the table.
    pub(crate) fn retract_cached(&mut self) -> Vec<Update> {
        let cached: Vec<_> = self.entries.extract_if(.., |_, entry| entry.is_cached).collect();
        let with_row = cached.into_iter().filter(|(_, entry)| entry.row.is_some());
        let (mut u, mut updates) = (self.u, Vec::new());
        for (symbol, entry) in with_row {
            u += 1;
            updates.push(Update {
                u,
                symbol,
                result: None,
                epoch: entry.version.epoch,
                seq: entry.version.seq,
                source: Arc::clone(&self.origin.source),
                models: Arc::clone(&self.origin.models),
                ingest_time: None,
            });
        }
        (self.u, self.n_rows, self.ranked) = (u, self.n_rows - updates.len(), None);
        if self.entries.is_empty() {
            // It was the table of another market: nothing that it told is true of this one.
            *self = Self { u, ..Self::default() };
        }
        updates
    }
}

impl Head {
    pub(crate) fn entry(&self) -> (String, Vec<u8>) {
        (HEAD.to_owned(), rmp_serde::to_vec(self).expect("plain data serialises to MessagePack"))
    }
}

impl Part {
    pub(crate) fn entry(&self) -> (String, Vec<u8>) {
        (self.partition.to_string(), self.bytes())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let entries = self.entries.iter().map(|(symbol, version, row, why_not)| StoredEntry {
            symbol: *symbol,
            epoch: version.epoch,
            seq: version.seq,
            place: version.place as u64,
            row: row.as_ref().map(|row| Cow::Borrowed(&*row.result)),
            why_not: why_not.clone(),
        });
        // The rows are borrowed: a partition is written without a copy of them.
        let stored = StoredPartition {
            source: self.source.to_string(),
            models: self.models.to_vec(),
            watermark: self.watermark,
            entries: entries.collect(),
        };
        // By name: a row leaves out what it does not have.
        rmp_serde::to_vec_named(&stored).expect("plain data serialises to MessagePack")
    }
}
