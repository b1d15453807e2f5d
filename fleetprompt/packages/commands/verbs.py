"""The verbs: what each takes, who may say it, and what it does, in one line each for `help`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetprompt.accounts import Role

CONFIRM: Final = "confirm"
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Of codes: without I, L, O, U, 0 and 1, which are read as one another."""

SLUG: Final = r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
_PACKAGE: Final = (
    rf"(?P<package>{SLUG})(?:@(?P<version>[0-9A-Za-z.+-]{{1,40}}))?(?:/(?P<name>[\w.-]{{1,60}}))?"
)
_PAIR: Final = r'[A-Za-z_][\w.-]{0,60}=(?:"[^"]*"|[^\s"]*)'
_SETTINGS: Final = rf"(?P<settings>(?:\s+{_PAIR})*)"
_SCOPES: Final = r"(?P<scopes>(?:\s+\+[a-z][\w.:-]{0,80})*)"
_REVOKED: Final = r"(?P<revoked>(?:\s+-[a-z][\w.:-]{0,80})*)"
_ID: Final = r"(?P<word>[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12})"
_CODE: Final = r"[Pp]-?[0-9A-Za-z]{3,6}"
SETTING: Final = re.compile(r'([A-Za-z_][\w.-]{0,60})=(?:("[^"]*")|([^\s"]*))')


@dataclass(frozen=True, slots=True)
class Verb:
    """One command. rest: what follows the verb. role: who may; None = anybody, also somebody whom we do not know.

    is_plain: people say it of other things too. is_for_reading: it changes nothing.
    """

    name: str
    rest: re.Pattern[str]
    usage: str
    about: str
    role: Role | None = Role.ADMIN
    is_plain: bool = True
    is_for_reading: bool = False

    @property
    def usage_text(self) -> str:
        """As a person types it."""
        return f"`{self.name}{' ' if self.usage else ''}{self.usage}`"


def _verb(name: str, rest: str, usage: str, about: str, role: Role | None = Role.ADMIN, **more: bool) -> Verb:
    return Verb(name, re.compile(rest), usage, about, role, **more)


_ALL: Final = (
    _verb("help", r"(?P<word>[A-Za-z-]{1,20})?", "[COMMAND]", "What can be said.", None, is_for_reading=True),
    _verb("whoami", "", "", "Who you are here, and what you may.", None, is_for_reading=True),
    _verb("link", r"(?P<word>[A-Za-z0-9]{2,}(?:[-_][A-Za-z0-9]+)+|(?=\S*\d)[A-Za-z0-9_-]{6,80})", "CODE",
          "Ties this chat account to you; say it to me alone.", None, is_for_reading=True),
    _verb("unlink", "", "", "Unties this chat account.", Role.MEMBER),
    _verb("search", r"(?P<rest>[\w-]{1,40}|packages(?:\s+[\w -]{1,80})?)?", "[WORD]", "Finds packages.", None,
          is_for_reading=True),
    _verb("info", _PACKAGE, "PACKAGE", "What a package brings, asks for and costs.", None, is_for_reading=True),
    _verb("status", rf"(?:{_PACKAGE})?", "[PACKAGE]", "What is installed, and how it does.", Role.MEMBER,
          is_for_reading=True),
    _verb("install", rf"{_PACKAGE}{_SETTINGS}{_SCOPES}", "PACKAGE[@VERSION] [KEY=VALUE ...] [+SCOPE ...]",
          "Plans an installation; nothing happens before you confirm it.", is_plain=False),
    _verb(CONFIRM, rf"(?P<word>{_CODE})", "CODE", "Carries a plan out.", is_plain=False),
    _verb("configure", rf"{_PACKAGE}{_SETTINGS}{_SCOPES}{_REVOKED}", "PACKAGE [KEY=VALUE ...] [+SCOPE ...] [-SCOPE ...]", "Plans other settings; without any, shows them."),
    _verb("secret", rf"{_PACKAGE}(?:\s+(?P<word>[a-z][a-z0-9_]{{0,60}}))?", "PACKAGE [CREDENTIAL]",
          "Sends you, and you alone, a link to hand a secret over."),
    _verb("test", rf"(?:{_PACKAGE})?", "[PACKAGE]", "Tries an installation, check by check.", is_for_reading=True),
    _verb("audit", rf"(?:{_ID}|(?P<rest>{_CODE}))?", "[ID | CODE]", "What happened, lately or about one thing.", is_for_reading=True),
    _verb("enable", _PACKAGE, "PACKAGE", "Lets an installation listen and post again."),
    _verb("disable", _PACKAGE, "PACKAGE", "Keeps an installation from listening and posting."),
    _verb("reauth", rf"{_PACKAGE}(?:\s+(?P<word>[a-z][a-z0-9_]{{0,60}}))?", "PACKAGE [CREDENTIAL]",
          "The same as `secret`, when the far side refuses the old one."),
    _verb("upgrade", rf"{_PACKAGE}{_SETTINGS}{_SCOPES}", "PACKAGE[@VERSION] [KEY=VALUE ...] [+SCOPE ...]", "Plans another version."),
    _verb("rollback", _PACKAGE, "PACKAGE", "Plans the return to the version before."),
    _verb("uninstall", _PACKAGE, "PACKAGE", "Plans a removal.", is_plain=False),
    _verb("approve", _ID, "ID", "Lets something go ahead that waits for a person."),
    _verb("reject", rf"{_ID}(?:\s+(?P<rest>.{{1,300}}))?", "ID [REASON]", "Refuses it."),
    _verb("pause-all", r"(?P<word>off)?", "[off]",
          "Pauses every agent of the organization, at once; `off` lets them go on."),
)  # fmt: skip

VERBS: Final[Mapping[str, Verb]] = {verb.name: verb for verb in _ALL}
SPELLINGS: Final[Mapping[str, str]] = {
    **{verb.name: verb.name for verb in _ALL},
    "who am i": "whoami",
    "pause all": "pause-all",
}
"""Whole messages that are a verb and nothing else."""
