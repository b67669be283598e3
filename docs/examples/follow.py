"""Keeps a copy of a channel: reconnects, resumes, and takes a snapshot where that is not possible.

    python3 follow.py ws://127.0.0.1:8080/ws 'SC.*'
"""

import asyncio
import json
import os
import sys

import websockets


UNAUTHORIZED = 4401
PAUSE_MIN, PAUSE_MAX = 0.2, 10.0


class Lost(Exception):
    """Updates are missing: the next connection goes on from a snapshot."""


class Refused(Exception):
    """The server does not want what it was sent, and will not the next time either."""


class Follower:
    def __init__(self, url: str, topic: str) -> None:
        self.url, self.topic, self.channel = url, topic, topic.split(".")[0]
        self.rows: dict[str, dict] = {}
        self.epoch: str | None = None
        self.u: int | None = None
        self.in_snapshot = False
        self.pause = PAUSE_MIN

    async def run(self) -> None:
        while True:
            try:
                async with websockets.connect(self.url, max_size=None, subprotocols=["technic.v1.json"]) as socket:
                    async for frame in socket:
                        for event in json.loads(frame):
                            await self.take(socket, event)
            except Lost:
                self.epoch = None
            except (OSError, websockets.WebSocketException) as error:
                if isinstance(error, websockets.ConnectionClosed) and error.rcvd and error.rcvd.code == UNAUTHORIZED:
                    raise Refused(error.rcvd.reason) from error
                print(f"# {error}; back in {self.pause:.1f} s", file=sys.stderr, flush=True)
            await asyncio.sleep(self.pause)
            self.pause = min(2 * self.pause, PAUSE_MAX)

    async def take(self, socket, event: dict) -> None:
        kind = event["ev"]
        if kind in ("seq", "hb") or (kind == "snap" and event["last"]):
            # Not before: a server that greets and then hangs up is not to be asked five times a second.
            self.pause = PAUSE_MIN
        if kind == "status" and event["status"] == "connected":
            if event["auth"] == "required":
                key = os.environ.get("TECHNIC_KEY")
                if not key:
                    raise Refused("the server asks for a key or a token: set TECHNIC_KEY")
                await socket.send(json.dumps({"action": "auth", "id": 1, "params": key}))
            request = {"action": "subscribe", "id": 1, "params": self.topic}
            if self.epoch == event["epoch"] and self.u is not None and not self.in_snapshot:
                request["resume"] = {"epoch": self.epoch, "seq": self.u}
            self.epoch = event["epoch"]
            await socket.send(json.dumps(request))
        elif kind == "status" and event["status"] == "success":
            if not event["recovered"]:
                self.u = event["seq"][self.channel]
        elif kind == "seq" and event["ch"] == self.channel:
            if event["U"] != self.u + 1:
                raise Lost
            self.u = event["u"]
        elif kind == "snap" and event["ch"] == self.channel:
            if not self.in_snapshot:
                self.rows.clear()
            for row in event["rows"]:
                self.put(row.get("symbol") or row["sym"], row)
            self.u, self.in_snapshot = event["u"], not event["last"]
        elif kind == self.channel:
            self.put(event["sym"], event)
        elif kind == "out":
            # It may name a symbol that came and went while a snapshot was on its way.
            if self.rows.pop(event["sym"], None) is not None:
                print("-", event["sym"], flush=True)
        elif kind == "error":
            if event.get("id") == 1 or event["code"] == 401:
                raise Refused(f"error {event['code']}: {event['msg']}")
            print(f"# error {event['code']}: {event['msg']}", file=sys.stderr, flush=True)

    def put(self, symbol: str, row: dict) -> None:
        self.rows[symbol] = row
        print("+", symbol, row.get("merit", row.get("c")), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: follow.py URL [TOPIC]")
    try:
        asyncio.run(Follower(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "SC.*").run())
    except Refused as refused:
        sys.exit(f"# {refused}")
    except KeyboardInterrupt:
        pass
