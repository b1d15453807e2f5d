"""Websocket sessions: sequence numbers, resume buffers, slow readers, pings."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fleetprompt.sandbox.mattermost.frames import SERVER_VERSION, Audience, Event
from fleetprompt.sandbox.mattermost.ids import new_id
from fleetprompt.sandbox.mattermost.records import SandboxUser
from fleetprompt.sandbox.mattermost.world import World
from fleetprompt.sandbox.messages import encode_json
from fleetprompt.sandbox.websocket import Socket


@dataclass(frozen=True, slots=True)
class HubLimits:
    """sent_frames: kept for resume after they were written (the server's "dead queue"). waiting_frames: the send queue,
    whose overflow cuts a slow reader off or ends a resume window."""

    sent_frames: int = 128
    waiting_frames: int = 256
    resume_window_s: float = 300.0
    ping_interval_s: float = 60.0
    pong_timeout_s: float = 100.0
    auth_timeout_s: float = 5.0


class Session:
    """One websocket, or its remains while it may be resumed. Until `user` is known it only waits for a challenge."""

    def __init__(self, hub: Hub, user: SandboxUser | None) -> None:
        self.hub = hub
        self.user = user
        self.connection_id = new_id()
        self.next_seq = 0
        self.sent: deque[tuple[int, bytes]] = deque(maxlen=hub.limits.sent_frames)
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.socket: Socket | None = None
        self.resumed_at: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ponged_at = 0.0

    def opened(self, socket: Socket) -> None:
        """The handshake is done: greet, or replay what a resumed session missed."""
        self.socket = socket
        if self.user is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.hub.limits.auth_timeout_s, socket.abort)
            return
        self.keep_alive()
        if self.resumed_at is not None:
            self._replay(self.resumed_at)
        else:
            self.hub.greet(self)
        self.hub.set_online(self.user)

    def received(self, text: str) -> None:
        """A client's action; see `hub.Hub.act`."""
        self.hub.act(self, text)

    def ponged(self) -> None:
        """The peer is alive."""
        self._ponged_at = asyncio.get_running_loop().time()

    def writable(self) -> None:
        """Write what waited for a slow reader or a frozen server."""
        while self.waiting and self.socket and not self.socket.congested and not self.socket.silent:
            seq, frame = self.waiting.popleft()
            self._write(seq, frame)

    def closed(self) -> None:
        """The connection is gone; the session waits to be resumed."""
        self.socket = None
        self._cancel_timer()
        self.hub.disconnected(self)

    def push(self, event: Event) -> None:
        """Queue one event with this session's next number."""
        seq = self.next_seq
        self.next_seq += 1
        frame = event.frame(seq)
        if self.waiting or self.socket is None or self.socket.congested or self.socket.silent:
            self._wait(seq, frame)
        else:
            self._write(seq, frame)

    def reply(self, value: dict[str, object]) -> None:
        """Answer a client's action."""
        if self.socket:
            self.socket.send(encode_json(value))

    def cut(self) -> None:
        """Close without a status (the peer sees 1005) and forget everything."""
        self.hub.forget(self)
        if self.socket:
            self.socket.close()

    def abort(self) -> None:
        """Cut the connection without a frame."""
        if self.socket:
            self.socket.abort()

    def _wait(self, seq: int, frame: bytes) -> None:
        self.waiting.append((seq, frame))
        if len(self.waiting) > self.hub.limits.waiting_frames:
            self.cut()

    def _write(self, seq: int, frame: bytes) -> None:
        self.sent.append((seq, frame))
        if self.socket:
            self.socket.send(frame)

    def holds(self, seq: int) -> bool:
        """Everything from `seq` on is still here."""
        if seq == self.next_seq:
            return True
        first = next(iter(self.sent or self.waiting), None)
        return first is not None and first[0] <= seq < self.next_seq

    def _replay(self, seq: int) -> None:
        missed = [item for item in (*self.sent, *self.waiting) if item[0] >= seq]
        self.sent.clear()
        self.waiting = deque(missed)
        self.resumed_at = None
        self.writable()

    def keep_alive(self) -> None:
        """Ping from now on, and no longer wait for a challenge."""
        self._cancel_timer()
        loop = asyncio.get_running_loop()
        self._ponged_at = loop.time()
        self._timer = loop.call_later(self.hub.limits.ping_interval_s, self._ping)

    def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        if self.socket and loop.time() - self._ponged_at > self.hub.limits.pong_timeout_s:
            self.socket.abort()
        elif self.socket:
            if not self.socket.silent:
                self.socket.ping()
            self._timer = loop.call_later(self.hub.limits.ping_interval_s, self._ping)

    def expire_after(self, seconds: float) -> None:
        """Forget this session unless it is resumed before."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.hub.forget, self)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def stop_waiting(self) -> None:
        """It is resumed or forgotten: no timer."""
        self._cancel_timer()


class Hub:
    """All sessions, by user. None of this survives a restart."""

    def __init__(self, world: World, limits: HubLimits | None = None) -> None:
        self.world = world
        self.limits = limits or HubLimits()
        self.sessions: dict[str, dict[str, Session]] = {}
        self.statuses: dict[str, str] = {}
        self.on_typing: Callable[[SandboxUser, str, str], None] | None = None

    def resume(self, user: SandboxUser, connection_id: str, sequence: str) -> Session | None:
        """Find the session to go on with. None: a fresh one is needed. Raises ValueError when the client must be closed."""
        session = self.sessions.get(user.id, {}).get(connection_id)
        if session is None or session.socket is not None:
            return None
        if not sequence.isdigit():
            raise ValueError("A known connection id needs a sequence number.")
        if not session.holds(int(sequence)):
            self.forget(session)
            return None
        session.stop_waiting()
        session.resumed_at = int(sequence)
        return session

    def greet(self, session: Session) -> None:
        """Register an authenticated session: `hello` with number 0, then the own status."""
        user = session.user
        if user is None:
            return
        self.sessions.setdefault(user.id, {})[session.connection_id] = session
        data = {"connection_id": session.connection_id, "server_version": SERVER_VERSION}
        session.push(Event("hello", data, Audience(user_id=user.id)))

    def act(self, session: Session, text: str) -> None:
        """A client's JSON action: `authentication_challenge`, `user_typing`, `ping`."""
        try:
            request = json.loads(text)
            action, seq = request["action"], request["seq"]
        except (ValueError, KeyError, TypeError):
            return
        data = request.get("data") or {}
        if action == "authentication_challenge":
            self._challenge(session, seq, str(data.get("token")))
        elif action == "user_typing" and session.user and self.on_typing:
            self.on_typing(session.user, str(data.get("channel_id", "")), str(data.get("parent_id", "")))
            session.reply({"status": "OK", "seq_reply": seq})
        elif action == "ping":
            pong = {"text": "pong", "version": "5.37.0", "server_time": self.world.now_ms(), "node_id": ""}
            session.reply({"status": "OK", "data": pong, "seq_reply": seq})
        else:
            error = {
                "id": "api.web_socket_router.bad_action.app_error",
                "message": "Unknown WebSocket action.",
            }
            session.reply({"status": "FAIL", "error": error, "seq_reply": seq})

    def _challenge(self, session: Session, seq: int, token: str) -> None:
        user = self.world.users_by_token.get(token)
        if session.user is not None:
            return
        if user is None or user.revoked:
            session.abort()
            return
        session.user = user
        session.keep_alive()
        self.greet(session)
        session.reply({"status": "OK", "seq_reply": seq})
        self.set_online(user)

    def set_online(self, user: SandboxUser) -> None:
        """Tell the user's own sessions when the status changed."""
        if self.statuses.get(user.id) != "online":
            self.statuses[user.id] = "online"
            data = {"status": "online", "user_id": user.id}
            self.publish(Event("status_change", data, Audience(user_id=user.id)))

    def publish(self, event: Event) -> None:
        """Push an event to the sessions of its audience."""
        for user_id in self._recipients(event.audience):
            if user_id not in event.audience.omit_users:
                for session in list(self.sessions.get(user_id, {}).values()):
                    session.push(event)

    def _recipients(self, audience: Audience) -> list[str]:
        if audience.user_id:
            return [audience.user_id]
        if audience.channel_id:
            members = self.world.channels[audience.channel_id].members
        elif audience.team_id:
            members = dict.fromkeys(self.world.teams[audience.team_id].members, 0)
        else:
            return list(self.sessions)
        if len(self.sessions) < len(members):
            return [user_id for user_id in self.sessions if user_id in members]
        return [user_id for user_id in members if user_id in self.sessions]

    def disconnected(self, session: Session) -> None:
        """Keep an ended session for its resume window."""
        user = session.user
        if user and session.connection_id in self.sessions.get(user.id, {}):
            session.expire_after(self.limits.resume_window_s)
            if not any(other.socket for other in self.sessions[user.id].values()):
                self.statuses[user.id] = "offline"

    def forget(self, session: Session) -> None:
        """End a session for good."""
        session.stop_waiting()
        if session.user:
            own = self.sessions.get(session.user.id, {})
            own.pop(session.connection_id, None)
            if not own:
                self.sessions.pop(session.user.id, None)

    def clear(self) -> None:
        """Forget all, as a restart does; sockets are the server's to cut."""
        for sessions in list(self.sessions.values()):
            for session in list(sessions.values()):
                self.forget(session)
        self.statuses.clear()
