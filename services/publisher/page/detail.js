// Everything about one symbol.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { Chart } from "./chart.js";
import { bandTone, signalMark, signalTone } from "./columns.js";
import { fixed, gain, percent, price, short, words } from "./format.js";
import { ask } from "./key.js";
import { Trace } from "./trace.js";

/** @typedef {import("./types").Detail} Detail @typedef {import("./types").Entry} Entry */

/** A symbol that changes all the time is asked for no more often than this. */
const REFRESH_MS = 1500;

/** What each part of MERIT stands for. @type {Record<string, string>} */
const PARTS = {
  tech: "Technical trend", alpha: "Model alpha", win: "Win probability", ics: "Institutional core", quality: "Quality",
  liquidity: "Liquidity", vol_safety: "Volatility safety", confluence: "Confluence", penalty_earnings: "Earnings near",
  penalty_liquidity: "Low liquidity", penalty_atr: "High volatility", penalty_cap: "Small company",
  penalty_ultra_risk: "Ultra risk", clip: "Limit of the scale",
};

/** @type {[string, string[]][]} */
const INDICATORS = [
  ["Trend", ["sma20", "sma50", "sma200", "ema21", "adx14", "plus_di14", "minus_di14", "sar_002_02", "aroonosc25"]],
  ["Momentum", ["rsi14", "macd", "macd_hist", "stoch_k", "stoch_d", "cci20", "roc10", "willr14", "ultosc_7_14_28"]],
  ["Volatility", ["atr14", "natr14", "hv20", "bb_upper20", "bb_lower20", "keltner_up20", "keltner_lo20"]],
  ["Volume", ["mfi14", "cmf20", "obv", "vwap20", "vol_spike_ratio"]],
  ["Returns", ["ret_1d", "ret_5d", "ret_21d", "ret_63d", "ret_126d", "ret_252d", "dist_high252", "dist_low252"]],
];

/**
 * @param {object} properties
 * @param {string} properties.symbol
 * @param {Entry | undefined} properties.entry
 * @param {string} properties.theme
 * @param {boolean} properties.isWatched
 * @param {() => void} properties.onWatch
 * @param {() => void} properties.onClose
 */
