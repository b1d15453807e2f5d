"""`up`, `web`, `worker`, `listener`: the commands that stay until they are told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import rich_click as click

from fleetprompt.cli import output
from fleetprompt.cli.running import read_settings

if TYPE_CHECKING:
    from fleetprompt.composition import House

Service = Callable[["House", asyncio.Event], Awaitable[None]]

AT_ONCE: Final = 130
STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
def up() -> None:
    """Serve for real: web, worker and listener in one process.

    Ctrl-C stops within five seconds and hands unfinished work back; a second Ctrl-C stops at once.
    """
    _stay("up", _everything)


@click.command()
def web() -> None:
    """The web process alone: /healthz, /readyz, /metrics."""
    _stay("web", _web)


@click.command()
def worker() -> None:
    """A worker alone. Run as many as you like; they share the work."""
    _stay("worker", _worker)


@click.command()
def listener() -> None:
    """A listener alone: it holds the connections of the installations. A second one waits to take over."""
    _stay("listener", _listener)


def _stay(role: str, service: Service) -> None:
    from fleetprompt.composition import open_house

    async def run() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        async with open_house(read_settings(), role=role) as house:
            if not stop.is_set():
                await service(house, stop)

    try:
        asyncio.run(run())
    finally:
        gc.freeze()  # else the interpreter spends a second of its end on looking through all that was imported


def stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal asks to stop, the second ends the process: what it held is taken over by leases."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(AT_ONCE)
        stop.set()
        output.warn("Stopping ... (once more to stop at once)")

    for number in STOPS:
        loop.add_signal_handler(number, asked)


async def _everything(house: House, stop: asyncio.Event) -> None:
    from fleetprompt import listener as listener_root
    from fleetprompt import worker as worker_root
    from fleetprompt.cli.welcome import welcome

    async def serve_web(house: House, stop: asyncio.Event) -> None:
        from fleetprompt.asgi import serve

        listening: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        greeting = asyncio.ensure_future(welcome(house, listening))
        try:
            await serve(house, stop, lambda host, port: listening.set_result((host, port)))
        finally:
            greeting.cancel()
            await asyncio.wait([greeting])

    await together(house, stop, serve_web, worker_root.serve, listener_root.serve)


async def together(house: House, stop: asyncio.Event, *services: Service) -> None:
    """Run services until `stop`; when one ends, for whatever reason, all do. Raises the first one's error."""

    async def run(service: Service) -> None:
        try:
            await service(house, stop)
        finally:
            stop.set()

    outcomes = await asyncio.gather(*(run(service) for service in services), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def _web(house: House, stop: asyncio.Event) -> None:
    from fleetprompt.asgi import serve

    await serve(
        house, stop, lambda host, port: output.say(f"The web process listens on http://{host}:{port}")
    )


async def _worker(house: House, stop: asyncio.Event) -> None:
    from fleetprompt.worker import serve

    output.say(f"The worker runs, {house.settings.worker_slots} jobs at a time.")
    await together(house, stop, serve, _beside)


async def _listener(house: House, stop: asyncio.Event) -> None:
    from fleetprompt.listener import serve

    output.say("The listener runs.")
    await together(house, stop, serve, _beside)


async def _beside(house: House, stop: asyncio.Event) -> None:
    """Health and metrics of a process that serves nothing else."""
    if house.settings.metrics_port is None:
        await stop.wait()
        return
    from fleetprompt.asgi import serve_beside

    await serve_beside(
        house, stop, lambda host, port: output.say(f"Health and metrics are on http://{host}:{port}")
    )
