// Bars of one symbol, with averages, volume, RSI and the levels of its plan.

import { color, font } from "./colors.js";
import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import {
  CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, LineSeries, LineStyle, createChart,
} from "./vendor/lightweight-charts.js";

/** @typedef {import("./types").Detail} Detail */

const AVERAGES = /** @type {const} */ ([["sma20", "--line-a"], ["sma50", "--line-b"], ["sma200", "--line-c"]]);

/** @param {{ detail: Detail, theme: string }} properties */
export function Chart({ detail, theme }) {
  /** @type {{ current: HTMLElement | null }} */
  const parent = useRef(null);
  /** @type {{ current: { fill: (detail: Detail) => void, remove: () => void } | null }} */
  const drawn = useRef(null);

  useEffect(() => {
    if (parent.current === null) return undefined;
    const chart = newChart(parent.current, detail);
    drawn.current = chart;
    return () => chart.remove();
  }, [detail.symbol, theme]);
  useEffect(() => drawn.current?.fill(detail), [detail]);

  const bars = detail.bars ?? [];
  const last = bars[bars.length - 1];
  const label = last ? `Bars of ${detail.symbol} until ${last.time}, last close ${last.close}` : "";
  return html`<div class="chart" ref=${parent} role="img" aria-label=${label}></div>`;
}

/** @param {HTMLElement} parent @param {Detail} detail */
function newChart(parent, detail) {
  const chart = createChart(parent, {
    autoSize: true,
    layout: {
      background: { type: ColorType.Solid, color: "transparent" },
      textColor: color("--soft"),
      fontFamily: font(),
      fontSize: 11,
      attributionLogo: true,
      panes: { separatorColor: color("--line"), enableResize: false },
    },
    grid: { vertLines: { color: color("--grid") }, horzLines: { color: color("--grid") } },
    crosshair: { mode: CrosshairMode.Normal },
    rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.22 } },
    timeScale: { borderVisible: false, rightOffset: 4, minBarSpacing: 1 },
    handleScale: { axisPressedMouseMove: true },
  });
  const hasRange = (detail.bars ?? []).some((bar) => bar.open !== null);
  const [up, down] = [color("--up"), color("--down")];
  const prices = hasRange
    ? chart.addSeries(CandlestickSeries, {
        upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false,
        priceLineVisible: false,
      })
    : chart.addSeries(LineSeries, { color: color("--accent"), lineWidth: 2, priceLineVisible: false });
  const volumes = chart.addSeries(HistogramSeries, {
    priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
  });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
  const averages = AVERAGES.map(([name, line]) => ({
    name,
    line: chart.addSeries(LineSeries, {
      color: color(line), lineWidth: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
      // A distant average must not press the bars flat.
      autoscaleInfoProvider: () => null,
    }),
  }));
  const strength = chart.addSeries(LineSeries, {
    color: color("--accent"), lineWidth: 1, priceLineVisible: false, priceFormat: { type: "price", precision: 0, minMove: 1 },
    autoscaleInfoProvider: () => ({ priceRange: { minValue: 10, maxValue: 90 } }),
  }, 1);
  for (const [price, shade] of /** @type {[number, string][]} */ ([[70, "--down"], [30, "--up"]])) {
    strength.createPriceLine({ price, color: color(shade), lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: false, title: "" });
  }
  chart.panes()[0]?.setStretchFactor(4);
  chart.panes()[1]?.setStretchFactor(1);

  const levels = /** @type {const} */ ([["target", "--up"], ["entry", "--accent"], ["stop", "--down"]]);
  /** @type {any[]} */
  let lines = [];
  let isPlaced = false;

  /** @param {Detail} next */
  const fill = (next) => {
    const bars = next.bars ?? [];
    prices.setData(/** @type {any} */ (
      bars.map(({ time, open, high, low, close }) => (hasRange && open !== null ? { time, open, high, low, close } : { time, value: close }))
    ));
    volumes.setData(/** @type {any} */ (bars.map(({ time, volume, close }, n) => ({
      time, value: volume, color: close >= (bars[n - 1]?.close ?? close) ? color("--volume-up") : color("--volume-down"),
    }))));
    const drawLine = (/** @type {any} */ line, /** @type {string} */ name) => {
      const values = next.series[name] ?? [];
      line.setData(bars.flatMap(({ time }, n) => {
        const value = values[n];
        return value === null || value === undefined ? [] : [{ time, value }];
      }));
    };
    averages.forEach(({ name, line }) => drawLine(line, name));
    drawLine(strength, "rsi14");
    lines.forEach((line) => prices.removePriceLine(line));
    lines = levels.flatMap(([name, shade]) => {
      const price = next[name];
      if (price === null) return [];
      return [prices.createPriceLine({
        price, color: color(shade), lineWidth: 1, lineStyle: LineStyle.Dashed, axisLabelVisible: true, title: name,
      })];
    });
    // Levels outside of the bars' range are to be seen, too.
    const values = levels.map(([name]) => next[name]).filter((price) => price !== null);
    prices.applyOptions({
      autoscaleInfoProvider: (/** @type {() => any} */ original) => {
        const info = original();
        if (info === null || info.priceRange === null || values.length === 0) return info;
        const minValue = Math.min(info.priceRange.minValue, ...values);
        const maxValue = Math.max(info.priceRange.maxValue, ...values);
        return { ...info, priceRange: { minValue, maxValue } };
      },
    });
    if (!isPlaced && bars.length > 0) {
      const shown = Math.max(60, Math.floor(parent.clientWidth / 5));
      chart.timeScale().setVisibleLogicalRange({ from: bars.length - shown, to: bars.length + 3 });
      isPlaced = true;
    }
  };
  return { fill, remove: () => chart.remove() };
}
