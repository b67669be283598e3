// The market as a whole: its regime, its breadth, its sectors.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { ask } from "./key.js";
import { bandTone } from "./columns.js";
import { fixed, gain, grouped, percent, words } from "./format.js";

const REFRESH_MS = 15_000;
const BANDS = ["A+", "A", "B", "C", "D"];
/** What fits into a cell of the heat map; its title has the full name. @type {Record<string, string>} */
const SHORT_SECTORS = {
  "Basic Materials": "Materials", "Communication Services": "Comms", "Consumer Cyclical": "Cyclical",
  "Consumer Defensive": "Defensive", "Consumer Discretionary": "Discret.", "Consumer Staples": "Staples",
  "Financial Services": "Financials", "Health Care": "Health", "Healthcare": "Health", "Information Technology": "Tech",
  "Miscellaneous": "Misc.", "Technology": "Tech", "Telecommunications": "Telecom",
};

/**
 * @param {object} properties
 * @param {ReturnType<typeof import("./board").summary>} properties.summary
 * @param {string | null} properties.sector that is filtered by
 * @param {(sector: string | null) => void} properties.onSector
 */
export function MarketHeader({ summary, sector, onSector }) {
  const market = useMarket(summary.n > 0);
  const { nRising, nFalling, nRated } = summary;
  const breadth = nRated === 0 ? null : nRising / nRated;
  const nKnown = summary.sectors.reduce((sum, { name, n }) => sum + (name === "" ? 0 : n), 0);
  const mean = summary.sectors.reduce((sum, { merit }) => sum + merit, 0) / Math.max(1, summary.n);
  return html`
    <section class="market" aria-label="Market">
      <div class="card regime">
        <h2>Regime <span class="soft">${market ? `${market.benchmark} ${market.as_of}` : ""}</span></h2>
        ${market
          ? html`
            <p class="big"><span class=${market.trend.endsWith("UP") ? "up" : market.trend.endsWith("DOWN") ? "down" : ""}>${market.trend.endsWith("UP") ? "▲" : market.trend.endsWith("DOWN") ? "▼" : "◆"} ${words(market.trend)}</span></p>
            <p class="small"><span class=${`chip ${market.is_risk_on ? "good" : "warn"}`} title="Whether the regime favours taking risk">${market.is_risk_on ? "risk on" : "risk off"}</span>
              <span title=${`How much ${market.benchmark} swings: its level, and its volatility in a year`}>${words(market.vol_level ?? market.vol)} · vol ${percent(market.vol_per_year, 1) || "–"}</span>
              <span title="Gain of growth stocks over the whole market in 20 sessions">growth ${gain(market.growth_ret20, 1) || "–"}</span></p>`
          : html`<p class="hint">Unknown: no closes of its index were read.</p>`}
      </div>
      <div class="card breadth">
        <h2>Breadth <span class="soft">${nRated > 0 ? `${grouped(nRated, 0)} rated` : ""}</span></h2>
        <p class="big">${percent(breadth, 0) || "–"} <small>rated above zero</small></p>
        <div class="split" role="img" aria-label=${`${nRising} rising, ${nFalling} falling`}>
          <i class="plus" style=${`flex:${nRising}`}></i><i class="zero" style=${`flex:${Math.max(0, nRated - nRising - nFalling)}`}></i><i class="minus" style=${`flex:${nFalling}`}></i>
        </div>
        <p class="small"><span class="up">▲ ${grouped(summary.nLong, 0)} long</span><span class="down">▼ ${grouped(summary.nShort, 0)} short</span></p>
      </div>
      <div class="card bands">
        <h2>MERIT <span class="soft">mean ${fixed(mean, 1)}</span></h2>
        <div class="columns" role="img" aria-label=${BANDS.map((band) => `${band}: ${summary.bands[band] ?? 0}`).join(", ")}>
          ${BANDS.map((band) => {
            const most = Math.max(1, ...BANDS.map((one) => summary.bands[one] ?? 0));
            const n = summary.bands[band] ?? 0;
            return html`<div><span>${grouped(n, 0)}</span><i class=${bandTone(band)} style=${`height:${(100 * n) / most}%`}></i><b>${band}</b></div>`;
          })}
        </div>
      </div>
      <div class="card sectors">
        <h2>Sectors <span class="soft">mean MERIT, width by symbols${sector !== null ? " · filtered" : ""}</span></h2>
        <div class="heat" role="group" aria-label="Sectors; press one to see only its symbols">
          ${halves(summary.sectors).map((half) => html`<div>${half.map(({ name, n, merit, nRising: rising }) => {
            const points = merit / n;
            const label = name === "" ? "Unknown" : name;
            return html`<button type="button" key=${name} aria-pressed=${sector === name} style=${`--n:${name === "" ? nKnown / 24 : Math.max(n, nKnown / 16)};--tone:${tone(points - mean)}`}
              title=${`${label}: ${n} symbols, mean MERIT ${fixed(points, 1)}, ${percent(rising / n, 0)} rated above zero`}
              onClick=${() => onSector(sector === name ? null : name)}><span>${SHORT_SECTORS[name] ?? label}</span><b>${fixed(points, 0)}</b></button>`;
          })}</div>`)}
        </div>
      </div>
    </section>`;
}

/** Two lines of about the same width; those of which no sector is known come last. @template {{ n: number, name: string }} T @param {T[]} sectors @returns {T[][]} */
function halves(sectors) {
  /** @type {[T[], T[]]} */
  const lines = [[], []];
  const widths = [0, 0];
  for (const sector of sectors.filter(({ name }) => name !== "")) {
    const line = /** @type {number} */ (widths[0]) <= /** @type {number} */ (widths[1]) ? 0 : 1;
    lines[line].push(sector);
    widths[line] = (widths[line] ?? 0) + sector.n;
  }
  lines[1].push(...sectors.filter(({ name }) => name === ""));
  return lines;
}

/** −100 … 100: how far from the mean of all, full at ten points. @param {number} distance */
function tone(distance) {
  return Math.round(Math.max(-100, Math.min(100, distance * 10)));
}

/** @param {boolean} isLive @returns {import("./types").Market | null} */
function useMarket(isLive) {
  const [market, setMarket] = useState(/** @type {import("./types").Market | null} */ (null));
  useEffect(() => {
    // A server that is reading its table answers nobody.
    if (!isLive) return undefined;
    const renew = async () => {
      try {
        // Not /v1/regime: that there is none is no error, and browsers would log its 404 as one.
        const answer = await ask("/v1/scan?limit=1&fields=symbol");
        setMarket(answer.ok ? (await answer.json()).regime : null);
      } catch {
        // The line at the bottom says that the server is away.
      }
    };
    renew();
    const timer = setInterval(renew, REFRESH_MS);
    return () => clearInterval(timer);
  }, [isLive]);
  return market;
}
