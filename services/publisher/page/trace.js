// How the MERIT of a symbol moved since the page was opened.

import { color, font } from "./colors.js";
import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 92;

/** @param {{ trace: import("./types").Entry["trace"], version: number, theme: string }} properties */
export function Trace({ trace, version, theme }) {
  /** @type {{ current: HTMLElement | null }} */
  const parent = useRef(null);
  /** @type {{ current: uPlot | null }} */
  const plot = useRef(null);
  const hasLine = trace !== null && trace[0].length > 1;

  useEffect(() => {
    const element = parent.current;
    if (element === null || !hasLine) return undefined;
    const axis = {
      stroke: color("--soft"), grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false },
      font: `11px ${font()}`,
    };
    const chart = new uPlot({
      width: element.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
      padding: [6, 8, 0, 0],
      scales: { y: { range: (_, min, max) => [Math.max(0, min - 1), Math.min(100, max + 1)] } },
      axes: [{ ...axis, size: 22 }, { ...axis, size: 38 }],
      series: [{}, {
        stroke: color("--accent"), width: 1.5, points: { show: false }, fill: color("--accent-soft"),
        // It holds until the next update.
        paths: /** @type {any} */ (uPlot.paths).stepped({ align: 1 }),
      }],
    }, trace, element);
    plot.current = chart;
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [hasLine, theme]);
  useEffect(() => {
    if (trace !== null) plot.current?.setData(/** @type {any} */ (trace));
  }, [version, trace]);

  if (!hasLine) return html`<p class="hint">MERIT has not moved since this page was opened.</p>`;
  return html`<div class="trace" ref=${parent} role="img" aria-label="MERIT since this page was opened"></div>`;
}
