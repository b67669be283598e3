// The stream of scores: one WebSocket that connects again by itself and goes on where it stopped.

import { closeGate, currentKey, forgetKey, openGate } from "./key.js";

/** Who is closed with it was not let in, or not any longer. */
const CLOSE_UNAUTHORIZED = 4401;
const BACKOFF_MS_MAX = 15_000;
/** Heartbeats that may be missing before the connection counts as dead. */
const SILENT_HEARTBEATS = 4;

/**
 * @typedef {import("./types").Row} Row
 * @typedef {object} Handlers
 * @property {(rows: Row[]) => void} onTable all rows, instead of those before
 * @property {(row: Row) => void} onRow
 * @property {(symbol: string) => void} onOut
 * @property {(kind: string) => void} onData what kind of market the numbers are from
 * @property {(beat: { lagMs: number | null }) => void} onBeat
 * @property {(connection: import("./types").Connection) => void} onConnection
 * @property {(reason: string | null) => void} onKey a key is needed, and what was wrong with the last one; `null`: no longer
 * @property {() => void} onFrame after each frame, when its events are through
 */

export class Stream {
  /** @type {WebSocket | null} */
  #socket = null;
  #handlers;
  /** Where we stand: run of the server and number of the last update. */
  #epoch = "";
  #seq = 0;
  /** Whether the table is complete up to `#seq`. @type {boolean} */
  #isComplete = false;
  /** The pages of a snapshot that has not ended. @type {Row[] | null} */
  #pages = null;
  #heartbeatMs = 5000;
  #silence = 0;
  #nFailures = 0;
  #nReconnects = -1;
  #isResumed = false;

  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
    this.#connect();
  }

  /** Ends the connection as a failure of the network would. */
  drop() {
    this.#socket?.close(4000, "dropped by the page");
  }

  /** Somebody gave a key: with the next connection it is tried. */
  unlock() {
    this.#isLocked = false;
    this.#nFailures = 0;
    this.#connect();
  }

  #retry = 0;
  /** Whether there is no sense in another connection before somebody gives a key. */
  #isLocked = false;

  /** @param {string} reason */
  #lock(reason) {
    this.#isLocked = true;
    forgetKey();
    closeGate();
    this.#socket?.close(1000);
    this.#tell("locked", "");
    this.#handlers.onKey(reason);
  }

  /** Somebody looks again: no reason to wait any longer. */
  #hurry() {
    if (this.#retry !== 0) {
      clearTimeout(this.#retry);
      this.#connect();
    }
  }

  #connect() {
    this.#retry = 0;
    this.#tell("connecting", "");
    this.#pages = null;
    this.#nReconnects += 1;
    const address = new URL("/ws", location.href.replace(/^http/, "ws"));
    const socket = new WebSocket(address, "technic.v1.json");
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#listen();
      for (const event of JSON.parse(data)) {
        if (typeof event.data === "string") this.#handlers.onData(event.data);
        this.#take(event);
      }
      this.#handlers.onFrame();
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#silence);
      if (code === CLOSE_UNAUTHORIZED) this.#lock(reason);
      if (this.#isLocked) return;
      const delay = Math.min(500 * 2 ** this.#nFailures, BACKOFF_MS_MAX) * (0.5 + Math.random() / 2);
      this.#nFailures += 1;
      this.#tell("waiting", reason);
      this.#retry = setTimeout(() => this.#connect(), delay);
    };
  }

  /** A connection that says nothing is dead, even when nobody closed it. */
  #listen() {
    clearTimeout(this.#silence);
    const patience = SILENT_HEARTBEATS * this.#heartbeatMs;
    this.#silence = setTimeout(() => this.#socket?.close(4000, "silence"), patience);
  }

  #subscribe() {
    const request = { action: "subscribe", id: 1, params: "SC.*", snapshot: true };
    const resume = this.#isComplete ? { resume: { epoch: this.#epoch, seq: this.#seq } } : {};
    this.#socket?.send(JSON.stringify({ ...request, ...resume }));
  }

  /** @param {any} event */
  #take(event) {
    switch (event.ev) {
      case "SC": {
        const { ev, sym, ...row } = event;
        this.#handlers.onRow(row);
        break;
      }
      case "out":
        this.#handlers.onOut(event.sym);
        break;
      case "seq":
        if (event.ch !== "SC") break;
        if (event.gap) {
          // The server left something out and sends a snapshot next.
          this.#isComplete = false;
        } else if (this.#isComplete && event.U > this.#seq + 1) {
          this.#isComplete = false;
          this.#socket?.close(4000, "sequence gap");
        }
        this.#seq = Math.max(this.#seq, event.u);
        break;
      case "snap":
        this.#snapshot(event);
        break;
      case "hb":
        this.#handlers.onBeat({ lagMs: event.lag_ms });
        break;
      case "status":
        this.#status(event);
        break;
      case "error":
        this.#tell("connecting", `error ${event.code}: ${event.msg}`);
        break;
    }
  }

  /** @param {any} event */
  #snapshot(event) {
    if (event.ch !== "SC") return;
    (this.#pages ??= []).push(...event.rows);
    if (!event.last) return;
    this.#handlers.onTable(this.#pages);
    this.#pages = null;
    this.#seq = event.u;
    this.#isComplete = true;
    this.#tell("live", "");
  }

  /** @param {any} event */
  #status(event) {
    if (event.status === "connected") {
      this.#heartbeatMs = event.hb_ms;
      // Numbers of another run mean nothing here.
      if (event.epoch !== this.#epoch) this.#isComplete = false;
      this.#epoch = event.epoch;
      if (event.auth !== "required") {
        this.#admit();
      } else if (currentKey() === null) {
        this.#lock("");
      } else {
        this.#socket?.send(JSON.stringify({ action: "auth", params: currentKey() }));
      }
    } else if (event.status === "authenticated") {
      this.#admit();
    } else if (event.status === "success") {
      this.#nFailures = 0;
      this.#isResumed = event.recovered === true;
      if (this.#isResumed) this.#tell("live", "");
      else this.#isComplete = false;
    } else if (event.status === "restarting") {
      this.#tell("restarting", "");
    }
  }

  #admit() {
    openGate();
    this.#handlers.onKey(null);
    this.#subscribe();
  }

  /** @param {import("./types").Connection["state"]} state @param {string} detail */
  #tell(state, detail) {
    this.#handlers.onConnection({ state, detail, nReconnects: this.#nReconnects, resumed: this.#isResumed });
  }
}
