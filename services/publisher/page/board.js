// The table as the page knows it, and the view of it that is shown.

/** @typedef {import("./types").Row} Row @typedef {import("./types").Entry} Entry */

/** MERITs that are remembered of each symbol. */
const TRACE_MAX = 600;

export class Board {
  /** @type {Map<string, Entry>} */
  entries = new Map();
  /** Rises with every change. */
  version = 0;
  nUpdates = 0;
  /** When the newest bar of all rows began, Unix nanoseconds. */
  newestNs = 0;

  /** @param {Row[]} rows */
  replace(rows) {
    const before = this.entries;
    this.entries = new Map();
    this.newestNs = 0;
    for (const row of rows) {
      this.newestNs = Math.max(this.newestNs, row.freshness.open_time_ns);
      const known = before.get(row.symbol);
      this.entries.set(row.symbol, this.#entry(row, known, 0));
    }
    this.version += 1;
  }

  /** @param {Row} row @param {number} now */
  put(row, now) {
    this.entries.set(row.symbol, this.#entry(row, this.entries.get(row.symbol), now));
    this.newestNs = Math.max(this.newestNs, row.freshness.open_time_ns);
    this.version += 1;
    this.nUpdates += 1;
  }

  /** @param {string} symbol */
  remove(symbol) {
    if (this.entries.delete(symbol)) this.version += 1;
  }

  /** @param {Row} row @param {Entry | undefined} known @param {number} now @returns {Entry} */
  #entry(row, known, now) {
    const trace = known?.trace ?? null;
    if (known === undefined || known.row.name !== row.name) {
      const text = `${row.symbol} ${row.name ?? ""} ${row.sector ?? ""} ${row.industry ?? ""}`.toLowerCase();
      return { row, changedAt: now, delta: 0, trace: extended(trace, row.merit, now), text };
    }
    // A snapshot that brings the same row again is no change.
    const changedAt = now === 0 ? known.changedAt : now;
    const delta = row.merit - known.row.merit;
    return { row, changedAt, delta, trace: extended(trace, row.merit, now), text: known.text };
  }
}

/** @param {Entry["trace"]} trace @param {number} merit @param {number} now @returns {Entry["trace"]} */
function extended(trace, merit, now) {
  if (now === 0) return trace;
  const [times, merits] = trace ?? [[], []];
  times.push(Math.round((performance.timeOrigin + now) / 10) / 100);
  merits.push(merit);
  if (times.length > TRACE_MAX) {
    times.shift();
    merits.shift();
  }
  return [times, merits];
}

/**
 * The entries that pass the filters, sorted.
 * @param {Board} board
 * @param {import("./types").Settings} settings
 * @param {import("./columns").Column} column that is sorted by
 * @returns {Entry[]}
 */
export function view(board, settings, column) {
  const { filters } = settings;
  const words = filters.search.toLowerCase().split(/\s+/).filter(Boolean);
  const watched = filters.watchlist ? new Set(settings.watchlists[settings.watchlist] ?? []) : null;
  const bands = filters.bands.length > 0 ? new Set(filters.bands) : null;
  const signals = filters.signals.length > 0 ? new Set(filters.signals) : null;
  const shown = [];
  for (const entry of board.entries.values()) {
    const { row } = entry;
    if (row.merit < filters.minMerit) continue;
    if (bands !== null && !bands.has(row.merit_band)) continue;
    if (signals !== null && !signals.has(row.signal)) continue;
    if (filters.sector !== null && (row.sector ?? "") !== filters.sector) continue;
    if (watched !== null && !watched.has(row.symbol)) continue;
    if (filters.profile !== "none" && !isShownBy(row, filters.profile)) continue;
    if (words.length > 0 && !words.every((word) => entry.text.includes(word))) continue;
    shown.push(entry);
  }
  const way = settings.sort.descending ? -1 : 1;
  const value = column.value;
  const keyed = shown.map((entry) => ({ entry, key: value(entry) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) {
      // Missing comes last, whichever way it is sorted.
      if (a.key !== b.key) return a.key === null ? 1 : -1;
    } else if (a.key !== b.key) {
      return a.key < b.key ? -way : way;
    }
    return b.entry.row.merit - a.entry.row.merit || (a.entry.row.symbol < b.entry.row.symbol ? -1 : 1);
  });
  return keyed.map(({ entry }) => entry);
}

/** @param {Row} row @param {string} profile */
function isShownBy(row, profile) {
  return row.profiles.some((verdict) => verdict.profile === profile && verdict.breaks === null);
}

/**
 * Figures of the whole table.
 * @param {Board} board
 */
export function summary(board) {
  /** @type {Map<string, { name: string, n: number, merit: number, nRising: number }>} */
  const sectors = new Map();
  /** @type {Record<string, number>} */
  const bands = {};
  let [nRising, nFalling, nLong, nShort, nRated] = [0, 0, 0, 0, 0];
  for (const { row } of board.entries.values()) {
    bands[row.merit_band] = (bands[row.merit_band] ?? 0) + 1;
    if (row.signal.endsWith("Long")) nLong += 1;
    if (row.signal.endsWith("Short")) nShort += 1;
    const rising = row.tech_rating !== null && row.tech_rating > 0;
    if (row.tech_rating !== null) {
      nRated += 1;
      if (row.tech_rating > 0) nRising += 1;
      if (row.tech_rating < 0) nFalling += 1;
    }
    const name = row.sector ?? "";
    const sector = sectors.get(name) ?? { name, n: 0, merit: 0, nRising: 0 };
    sectors.set(name, sector);
    sector.n += 1;
    sector.merit += row.merit;
    sector.nRising += rising ? 1 : 0;
  }
  const largestFirst = [...sectors.values()].sort((a, b) => b.n - a.n);
  return { n: board.entries.size, nRising, nFalling, nRated, nLong, nShort, bands, sectors: largestFirst };
}
