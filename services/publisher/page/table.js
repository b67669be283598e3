// The table: thousands of rows, of which only those on the screen exist. Not drawn by Preact: a row that is scrolled to
// or updated costs the change of a few texts and nothing else.

import { SYMBOL, bandTone } from "./columns.js";
import { freshness, price, words } from "./format.js";

/** @typedef {import("./types").Entry} Entry @typedef {import("./columns").Column} Column */

/** Rows beyond the edges of the screen that are ready before they are seen. */
const SPARE_ROWS = 6;
const FLASH_MS = 1100;
/** Cells that flash at the same time; more is a storm, not information. */
const FLASHES_MAX = 48;

/**
 * @typedef {object} Shown a row of the screen
 * @property {HTMLElement} element
 * @property {HTMLElement[]} cells
 * @property {HTMLElement} idea band and plan in a line of their own, on a phone
 * @property {string[]} texts
 * @property {string} symbol
 * @property {Entry | null} entry
 * @property {number} place
 */

export class Table {
  /** @type {HTMLElement} */
  element;
  #head;
  #body;
  #empty;
  /** @type {Column[]} */
  #columns = [];
  /** @type {Entry[]} */
  #entries = [];
  /** @type {Map<string, number>} */
  #places = new Map();
  /** @type {Shown[]} */
  #pool = [];
  #rowHeight = 32;
  #newestNs = 0;
  #selected = "";
  /** Where the keyboard is. */
  #focus = "";
  /** @type {Set<string>} */
  #watched = new Set();
  #flashes = 0;
  flash = true;
  #isFocusVisible = false;
  /** @type {{ key: string, descending: boolean }} */
  #sort = { key: "merit", descending: true };

