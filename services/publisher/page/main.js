// The page: the stream fills the board, the table draws it, the rest stands around it.

import { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-htm.js";
import { Board, summary, view } from "./board.js";
import { NARROW_COLUMNS, NARROW_WIDTHS, columnOf } from "./columns.js";
import { DetailPanel } from "./detail.js";
import { FilterBar, Menu } from "./filters.js";
import { KeyDialog, currentKey, forgetKey, keepKey } from "./key.js";
import { MarketHeader } from "./market.js";
import { applyTheme, keep, load, toggleWatched } from "./settings.js";
import { ConnectionState, StatusLine } from "./status.js";
import { Stream } from "./stream.js";
import { Table } from "./table.js";

/** @typedef {import("./types").Settings} Settings */

/** The order of the rows follows the updates at this pace: a table that jumps with each of them cannot be read. */
const REORDER_MS = 500;
/** Figures of the whole market follow more slowly. */
const SUMMARY_MS = 1000;
const ROW_PX = 30;
const ROW_TOUCH_PX = 46;
/** With band and plan in a line below. */
const ROW_NARROW_PX = 62;

const BANNERS = /** @type {Record<string, string>} */ ({
  synthetic: "Synthetic market: every number is generated, none is real",
  replay: "Replay: recorded data, not the market of today",
});

const board = new Board();
const narrow = matchMedia("(max-width: 760px)");

/** The element that the imperative table lives in, for Preact. @param {{ table: Table }} properties */
function TableHost({ table }) {
  /** @type {{ current: HTMLElement | null }} */
  const host = useRef(null);
  useEffect(() => host.current?.append(table.element), [table]);
  return html`<div class="grid-host" ref=${host}></div>`;
}

function App() {
  const [settings, setSettings] = useState(load);
  const [selected, setSelected] = useState(() => decodeURIComponent(location.hash.slice(1)));
  const [connection, setConnection] = useState(
    /** @type {import("./types").Connection} */ ({ state: "connecting", detail: "", nReconnects: 0, resumed: false }),
  );
  const [keyReason, setKeyReason] = useState(/** @type {string | null} */ (null));
  const [kind, setKind] = useState("none");
  const [lagMs, setLag] = useState(/** @type {number | null} */ (null));
  const [rate, setRate] = useState(0);
  const [isNarrow, setNarrow] = useState(narrow.matches);
  const [figures, setFigures] = useState(() => summary(board));
  const [nShown, setShown] = useState(0);
  const [, setSelectedVersion] = useState(0);

  const change = useCallback((/** @type {Partial<Settings>} */ part) => setSettings((before) => ({ ...before, ...part })), []);
  const select = useCallback((/** @type {string} */ symbol) => {
    setSelected(symbol);
    history.replaceState(null, "", symbol === "" ? "#" : `#${encodeURIComponent(symbol)}`);
  }, []);
  const watch = useCallback((/** @type {string} */ symbol) => setSettings((before) => toggleWatched(before, symbol)), []);

  const table = useMemo(() => new Table({
    onSelect: select,
    onWatch: watch,
    onClose: () => select(""),
    onSort: (key) => setSettings((before) => {
      const isSame = before.sort.key === key;
      const descending = isSame ? !before.sort.descending : columnOf(key).isNumber;
      return { ...before, sort: { key, descending } };
    }),
  }), []);

  // What the timers below read; they are set up once.
  const current = useRef({ settings, selected, isNarrow });
  current.current = { settings, selected, isNarrow };
  const shownVersion = useRef(-1);
  const unlock = useRef(() => {});
  const giveKey = useCallback((/** @type {string} */ key, /** @type {boolean} */ isRemembered) => {
    keepKey(key, isRemembered);
    setKeyReason(null);
    unlock.current();
  }, []);

  const reorder = useCallback(() => {
    const { settings: now } = current.current;
    const entries = view(board, now, columnOf(now.sort.key));
    shownVersion.current = board.version;
    table.show(entries, board.newestNs, board.entries.size === 0 ? "Waiting for the first results …" : "No symbol passes the filters.");
    setShown(entries.length);
  }, [table]);

  useEffect(() => {
    let nBefore = 0;
    let measuredAt = performance.now();
    const stream = new Stream({
      onTable: (rows) => {
        board.replace(rows);
        reorder();
        setFigures(summary(board));
      },
      onRow: (row) => {
        board.put(row, performance.now());
        if (row.symbol === current.current.selected) setSelectedVersion((version) => version + 1);
      },
      onOut: (symbol) => board.remove(symbol),
      onData: setKind,
      onBeat: (beat) => setLag(beat.lagMs),
      onConnection: setConnection,
      onKey: setKeyReason,
      // Values at once, the order later.
      onFrame: () => table.refresh(board),
    });
    unlock.current = () => stream.unlock();
    const order = setInterval(() => {
      if (document.hidden) return;
      if (shownVersion.current !== board.version) reorder();
      else table.draw();
    }, REORDER_MS);
    let summarized = -1;
    const figure = setInterval(() => {
      if (document.hidden) return;
      const now = performance.now();
      setRate(Math.round((1000 * (board.nUpdates - nBefore)) / (now - measuredAt)));
      [nBefore, measuredAt] = [board.nUpdates, now];
      if (summarized === board.version) return;
      summarized = board.version;
      setFigures(summary(board));
    }, SUMMARY_MS);
    const onNarrow = () => setNarrow(narrow.matches);
    narrow.addEventListener("change", onNarrow);
    const onHash = () => setSelected(decodeURIComponent(location.hash.slice(1)));
    addEventListener("hashchange", onHash);
    // For tests and the curious.
    Object.assign(window, { technic: { board, stream } });
    return () => {
      clearInterval(order);
      clearInterval(figure);
    };
  }, []);

  useEffect(() => {
    keep(settings);
    applyTheme(settings.theme);
    table.flash = settings.flash;
  }, [settings]);
  // With the state they follow from: a key pressed right after a click finds the table that the click asked for.
  useLayoutEffect(() => {
    const keys = isNarrow ? NARROW_COLUMNS : settings.columns;
    const rowPx = isNarrow ? ROW_NARROW_PX : matchMedia("(pointer: coarse)").matches ? ROW_TOUCH_PX : ROW_PX;
    table.arrange(keys.map(columnOf), settings.sort, rowPx, isNarrow ? NARROW_WIDTHS : {});
  }, [settings.columns, settings.sort, isNarrow]);
  useLayoutEffect(reorder, [settings.filters, settings.sort, settings.watchlists, settings.watchlist]);
  const watched = useMemo(() => new Set(settings.watchlists[settings.watchlist] ?? []), [settings.watchlists, settings.watchlist]);
  useLayoutEffect(() => table.mark(selected, watched), [selected, watched]);

  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const isTyping = target.matches("input, select, textarea");
      if (event.key === "/" && !isTyping) {
        document.getElementById("search")?.focus();
        event.preventDefault();
      } else if (event.key === "Escape" && target.id === "search") {
        table.element.focus();
      } else if ((event.key === "Enter" || event.key === "ArrowDown") && target.id === "search") {
        table.element.focus();
        event.preventDefault();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [table]);

  const close = useCallback(() => {
    select("");
    table.element.focus();
  }, [table]);
  const signals = useMemo(() => ["Strong Long", "Long", "Short", "Strong Short", "Hold", "Avoid"], []);
  const entry = board.entries.get(selected);

  return html`
    ${kind in BANNERS && html`<div class=${`banner ${kind}`} role="note">${BANNERS[kind]}</div>`}
    <header class="top">
      <h1><img src="/page/icon.svg" alt="" width="22" height="22" />technic</h1>
      <${ConnectionState} connection=${connection} />
      <span class="grow"></span>
      ${keyReason !== null && html`<${KeyDialog} reason=${keyReason} onKey=${giveKey} />`}
      <${Preferences} settings=${settings} onChange=${change} />
    </header>
    <${MarketHeader} summary=${figures} sector=${settings.filters.sector}
      onSector=${(/** @type {string | null} */ sector) => change({ filters: { ...settings.filters, sector } })} />
    <main class=${selected === "" ? "" : "with-detail"}>
      <div class="table-side">
        <${FilterBar} settings=${settings} onChange=${change} nShown=${nShown} nAll=${figures.n} signals=${signals} />
        <${TableHost} table=${table} />
      </div>
      ${selected !== "" && html`<${DetailPanel} symbol=${selected} entry=${entry} theme=${settings.theme}
        isWatched=${watched.has(selected)} onWatch=${() => watch(selected)} onClose=${close} />`}
    </main>
    <${StatusLine} connection=${connection} lagMs=${lagMs} rate=${rate} kind=${kind} />`;
}

/** @param {{ settings: Settings, onChange: (change: Partial<Settings>) => void }} properties */
function Preferences({ settings, onChange }) {
  const { watchlists, watchlist } = settings;
  const names = Object.keys(watchlists);
  const add = (/** @type {any} */ event) => {
    event.preventDefault();
    const name = new FormData(event.target).get("name")?.toString().trim() ?? "";
    if (name === "" || name in watchlists) return;
    onChange({ watchlists: { ...watchlists, [name]: [] }, watchlist: name });
    event.target.reset();
  };
  const remove = () => {
    const { [watchlist]: _, ...others } = watchlists;
    onChange({ watchlists: others, watchlist: Object.keys(others)[0] ?? "" });
  };
  const themes = html`
    <div class="segmented" role="group" aria-label="Theme">
      ${/** @type {const} */ (["auto", "light", "dark"]).map((theme) => html`<button type="button" aria-pressed=${settings.theme === theme}
        onClick=${() => onChange({ theme })}>${theme}</button>`)}
    </div>`;
  return html`
    ${themes}
    <${Menu} label="Settings" title="Settings">
      ${themes}
      <h3>Watchlist</h3>
      <p class="line"><select aria-label="Watchlist in use" value=${watchlist} onChange=${(/** @type {any} */ event) => onChange({ watchlist: event.target.value })}>
        ${names.map((name) => html`<option value=${name}>${name} (${(watchlists[name] ?? []).length})</option>`)}</select>
        <button type="button" class="plain" disabled=${names.length < 2} onClick=${remove}>Delete</button></p>
      <form class="line" onSubmit=${add}><input name="name" maxlength="24" placeholder="New watchlist" aria-label="Name of a new watchlist" /><button class="plain">Add</button></form>
      <h3>Table</h3>
      <label class="line"><input type="checkbox" checked=${settings.flash} onChange=${(/** @type {any} */ event) => onChange({ flash: event.target.checked })} /> Changes flash</label>
      ${currentKey() !== null && html`<p class="line"><button type="button" class="plain" onClick=${() => {
        forgetKey();
        location.reload();
      }}>Forget the key</button></p>`}
      <p class="hint">Kept in this browser only. Charts: <a href="https://www.tradingview.com/" rel="noreferrer">TradingView</a> Lightweight Charts™.</p>
    <//>`;
}

const root = document.getElementById("app");
if (root !== null) {
  root.replaceChildren();
  render(html`<${App} />`, root);
}
