// Broadcasts bars with the package `ws`: every update, to every client.
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(process.env.NODE_PATH + "/")("ws");
const rate = Number(process.argv[2]);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, path: "/ws", perMessageDeflate: false, backlog: 2048 });
server.on("listening", () => console.log("listening", `127.0.0.1:${server.address().port}`));
server.on("connection", (client) => client.on("error", () => client.terminate()));

const update = (n) =>
  JSON.stringify({
    ev: "AM", sym: "L" + String(n % 6000).padStart(4, "0"), v: Math.round((performance.timeOrigin + performance.now()) * 1000),
    o: 100.25, c: 100.5 + (n % 7), h: 108.75, l: 99.5, s: 1763596800000, e: 1763683200000, tf: "1d", rev: n, final: false,
    data: "synthetic",
  });

process.stdin.once("data", () => {
  const started = performance.now();
  let n = 0;
  // All that is due, every millisecond.
  setInterval(() => {
    while (started + (n * 1000) / rate <= performance.now()) {
      const text = update(n++);
      for (const client of server.clients) if (client.readyState === 1) client.send(text);
    }
  }, 1);
});
