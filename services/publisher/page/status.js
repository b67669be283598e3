// The line at the bottom: how new everything is.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { ask } from "./key.js";
import { grouped, percent, span } from "./format.js";

/** @typedef {import("./types").Status} Status @typedef {import("./types").Connection} Connection */

const REFRESH_MS = 5000;
const STATES = {
  connecting: "Connecting",
  live: "Live",
  locked: "Locked",
  waiting: "Disconnected, connecting again",
  restarting: "The server restarts",
};

/** @param {{ connection: Connection }} properties */
export function ConnectionState({ connection }) {
  const { state, detail, nReconnects, resumed } = connection;
  const again = nReconnects > 0 ? `${nReconnects} ${nReconnects === 1 ? "reconnect" : "reconnects"}, the last ${resumed ? "resumed" : "with a snapshot"}` : "";
  return html`<span class=${`connection ${state}`} role="status" title=${again}>${STATES[state]}${detail && html`<span class="soft">: ${detail}</span>`}</span>`;
}

/**
 * @param {object} properties
 * @param {Connection} properties.connection
 * @param {number | null} properties.lagMs
 * @param {number} properties.rate updates a second
 * @param {string} properties.kind
 */
export function StatusLine({ connection, lagMs, rate, kind }) {
  const status = useStatus();
  const hitRate = status?.cache?.hit_rate;
  return html`
    <footer class="status" aria-label="Status">
      <${ConnectionState} connection=${connection} />
      <dl>
        <div><dt>Data</dt><dd class=${`kind ${kind}`}>${kind === "replay" ? "replayed" : kind}</dd></div>
        <div><dt>As of</dt><dd>${status?.as_of ?? "–"}</dd></div>
        <div><dt>Live</dt><dd>${status ? `${grouped(status.rows_live, 0)} of ${grouped(status.rows, 0)}` : "–"}</dd></div>
        <div><dt>Lag</dt><dd>${span(lagMs ?? status?.lag_ms)}</dd></div>
        <div><dt>Burst</dt><dd>${span(status?.burst_ms)}${status?.burst_results ? html`<span class="soft"> / ${grouped(status.burst_results, 0)}</span>` : ""}</dd></div>
        <div><dt>Updates</dt><dd>${grouped(rate, 0)}/s</dd></div>
        ${hitRate !== null && hitRate !== undefined && html`<div><dt>Cache</dt><dd>${percent(hitRate, 0)}</dd></div>`}
        <div><dt>Clients</dt><dd>${status?.clients ?? "–"}</dd></div>
      </dl>
      <span class="grow"></span>
      <span id="grid-keys" class="keys">↑↓ move · Enter details · W watch · / search · Esc close</span>
      <a href="/docs">API</a>
      <span class="soft">${status ? `v${status.version}` : ""}</span>
    </footer>`;
}

/** @returns {Status | null} */
function useStatus() {
  const [status, setStatus] = useState(/** @type {Status | null} */ (null));
  useEffect(() => {
    const renew = async () => {
      if (document.hidden) return;
      try {
        const answer = await ask("/v1/status");
        if (answer.ok) setStatus(await answer.json());
      } catch {
        // The stream says that the server is away.
      }
    };
    renew();
    const timer = setInterval(renew, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return status;
}
