"""The grammar of commands: a message that is one, nearly is one, or is none. Pure, and no model has a say in it.

An ordinary request must reach the agent ("status of order 7?"), so a verb alone makes no command: all that follows has to
fit it. At a door where people type nothing else (a slash command) whatever is no command is answered with the nearest one.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from fleetprompt.packages.commands.verbs import CONFIRM, SETTING, SPELLINGS, VERBS, Verb

MAX_CHARACTERS: Final = 2000
MAX_WORD: Final = 20
SURE_OF_VERB: Final = 0.8
SURE_OF_PACKAGE: Final = 0.6
_QUOTES: Final = dict.fromkeys(map(ord, "`\u201c\u201d"), '"') | {0xA0: " "}


@dataclass(frozen=True, slots=True)
class Command:
    """What was said. package: slug; version: as pinned; name: of the installation; word: a code, an id, a credential or a verb."""

    verb: str
    package: str = ""
    version: str = ""
    name: str = ""
    word: str = ""
    rest: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()

    @property
    def pin(self) -> str:
        """`slug` or `slug@version`."""
        return f"{self.package}@{self.version}" if self.version else self.package


@dataclass(frozen=True, slots=True)
class Unclear:
    """It was meant to be a command. said: what to tell the person."""

    said: str


Parsed = Command | Unclear | None


def parse(text: str, known: Collection[str] = (), *, certain: bool = False) -> Parsed:
    """The command of a message without the mention that led it; None if it is none.

    known: slugs of packages. certain: it came by a door for commands alone, so None never comes back.
    """
    said = _plain(text)
    first, _, rest = said.partition(" ")
    verb = VERBS.get(SPELLINGS.get(said.casefold(), first.casefold()))
    if verb is not None and said.casefold() in SPELLINGS:
        rest = ""
    if not said or len(said) > MAX_CHARACTERS or "\n" in said:
        return _help() if certain else None
    if verb is None:
        return _misspelt(first, rest.strip(), known, certain=certain)
    command = _fit(verb, rest.strip())
    if command is not None and (certain or _is_meant(verb, command, known)):
        return command
    return (
        Unclear(f"Write it as {verb.usage_text}.") if _was_meant(verb, rest.strip(), known, certain) else None
    )


def may_be(text: str) -> bool:
    """Whether it is worth to look closer: cheap, for every message that is said to us."""
    said = _plain(text)
    if not said or len(said) > MAX_CHARACTERS or "\n" in said:
        return False
    first = said.partition(" ")[0].casefold()
    return said.casefold() in SPELLINGS or first in VERBS or bool(_near_verbs(first))


def is_confirmation(text: str) -> str | None:
    """The code of `confirm P-7F3K`, and of nothing else: what is obeyed in a thread even without a mention."""
    command = parse(text)
    return command.word if isinstance(command, Command) and command.verb == CONFIRM else None


def nearest_of(word: str, known: Collection[str]) -> str | None:
    """The one that was probably meant."""
    return next(iter(_near(word, known, SURE_OF_PACKAGE)), None)


def _plain(text: str) -> str:
    """People copy a command with its quotes, and end a sentence with a stop."""
    said = text.translate(_QUOTES).strip()
    while len(said) > 1 and said[0] == said[-1] == '"':
        said = said[1:-1].strip()
    said = said[1:] if said[:1] == "/" else said
    bare = said.rstrip("?!. ")
    return bare if bare.casefold() in VERBS or bare.casefold() in SPELLINGS else said


def _fit(verb: Verb, rest: str) -> Command | None:
    found = verb.rest.fullmatch(rest)
    if found is None:
        return None
    part = {name: value or "" for name, value in found.groupdict().items()}
    settings = dict(_pair(pair) for pair in SETTING.findall(part.pop("settings", "")))
    scopes = tuple(word[1:] for word in part.pop("scopes", "").split())
    revoked = tuple(word[1:] for word in part.pop("revoked", "").split())
    lowered = {name: part[name].casefold() for name in ("package",) if name in part}
    return Command(verb.name, **{**part, **lowered}, settings=settings, scopes=scopes, revoked=revoked)


def _pair(pair: tuple[str, str, str]) -> tuple[str, str]:
    name, quoted, plain = pair
    return name, quoted[1:-1] if quoted else plain


def _is_meant(verb: Verb, command: Command, known: Collection[str]) -> bool:
    """Verbs that people use of other things too are commands only if they speak of what we know."""
    if verb.is_plain and command.package:
        return bool(_near(command.package, known, SURE_OF_PACKAGE))
    return not (verb.name == "help" and command.word and command.word.casefold() not in VERBS)


def _was_meant(verb: Verb, rest: str, known: Collection[str], certain: bool) -> bool:
    """Whether somebody who said this verb, and then something else than it takes, wanted the command."""
    if certain or not rest:
        return True
    second = rest.split()[0].strip(".,;:!?\"'").casefold().partition("@")[0]
    return second in known and not verb.is_for_reading


def _misspelt(first: str, rest: str, known: Collection[str], *, certain: bool) -> Parsed:
    near = [VERBS[name] for name in _near_verbs(first.casefold())]
    for verb in near:
        command = _fit(verb, rest)
        if command is not None and (certain or _is_meant_anyway(verb, command, known)):
            meant = f"{verb.name} {rest}".strip()
            return Unclear(f"There is no command `{_shown(first)}`. Did you mean `{_shown(meant, 200)}`?")
    if not certain:
        return None
    listed = ", ".join(f"`{verb.name}`" for verb in near) or "`help`"
    return Unclear(f"There is no command `{_shown(first)}`. Did you mean {listed}?")


def _is_meant_anyway(verb: Verb, command: Command, known: Collection[str]) -> bool:
    if command.package:
        return bool(_near(command.package, known, SURE_OF_PACKAGE))
    return verb.name == CONFIRM or not (command.word or command.rest)


@lru_cache(maxsize=4096)
def _near_verbs(word: str) -> tuple[str, ...]:
    """Kept: it is asked of the first word of every message."""
    return tuple(_near(word, VERBS, SURE_OF_VERB)) if len(word) <= MAX_WORD else ()


def _near(word: str, known: Collection[str], cutoff: float) -> list[str]:
    return difflib.get_close_matches(word, sorted(known), n=3, cutoff=cutoff)


def _shown(text: str, most: int = 40) -> str:
    return "".join(one for one in text[:most] if one.isprintable() and one != "`")


def _help() -> Parsed:
    return Command("help")
