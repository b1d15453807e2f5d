"""The end of the demo: what was said, how one message went its way, what to try next."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fleetprompt.sandbox.demo.letters import INES
from fleetprompt.sandbox.demo.place import Place
from fleetprompt.sandbox.demo.scene import Scene
from fleetprompt.sandbox.demo.screen import DIM
from fleetprompt.sandbox.demo.service import command, own_environment, web_port
from fleetprompt.sandbox.demo.setting import ORG
from fleetprompt.sandbox.demo.town import AGENT, CHANNEL
from fleetprompt.sandbox.demo.transcript import Threads, Transcript

NEXT: Final = (
    ("fleetprompt trace {traced} --org {org}", "that trace again; any id will do"),
    ("fleetprompt directives list --org {org}", "every side effect, with its state"),
    ("fleetprompt executions list --org {org}", "every run, with its steps and its cost"),
    (
        "fleetprompt bootstrap --org {org} --owner you@demo.example",
        "while it plays: be its owner, and install by chat",
    ),
    ("fleetprompt doctor", "what is wrong here, and what to do"),
)


async def show(stage: Scene, threads: Threads, place: Place) -> None:
    """Transcript, trace, next steps."""
    _show_posts(stage, threads)
    assert stage.killed_in is not None
    traced = stage.killed_in.id
    stage.screen.heading(f"Trace of the message in whose run it was killed (fleetprompt trace {traced})")
    environment = own_environment(place.data_dir, stage.town.desk.url)
    for line in (await command(environment, "trace", traced, "--org", ORG)).splitlines():
        stage.screen.write(f"  {line}")
    _show_next(stage, place, traced)


def _show_posts(stage: Scene, threads: Threads) -> None:
    screen, town = stage.screen, stage.town
    transcript = Transcript(screen, town.name_of, stage.missed)
    screen.heading(f"#{CHANNEL}, as its members read it (* = written while FleetPrompt was down)")
    transcript.show_channel(town.posts(CHANNEL), threads)
    screen.heading(f"Direct messages of eli and {AGENT}")
    for post in town.posts(town.mattermost.direct_channel("eli", AGENT)):
        transcript.show_post(post)
    screen.heading(f"The mail: on the left what #{CHANNEL} was told, on the right what {INES} reads")
    stage.letters.show(screen)


def _show_next(stage: Scene, place: Place, traced: str) -> None:
    screen = stage.screen
    screen.heading("What to try next")
    screen.say("In another terminal, or when this has ended (the demo's database stays):")
    for line in _ways_in(place):
        screen.write(f"    {line}")
    for text, about in NEXT:
        line = text.format(traced=traced, org=ORG)
        screen.write(f"    {line:<66} {screen.styled('# ' + about, DIM)}")
    screen.say(
        'For real: make up, and the README\'s "Connect a real Mattermost" and "Connect a real mailbox".'
    )


def _ways_in(place: Place) -> Iterator[str]:
    """What a shell needs before the commands: the program, and the demo's data."""
    programs = Path(sys.executable).parent
    is_here = programs == Path.cwd() / ".venv" / "bin"
    yield "source .venv/bin/activate" if is_here else f"export PATH={programs}:$PATH"
    yield f"export FLEETPROMPT_DATA_DIR={place.data_dir} FLEETPROMPT_PORT={web_port()}"
