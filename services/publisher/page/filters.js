// What is shown of the table.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { COLUMNS, DEFAULT_COLUMNS } from "./columns.js";
import { grouped } from "./format.js";
import { NO_FILTERS } from "./settings.js";

/** @typedef {import("./types").Settings} Settings @typedef {import("./types").Filters} Filters */

const BANDS = ["A+", "A", "B", "C", "D"];

/**
 * @param {object} properties
 * @param {Settings} properties.settings
 * @param {(change: Partial<Settings>) => void} properties.onChange
 * @param {number} properties.nShown
 * @param {number} properties.nAll
 * @param {string[]} properties.signals
 */
export function FilterBar({ settings, onChange, nShown, nAll, signals }) {
  const { filters } = settings;
  const set = (/** @type {Partial<Filters>} */ change) => onChange({ filters: { ...filters, ...change } });
  /** @param {string[]} list @param {string} item */
  const toggled = (list, item) => (list.includes(item) ? list.filter((one) => one !== item) : [...list, item]);
  const isFiltered = JSON.stringify({ ...filters, search: filters.search }) !== JSON.stringify(NO_FILTERS);
  const watched = settings.watchlists[settings.watchlist] ?? [];
  return html`
    <div class="filters" role="search">
      <label class="search"><span class="visually-hidden">Search symbols, names, sectors</span>
        <input id="search" type="search" placeholder="Search" autocomplete="off" spellcheck=${false} value=${filters.search}
          onInput=${(/** @type {any} */ event) => set({ search: event.target.value })} /><kbd aria-hidden="true">/</kbd></label>
      <div class="chips" role="group" aria-label="Bands of MERIT">
        ${BANDS.map((band) => html`<button type="button" class="chip" aria-pressed=${filters.bands.includes(band)}
          onClick=${() => set({ bands: toggled(filters.bands, band) })}>${band}</button>`)}
      </div>
      <label class="merit-min">MERIT ≥ <output>${filters.minMerit}</output>
        <input type="range" min="0" max="95" step="5" value=${filters.minMerit} aria-label="Least MERIT"
          onInput=${(/** @type {any} */ event) => set({ minMerit: Number(event.target.value) })} /></label>
      <label><span class="visually-hidden">Signal</span>
        <select value=${filters.signals[0] ?? ""} onChange=${(/** @type {any} */ event) => set({ signals: event.target.value === "" ? [] : [event.target.value] })}>
          <option value="">All signals</option>${signals.map((signal) => html`<option value=${signal}>${signal}</option>`)}
        </select></label>
      <label><span class="visually-hidden">Risk profile</span>
        <select value=${filters.profile} onChange=${(/** @type {any} */ event) => set({ profile: event.target.value })}>
          <option value="none">All profiles</option><option value="conservative">Conservative</option><option value="balanced">Balanced</option><option value="aggressive">Aggressive</option>
        </select></label>
      <button type="button" class="chip watch" aria-pressed=${filters.watchlist} onClick=${() => set({ watchlist: !filters.watchlist })}>★ ${settings.watchlist} <b>${watched.length}</b></button>
      ${filters.sector !== null && html`<button type="button" class="chip" aria-pressed="true" onClick=${() => set({ sector: null })}>${filters.sector || "Unknown sector"} ✕</button>`}
      <span class="grow"></span>
      <span class="count" role="status">${grouped(nShown, 0)}<span class="soft"> of ${grouped(nAll, 0)}</span></span>
      ${isFiltered && html`<button type="button" class="plain" onClick=${() => onChange({ filters: NO_FILTERS })}>Clear</button>`}
      <${Menu} label="Columns" title="Columns">
        <${ColumnChoice} settings=${settings} onChange=${onChange} />
      <//>
    </div>`;
}

/** @param {{ settings: Settings, onChange: (change: Partial<Settings>) => void }} properties */
function ColumnChoice({ settings, onChange }) {
  const chosen = new Set(settings.columns);
  // The chosen ones in their order, then the others.
  const order = [...settings.columns, ...COLUMNS.map(({ key }) => key).filter((key) => !chosen.has(key))];
  /** @param {string} key */
  const toggle = (key) => onChange({
    columns: chosen.has(key) ? settings.columns.filter((one) => one !== key) : [...settings.columns, key],
  });
  /** @param {string} key @param {number} step */
  const move = (key, step) => {
    const columns = [...settings.columns];
    const from = columns.indexOf(key);
    const to = from + step;
    if (from < 0 || to < 0 || to >= columns.length) return;
    columns.splice(to, 0, ...columns.splice(from, 1));
    onChange({ columns });
  };
  return html`
    <ul class="choice">${order.map((key) => {
      const column = COLUMNS.find((one) => one.key === key);
      return column && html`<li key=${key}>
        <label title=${column.title}><input type="checkbox" checked=${chosen.has(key)} onChange=${() => toggle(key)} />${column.label}</label>
        ${chosen.has(key) && html`
          <button type="button" class="plain" aria-label=${`Move ${column.label} left`} onClick=${() => move(key, -1)}>↑</button>
          <button type="button" class="plain" aria-label=${`Move ${column.label} right`} onClick=${() => move(key, 1)}>↓</button>`}
      </li>`;
    })}</ul>
    <button type="button" class="plain" onClick=${() => onChange({ columns: DEFAULT_COLUMNS })}>As it was</button>`;
}

/**
 * A button with a box below it.
 * @param {{ label: any, title: string, children?: any }} properties
 */
export function Menu({ label, title, children }) {
  const [isOpen, setOpen] = useState(false);
  /** @type {{ current: HTMLElement | null }} */
  const root = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const close = (/** @type {Event} */ event) => {
      const isKey = event instanceof KeyboardEvent;
      if (isKey ? event.key === "Escape" : !root.current?.contains(/** @type {Node} */ (event.target))) {
        setOpen(false);
        if (isKey) root.current?.querySelector("button")?.focus();
      }
    };
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, [isOpen]);
  return html`<div class="menu" ref=${root}>
    <button type="button" class="plain" aria-expanded=${isOpen} aria-haspopup="dialog" aria-label=${title} title=${title} onClick=${() => setOpen(!isOpen)}>${label}</button>
    ${isOpen && html`<div class="box" role="dialog" aria-label=${title}>${children}</div>`}
  </div>`;
}
