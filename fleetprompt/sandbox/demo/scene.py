"""What is played: a question and a change in #support, and a kill -9 in the middle of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from fleetprompt.sandbox.demo import verdict
from fleetprompt.sandbox.demo.faults import DemoFailed
from fleetprompt.sandbox.demo.letters import INES, Letters
from fleetprompt.sandbox.demo.screen import Screen
from fleetprompt.sandbox.demo.service import Service
from fleetprompt.sandbox.demo.town import AGENT, MAILBOX, OTHER_BOT, Town, until
from fleetprompt.sandbox.demo.verdict import Ask
from fleetprompt.sandbox.mattermost import Post

DELAYED: Final = "1042"
HELD_IN_DEATH: Final = "1051"
ASKED_DIRECTLY: Final = "1058"
ASKED_LAST: Final = "1300"
LOOKED_UP: Final = "Order "
HELD: Final = "is on hold now"
QUIET_S: Final = 1.0  # an answer that comes a second time comes soon


@dataclass
class Scene:
    """The stage, and what was asked on it so far."""

    town: Town
    service: Service
    screen: Screen
    letters: Letters
    approve: Callable[[str], Awaitable[None]]
    asks: list[Ask] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)
    """Posts that arrived while FleetPrompt was down."""
    killed_in: Post | None = None
    """What it was about when it was killed."""

    def ask(self, name: str, text: str, *expects: str, root: Post | None = None) -> Post:
        """Somebody mentions the agent in #support; an answer that says this is due."""
        post = self.town.say(name, f"@{AGENT} {text}", root)
        self.asks.append(Ask(post, is_direct=False, expects=expects))
        return post

    def ask_directly(self, name: str, text: str, *expects: str) -> None:
        """Somebody writes to the agent alone."""
        post = self.town.tell_agent(name, text)
        self.asks.append(Ask(post, is_direct=True, expects=expects))

    @property
    def is_answered(self) -> bool:
        """Nothing that was asked is open."""
        return verdict.answered(self.asks, self.town.answers())

    async def answered(self) -> None:
        """Wait for what is open. Raises DemoFailed when it does not come, or when FleetPrompt ends."""
        await self.service.during(until(lambda: self.is_answered, "an answer"))


async def ask_and_change(scene: Scene) -> Post:
    """A mention at top level, one inside its thread, and a few posts that mean nobody. Returns the thread's root."""
    say, screen = scene.town.say, scene.screen
    screen.heading("A question and a change, in #support")
    say("dana", "Morning! Ines called about her walnut desk again.")
    asked = "dana mentions @fleet at top level"
    async with screen.step(asked, f"{asked}: it looks order {DELAYED} up and answers in a thread"):
        thread = scene.ask("dana", f"where is order {DELAYED}?", LOOKED_UP, DELAYED)
        await scene.answered()
    say("eli", "She is moving house, so it must not go out now.", thread)
    changed = "dana asks for a hold in that thread"
    async with screen.step(changed, f"{changed}: a directive does it, an answer says so"):
        scene.ask("dana", "put it on hold because the customer moved", HELD, DELAYED, root=thread)
        scene.holds.append(DELAYED)
        await scene.answered()
    async with screen.step(
        "6 posts around it are not meant for the agent (@all, code, a bot ...): they wake nobody"
    ):
        say("dana", "Thanks! That was quick.", thread)
        say("eli", "@all stand-up in five minutes")
        say("eli", f"Tip: `@{AGENT} where is order {DELAYED}?` works in every channel.")
        say(OTHER_BOT, f"@{AGENT} where is order {DELAYED}?")
        await asyncio.sleep(QUIET_S / 2)
    return thread


async def draft(scene: Scene) -> None:
    """A customer's mail, and the draft that waits for a person."""
    scene.screen.heading("A customer's mail")
    async with scene.screen.step(f"{INES} writes to {MAILBOX}; a draft waits, #support is told"):
        scene.letters.write()
        await scene.service.during(scene.letters.drafted())


async def die_and_catch_up(scene: Scene, thread: Post) -> None:
    """kill -9 between an effect and its answer; posts arrive while nobody listens; everything is answered once."""
    screen, desk, service = scene.screen, scene.town.desk, scene.service
    screen.heading("kill -9 in the middle of a run, and of a mail")
    async with screen.step("dana approves the draft; the mailbox takes the mail and does not answer"):
        await service.during(scene.letters.approved(scene.approve))
    desk.silent_about = HELD_IN_DEATH
    async with screen.step(
        f"eli asks for a hold of order {HELD_IN_DEATH}; the order desk does it and does not answer"
    ):
        root = scene.ask(
            "eli", f"put order {HELD_IN_DEATH} on hold because the address is wrong", HELD, HELD_IN_DEATH
        )
        scene.holds.append(HELD_IN_DEATH)
        await service.during(_reached(desk.kept_silent))
    pid, scene.killed_in = service.pid, root
    await service.kill()
    screen.say(
        f"kill -9 {pid}: FleetPrompt is gone. The hold is placed and the mail has left, but it was never told so."
    )
    _post_while_down(scene, thread, root)
    screen.say(
        "5 posts arrive while it is down: 4 for the agent (in 2 threads, at top level, and as a"
        " direct message), 1 for nobody."
    )
    async with screen.step("FleetPrompt starts again, looks hold and mail up, catches up, and answers"):
        await service.start()
        await scene.answered()
    async with screen.step("Listening on, in case anything is said twice"):
        await service.during(asyncio.sleep(QUIET_S))


def _post_while_down(scene: Scene, thread: Post, root: Post) -> None:
    before = len(scene.town.mattermost.ledger)
    scene.ask("dana", f"where is order {DELAYED} now?", LOOKED_UP, DELAYED, "It is on hold.", root=thread)
    scene.ask(
        "eli", f"where is order {HELD_IN_DEATH}?", LOOKED_UP, HELD_IN_DEATH, "It is on hold.", root=root
    )
    scene.town.say("dana", "Is it me, or is fleet very quiet?")
    scene.ask_directly("eli", f"where is order {ASKED_DIRECTLY}?", LOOKED_UP, ASKED_DIRECTLY)
    scene.ask("dana", f"where is order {ASKED_LAST}?", LOOKED_UP, ASKED_LAST)
    scene.missed = {entry.post_id for entry in scene.town.mattermost.ledger[before:]}


async def _reached(event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(event.wait(), 60)
    except TimeoutError:
        raise DemoFailed("Waited 60 s in vain for the hold to reach the order desk.") from None


def judge(scene: Scene) -> bool:
    """Hold the ledgers against what was asked, and say so."""
    answers = verdict.count_answers(scene.asks, scene.town.answers())
    holds = verdict.count_holds(scene.holds, scene.town.desk.ledger)
    mails = scene.letters.judge()
    scene.screen.heading("Checked against the ledgers of the Mattermost, the order desk and the mailbox")
    _show(scene.screen, answers, "answers due", "out of order or uncalled-for")
    _show(scene.screen, holds, "holds due", "uncalled-for")
    _show(scene.screen, mails, "mail due", "outside of its thread")
    return answers.is_good and holds.is_good and mails.is_good


def _show(screen: Screen, count: verdict.Count, what: str, misplaced: str) -> None:
    claim = f"lost {len(count.lost)}, doubled {len(count.doubled)}, {misplaced} {len(count.misplaced)}"
    screen.verdict(count.is_good, f"{count.expected} {what}: {claim}")
    for finding in (*count.lost, *count.doubled, *count.misplaced):
        screen.say(finding, indent="      ", first="    - ")
