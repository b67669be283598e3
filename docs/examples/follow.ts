// Keeps a copy of a channel: reconnects, resumes, and takes a snapshot where that is not possible.
//
//     tsx follow.ts ws://127.0.0.1:8080/ws 'SC.*'
//
// In a browser, and in Node from version 22 on, WebSocket is there; older ones take the package ws.
import { createRequire } from "node:module";

type Row = { symbol?: string; sym?: string; merit?: number; c?: number };
type ServerEvent =
  | { ev: "status"; status: "connected"; epoch: string; auth: "none" | "required" }
  | { ev: "status"; status: "success"; recovered: boolean; seq: Record<string, number> }
  | { ev: "status"; status: "authenticated" | "pong" | "restarting" }
  | { ev: "seq"; ch: string; U: number; u: number; merged: number; gap?: true }
  | { ev: "snap"; ch: string; u: number; last: boolean; rows: Row[] }
  | { ev: "out"; ch: "SC"; sym: string }
  | { ev: "hb"; n: number; seq: Record<string, number>; lag_ms: number | null }
  | { ev: "error"; id?: number; code: number; msg: string }
  | ({ ev: "SC" | "AM" | "IN" | "AL"; sym: string } & Row);

const Socket: typeof WebSocket = globalThis.WebSocket ?? createRequire(`${process.env.NODE_PATH}/`)("ws");
const UNAUTHORIZED = 4401;
const PAUSE_MIN = 200;
const PAUSE_MAX = 10_000;
const url = process.argv[2] ?? end("usage: follow.ts URL [TOPIC]");
const topic = process.argv[3] ?? "SC.*";
const channel = topic.split(".")[0];
const rows = new Map<string, Row>();
let epoch: string | undefined;
let u: number | undefined;
let inSnapshot = false;
let pause = PAUSE_MIN;

/** What the server does not want now, it will not want the next time either. */
function end(why: string): never {
  console.error(why);
  process.exit(1);
}

function put(symbol: string, row: Row): void {
  rows.set(symbol, row);
  console.log("+", symbol, row.merit ?? row.c);
}

function take(socket: WebSocket, event: ServerEvent): void {
  // Not before: a server that greets and then hangs up is not to be asked five times a second.
  if (event.ev === "seq" || event.ev === "hb" || (event.ev === "snap" && event.last)) pause = PAUSE_MIN;
  if (event.ev === "status" && event.status === "connected") {
    if (event.auth === "required") {
      const key = process.env.TECHNIC_KEY || end("# the server asks for a key or a token: set TECHNIC_KEY");
      socket.send(JSON.stringify({ action: "auth", id: 1, params: key }));
    }
    const canResume = epoch === event.epoch && u !== undefined && !inSnapshot;
    epoch = event.epoch;
    const request = { action: "subscribe", id: 1, params: topic, ...(canResume && { resume: { epoch, seq: u } }) };
    socket.send(JSON.stringify(request));
  } else if (event.ev === "status" && event.status === "success") {
    if (!event.recovered) u = event.seq[channel];
  } else if (event.ev === "seq" && event.ch === channel) {
    if (event.U !== u! + 1) {
      // Updates are missing: the next connection goes on from a snapshot.
      epoch = undefined;
      socket.close();
    }
    u = event.u;
  } else if (event.ev === "snap" && event.ch === channel) {
    if (!inSnapshot) rows.clear();
    for (const row of event.rows) put((row.symbol ?? row.sym)!, row);
    u = event.u;
    inSnapshot = !event.last;
  } else if (event.ev === "out") {
    // It may name a symbol that came and went while a snapshot was on its way.
    if (rows.delete(event.sym)) console.log("-", event.sym);
  } else if (event.ev === "error") {
    const line = `# error ${event.code}: ${event.msg}`;
    if (event.id === 1 || event.code === 401) end(line);
    console.error(line);
  } else if (event.ev === channel) {
    put((event as Row).sym!, event as Row);
  }
}

function connect(): void {
  const socket = new Socket(url, "technic.v1.json");
  socket.onmessage = (message) => {
    for (const event of JSON.parse(String(message.data)) as ServerEvent[]) take(socket, event);
  };
  socket.onerror = () => {};
  socket.onclose = (close) => {
    if (close.code === UNAUTHORIZED) end(`# ${close.reason}`);
    console.error(`# closed (${close.code}); back in ${pause} ms`);
    setTimeout(connect, pause);
    pause = Math.min(2 * pause, PAUSE_MAX);
  };
}

connect();