export function DetailPanel({ symbol, entry, theme, isWatched, onWatch, onClose }) {
  const { detail, problem } = useDetail(symbol, entry);
  const [tab, setTab] = useState("why");
  /** @type {{ current: HTMLElement | null }} */
  const panel = useRef(null);
  useEffect(() => {
    panel.current?.scrollTo({ top: 0 });
  }, [symbol]);

  const row = entry?.row ?? detail;
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") {
      onClose();
      event.stopPropagation();
    }
  };
  return html`
    <section class="detail" ref=${panel} aria-label=${`Details of ${symbol}`} onKeyDown=${onKey}>
      <header class="detail-head">
        <div class="detail-title">
          <h2>${symbol}</h2>
          <button type="button" class=${`star ${isWatched ? "on" : ""}`} onClick=${onWatch}
            aria-pressed=${isWatched} aria-label=${`Watch ${symbol}`}>${isWatched ? "★" : "☆"}</button>
          <span class="detail-name">${row?.name ?? ""}</span>
          <button type="button" class="dismiss" onClick=${onClose} aria-label="Close the details">✕</button>
        </div>
        ${row && html`
          <div class="detail-price">
            <span class="last">${price(row.close)}</span>
            ${detail && detail.change !== null && html`<span class=${detail.change >= 0 ? "up" : "down"}>${gain(detail.change)}</span>`}
            <span class="soft">${row.as_of}${row.freshness.is_final ? "" : " · forming"}</span>
            <span class="soft grow">${[row.sector, row.industry].filter(Boolean).join(" · ")}</span>
          </div>
          <div class="gauge">
            <div class="gauge-merit"><b class=${bandTone(row.merit_band)}>${fixed(row.merit, 1)}</b><small>MERIT ${row.merit_band}</small></div>
            <div><b class=${signalTone(row.signal)}>${signalMark(row.signal)}${row.signal}</b><small>Signal</small></div>
            <div><b>${row.result_tier}</b><small>Tier</small></div>
            <div><b>${detail?.rank ?? "–"}<i> / ${detail?.ranked ?? "–"}</i></b><small>Rank</small></div>
            <div><b>${percent(row.win_prob_10d, 0) || "–"}</b><small>Win 10 d</small></div>
            <div><b>${gain(row.alpha_10d) || "–"}</b><small>α 10 d</small></div>
          </div>
          <p class="summary">${row.merit_summary}</p>`}
      </header>
      ${problem !== "" && html`<p class="hint" role="alert">${problem}</p>`}
      ${detail && row && html`
        ${detail.bars !== null && detail.bars.length > 0
          ? html`<${Chart} detail=${detail} theme=${theme} />
              <ul class="legend" aria-hidden="true"><li class="a">SMA 20</li><li class="b">SMA 50</li><li class="c">SMA 200</li><li class="d">RSI 14 below</li></ul>`
          : html`<p class="hint">No chart: ${detail.no_bars ?? "no bar is known"}.</p>`}
        <${Plan} detail=${detail} />
        <div class="tabs" role="tablist" aria-label="More about it">
          ${[["why", "Why"], ["merit", "MERIT"], ["indicators", "Indicators"], ["models", "Models"]].map(([key, label]) => html`
            <button type="button" role="tab" id=${`tab-${key}`} aria-selected=${tab === key} aria-controls="tab-panel"
              tabindex=${tab === key ? 0 : -1} onClick=${() => setTab(key ?? "")} onKeyDown=${turn}>${label}</button>`)}
        </div>
        <div class="tab-panel" id="tab-panel" role="tabpanel" aria-labelledby=${`tab-${tab}`}>
          ${tab === "merit" && html`
            <h3>MERIT <b>${fixed(row.merit, 1)}</b></h3>
            <${Parts} parts=${row.breakdown.merit} />
            ${row.outcomes && html`<p class="hint">${outcomes(row.outcomes)}</p>`}
            <h3>Since this page was opened</h3>
            <${Trace} trace=${entry?.trace ?? null} version=${entry?.changedAt ?? 0} theme=${theme} />
            <h3>Institutional core <b>${fixed(row.ics, 1)}</b></h3>
            <${Parts} parts=${row.breakdown.ics} />
            <h3>Technical rating <b>${fixed(row.tech_rating, 1) || "–"}</b></h3>
            ${row.breakdown.tech_rating === null
              ? html`<p class="hint">There are too few bars to rate it.</p>`
              : html`<${Parts} parts=${row.breakdown.tech_rating} />`}`}
          ${tab === "why" && html`<${Reasons} detail=${detail} row=${row} />`}
          ${tab === "indicators" && html`<${Indicators} indicators=${detail.indicators} />`}
          ${tab === "models" && html`<${Models} row=${row} />`}
        </div>`}
    </section>`;
}

/** Arrow keys turn to the next tab. @param {KeyboardEvent} event */
function turn(event) {
  const step = event.key === "ArrowRight" ? "nextElementSibling" : event.key === "ArrowLeft" ? "previousElementSibling" : null;
  if (step === null) return;
  const next = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.currentTarget)[step]);
  next?.click();
  next?.focus();
}

/**
 * The newest details of a symbol; asked for again when its row changes.
 * @param {string} symbol @param {Entry | undefined} entry
 */
