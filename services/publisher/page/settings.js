// What the visitor chose. It stays in this browser.

import { COLUMNS, DEFAULT_COLUMNS } from "./columns.js";

const KEY = "technic.settings.v1";

/** @typedef {import("./types").Settings} Settings */

/** @type {import("./types").Filters} */
export const NO_FILTERS = {
  search: "", minMerit: 0, bands: [], signals: [], sector: null, profile: "none", watchlist: false,
};

/** @type {Settings} */
const DEFAULTS = {
  theme: "auto",
  columns: DEFAULT_COLUMNS,
  sort: { key: "merit", descending: true },
  filters: NO_FILTERS,
  watchlists: { Watchlist: [] },
  watchlist: "Watchlist",
  flash: true,
};

/** @returns {Settings} */
export function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const settings = { ...DEFAULTS, ...kept, filters: { ...NO_FILTERS, ...kept.filters, search: "" } };
    const known = new Set(COLUMNS.map(({ key }) => key));
    settings.columns = settings.columns.filter((/** @type {string} */ key) => known.has(key));
    if (Object.keys(settings.watchlists).length === 0) settings.watchlists = DEFAULTS.watchlists;
    if (!(settings.watchlist in settings.watchlists)) settings.watchlist = Object.keys(settings.watchlists)[0];
    return settings;
  } catch {
    // Kept by another version, or the browser keeps nothing.
    return DEFAULTS;
  }
}

/** @param {Settings} settings */
export function keep(settings) {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // The browser keeps nothing: the choice holds until the page is closed.
  }
}

/** @param {Settings["theme"]} theme */
export function applyTheme(theme) {
  document.documentElement.dataset["theme"] = theme;
}

/** @param {Settings} settings @param {string} symbol @returns {Settings} */
export function toggleWatched(settings, symbol) {
  const list = settings.watchlists[settings.watchlist] ?? [];
  const next = list.includes(symbol) ? list.filter((one) => one !== symbol) : [...list, symbol];
  return { ...settings, watchlists: { ...settings.watchlists, [settings.watchlist]: next } };
}
