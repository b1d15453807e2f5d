"""Plays the recorded traffic of a real Mattermost 5.37 against the sandbox, and compares modulo ids and times."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from fleetprompt.sandbox.loopback import LoopbackServer
from fleetprompt.sandbox.mattermost import SandboxMattermost
from fleetprompt.sandbox.messages import Answer, Request, Response, json_response

FIXTURES: Final = Path(__file__).parent / "fixtures" / "mattermost"
ID: Final = re.compile(r"[ybndrfg8ejkmcpqxot1uwisza345h769]{26}")
DIGEST: Final = re.compile(r"[0-9a-f]{40}")
NESTED: Final = ("post", "mentions", "reaction", "thread", "teammate_ids")
FIRST_TIMESTAMP: Final = 1_600_000_000_000
INTEGRATION: Final = "http://127.0.0.1:18099"
"""Where the recorded integration listened."""
SITE: Final = "http://127.0.0.1:18065"
# What the recorded integration answered; the outgoing webhook's answer became a reply.
ANSWERED: Final = {
    "/action": {"update": {"message": "approved by you", "props": {}}},
    "/slash": {"response_type": "ephemeral", "text": "ok from slash"},
    "/outgoing": {"text": "outgoing reply", "response_type": "comment"},
}
# Who sent a request whose answer does not name its author.
SENDERS: Final = {2: "fleet", 3: "fleet", 5: "dana", 11: "fleet", 12: "fleet", 20: "admin", 35: "fleet"} | {
    **dict.fromkeys(range(36, 41), "fleet"),
    41: "admin",
    43: "fleet",
    46: "admin",
    48: "admin",
    50: "admin",
    51: "fleet",
    52: "nobody",
    53: "fleet",
    55: "fleet",
}
UPLOAD: Final = {"files": ("report.csv", b"order,status\n1234,shipped\n", "text/csv")}


def recorded_pairs() -> list[dict[str, Any]]:
    """The 57 pairs of request and answer."""
    pairs: list[dict[str, Any]] = json.loads((FIXTURES / "rest.json").read_text())
    return pairs


def recorded_frames() -> list[dict[str, Any]]:
    """The 37 frames as the bot saw them, JSON in strings opened."""
    return [opened(frame) for frame in json.loads((FIXTURES / "websocket.json").read_text())]


def recorded_callbacks() -> list[dict[str, Any]]:
    """What the server sent to a button's, a slash command's and an outgoing webhook's address."""
    callbacks: list[dict[str, Any]] = json.loads((FIXTURES / "callbacks.json").read_text())
    return callbacks


