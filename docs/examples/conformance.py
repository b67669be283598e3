"""Asks a running server everything that docs/asyncapi.yaml promises, and checks each frame against the schemas there.

    python3 conformance.py ws://127.0.0.1:8080/ws [--key KEY]

A line for each case and format: `ok`, `FAILED` with the reason and the last frame, or `untried` where the market did not
give the occasion. Exit code 1 when a case failed. What a client cannot bring about is not tried: the restart of the
server (1012), a token that expires, and falling behind in `lossless` mode.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import time
import urllib.parse
from pathlib import Path

import jsonschema
import msgpack
import websockets
import yaml

FORMATS = ("technic.v1.json", "technic.v1.msgpack")
CHANNELS = ("SC", "AM", "IN", "AL")
# Long enough for a busy server, short enough for a person who waits.
ANSWER_SECONDS = 20
# More than a server is usually configured to take; the defaults are 64 KiB, 1000 names and 100 messages at once.
OVERSIZED_BYTES = 512 << 10
NAMES_TOO_MANY = 5000
MESSAGES_TOO_MANY = 20_000
# So many updates are kept at least for clients that come back.
RESUMED_AT_LEAST = 1000


class Failed(Exception):
    """The server does not do what the document says."""


class Untried(Exception):
    """Nothing happened that the case could look at."""


class Closed(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


def expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Failed(otherwise)


class Document:
    """The schemas of asyncapi.yaml."""

    def __init__(self, path: Path) -> None:
        self.components = yaml.safe_load(path.read_text(encoding="utf-8"))["components"]
        self.validators: dict[str, jsonschema.Draft202012Validator] = {}
        self.events: dict[str, str] = {}
        for choice in self.components["messages"]["events"]["payload"]["items"]["oneOf"]:
            name = choice["$ref"].removeprefix("#/components/schemas/")
            properties = self.components["schemas"][name]["properties"]
            self.events[properties.get("status", properties["ev"])["const"]] = name

    def check(self, place: str, value: object) -> None:
        if place not in self.validators:
            schema = {"components": self.components, "$ref": f"#/components/{place}"}
            self.validators[place] = jsonschema.Draft202012Validator(schema)
        error = next(self.validators[place].iter_errors(value), None)
        if error is not None:
            raise Failed(f"{place}{error.json_path[1:]}: {error.message[:300]}")

    def check_event(self, event: dict) -> None:
        expect(isinstance(event, dict) and "ev" in event, "an event without `ev`")
        kind = event.get("status") if event["ev"] == "status" else event["ev"]
        expect(kind in self.events, f"event `{kind}` is not in the document")
        self.check(f"schemas/{self.events[kind]}", event)
        for row in event["rows"] if kind == "snap" else ():
            self.check(f"schemas/{event['ch']}", {"ev": "SC", "sym": row.get("symbol"), **row} if event["ch"] == "SC" else row)

    def check_request(self, request: dict) -> None:
        self.check(f"messages/{request['action']}/payload", request)


class Client:
    """A connection. Every frame is checked: against the schemas, and whether the numbers of its updates go on."""

    def __init__(self, server: "Server", subprotocol: str) -> None:
        self.server, self.subprotocol, self.is_json = server, subprotocol, subprotocol.endswith("json")
        self.u: dict[str, int] = {}
        self.n_heartbeats = 0
        self.in_snapshot: str | None = None
        self.greeting: dict = {}
        self.last_frame: object = None

    async def __aenter__(self) -> "Client":
        self.socket = await websockets.connect(self.server.url, max_size=None, subprotocols=[self.subprotocol])
        expect(self.socket.subprotocol == self.subprotocol, f"the server speaks {self.socket.subprotocol}")
        [self.greeting] = await self.frame(ANSWER_SECONDS)
        expect(self.greeting.get("status") == "connected", "the first event is no greeting")
        return self

    async def __aexit__(self, kind, error, trace) -> None:
        if isinstance(error, Failed):
            error.frame = self.last_frame
        await self.socket.close()

    def encode(self, value: object) -> str | bytes:
        return json.dumps(value) if self.is_json else msgpack.packb(value)

    async def send(self, request: dict) -> None:
        self.server.document.check_request(request)
        await self.socket.send(self.encode(request))

    async def frame(self, seconds: float) -> list[dict]:
        try:
            raw = await asyncio.wait_for(self.socket.recv(), max(seconds, 0.001))
        except websockets.ConnectionClosed as closed:
            raise Closed(closed.rcvd.code if closed.rcvd else 1006) from closed
        self.last_frame = raw
        expect(isinstance(raw, str) == self.is_json, "the frame is of the other format")
        events = json.loads(raw) if self.is_json else msgpack.unpackb(raw, raw=False)
        self.last_frame = events
        expect(isinstance(events, list) and len(events) > 0, "a frame is no array of events")
        for event in events:
            self.server.document.check_event(event)
            self.follow(event)
        return events

    def follow(self, event: dict) -> None:
        kind, channel = event["ev"], event.get("ch")
        if kind == "status" and event["status"] == "success":
            self.u = {**event["seq"]}
        elif kind == "seq":
            expect(channel in self.u, f"an update of {channel}, which is not subscribed to")
            expect(channel != self.in_snapshot, "an update within a snapshot")
            expect(event["U"] == self.u[channel] + 1 <= event["u"] + 1, f"after u={self.u[channel]} comes {event}")
            self.u[channel] = event["u"]
        elif kind == "snap":
            expect(event["u"] >= self.u[channel], f"a snapshot goes back from {self.u[channel]} to {event['u']}")
            self.u[channel], self.in_snapshot = event["u"], None if event["last"] else channel
        elif kind == "hb":
            self.n_heartbeats += 1
            expect(event["n"] == self.n_heartbeats, f"heartbeat {event['n']} is the {self.n_heartbeats}th")
            expect(event["seq"] == self.u, f"the heartbeat says {event['seq']}, the updates {self.u}")

    async def until(self, is_wanted, seconds: float = ANSWER_SECONDS) -> tuple[dict, list[dict]]:
        """The first event of that kind, and all until the end of its frame."""
        deadline, seen = time.monotonic() + seconds, []
        while True:
            try:
                events = await self.frame(deadline - time.monotonic())
            except TimeoutError:
                raise Untried(f"nothing came within {seconds:g} s") from None
            seen += events
            found = next((event for event in events if is_wanted(event)), None)
            if found is not None:
                return found, seen

    async def answer(self, request_id: object) -> dict:
        try:
            return (await self.until(lambda event: event.get("id") == request_id))[0]
        except Untried as untried:
            raise Failed(f"no answer to {request_id}: {untried}") from None

    async def ask(self, request: dict, request_id: object = 7) -> dict:
        await self.send({**request, "id": request_id})
        return await self.answer(request_id)

    async def log_in(self) -> "Client":
        if self.greeting["auth"] == "required":
            answer = await self.ask({"action": "auth", "params": self.server.key}, "auth")
            expect(answer.get("status") == "authenticated", f"the key is refused: {answer}")
        return self

    async def subscribe(self, params: str, **more: object) -> dict:
        answer = await self.ask({"action": "subscribe", "params": params, **more})
        expect(answer.get("status") == "success", f"{params}: {answer}")
        return answer

    async def snapshot(self, channel: str = "SC") -> list[dict]:
        is_last = lambda event: event["ev"] == "snap" and event["ch"] == channel and event["last"]
        try:
            _, seen = await self.until(is_last)
        except Untried as untried:
            raise Failed(f"no snapshot of {channel}: {untried}") from None
        return [row for event in seen if event["ev"] == "snap" and event["ch"] == channel for row in event["rows"]]

    async def ends(self, code: int | None, close: int, seconds: float = ANSWER_SECONDS) -> None:
        """The server says why, unless `code` is none, and closes."""
        errors = []
        deadline = time.monotonic() + seconds
        while True:
            try:
                events = await self.frame(deadline - time.monotonic())
                errors += [event["code"] for event in events if event["ev"] == "error"]
            except Closed as closed:
                expect(closed.code == close, f"closed with {closed.code} instead of {close}")
                expect(code is None or errors[-1:] == [code], f"before the end came the errors {errors}, not {code}")
                return
            except TimeoutError:
                raise Failed(f"not closed within {seconds:g} s, {close} was expected") from None

    async def lives(self) -> None:
        expect((await self.ask({"action": "ping"}, "alive")).get("status") == "pong", "no pong after an error")


class Server:
    def __init__(self, url: str, key: str | None, patience: float, document: Document) -> None:
        self.url, self.key, self.patience, self.document = url, key, patience, document


SIDE_BY_SIDE: list[tuple] = []
# Those that look at the clock, at what a key has left, or that race the market.
ALONE: list[tuple] = []


def case(title: str, cases: list[tuple] = SIDE_BY_SIDE):
    def register(function):
        cases.append((title, function))
        return function
    return register


def is_row(event: dict) -> bool:
    return event["ev"] == "SC"


@case("greeting, then pongs with and without an id, of the protocol and of WebSocket")
async def ping(connect, _):
    async with connect() as client:
        await client.send({"action": "ping"})
        await client.until(lambda event: event.get("status") == "pong" and "id" not in event)
        for request_id in (3, "three"):
            expect((await client.ask({"action": "ping"}, request_id)).get("status") == "pong", "no pong")
        await asyncio.wait_for(await client.socket.ping(), ANSWER_SECONDS)


@case("auth: asked for and wrong (401, close 4401), or not needed (400)")
async def auth(connect, _):
    async with connect() as client:
        if client.greeting["auth"] == "none":
            expect((await client.ask({"action": "auth", "params": "x"})).get("code") == 400, "no error 400")
            return await client.lives()
        expect((await client.ask({"action": "subscribe", "params": "SC.*"})).get("code") == 401, "let in without a key")
        await client.lives()
        await client.send({"action": "auth", "params": "no such key"})
        await client.ends(401, 4401)
    async with connect() as silent:
        await silent.ends(401, 4401)


@case("subscribe and unsubscribe are echoed, and what was left sends nothing any more")
async def subscriptions(connect, _):
    async with connect() as client:
        await client.log_in()
        answer = await client.subscribe("SC.*,AM.*,IN.*,AL.*", snapshot=False)
        expect(answer["subs"] == [f"{channel}.*" for channel in CHANNELS], f"subs: {answer['subs']}")
        expect(sorted(answer["seq"]) == sorted(CHANNELS) and not answer["recovered"], f"{answer}")
        answer = await client.ask({"action": "unsubscribe", "params": "SC.*,AM.*"}, "off")
        expect(answer.get("subs") == ["IN.*", "AL.*"] and sorted(answer["seq"]) == ["AL", "IN"], f"{answer}")
        # An update of a channel that was left fails the check of every frame.
        await client.until(lambda event: event["ev"] == "hb")
        answer = await client.ask({"action": "unsubscribe", "params": "IN.*,AL.*"}, "all off")
        expect(answer.get("subs") == [] and answer["seq"] == {}, f"{answer}")


@case("snapshot of SC in pages, best first, nothing twice; then updates go on")
async def snapshot(connect, server):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("SC.*")
        rows = await client.snapshot()
        merits, symbols = [row["merit"] for row in rows], [row["symbol"] for row in rows]
        expect(merits == sorted(merits, reverse=True), "rows are not best first")
        expect(len(set(symbols)) == len(symbols), "a symbol is there twice")
        await client.until(is_row, server.patience)


@case("snapshots of AM and IN hold their events, AL has none")
async def other_snapshots(connect, server):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("AM.*,IN.*,AL.*")
        for channel in ("AM", "IN"):
            await client.snapshot(channel)
        _, seen = await client.until(lambda event: event["ev"] == "hb")
        expect(all(event.get("ch") != "AL" for event in seen if event["ev"] == "snap"), "a snapshot of alerts")


@case("filters: min_merit, bands, sectors, signals, symbols, top")
async def filters(connect, _):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("SC.*")
        rows = await client.snapshot()
        if not rows:
            raise Untried("the table is empty")
        middle = rows[len(rows) // 2]
        sector = next((row["sector"] for row in rows if row.get("sector")), None)
        wanted = [
            ({"min_merit": middle["merit"]}, lambda row: row["merit"] >= middle["merit"]),
            ({"bands": [middle["merit_band"].lower()]}, lambda row: row["merit_band"] == middle["merit_band"]),
            ({"signals": [middle["signal"]]}, lambda row: row["signal"] == middle["signal"]),
            ({"symbols": [middle["symbol"]]}, lambda row: row["symbol"] == middle["symbol"]),
        ] + ([({"sectors": [sector.upper()]}, lambda row: row["sector"] == sector)] if sector else [])
        for number, (filter_, matches) in enumerate(wanted):
            await client.ask({"action": "subscribe", "params": "SC.*", "filter": filter_}, f"filter {number}")
            found = await client.snapshot()
            expect(all(map(matches, found)), f"{filter_} lets others through")
        await client.ask({"action": "subscribe", "params": "SC.*", "filter": {"top": 2}}, "top")
        expect(len(await client.snapshot()) <= 2, "top 2 are more than 2")
        await client.ask({"action": "subscribe", "params": "SC.*", "filter": {}}, "no filter")
        # Rows that changed while the pages were sent come after them.
        expect(len(await client.snapshot()) > min(2, len(rows) // 2), "{} does not end the filter")


@case("max_age_ms: a row that changed is announced, and `out` when it is older")
async def leaving(connect, server):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("SC.*", filter={"max_age_ms": 700})
        known = {row["symbol"] for row in await client.snapshot()}
        deadline = time.monotonic() + server.patience
        while time.monotonic() < deadline:
            for event in await client.frame(deadline - time.monotonic() + ANSWER_SECONDS):
                if event["ev"] == "SC":
                    known.add(event["sym"])
                elif event["ev"] == "out" and event["sym"] in known:
                    return
        expect(not known, f"{len(known)} rows came and none left within {server.patience:g} s")
        raise Untried("no row changed")


@case("resume goes on at the next update; another epoch gets a snapshot", ALONE)
async def resume(connect, server):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("SC.*", snapshot=False)
        epoch, u = client.greeting["epoch"], client.u["SC"]
    async with connect() as client:
        await client.log_in()
        answer = await client.subscribe("SC.*", resume={"epoch": epoch, "seq": u})
        if not answer["recovered"] and answer["seq"]["SC"] > u + RESUMED_AT_LEAST:
            raise Untried(f"there were {answer['seq']['SC'] - u} updates in between")
        expect(answer["recovered"] and answer["seq"] == {"SC": u}, f"{answer}")
        _, seen = await client.until(lambda event: event["ev"] in ("seq", "hb"))
        expect(all(event["ev"] != "snap" for event in seen), "a snapshot although it was recovered")
    async with connect() as client:
        await client.log_in()
        answer = await client.subscribe("SC.*,AM.*", snapshot=False, resume={"epoch": epoch, "seq": {"SC": u}})
        expect(not answer["recovered"] and sorted(answer["seq"]) == ["AM", "SC"], f"one of two channels: {answer}")
    async with connect() as client:
        await client.log_in()
        answer = await client.subscribe("SC.*", resume={"epoch": f"not {epoch}", "seq": u})
        expect(not answer["recovered"], f"{answer}")
        await client.snapshot()


@case("conflate: one event of a symbol in a frame; lossless: nothing merged")
async def modes(connect, server):
    async with connect() as conflating, connect() as lossless:
        for client, mode in ((conflating, "conflate"), (lossless, "lossless")):
            await client.log_in()
            await client.subscribe("SC.*", snapshot=False, mode=mode, flush_ms=500)
        _, seen = await lossless.until(is_row, server.patience)
        expect(all(event["merged"] == 0 for event in seen if event["ev"] == "seq"), "lossless merges")
        _, seen = await conflating.until(is_row, server.patience)
        for _ in range(3):
            symbols = [event["sym"] for event in seen if is_row(event)]
            expect(len(set(symbols)) == len(symbols), "a symbol twice in a frame that is conflated")
            _, seen = await conflating.until(is_row, server.patience)


@case("flush_ms makes pauses between updates", ALONE)
async def pace(connect, server):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("SC.*", snapshot=False, flush_ms=600)
        await client.until(is_row, server.patience)
        # An update may take several frames, one after the other, and a heartbeat brings what there is; but a server that
        # sends each change as it happens makes no pauses at all.
        begin = last = time.monotonic()
        end = begin + 4
        while last < end:
            await client.until(is_row, server.patience)
            now = time.monotonic()
            begin, last = (now if now - last > 0.3 else begin), now
            expect(last - begin < 1.5, f"updates without a pause for {last - begin:.1f} s")


@case("heartbeats are counted and come in time")
async def heartbeats(connect, _):
    async with connect() as client:
        await client.log_in()
        await client.subscribe("SC.*", snapshot=False)
        patience = 3 * client.greeting["hb_ms"] / 1000 + 1
        for _ in range(2):
            try:
                await client.until(lambda event: event["ev"] == "hb", patience)
            except Untried as untried:
                raise Failed(f"no heartbeat: {untried}") from None


@case("what is not understood: 400, 404, 405, and the connection lives on")
async def refusals(connect, _):
    async with connect() as client:
        await client.log_in()
        subscribe = {"action": "subscribe", "params": "SC.*"}
        for code, request in [
            (400, {}), (400, {"action": 1}), (400, {"action": "subscribe"}), (400, {**subscribe, "params": "SC."}),
            (404, {**subscribe, "params": "XX.*"}), (405, {"action": "dance"}), (400, {**subscribe, "mode": "fast"}),
            (400, {**subscribe, "flush_ms": 60_001}), (400, {**subscribe, "snapshot": 1}),
            (400, {**subscribe, "filter": {"no_such": 1}}), (400, {**subscribe, "filter": {"min_merit": 101}}),
            (400, {**subscribe, "params": "AM.*", "filter": {"top": 1}}), (400, {**subscribe, "resume": {"seq": 1}}),
        ]:
            await client.socket.send(client.encode({**request, "id": "bad"}))
            answer = await client.answer("bad")
            expect((answer["ev"], answer.get("code")) == ("error", code), f"{request}: {answer}, not {code}")
        other = b"\xc1" if client.is_json else "{}"
        for raw in ("{" if client.is_json else b"\xc1", client.encode([]), other):
            await client.socket.send(raw)
            error, _ = await client.until(lambda event: event["ev"] == "error")
            expect(error["code"] == 400, f"{raw!r}: {error}")
        await client.lives()


@case("more names than allowed: 429, and the connection lives on")
async def too_many_names(connect, _):
    async with connect() as client:
        await client.log_in()
        names = ",".join(f"AM.Z{number}" for number in range(NAMES_TOO_MANY))
        answer = await client.ask({"action": "subscribe", "params": names, "snapshot": False})
        if answer.get("status") == "success":
            raise Untried(f"{NAMES_TOO_MANY} names are allowed here")
        expect(answer.get("code") == 429, f"{answer}")
        await client.lives()


@case("a message that is too large: 413, close 1009", ALONE)
async def oversized(connect, _):
    async with connect() as client:
        await client.log_in()
        payload = "x" * OVERSIZED_BYTES
        try:
            await client.socket.send(payload if client.is_json else payload.encode())
        except websockets.ConnectionClosed:
            pass
        await client.ends(413, 1009)


@case("text that is no UTF-8: 400, close 1007; a broken frame: close 1002")
async def broken(connect, _):
    async with connect() as client:
        await client.socket.send(b"\xff\xfe", text=True)
        await client.ends(400, 1007)
    async with connect() as client:
        # A frame of an operation that there is not, masked as it should be.
        client.socket.transport.write(bytes([0x83, 0x80, 0, 0, 0, 0]))
        await client.ends(None, 1002)


@case("a client that answers no ping: close 4408")
async def silent(connect, server):
    async with connect() as probe:
        heartbeat, needs_key = probe.greeting["hb_ms"] / 1000, probe.greeting["auth"] == "required"
    parts = urllib.parse.urlsplit(server.url)
    if parts.scheme != "ws":
        raise Untried("only without TLS")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
        lines += [f"Authorization: Bearer {server.key}"] if needs_key else []
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(8 * heartbeat + ANSWER_SECONDS):
            while True:
                head, length = await reader.readexactly(2)
                if length >= 126:
                    length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
                payload = await reader.readexactly(length)
                if head & 0x0F == 8:
                    code = int.from_bytes(payload[:2], "big")
                    return expect(code == 4408, f"closed with {code} instead of 4408")
    except (TimeoutError, asyncio.IncompleteReadError) as error:
        raise Failed(f"not closed with 4408: {error!r}") from None
    finally:
        writer.close()


@case("too many messages: 429, close 4429", ALONE)
async def flood(connect, _):
    async with connect() as client:
        await client.log_in()
        ping_frame = client.encode({"action": "ping"})
        try:
            for _ in range(MESSAGES_TOO_MANY):
                await client.socket.send(ping_frame)
        except websockets.ConnectionClosed:
            pass
        await client.ends(429, 4429)


async def attempt(title: str, function, server: Server, subprotocol: str) -> bool | None:
    """Whether it went well; `None`: untried. Says so."""
    name = f"{subprotocol.rpartition('.')[2]:8} {title}"
    try:
        await function(lambda: Client(server, subprotocol), server)
    except Untried as untried:
        print(f"untried  {name}: {untried}", flush=True)
        return None
    except (Failed, Closed, OSError, TimeoutError, websockets.WebSocketException) as error:
        print(f"FAILED   {name}: {error!r}\n         {str(getattr(error, 'frame', ''))[:2000]}", flush=True)
        return False
    print(f"ok       {name}", flush=True)
    return True


async def run(server: Server, is_strict: bool) -> int:
    try:
        async with Client(server, FORMATS[0]) as client:
            if client.greeting["auth"] == "required" and server.key is None:
                sys.exit("the server asks for a key or a token: --key, or TECHNIC_KEY")
    except (OSError, websockets.WebSocketException) as error:
        sys.exit(f"{server.url}: {error}")
    all_of = lambda cases: [(*one, server, subprotocol) for subprotocol in FORMATS for one in cases]
    results = await asyncio.gather(*(attempt(*one) for one in all_of(SIDE_BY_SIDE)))
    for one in all_of(ALONE):
        results.append(await attempt(*one))
    n_failed, n_untried = results.count(False), results.count(None)
    print(f"{results.count(True)} ok, {n_failed} failed, {n_untried} untried")
    return 1 if n_failed or (is_strict and n_untried) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--key", default=os.environ.get("TECHNIC_KEY"), help="API key or token; else $TECHNIC_KEY")
    parser.add_argument("--patience", type=float, default=15, help="seconds that are waited for the market to move")
    parser.add_argument("--strict", action="store_true", help="a case that could not be tried is a failure")
    parser.add_argument("--document", type=Path, default=Path(__file__).parent.parent / "asyncapi.yaml")
    options = parser.parse_args()
    document = Document(options.document)
    sys.exit(asyncio.run(run(Server(options.url, options.key, options.patience, document), options.strict)))