function useDetail(symbol, entry) {
  const [detail, setDetail] = useState(/** @type {Detail | null} */ (null));
  const [problem, setProblem] = useState("");
  const asked = useRef({ symbol: "", at: 0 });
  const row = entry?.row;
  useEffect(() => {
    const stop = new AbortController();
    const isNew = asked.current.symbol !== symbol;
    const wait = isNew ? 0 : Math.max(0, asked.current.at + REFRESH_MS - performance.now());
    const timer = setTimeout(async () => {
      asked.current = { symbol, at: performance.now() };
      try {
        const answer = await ask(`/v1/symbols/${encodeURIComponent(symbol)}`, { signal: stop.signal });
        const body = await answer.json();
        if (!answer.ok) throw new Error(body.detail ?? answer.statusText);
        setDetail(body);
        setProblem("");
      } catch (error) {
        if (!stop.signal.aborted) setProblem(`The details cannot be had: ${error instanceof Error ? error.message : error}`);
      }
    }, wait);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [symbol, row]);
  return { detail: detail?.symbol === symbol ? detail : null, problem };
}

/** @param {{ detail: Detail }} properties */
function Plan({ detail }) {
  const { plan } = detail;
  if (plan === null) {
    return html`<div class="plan none"><h3>No plan</h3><p>${words(detail.no_plan ?? "none was made")}.</p>
      ${detail.live_plan && html`<p class="hint">Followed: ${livePlan(detail.live_plan)}.</p>`}</div>`;
  }
  const span = Math.abs(plan.target - plan.stop);
  const share = (/** @type {number} */ level) => `${(100 * Math.abs(level - plan.stop)) / span}%`;
  const from = (/** @type {number} */ level) => gain(level / plan.entry - 1, 1);
  return html`
    <div class="plan">
      <h3>${plan.setup ?? "Plan"} <span class="soft">risk ${fixed(plan.risk, 0) || "–"} for ${plan.position_size ?? "–"} shares · ${fixed(plan.reward_risk, 2)} R</span></h3>
      <div class="ladder" style=${`--entry:${share(plan.entry)}`} aria-hidden="true"><i class="risk"></i><i class="reward"></i></div>
      <dl class="levels">
        <div><dt class="down">Stop</dt><dd>${price(plan.stop)} <small>${from(plan.stop)}</small></dd></div>
        <div><dt class="accent">Entry</dt><dd>${price(plan.entry)}</dd></div>
        <div><dt class="up">Target</dt><dd>${price(plan.target)} <small>${from(plan.target)}</small></dd></div>
      </dl>
      ${detail.live_plan && html`<p class="hint">Followed: ${livePlan(detail.live_plan)}.</p>`}
      ${detail.liquidity_note && html`<p class="hint">${detail.liquidity_note}</p>`}
    </div>`;
}

/** What became of the plan of an earlier bar. @param {NonNullable<Detail["live_plan"]>} plan */
function livePlan(plan) {
  const day = new Date(plan.since_ns / 1e6).toISOString().slice(0, 10);
  const prices = `entry ${price(plan.fill ?? plan.entry)}, stop ${price(plan.stop)}, target ${price(plan.target)}`;
  const end = plan.exit === undefined ? "" : ` at ${price(plan.exit)}`;
  const advice = plan.advice ? `; stop to ${price(plan.advice.stop)}: ${plan.advice.notes.join(", ")}` : "";
  return `${plan.state}${end} since ${day} (${prices})${advice}`;
}

/** What became of past results with a like score. @param {NonNullable<import("./types").Row["outcomes"]>} past */
function outcomes(past) {
  const after = (/** @type {number} */ days, /** @type {number | null} */ mean, /** @type {number | null} */ hit) =>
    mean === null || hit === null ? [] : [`${gain(mean, 1)} in ${days} days, ${percent(hit, 0)} rose`];
  const what = [...after(5, past.mean_5d, past.hit_5d), ...after(10, past.mean_10d, past.hit_10d)].join("; ");
  return `${past.n} past results like it: ${what || "nothing is known of what followed"}.`;
}

/** The parts of a score as bars to both sides of zero. @param {{ parts: Record<string, number> }} properties */
function Parts({ parts }) {
  const shown = Object.entries(parts).filter(([, points]) => points !== 0);
  const scale = Math.max(...shown.map(([, points]) => Math.abs(points)), 1);
  const hasNegative = shown.some(([, points]) => points < 0);
  return html`<dl class=${`parts ${hasNegative ? "both" : ""}`}>
    ${shown.map(([name, points]) => html`
      <div>
        <dt>${PARTS[name] ?? words(name)}</dt>
        <dd><i class=${points < 0 ? "minus" : "plus"} style=${`--share:${(100 * Math.abs(points)) / scale}%`}></i><span>${points > 0 ? "+" : ""}${fixed(points, 1)}</span></dd>
      </div>`)}
  </dl>`;
}

/** @param {{ detail: Detail, row: import("./types").Row }} properties */
function Reasons({ detail, row }) {
  /** @type {Map<string, { rule: string, is_met: boolean }[]>} */
  const labels = new Map();
  for (const { label, rule, is_met } of row.rules) labels.set(label, [...(labels.get(label) ?? []), { rule, is_met }]);
  const flags = row.merit_flags.split("|").filter(Boolean);
  return html`
    ${[...labels].map(([label, rules]) => html`
      <h3>${label} <span class=${rules.every(({ is_met }) => is_met) ? "up" : "soft"}>${rules.every(({ is_met }) => is_met) ? "yes" : `${rules.filter(({ is_met }) => is_met).length} of ${rules.length}`}</span></h3>
      <ul class="rules">${rules.map(({ rule, is_met }) => html`
        <li class=${is_met ? "met" : "unmet"}><span class="mark" aria-label=${is_met ? "met" : "not met"}>${is_met ? "✓" : "✕"}</span>${ruleText(rule)}</li>`)}</ul>`)}
    ${row.profiles.length > 0 && html`
      <h3>Profiles</h3>
      <ul class="rules">${row.profiles.map(({ profile, breaks }) => html`
        <li class=${breaks === null ? "met" : "unmet"}><span class="mark" aria-label=${breaks === null ? "shows it" : "hides it"}>${breaks === null ? "✓" : "✕"}</span>${words(profile)}${breaks === null ? "" : html`<span class="soft"> breaks ${breaks.replaceAll("_", " ")}</span>`}</li>`)}</ul>`}
    ${flags.length > 0 && html`<h3>Flags</h3><p class="chips">${flags.map((flag) => html`<span class="chip warn">${words(flag)}</span>`)}</p>`}
    <h3>Stands on</h3>
    <dl class="facts">
      <div><dt>Bars seen</dt><dd>${row.freshness.n_bars}</dd></div>
      <div><dt>Style</dt><dd>${row.play_style}</dd></div>
      <div><dt>Investor tier</dt><dd>${words(row.investor_tier)}</dd></div>
      <div><dt>Market cap</dt><dd>${short(row.market_cap) || "–"}</dd></div>
      <div><dt>$ volume 20 d</dt><dd>${short(row.dollar_volume_20) || "–"}</dd></div>
      <div><dt>ATR</dt><dd>${percent(row.atr_pct) || "–"}</dd></div>
      <div><dt>Data</dt><dd>${row.freshness.is_synthetic ? "synthetic" : row.freshness.is_replayed ? "replayed" : "live"}</dd></div>
      <div><dt>Bar</dt><dd>${detail.freshness.is_final ? "final" : "forming"}</dd></div>
    </dl>`;
}

/** @param {string} rule */
const ruleText = (rule) => rule.replaceAll("_", " ").replace(">=", "≥").replace("<=", "≤").replace(" -", " −");

/** @param {{ indicators: Record<string, number | null> }} properties */
function Indicators({ indicators }) {
  const names = Object.keys(indicators);
  if (names.length === 0) return html`<p class="hint">No indicators of this symbol have reached this server since it started.</p>`;
  const grouped = new Set(INDICATORS.flatMap(([, group]) => group));
  const others = names.filter((name) => !grouped.has(name));
  return html`${[...INDICATORS, /** @type {[string, string[]]} */ (["Others", others])].map(([title, group]) => html`
    <h3>${title}</h3>
    <dl class="facts">${group.filter((name) => name in indicators).map((name) => html`
      <div><dt>${name}</dt><dd>${value(indicators[name])}</dd></div>`)}</dl>`)}`;
}

/** @param {number | null | undefined} number */
function value(number) {
  if (number === null || number === undefined) return "–";
  if (Math.abs(number) >= 1e5) return short(number);
  return fixed(number, Math.abs(number) >= 100 ? 2 : Math.abs(number) >= 1 ? 3 : 4);
}

/** @param {{ row: import("./types").Row }} properties */
function Models({ row }) {
  const [models, setModels] = useState(/** @type {{ name: string, version: string, hash: string }[] | null} */ (null));
  useEffect(() => {
    ask("/v1/models").then((answer) => answer.json()).then((body) => setModels(body.models)).catch(() => setModels(null));
  }, []);
  const predictions = /** @type {[string, string][]} */ ([
    ["Gain over the market, 5 days", gain(row.alpha_5d)],
    ["Gain over the market, 10 days", gain(row.alpha_10d)],
    ["Probability of a gain, 10 days", percent(row.win_prob_10d)],
  ]);
  return html`
    <h3>Predictions</h3>
    <dl class="facts wide">${predictions.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text || "missing"}</dd></div>`)}</dl>
    <h3>In points of MERIT</h3>
    <${Parts} parts=${{ alpha: row.breakdown.merit["alpha"] ?? 0, win: row.breakdown.merit["win"] ?? 0 }} />
    <h3>Made by</h3>
    ${models === null || models.length === 0
      ? html`<p class="hint">No model is loaded: predictions are missing.</p>`
      : html`<dl class="facts wide">${models.map(({ name, version, hash }) => html`
          <div><dt>${name}</dt><dd>version ${version} <code>${hash.slice(0, 8)}</code></dd></div>`)}</dl>`}`;
}
