// The columns of the table: what each shows, and how it is sorted.

import { age, fixed, gain, percent, price, short } from "./format.js";

/** @typedef {import("./types").Entry} Entry @typedef {import("./types").Row} Row */

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label
 * @property {string} title what it means, for those who point at it
 * @property {number} width in pixels
 * @property {boolean} isNumber
 * @property {(entry: Entry) => string | number | null} value to sort by; `null` is missing
 * @property {(entry: Entry, now: number) => string} text
 * @property {(entry: Entry) => string} [tone] a class for the cell
 * @property {boolean} [isQuiet] changes of it do not flash
 */

/** @param {string} key @param {string} label @param {string} title @param {number} width
 *  @param {(row: Row) => number | null} value @param {(value: number | null) => string} text
 *  @param {(value: number | null) => string} [tone] @returns {Column} */
function number(key, label, title, width, value, text, tone) {
  return {
    key, label, title, width, isNumber: true,
    value: ({ row }) => value(row),
    text: ({ row }) => text(value(row)),
    ...(tone && { tone: ({ row }) => tone(value(row)) }),
  };
}

/** @param {string} key @param {string} label @param {string} title @param {number} width
 *  @param {(row: Row) => string | null} value @param {(row: Row) => string} [tone] @returns {Column} */
function words(key, label, title, width, value, tone) {
  return {
    key, label, title, width, isNumber: false,
    value: ({ row }) => value(row) || null,
    text: ({ row }) => value(row) ?? "",
    ...(tone && { tone: ({ row }) => tone(row) }),
  };
}

/** @param {number | null} value */
const signed = (value) => (value === null || value === 0 ? "" : value > 0 ? "up" : "down");

/** Strong signals first. */
const SIGNALS = ["Strong Long", "Long", "Short", "Strong Short", "Hold", "Avoid"];

/** @param {string} signal */
export const signalTone = (signal) => (signal.endsWith("Long") ? "up" : signal.endsWith("Short") ? "down" : "faint");

/** @param {string} signal */
export const signalMark = (signal) => (signal.endsWith("Long") ? "▲ " : signal.endsWith("Short") ? "▼ " : "");

/** `A+` → `a-plus`, for a class. @param {string} band */
export const bandTone = (band) => `band-${band.toLowerCase().replace("+", "-plus")}`;

/** @type {Column} */
const MERIT = {
  key: "merit", label: "MERIT", title: "0 to 100: how good the idea is, everything considered", width: 112,
  isNumber: true, value: ({ row }) => row.merit, text: ({ row }) => fixed(row.merit, 1),
};

/** @type {Column[]} */
export const COLUMNS = [
  words("sector", "Sector", "Sector", 148, (row) => row.sector, () => "soft"),
  words("industry", "Industry", "Industry", 190, (row) => row.industry, () => "soft"),
  MERIT,
  {
    key: "band", label: "Band", title: "The band of MERIT", width: 54, isNumber: false,
    value: ({ row }) => row.merit_band.replace("+", "!"), text: ({ row }) => row.merit_band,
    tone: ({ row }) => bandTone(row.merit_band),
  },
  {
    key: "signal", label: "Signal", title: "What the rules make of it", width: 104, isNumber: false,
    value: ({ row }) => {
      const place = SIGNALS.indexOf(row.signal);
      return place < 0 ? SIGNALS.length : place;
    },
    text: ({ row }) => signalMark(row.signal) + row.signal,
    tone: ({ row }) => signalTone(row.signal),
  },
  words("tier", "Tier", "The tier of the result", 76, (row) => row.result_tier, (row) => (row.result_tier === "Ungraded" ? "faint" : "")),
  number("tech", "Tech", "Technical rating, −26 to 26", 68, (row) => row.tech_rating, (value) => fixed(value, 1), signed),
  number("ics", "ICS", "Institutional Core Score, 0 to 100", 60, (row) => row.ics, (value) => fixed(value, 1)),
  number("quality", "Quality", "Quality of the company, 0 to 100", 70, (row) => row.quality, (value) => fixed(value, 0)),
  number("alpha5", "α 5d", "Predicted gain over the market in 5 days", 72, (row) => row.alpha_5d, (value) => gain(value), signed),
  number("alpha10", "α 10d", "Predicted gain over the market in 10 days", 72, (row) => row.alpha_10d, (value) => gain(value), signed),
  number("win", "Win", "Probability of a gain in 10 days", 60, (row) => row.win_prob_10d, (value) => percent(value, 0)),
  number("close", "Close", "Newest close", 82, (row) => row.close, price),
  number("entry", "Entry", "Where the plan gets in", 82, (row) => row.entry, price),
  number("stop", "Stop", "Where the plan gives up", 82, (row) => row.stop, price),
  number("target", "Target", "Where the plan takes its gain", 82, (row) => row.target, price),
  number("rr", "R:R", "Gain for each risk", 56, (row) => row.reward_risk, (value) => fixed(value, 2)),
  number("size", "Shares", "Shares that the account's risk allows", 70, (row) => row.position_size, short),
  number("atr", "ATR", "Average true range of 14 bars over the close", 64, (row) => row.atr_pct, (value) => percent(value, 1)),
  number("volume", "$ volume", "Mean dollar volume of 20 bars", 80, (row) => row.dollar_volume_20, short),
  number("cap", "Market cap", "Shares known at the bar, times its close", 90, (row) => row.market_cap, short),
  words("style", "Style", "How it tends to move", 84, (row) => row.play_style, () => "soft"),
  words("setup", "Setup", "What kind of plan it is", 116, (row) => row.setup),
  words("flags", "Flags", "What speaks against it", 240, (row) => row.merit_flags.replaceAll("|", " · ").replaceAll("_", " ").toLowerCase(), () => "warn"),
  words("as_of", "As of", "The bar it stands on", 92, (row) => row.as_of, () => "soft"),
  {
    key: "fresh", label: "Updated", title: "Since this row last changed here", width: 72, isNumber: true, isQuiet: true,
    value: ({ changedAt }) => (changedAt === 0 ? null : -changedAt),
    text: ({ changedAt }, now) => (changedAt === 0 ? "–" : age(now - changedAt)),
    tone: () => "fresh",
  },
  { ...words("summary", "Summary", "In one line", 560, (row) => row.merit_summary, () => "soft"), isQuiet: true },
];

/** The symbol has a cell of its own kind and is always there. @type {Column} */
export const SYMBOL = {
  key: "symbol", label: "Symbol", title: "Symbol and name", width: 212, isNumber: false,
  value: ({ row }) => row.symbol, text: ({ row }) => row.symbol,
};

export const DEFAULT_COLUMNS = [
  "merit", "band", "signal", "tier", "sector", "tech", "ics", "quality", "alpha10", "win", "close", "entry", "stop",
  "target", "rr", "fresh", "atr", "volume", "cap", "flags", "as_of",
];

/** What fits on a phone. */
export const NARROW_COLUMNS = ["merit", "signal", "close"];

/** How wide they are there. @type {Record<string, number>} */
export const NARROW_WIDTHS = { merit: 70, signal: 98, close: 76 };

/** @param {string} key */
export const columnOf = (key) => [SYMBOL, ...COLUMNS].find((column) => column.key === key) ?? MERIT;
