"""The demo from its first line to its last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from fleetprompt.database.embedded import EmbeddedPostgres
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.sandbox.demo import closing, scene, setting
from fleetprompt.sandbox.demo.letters import Letters
from fleetprompt.sandbox.demo.place import HOME, Place, held_place
from fleetprompt.sandbox.demo.scene import Scene
from fleetprompt.sandbox.demo.screen import Screen
from fleetprompt.sandbox.demo.service import Service, kill_children, own_environment
from fleetprompt.sandbox.demo.tail import Tail
from fleetprompt.sandbox.demo.town import Town, until
from fleetprompt.sandbox.demo.transcript import Threads

USAGE: Final = """\
Usage: fleetprompt demo

Plays the main scene on loopback: a sandbox Mattermost, FleetPrompt as it really runs, a kill -9 in the middle.
No account, no key; what it needs lies in .demo in the current directory, which may be deleted any time.
On a terminal it stays open afterwards, and you write in #support; otherwise it exits: 0 = everything held.
"""
INTERRUPTED: Final = 130
STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] = ()) -> int:
    """Play the demo. Returns the exit code: 0 = everything held, 1 = not, 2 = wrong usage, 130 = interrupted."""
    if arguments:
        asked = list(arguments) in (["-h"], ["--help"])
        (sys.stdout if asked else sys.stderr).write(USAGE)
        return 0 if asked else 2
    screen = Screen(sys.stdout)
    try:
        return asyncio.run(_until_stopped(screen))
    except FleetPromptError as error:
        screen.write()
        screen.write(f"The demo failed. {error.what}")
        if error.advice:
            screen.write(error.advice)
        return 1


async def _until_stopped(screen: Screen) -> int:
    """Play; a signal ends it in order, a second one at once."""
    loop, playing = asyncio.get_running_loop(), asyncio.ensure_future(_play(screen))

    def asked() -> None:
        if playing.cancelling():
            kill_children()
            os._exit(INTERRUPTED)
        playing.cancel()

    for number in STOPS:
        loop.add_signal_handler(number, asked)
    try:
        return await playing
    except asyncio.CancelledError:
        screen.write("\nStopped; nothing is left running.")
        return INTERRUPTED


async def _play(screen: Screen) -> int:
    screen.heading("FleetPrompt demo. Everything runs on this machine; nothing leaves it.")
    with held_place(Path.cwd() / HOME) as place:
        async with _stage(screen, place) as stage:
            thread = await scene.ask_and_change(stage)
            await scene.draft(stage)
            await scene.die_and_catch_up(stage, thread)
            all_held = scene.judge(stage)
            threads = Threads()
            await closing.show(stage, threads, place)
            if not all_held:
                screen.write(
                    f"\nSomething did not hold; see what was checked, above. {stage.service.last_words()}"
                )
                return 1
            place.settle(stage.town.mattermost.http.port)
            if sys.stdin.isatty() and screen.is_terminal:
                await _stay_open(stage, threads, place)
        screen.write("Everything is stopped.")
    return 0


async def _stay_open(stage: Scene, threads: Threads, place: Place) -> None:
    stage.screen.heading("Your turn")
    try:
        path = await setting.slash_path(own_environment(place.data_dir, stage.town.desk.url))
        stage.town.open_door(stage.service.address() + path)
        await Tail(stage.town, stage.screen, threads).run(stage.service)
    except asyncio.CancelledError:  # Ctrl-C is a way to leave
        stage.screen.write()


@contextlib.asynccontextmanager
async def _stage(screen: Screen, place: Place) -> AsyncIterator[Scene]:
    """Everything started, in order; ended in reverse, whatever happens."""
    if place.is_new:
        screen.say("First start: it also makes a database, an organization, an agent, a connection.")
    async with AsyncExitStack() as stack:
        postgres = EmbeddedPostgres(place.data_dir)
        stack.push_async_callback(postgres.stop)
        async with screen.step("embedded Postgres"):
            await _whole(postgres.start())
        async with screen.step("sandbox Mattermost, mailbox and order desk"):
            town = await stack.enter_async_context(Town(place))
        environment = own_environment(place.data_dir, town.desk.url)
        if place.is_new:
            await setting.found(screen, environment)
        place.log.unlink(missing_ok=True)
        service = Service(environment, place.log)
        stack.push_async_callback(service.stop)
        began = time.monotonic()
        await service.start()
        if place.is_new:
            await service.during(setting.connect(screen, town, environment))
        await service.during(setting.connect_mailbox(screen, town, place, environment))
        async with screen.step(
            "FleetPrompt is up (web, worker and listener in one process) and connected", began=began
        ):
            await service.during(until(lambda: town.is_agent_online, "FleetPrompt's connection"))
        approve = partial(setting.approve, environment)
        yield Scene(town, service, screen, Letters(town), approve)


async def _whole(starting: Awaitable[object]) -> None:
    """Begun, it is brought to its end: half a start could not be stopped."""
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
