"""Browsers for tests: the pages served for real on loopback, looked at as people do, forms and all."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from fleetprompt.composition import House as Composed
from fleetprompt.surfaces.api import api_routes
from fleetprompt.surfaces.pages import Front
from fleetprompt.surfaces.pages.routes import page_routes
from fleetprompt.surfaces.web import create_app, serve
from tests.house import House
from tests.leaks import search_text
from tests.people import PASSWORD, quick_passwords
from tests.serving import service_settings

FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass(slots=True)
class Browser:
    """Keeps its cookies, and sends what stands in the forms of the page it looks at."""

    http: httpx2.AsyncClient
    page: httpx2.Response = field(init=False)

    async def see(self, path: str, **options: Any) -> httpx2.Response:
        """Look at a page, wherever it leads."""
        self.page = await self.http.get(path, follow_redirects=True, **options)
        search_text(self.page.text, path)
        return self.page

    async def send(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
        """Send a form of the page, with what it hides, and follow."""
        hidden = {name: html.unescape(value) for name, value in FIELD.findall(self.page.text)}
        self.page = await self.http.post(
            path, data={**hidden, **fields}, headers=headers or {}, follow_redirects=True
        )
        search_text(self.page.text, path)
        return self.page

    async def logs_in(self, email: str, password: str = PASSWORD, path: str = "/") -> httpx2.Response:
        """From whichever page to itself, by the page of the login."""
        await self.see(path)
        return await self.send("/login", email=email, password=password)


@dataclass(frozen=True, slots=True)
class Pages:
    """The served pages of a house."""

    url: str
    front: Front

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """A new one, without cookies."""
        async with httpx2.AsyncClient(base_url=self.url) as http:
            yield Browser(http)


@contextlib.asynccontextmanager
async def pages(house: House, **settings: Any) -> AsyncIterator[Pages]:
    """The pages on a free port of loopback. settings: as `public_url`."""
    composed = Composed(service_settings(house.url, None, **settings), house.database, house.tenancy, None)
    front = Front(composed.services.packages, quick_passwords(), composed.settings.public_address)
    app = create_app(_ready, [page_routes(front), api_routes(front)])
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    running = asyncio.ensure_future(serve(app, "127.0.0.1", 0, stop, lambda _, port: ports.put_nowait(port)))
    try:
        yield Pages(f"http://127.0.0.1:{await ports.get()}", front)
    finally:
        stop.set()
        await running
        await composed.services.close()


async def _ready() -> str | None:
    return None
