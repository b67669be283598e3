// Numbers as text. A missing number is an empty text, never a zero.

const MINUS = "−";

/** @param {string} text */
const sign = (text) => text.replace("-", MINUS);

/** @param {number | null | undefined} value @param {number} digits */
export function fixed(value, digits) {
  return value === null || value === undefined || !Number.isFinite(value) ? "" : sign(value.toFixed(digits));
}

/** Prices below one unit need more digits. @param {number | null | undefined} value */
export function price(value) {
  if (value === null || value === undefined) return "";
  return Math.abs(value) >= 1 ? grouped(value, 2) : fixed(value, 4);
}

/** By digits; to make one takes longer than to use it a thousand times. @type {Map<number, Intl.NumberFormat>} */
const FORMATS = new Map();

/** @param {number} value @param {number} digits */
export function grouped(value, digits) {
  let format = FORMATS.get(digits);
  if (format === undefined) {
    format = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    FORMATS.set(digits, format);
  }
  return sign(format.format(value));
}

/** A share as percent. @param {number | null | undefined} share @param {number} [digits] */
export function percent(share, digits = 1) {
  return share === null || share === undefined ? "" : `${fixed(100 * share, digits)}%`;
}

/** The same with its sign. @param {number | null | undefined} share @param {number} [digits] */
export function gain(share, digits = 2) {
  if (share === null || share === undefined) return "";
  return (share > 0 ? "+" : "") + percent(share, digits);
}

/** 12.3B, 456M, 7.8K. @param {number | null | undefined} value */
export function short(value) {
  if (value === null || value === undefined) return "";
  for (const [unit, suffix] of /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]])) {
    if (Math.abs(value) >= unit) {
      const scaled = value / unit;
      return fixed(scaled, Math.abs(scaled) < 10 ? 2 : Math.abs(scaled) < 100 ? 1 : 0) + suffix;
    }
  }
  return fixed(value, 0);
}

/** How long ago, in one unit. @param {number} ms */
export function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** A long weekend: what has not moved for longer is not waiting for the market to open. */
const STALE_MS = 4 * 86_400_000;

/**
 * How far the bar of a row is behind the newest of the table.
 * @param {import("./types").Row} row @param {number} newestNs
 * @returns {{ kind: "live" | "late" | "stale", text: string, title: string }}
 */
export function freshness(row, newestNs) {
  const behindMs = (newestNs - row.freshness.open_time_ns) / 1e6;
  if (behindMs <= 0) return { kind: "live", text: "●", title: `on the newest bar, ${row.as_of}` };
  const kind = behindMs > STALE_MS ? "stale" : "late";
  const text = `${kind === "stale" ? "○" : "◐"} ${age(behindMs)}`;
  return { kind, text, title: `${kind}: its bar, ${row.as_of}, is ${age(behindMs)} behind the newest` };
}

/** A span in the unit that reads best. @param {number | null | undefined} ms */
export function span(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${fixed(ms, 2)} ms`;
  return ms < 1000 ? `${fixed(ms, 0)} ms` : `${fixed(ms / 1000, ms < 10_000 ? 1 : 0)} s`;
}

/** `penalty_ultra_risk` → `Penalty ultra risk`. @param {string} name */
export function words(name) {
  const text = name.replaceAll("_", " ").toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
