// The real binary, for a test. It finds its models below TECHNIC_ROOT.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_MS = 120_000;

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts technic with settings such as `{ "ingest.synthetic.seed": 2 }` and waits until it answers. */
export async function start(settings, port) {
  const binary = process.env.TECHNIC_BIN;
  if (!binary) throw new Error("TECHNIC_BIN names no binary");
  const state = mkdtempSync(join(tmpdir(), "technic-page-"));
  const env = { ...process.env };
  const all = { "publisher.listen": `127.0.0.1:${port}`, "admin.listen": "127.0.0.1:0", "state_dir": state, "telemetry.log": "warn", ...settings };
  for (const [key, value] of Object.entries(all)) {
    env[`TECHNIC__${key.replaceAll(".", "__").toUpperCase()}`] = String(value);
  }
  const child = spawn(binary, ["run"], { cwd: process.env.TECHNIC_ROOT ?? ".", env, stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const address = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
    rmSync(state, { recursive: true, force: true });
  };
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      if ((await fetch(`${address}/livez`)).ok) return { address, stop };
    } catch {
      // Not yet.
    }
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error("technic did not start");
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export async function status(address) {
  return (await fetch(`${address}/v1/status`)).json();
}

/** Waits until the watermark covers a session and no update came for a while. */
export async function atRest(address, session, ms) {
  const deadline = Date.now() + ms;
  let before = -1;
  for (;;) {
    const { seq, watermark } = await status(address);
    if (watermark !== null && watermark >= session && seq === before) return;
    before = seq;
    if (Date.now() > deadline) throw new Error(`${session} was not reached, the watermark is ${watermark}`);
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}