def opened(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame with the JSON strings in its data as values; a note is left that they were strings."""
    data = frame.get("data")
    if not isinstance(data, dict):
        return frame
    nested = {name: {"json": json.loads(data[name])} for name in NESTED if isinstance(data.get(name), str)}
    return frame | {"data": data | nested}


def fields(body: str) -> dict[str, Any]:
    """A callback's body, JSON or form, in its order; of an address under the site's the id apart."""
    found: dict[str, Any] = json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
    if "response_url" in found:
        found["response_url"] = found["response_url"].rsplit("/", 1)
    return found


def trigger_parts(trigger_id: str | None) -> list[str]:
    """The ids in it: its own, which the client learns too, and the user's."""
    return base64.b64decode(trigger_id).decode().split(":")[:2] if trigger_id else []


class Integration:
    """The recorded integration: takes callbacks and answers as it did."""

    def __init__(self) -> None:
        self.http = LoopbackServer(self)
        self.called: list[Request] = []

    def answer(self, request: Request) -> Answer:
        """Note the request; answer it."""
        self.called.append(request)
        return json_response(200, ANSWERED[request.path])

    def accept(self, request: Request) -> Response:
        """It has no websocket."""
        return Response(404)


class Names:
    """Which id of ours stands for which recorded id, and which time for which; learnt from the answers as they come."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.times: dict[int, int] = {}
        self.addresses: dict[str, str] = {}

    def learn(self, recorded: Any, ours: Any) -> None:
        """Bind ids and times that stand at the same place."""
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for key in sorted(recorded, key=lambda key: key == "posts"):  # `order` first: it names the keys
                self.learn(recorded[key], ours.get(self.ids.get(key, key)))
        elif isinstance(recorded, list) and isinstance(ours, list):
            for one, other in zip(recorded, ours, strict=False):
                self.learn(one, other)
        elif isinstance(recorded, str) and isinstance(ours, str) and ID.fullmatch(recorded):
            self.ids.setdefault(recorded, ours)
        elif is_time(recorded) and is_time(ours):
            self.times.setdefault(recorded, ours)

    def with_our_ids(self, value: Any) -> Any:
        """A recorded value with our ids."""
        if isinstance(value, dict):
            return {self.with_our_ids(key): self.with_our_ids(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.with_our_ids(item) for item in value]
        if isinstance(value, str):
            for recorded, ours in self.addresses.items():
                value = value.replace(recorded, ours)
            return ID.sub(lambda match: self.ids.get(match.group(), match.group()), value)
        return value

    def query(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """A recorded query string with our ids and times."""
        values = self.with_our_ids(recorded or {})
        return {name: self.times.get(value, value) for name, value in values.items()}


def is_time(value: Any) -> bool:
    """It is unix milliseconds."""
    return isinstance(value, int) and not isinstance(value, bool) and value > FIRST_TIMESTAMP


def comparable(value: Any) -> Any:
    """A value without its times, and with derived names (two ids joined, a digest of ids) that do not depend on the ids."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if is_time(value):
        return "time"
    if isinstance(value, str) and DIGEST.fullmatch(value):
        return "digest"
    if isinstance(value, str) and "__" in value and len(value) == 54:
        return "__".join(sorted(value.split("__")))
    return value


def equal_times(value: Any, path: str = "") -> set[tuple[str, str, str]]:
    """Which times of one record are the same, as (path of the record, field, field)."""
    if isinstance(value, list):
        return {pair for place, item in enumerate(value) for pair in equal_times(item, f"{path}/{place}")}
    if not isinstance(value, dict):
        return set()
    times = sorted(key for key, item in value.items() if is_time(item))
    same = {
        (path, one, other) for one in times for other in times if one < other and value[one] == value[other]
    }
    return same.union(*(equal_times(item, f"{path}/{key}") for key, item in value.items()))


@dataclass
class Replay:
    """What the sandbox answered to the recorded requests, and the frames that the bot saw meanwhile."""

    names: Names = field(default_factory=Names)
    answers: dict[int, httpx2.Response] = field(default_factory=dict)
    frames: list[dict[str, Any]] = field(default_factory=list)
    called: dict[str, Request] = field(default_factory=dict)


class Player:
    """One run over all pairs, with the bot's websocket open."""

    def __init__(self, server: SandboxMattermost, integration: Integration) -> None:
        self.server = server
        self.integration = integration
        self.replay = Replay()
        self.replay.names.addresses = {INTEGRATION: integration.http.url, SITE: server.url}
        self.admin = server.create_user("admin", is_admin=True)
        self.fleet = server.create_user("fleet", is_bot=True, owner=self.admin)
        self.dana = server.create_user("dana")
        team = server.create_team("acme")
        for user in (self.admin, self.fleet, self.dana):
            server.add_to_team(user, team)
        self.tokens = {user.username: user.token for user in (self.admin, self.fleet, self.dana)}
        self.client = httpx2.AsyncClient(base_url=server.url, trust_env=False)

    async def play(self) -> Replay:
        """Send every request; frames are collected alongside."""
        async with self.client, await self._connected() as socket:
            for index, pair in enumerate(recorded_pairs()):
                await self._send(index, pair)
                if index == 49:
                    await self._wait_for_reply()
                if index == 50:
                    await self._call_hook()
            await self._collect(socket)
        self.replay.called = {request.path: request for request in self.integration.called}
        return self.replay

    async def _wait_for_reply(self) -> None:
        """Nobody waits for an outgoing webhook; in the recording its reply came before the next request."""
        async with asyncio.timeout(5):
            while not any(post.message == "outgoing reply" for post in self.server.posts()):
                await asyncio.sleep(0.005)

    async def _connected(self) -> ClientConnection:
        """The recorder authenticated by a challenge; the bot was connected before the scene began."""
        url = self.server.url.replace("http", "ws") + "/api/v4/websocket"
        socket = await connect(url, proxy=None, max_size=None, compression=None)
        challenge = {"seq": 1, "action": "authentication_challenge", "data": {"token": self.fleet.token}}
        await socket.send(json.dumps(challenge))
        return socket

    async def _send(self, index: int, pair: dict[str, Any]) -> None:
        await asyncio.sleep(0.003)  # as far apart as in the recording: no two requests in one millisecond
        request = pair["request"]
        token = self.tokens.get(self._sender(index, pair), "nobody's")
        answer = await self.client.request(
            request["method"],
            self.replay.names.with_our_ids(request["path"]),
            params=self.replay.names.query(request["params"]),
            headers={} if "login" in request["path"] else {"authorization": f"Bearer {token}"},
            **self._body(index, request),
        )
        self.client.cookies.clear()  # a login's cookie would beat the header
        self.replay.answers[index] = answer
        self.replay.names.learn(pair["json"], answer.json())

    def _body(self, index: int, request: dict[str, Any]) -> dict[str, Any]:
        if request["path"].endswith("/files"):
            return {"files": UPLOAD, "data": {"channel_id": self.server.channel("support-1795262165").id}}
        body = self.replay.names.with_our_ids(request["json"])
        return {} if body is None else {"json": body}

    def _sender(self, index: int, pair: dict[str, Any]) -> str:
        if index in SENDERS:
            return SENDERS[index]
        author = pair["json"].get("user_id") if isinstance(pair["json"], dict) else None
        return "fleet" if author == recorded_pairs()[2]["json"]["id"] and index != 5 else "dana"

    async def _call_hook(self) -> None:
        """Frame 35: the call itself was not recorded."""
        hook_id = self.replay.answers[50].json()["id"]
        await self.client.post(f"/hooks/{hook_id}", json={"text": "@fleet from incoming webhook"})

    async def _collect(self, socket: ClientConnection) -> None:
        for recorded in recorded_frames():
            async with asyncio.timeout(5):
                frame = opened(json.loads(await socket.recv()))
            self.replay.names.learn(recorded, frame)
            self.replay.frames.append(frame)


async def play() -> Replay:
    """Replay the whole recording on a fresh sandbox."""
    integration = Integration()
    await integration.http.start()
    try:
        async with SandboxMattermost() as server:
            return await Player(server, integration).play()
    finally:
        await integration.http.stop()
