"""The end of the demo: what was said, how one message went its way, what to try next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from fleetprompt.sandbox.demo.place import Place
from fleetprompt.sandbox.demo.scene import Scene
from fleetprompt.sandbox.demo.service import command, own_environment
from fleetprompt.sandbox.demo.setting import ORG
from fleetprompt.sandbox.demo.town import AGENT, CHANNEL
from fleetprompt.sandbox.demo.transcript import Threads, show_transcript
from fleetprompt.sandbox.mattermost import LedgerEntry

DIRECTIVE: Final = "fleetprompt_directive"


async def show(stage: Scene, threads: Threads, place: Place) -> None:
    """Transcript, trace, next steps."""
    screen, town = stage.screen, stage.town
    screen.heading(f"#{CHANNEL}, as its members read it")
    show_transcript(screen, town.channel_posts(), town.name_of, threads)
    screen.say(f"[{AGENT} also answered eli's direct message.]")
    traced = directive_of(town.answers()[-1])
    screen.heading(f"One message's way: fleetprompt trace {traced} --org {ORG}")
    text = await command(own_environment(place.data_dir, town.desk.url), "trace", traced, "--org", ORG)
    for line in text.rstrip().splitlines():
        screen.write(f"  {line}")
    _next(stage, place, traced)


def directive_of(answer: LedgerEntry) -> str:
    """The directive that posted it; a post carries its effect's key, `<directive>.<part>`."""
    return str(answer.props[DIRECTIVE]).partition(".")[0]


def _next(stage: Scene, place: Place, traced: str) -> None:
    screen = stage.screen
    screen.heading("What to try next")
    fleetprompt = Path(sys.executable).with_name("fleetprompt")
    for line in (
        f"export FLEETPROMPT_DATA_DIR={place.data_dir}",
        f"{fleetprompt} trace {traced} --org {ORG}",
        f"{fleetprompt} directives list --org {ORG}",
        f"{fleetprompt} doctor",
    ):
        screen.write(f"  {line}")
