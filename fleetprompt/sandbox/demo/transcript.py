"""The conversation of #support as text: threads indented and numbered, with times."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final

from fleetprompt.sandbox.demo.screen import BOLD, CYAN, DIM, Screen
from fleetprompt.sandbox.demo.town import AGENT
from fleetprompt.sandbox.mattermost import Post

STRONG: Final = re.compile(r"\*\*(.+?)\*\*")
SIGNATURE: Final = re.compile(r"\s*\n+_([^_\n]+)_$")
NAME_WIDTH: Final = 8


class Threads:
    """Roots by number, in the order in which they were shown."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, post: Post) -> int:
        """The number of a post's thread."""
        return self._numbers.setdefault(post.root_id or post.id, len(self._numbers) + 1)

    def root_id(self, number: int) -> str | None:
        """The root of a thread that was shown."""
        return next((root for root, known in self._numbers.items() if known == number), None)


class Transcript:
    """Writes posts on a screen. missed: ids of posts that get a star."""

    def __init__(self, screen: Screen, name_of: Callable[[str], str], missed: Collection[str] = ()) -> None:
        self.screen = screen
        self.name_of = name_of
        self.missed = missed

    def show_channel(self, posts: Sequence[Post], threads: Threads) -> None:
        """Roots in order, each with its replies below it. posts: in order of arrival."""
        for root in (post for post in posts if not post.root_id):
            self.show_post(root, f"[{threads.number(root)}]")
            for reply in (post for post in posts if post.root_id == root.id):
                self.show_post(reply, depth=1)

    def show_post(self, post: Post, mark: str = "", depth: int = 0) -> None:
        """One post: its thread's number or an indent, the time, the name, the text."""
        screen, name = self.screen, self.name_of(post.user_id)
        moment = datetime.fromtimestamp(post.create_at / 1000).astimezone()
        star = "*" if post.id in self.missed else " "
        lead = f"  {mark:<4} {'   ' * depth}"
        shown_name = screen.styled(f"{name:<{NAME_WIDTH}}", BOLD, *([CYAN] if name == AGENT else []))
        first = f"{lead}{screen.styled(moment.strftime('%H:%M:%S'), DIM)}{star} {shown_name} "
        screen.say(plain(post.message), indent=" " * (len(lead) + 11 + NAME_WIDTH), first=first)


def plain(markdown: str) -> str:
    """What an answer's markup says, without it; the planner's signature in brackets at the end."""
    return STRONG.sub(r"\1", SIGNATURE.sub(r" (\1)", markdown))