  /**
   * @param {object} handlers
   * @param {(symbol: string) => void} handlers.onSelect
   * @param {(key: string) => void} handlers.onSort
   * @param {(symbol: string) => void} handlers.onWatch
   * @param {() => void} handlers.onClose
   */
  constructor(handlers) {
    this.element = document.createElement("div");
    this.element.className = "grid";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "grid");
    this.element.setAttribute("aria-label", "Ranked results");
    this.element.setAttribute("aria-describedby", "grid-keys");
    this.#head = document.createElement("div");
    this.#head.className = "head";
    this.#head.setAttribute("role", "rowgroup");
    this.#body = document.createElement("div");
    this.#body.className = "body";
    this.#body.setAttribute("role", "rowgroup");
    this.#empty = document.createElement("p");
    this.#empty.className = "empty";
    this.#empty.hidden = true;
    this.element.append(this.#head, this.#body, this.#empty);

    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.#body.addEventListener("click", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const symbol = /** @type {HTMLElement | null} */ (target.closest("[data-symbol]"))?.dataset["symbol"];
      if (symbol === undefined) return;
      this.#isFocusVisible = false;
      if (target.closest(".star")) {
        handlers.onWatch(symbol);
      } else {
        this.#focus = symbol;
        handlers.onSelect(symbol);
      }
    });
    this.#head.addEventListener("click", (event) => {
      const key = /** @type {HTMLElement} */ (event.target).closest("button")?.dataset["key"];
      if (key !== undefined) handlers.onSort(key);
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
      const page = Math.max(1, Math.floor(this.element.clientHeight / this.#rowHeight) - 2);
      const moves = /** @type {Record<string, number>} */ ({
        ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
      });
      const move = moves[event.key];
      if (move !== undefined) {
        this.#move(move);
        // With the panel open, one reads on from row to row.
        if (this.#selected !== "") handlers.onSelect(this.#focus);
      } else if ((event.key === "Enter" || event.key === " ") && this.#focus !== "") {
        handlers.onSelect(this.#focus);
      } else if (event.key === "w" && this.#focus !== "") {
        handlers.onWatch(this.#focus);
      } else if (event.key === "Escape") {
        handlers.onClose();
      } else {
        return;
      }
      event.preventDefault();
    });
    this.element.addEventListener("focus", () => {
      this.#isFocusVisible = this.element.matches(":focus-visible");
      if (!this.#places.has(this.#focus)) this.#focus = this.#entries[0]?.row.symbol ?? "";
      this.draw();
    });
    this.element.addEventListener("blur", () => {
      this.#isFocusVisible = false;
      this.draw();
    });
  }

  /**
   * @param {Column[]} columns @param {{ key: string, descending: boolean }} sort @param {number} rowHeight
   * @param {Record<string, number>} widths of columns that are not as wide as usual
   */
  arrange(columns, sort, rowHeight, widths) {
    const all = [SYMBOL, ...columns];
    const isSame = all.length === this.#columns.length && all.every((column, n) => column === this.#columns[n]);
    this.#sort = sort;
    if (!isSame || rowHeight !== this.#rowHeight) {
      this.#columns = all;
      this.#rowHeight = rowHeight;
      this.#pool = [];
      this.#body.replaceChildren();
      this.element.style.setProperty("--row", `${rowHeight}px`);
      const tracks = all.map(({ key, width }) => {
        const px = widths[key] ?? width;
        return key === "symbol" ? "minmax(var(--symbol), 212fr)" : `minmax(${px}px, ${px}fr)`;
      });
      this.element.style.setProperty("--tracks", tracks.join(" "));
      const width = all.reduce((sum, column) => sum + (column.key === "symbol" ? 0 : (widths[column.key] ?? column.width)), 0);
      this.element.style.setProperty("--wide", `calc(${width}px + var(--symbol))`);
    }
    this.#drawHead();
    this.draw();
  }

  #drawHead() {
    const row = document.createElement("div");
    row.className = "row";
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", "1");
    for (const { key, label, title, isNumber } of this.#columns) {
      const cell = document.createElement("div");
      cell.className = `cell ${isNumber ? "number" : ""} ${key}`;
      cell.setAttribute("role", "columnheader");
      const isSorted = key === this.#sort.key;
      cell.setAttribute("aria-sort", isSorted ? (this.#sort.descending ? "descending" : "ascending") : "none");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset["key"] = key;
      button.title = `${title}. Click to sort.`;
      button.textContent = label;
      const mark = document.createElement("span");
      mark.className = "sort";
      mark.setAttribute("aria-hidden", "true");
      mark.textContent = isSorted ? (this.#sort.descending ? "↓" : "↑") : "";
      button.append(mark);
      cell.append(button);
      row.append(cell);
    }
    this.#head.replaceChildren(row);
  }

  /** @param {Entry[]} entries @param {number} newestNs @param {string} whyEmpty */
  show(entries, newestNs, whyEmpty) {
    this.#entries = entries;
    this.#newestNs = newestNs;
    this.#places.clear();
    entries.forEach(({ row }, place) => this.#places.set(row.symbol, place));
    this.#body.style.height = `${entries.length * this.#rowHeight}px`;
    this.element.setAttribute("aria-rowcount", String(entries.length + 1));
    this.#empty.hidden = entries.length > 0;
    if (this.#empty.textContent !== whyEmpty) this.#empty.textContent = whyEmpty;
    this.draw();
  }

  /** Takes over new values of rows; their order stays until the next `show`. @param {import("./board").Board} board */
  refresh(board) {
    let isSeen = false;
    for (const shown of this.#pool) {
      if (shown.symbol === "") continue;
      const entry = board.entries.get(shown.symbol);
      if (entry !== undefined && entry !== shown.entry && this.#entries[shown.place]?.row.symbol === shown.symbol) {
        this.#entries[shown.place] = entry;
        isSeen = true;
      }
    }
    if (isSeen) this.draw();
  }

  /** @param {string} symbol @param {Set<string>} watched */
  mark(symbol, watched) {
    this.#selected = symbol;
    this.#watched = watched;
    this.draw();
  }

  /** @param {string} symbol */
  reveal(symbol) {
    const place = this.#places.get(symbol);
    if (place === undefined) return;
    const top = place * this.#rowHeight;
    const { scrollTop, clientHeight } = this.element;
    const head = this.#head.offsetHeight;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.#rowHeight + head > scrollTop + clientHeight) {
      this.element.scrollTop = top + this.#rowHeight + head - clientHeight;
    }
  }

  /** @param {number} move */
  #move(move) {
    const last = this.#entries.length - 1;
    if (last < 0) return;
    const from = this.#places.get(this.#focus) ?? -1;
    const place = Math.min(last, Math.max(0, from + move));
    this.#focus = this.#entries[place]?.row.symbol ?? "";
    this.#isFocusVisible = true;
    this.reveal(this.#focus);
    this.draw();
  }

  #isQueued = false;

  /** Brings the screen up to date, with the next frame. */
  draw() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    requestAnimationFrame((now) => {
      this.#isQueued = false;
      this.#drawRows(now);
    });
  }

  /** @param {number} now */
  #drawRows(now) {
    const height = this.element.clientHeight;
    if (height === 0 || this.#columns.length === 0) return;
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.#rowHeight) - SPARE_ROWS);
    const n = Math.ceil(height / this.#rowHeight) + 2 * SPARE_ROWS;
    while (this.#pool.length < n) this.#pool.push(this.#newRow());
    const size = this.#pool.length;
    let focused = "";
    for (let slot = 0; slot < size; slot += 1) {
      // Each row keeps its element while it is on the screen.
      const place = first + ((slot - (first % size) + size) % size);
      const shown = /** @type {Shown} */ (this.#pool[slot]);
      const entry = place < first + n ? this.#entries[place] : undefined;
      if (entry === undefined) {
        if (shown.entry !== null) {
          shown.element.hidden = true;
          // Or it would be found by the symbol of a row that another element shows.
          delete shown.element.dataset["symbol"];
          shown.entry = null;
          shown.symbol = "";
        }
        continue;
      }
      this.#drawRow(shown, entry, place, now);
      if (shown.symbol === this.#focus) focused = shown.element.id;
    }
    if (focused !== "") this.element.setAttribute("aria-activedescendant", focused);
    else this.element.removeAttribute("aria-activedescendant");
  }

  /** @param {Shown} shown @param {Entry} entry @param {number} place @param {number} now */
  #drawRow(shown, entry, place, now) {
    const { row } = entry;
    const { element } = shown;
    const isSame = shown.symbol === row.symbol;
    if (shown.place !== place || shown.entry === null) {
      element.style.transform = `translateY(${place * this.#rowHeight}px)`;
      element.setAttribute("aria-rowindex", String(place + 2));
      element.classList.toggle("odd", place % 2 === 1);
      shown.place = place;
    }
    element.hidden = false;
    const isSelected = row.symbol === this.#selected;
    if (element.classList.contains("selected") !== isSelected) {
      element.classList.toggle("selected", isSelected);
      element.setAttribute("aria-selected", String(isSelected));
    }
    element.classList.toggle("focused", this.#isFocusVisible && row.symbol === this.#focus);
    if (!isSame) {
      element.dataset["symbol"] = row.symbol;
      shown.symbol = row.symbol;
    }
    const isUnchanged = isSame && shown.entry === entry;
    const isFlashing = isSame && this.flash && !isUnchanged && entry.changedAt > 0;
    shown.entry = entry;
    if (!isUnchanged) this.#drawIdea(shown.idea, row);
    this.#columns.forEach((column, n) => {
      const cell = /** @type {HTMLElement} */ (shown.cells[n]);
      if (column.key === "symbol") {
        this.#drawSymbol(cell, shown, entry, place);
        return;
      }
      // Time passes for every row, nothing else does.
      if (isUnchanged && column.key !== "fresh") return;
      const text = column.text(entry, now);
      const tone = column.tone?.(entry) ?? "";
      if (column.key === "merit") {
        const share = String(Math.round(entry.row.merit) / 100);
        if (cell.style.getPropertyValue("--merit") !== share) cell.style.setProperty("--merit", share);
        const band = bandTone(entry.row.merit_band);
        if (cell.dataset["band"] !== band) cell.dataset["band"] = band;
      }
      if (column.key === "fresh") {
        const ago = entry.changedAt === 0 ? "old" : now - entry.changedAt < 2000 ? "now" : now - entry.changedAt < 30_000 ? "new" : "old";
        if (cell.dataset["fresh"] !== ago) cell.dataset["fresh"] = ago;
      }
      if (shown.texts[n] === text) return;
      const before = shown.texts[n];
      shown.texts[n] = text;
      /** @type {HTMLElement} */ (cell.firstChild).textContent = text;
      cell.className = `cell ${column.isNumber ? "number" : ""} ${column.key} ${tone}`;
      if (column.key === "summary" || column.key === "flags" || column.key === "industry") cell.title = text;
      if (isFlashing && before !== undefined && column.isQuiet !== true) this.#flash(cell, column, before, text);
    });
  }

  /** @param {HTMLElement} cell @param {Shown} shown @param {Entry} entry @param {number} place */
  #drawSymbol(cell, shown, { row }, place) {
    const isWatched = this.#watched.has(row.symbol);
    const made = row.freshness.is_synthetic ? "synthetic" : row.freshness.is_replayed ? "replayed" : "";
    const fresh = freshness(row, this.#newestNs);
    const text = `${place}|${row.symbol}|${row.name}|${isWatched}|${made}|${fresh.text}|${row.as_of}`;
    if (shown.texts[0] === text) return;
    shown.texts[0] = text;
    const [star, rank, symbol, mark, name] = /** @type {HTMLElement[]} */ ([...cell.children]);
    if (!star || !rank || !symbol || !mark || !name) return;
    star.textContent = isWatched ? "★" : "☆";
    star.setAttribute("aria-label", `${isWatched ? "Unwatch" : "Watch"} ${row.symbol}`);
    star.classList.toggle("on", isWatched);
    rank.textContent = String(place + 1);
    symbol.textContent = row.symbol;
    mark.textContent = fresh.text;
    mark.dataset["kind"] = fresh.kind;
    mark.title = fresh.title;
    mark.setAttribute("aria-label", fresh.title);
    name.textContent = row.name ?? "";
    cell.title = `${row.symbol}${row.name ? ` · ${row.name}` : ""}${made ? ` (${made})` : ""}`;
  }

  /** @param {HTMLElement} cell @param {import("./types").Row} row */
  #drawIdea(cell, row) {
    const levels = row.entry === null
      ? `no plan${row.no_plan ? `: ${words(row.no_plan).toLowerCase()}` : ""}`
      : `entry ${price(row.entry)} · stop ${price(row.stop)} · target ${price(row.target)}`;
    const [band, plan] = /** @type {HTMLElement[]} */ ([...cell.children]);
    if (!band || !plan) return;
    band.className = bandTone(row.merit_band);
    if (band.textContent !== row.merit_band) band.textContent = row.merit_band;
    if (plan.textContent !== levels) plan.textContent = levels;
  }

  /** @param {HTMLElement} cell @param {Column} column @param {string} before @param {string} after */
  #flash(cell, column, before, after) {
    if (this.#flashes >= FLASHES_MAX || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const number = (/** @type {string} */ text) => parseFloat(text.replace("−", "-").replaceAll(",", ""));
    const way = column.isNumber ? number(after) - number(before) : NaN;
    const tone = way > 0 ? "--flash-up" : way < 0 ? "--flash-down" : "--flash";
    this.#flashes += 1;
    const flash = cell.animate([{ backgroundColor: `var(${tone})` }, { backgroundColor: "transparent" }], { duration: FLASH_MS, easing: "ease-out" });
    flash.onfinish = flash.oncancel = () => {
      this.#flashes -= 1;
    };
  }

  #nRows = 0;

  /** @returns {Shown} */
  #newRow() {
    const element = document.createElement("div");
    element.className = "row";
    element.id = `row-${(this.#nRows += 1)}`;
    element.setAttribute("role", "row");
    element.setAttribute("aria-selected", "false");
    element.hidden = true;
    const cells = this.#columns.map(({ key, isNumber }) => {
      const cell = document.createElement("div");
      cell.className = `cell ${isNumber ? "number" : ""} ${key}`;
      cell.setAttribute("role", key === "symbol" ? "rowheader" : "gridcell");
      if (key === "symbol") {
        const star = document.createElement("button");
        star.type = "button";
        star.className = "star";
        // The grid is one stop of the keyboard; `w` does the same.
        star.tabIndex = -1;
        cell.append(star, ...["rank", "ticker", "mark", "name"].map((name) => {
          const part = document.createElement("span");
          part.className = name;
          if (name === "mark") part.setAttribute("role", "img");
          return part;
        }));
      } else {
        cell.append(document.createElement("span"));
      }
      return cell;
    });
    const idea = document.createElement("div");
    idea.className = "idea";
    idea.setAttribute("role", "gridcell");
    const band = document.createElement("b");
    band.title = "The band of MERIT";
    idea.append(band, document.createElement("span"));
    element.append(...cells, idea);
    this.#body.append(element);
    return { element, cells, idea, texts: [], symbol: "", entry: null, place: -1 };
  }
}
