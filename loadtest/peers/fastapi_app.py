"""Broadcasts bars as an ordinary FastAPI service does: every update, to every client, one after the other."""

import asyncio
import json
import socket
import sys
import time
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

RATE = int(sys.argv[1])
clients: set[WebSocket] = set()


def update(n: int) -> str:
    bar = {
        "ev": "AM", "sym": f"L{n % 6000:04}", "v": time.time_ns() // 1000, "o": 100.25, "c": 100.5 + n % 7, "h": 108.75,
        "l": 99.5, "s": 1763596800000, "e": 1763683200000, "tf": "1d", "rev": n, "final": False, "data": "synthetic",
    }
    return json.dumps(bar, separators=(",", ":"))


async def broadcast() -> None:
    await asyncio.to_thread(sys.stdin.readline)
    started, n = time.monotonic(), 0
    while True:
        # Behind its time it goes on at once, but lets others run.
        await asyncio.sleep(max(0.0, started + n / RATE - time.monotonic()))
        text = update(n)
        for client in list(clients):
            try:
                await client.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                clients.discard(client)
        n += 1


@asynccontextmanager
async def lifespan(_: FastAPI):
    task = asyncio.create_task(broadcast())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws")
async def connect(websocket: WebSocket) -> None:
    await websocket.accept()
    clients.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        clients.discard(websocket)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print("listening", "%s:%d" % listener.getsockname(), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", ws_per_message_deflate=False)).run(sockets=[listener])
