"""`MailboxControl`: the methods of `SandboxMailbox` from another process."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

from fleetprompt.sandbox.mailbox.records import PASSWORD, Submission


class MailboxControl:
    """Drives a sandbox over its control API. Raises httpx2.HTTPStatusError for what the sandbox refuses.

    Close it, or use it with `async with`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx2.AsyncClient(base_url=self.url + "/sandbox/", timeout=10, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ready(self) -> dict[str, Any]:
        """imap_port, smtp_port, certificate_pem."""
        return dict(await self._get("ready"))

    async def create_account(
        self, address: str, password: str = PASSWORD, aliases: Sequence[str] = ()
    ) -> None:
        """An account."""
        await self._do("accounts", address=address, password=password, aliases=list(aliases))

    async def deliver(
        self, address: str, raw: bytes, folders: Sequence[str] = ("INBOX",), **options: Any
    ) -> str:
        """A mail comes in. Returns its id. options: as of `SandboxMailbox.deliver`."""
        encoded = base64.b64encode(raw).decode()
        answer = await self._do("deliveries", address=address, raw=encoded, folders=list(folders), **options)
        return str(answer["id"])

    async def mails(self, address: str, folder: str = "INBOX") -> list[bytes]:
        """What stands in a folder."""
        return [
            base64.b64decode(one["raw"]) for one in await self._get("mails", address=address, folder=folder)
        ]

    async def submissions(self, after: int = 0) -> list[Submission]:
        """Every mail that SMTP took whose `arrival` is greater than `after`."""
        return [_submission(one) for one in await self._get("submissions", after=str(after))]

    async def arm(self, fault: str, count: int = 1) -> None:
        """Let something go wrong."""
        await self._do("faults", fault=fault, count=count)

    async def cut_connections(self) -> None:
        """Reset all mail connections now."""
        await self._do("cuts")

    async def rebuild(self, address: str) -> None:
        """UIDVALIDITY rises in every folder."""
        await self._do("rebuilds", address=address)

    async def skip(self, seconds: float) -> None:
        """Move the sandbox's clock."""
        await self._do("skips", seconds=seconds)

    async def _do(self, action: str, **arguments: Any) -> Any:
        response = await self._client.post(action, json=arguments)
        response.raise_for_status()
        return response.json()

    async def _get(self, what: str, **query: str) -> Any:
        response = await self._client.get(what, params=query)
        response.raise_for_status()
        return response.json()


def _submission(one: dict[str, Any]) -> Submission:
    sent = None if one["sent"] is None else base64.b64decode(one["sent"])
    raw = base64.b64decode(one["raw"])
    return Submission(**{**one, "recipients": tuple(one["recipients"]), "raw": raw, "sent": sent})
