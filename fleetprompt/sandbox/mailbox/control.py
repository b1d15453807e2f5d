"""The control API under `/sandbox/*`: the methods of `SandboxMailbox` for another process, as JSON; mails in base64."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fleetprompt.sandbox.mailbox.records import Submission
from fleetprompt.sandbox.messages import Answer, Request, Response, json_response
from fleetprompt.sandbox.websocket import SocketListener

if TYPE_CHECKING:
    from fleetprompt.sandbox.mailbox.server import SandboxMailbox

# "POST name" -> the method of SandboxMailbox that takes the JSON object as its arguments
ACTIONS: Final = {
    "faults": "arm",
    "poisons": "poison",
    "fault-removals": "clear_faults",
    "cuts": "cut_connections",
    "rebuilds": "rebuild",
    "skips": "skip",
    "delays": "slow_down",
}


class Control:
    """Answers `/sandbox/*`. No token: it listens on loopback only, as all of the sandbox does."""

    def __init__(self, server: SandboxMailbox) -> None:
        self._server = server

    def accept(self, request: Request) -> SocketListener | Response:
        """There are no websockets here."""
        return Response(404)

    def answer(self, request: Request) -> Answer:
        """Carry out one control request; 400 when the arguments do not fit."""
        name = request.path.removeprefix("/sandbox/")
        try:
            if request.method == "GET":
                return json_response(200, self._read(name, request))
            return json_response(200, self._carry_out(name, request.json() if request.body else {}))
        except (TypeError, ValueError) as error:
            return json_response(400, {"id": "sandbox.control", "message": str(error)})

    def _read(self, name: str, request: Request) -> Any:
        if name == "ready":
            return {
                "imap_port": self._server.imap.port,
                "smtp_port": self._server.smtp.port,
                "certificate_pem": self._server.certificate_pem,
            }
        if name == "submissions":
            after = int(request.query.get("after", "0"))
            return [submission_json(one) for one in self._server.submissions[after:]]
        if name == "mails":
            mails = self._server.mails(request.query["address"], request.query.get("folder", "INBOX"))
            return [{"id": one.id, "raw": _encoded(one.raw)} for one in mails]
        raise ValueError(f"unknown {name}")

    def _carry_out(self, name: str, arguments: dict[str, Any]) -> Any:
        if name == "accounts":
            return {"address": self._server.create_account(**arguments).address}
        if name == "deliveries":
            return {"id": self._server.deliver(**{**arguments, "raw": base64.b64decode(arguments["raw"])}).id}
        if name not in ACTIONS:
            raise ValueError(f"unknown {name}")
        method: Callable[..., None] = getattr(self._server, ACTIONS[name])
        method(**arguments)
        return {}


def submission_json(one: Submission) -> dict[str, Any]:
    """A submission as a JSON object."""
    return {
        "arrival": one.arrival,
        "account": one.account,
        "sender": one.sender,
        "recipients": list(one.recipients),
        "message_id": one.message_id,
        "raw": _encoded(one.raw),
        "sent": None if one.sent is None else _encoded(one.sent),
    }


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
