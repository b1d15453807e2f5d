"""What has the shape of a secret in a text that a person wrote.

Shapes with few false positives alone: a prefix that its issuer chose to be found by, or a word that says what follows.
26 letters and digits are a token of some chat servers, and each of their ids: so they count behind the word "token" only.
A password that is an ordinary word is not found where nothing but a colon stands before it.
Prefixes: https://github.com/gitleaks/gitleaks, `config/gitleaks.toml`; RFC 7519 (JWT); RFC 7468 (PEM).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

REMOVED: Final = "[secret removed]"
# No repetition without a bound where it can fail: a mail made to hurt would be read for hours.
# Each alternative begins with a letter or a set of letters: by that the engine passes over nearly every place at once.
_WORDS: Final = (
    r"(?:[Pp](?i:ass(?:word|wd|phrase|wort)|wd|rivate[ _-]?key)|[Kk](?i:ennwort)|[Cc](?i:lient[ _-]?secret)"
    r"|[Aa](?i:pi|ccess|uth)[ _-]?(?i:key|secret|token)|[Ss](?i:ecret[ _-]?key)|[BbRr](?i:ot|efresh)[ _-]?(?i:token))"
)
_QUOTE: Final = r"""[\\"'`*_]{0,4}"""
_VALUE: Final = (
    r"""(?!https?://)\S{5,256}[^\s"'`<>,;.]"""  # quotes and full stops behind it are the sentence's
)
_NO_WORD: Final = r"""(?=\S{0,100}(?:[0-9]|[^\s\w.,;:!?"'`<>\\/()-]))"""
_PEM: Final = "[A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----"

# Kind, what leads to it (not the secret itself), the secret; these anywhere, those below at the beginning of a word.
_ANYWHERE: Final = (
    ("private_key", "", rf"-----BEGIN {_PEM}(?:[\s\S]*?-----END {_PEM}|[\s\S]*)"),
    ("secret_link", r"/secret/", r"[A-Za-z0-9_-]{43}\b"),
    ("webhook", r"/hooks/", r"[a-z0-9]{26}\b"),
    ("url_password", r"://[^\s/:@]{1,64}:", r"[^\s/@]{3,128}(?=@)"),
)
_WORD: Final = (
    ("jwt", "", r"eyJ[A-Za-z0-9_-]{8,512}\.eyJ[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{8,}"),
    ("model_key", "", r"sk-(?=[A-Za-z_-]{0,64}\d)[A-Za-z0-9_-]{20,}"),
    ("payment_key", "", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("github_token", "", r"g(?:h[oprsu]_[A-Za-z0-9]{20,}|ithub_pat_[A-Za-z0-9_]{22,})"),
    ("gitlab_token", "", r"glpat-[A-Za-z0-9_-]{20,}"),
    ("slack_token", "", r"x(?:ox[abeoprs]-[A-Za-z0-9-]{10,}|app-[A-Za-z0-9-]{20,})"),
    ("aws_key", "", r"A(?:KIA|SIA)[A-Z0-9]{16}\b"),
    ("google_key", "", r"AIza[A-Za-z0-9_-]{35}"),
    ("fleetprompt_key", "", r"fpk_[A-Za-z0-9_.-]{20,}"),
    ("webhook_secret", "", r"whsec_[A-Za-z0-9+/=]{16,}"),
    ("bearer", r"[Bb](?i:earer )", r"[A-Za-z0-9+/_.=~-]{20,}"),
    (
        "token",
        rf"[Tt](?i:oken){_QUOTE}\s{{0,3}}(?i:is|ist|lautet|:|=)?\s{{0,3}}{_QUOTE}",
        r"(?=[a-z]{0,25}\d)[a-z0-9]{26}\b",
    ),
    ("password", rf"{_WORDS}{_QUOTE}\s?=\s?{_QUOTE}", _VALUE),
    (
        "password_said",
        rf"{_WORDS}{_QUOTE}\s{{0,3}}(?::|(?i:is|ist|lautet)\b:?)\s{{0,3}}{_QUOTE}",
        _NO_WORD + _VALUE,
    ),
)


def _either(shapes: Iterable[tuple[str, str, str]]) -> str:
    return "|".join(f"{lead}(?P<{kind}>{secret})" for kind, lead, secret in shapes)


# A name's part is a beginning, too: `bridge_password=`, `SLASH_TOKEN=`.
_ALL: Final = rf"{_either(_ANYWHERE)}|(?<![^\W_])(?:{_either(_WORD)})"
_IN_TEXT: Final = re.compile(_ALL)
_IN_BYTES: Final = re.compile(_ALL.encode())
# Without one of these there is no shape: a plain search is twenty times as fast as the expression. Those that begin with
# the same rare letter are found in the time of one; most have a sign that few texts have at all, which is found sooner still.
_AS_WRITTEN: Final = re.compile(rb"A[KS]IA")
_LOWERED: Final = (re.compile(rb"p(?:ass|wd)"), re.compile(rb"k(?:ey|ennwort|(?<=tok)en)"))
_HINTS: Final = (b"secret", b"bearer ")
_BY_SIGN: Final = (
    (b"/", (b"://", b"/hooks/")),
    (b"-", (b"-----begin", b"sk-", b"glpat-", b"xapp-")),
    (b"j", (b"eyj",)),
    (b"x", (b"xox",)),
    (b"z", (b"aiza",)),
    (
        b"_",
        (
            b"k_live_",
            b"k_test_",
            b"ghp_",
            b"gho_",
            b"ghr_",
            b"ghs_",
            b"ghu_",
            b"github_pat_",
            b"fpk_",
            b"whsec_",
        ),
    ),
)
_CALLED: Final = {"password_said": "password"}


@dataclass(frozen=True, slots=True)
class Shape:
    """One find. start, end: of the secret itself, without the words that led to it."""

    kind: str
    start: int
    end: int


def shapes_in(text: str | bytes) -> list[Shape]:
    """All of them, in order; of most texts none."""
    if isinstance(text, str):
        return [_shape(found) for found in _IN_TEXT.finditer(text)] if _is_likely(*_cases(text)) else []
    return [_shape(found) for found in _IN_BYTES.finditer(text)] if _is_likely(text, text.lower()) else []


def _cases(text: str) -> tuple[bytes, bytes]:
    """As it is and lowered, for the hints, which are ASCII. Letters beyond Latin-1 may be lowered to such, and take long."""
    try:
        written = text.encode("latin-1")
        return written, written.lower()
    except UnicodeEncodeError:
        lowered = text.lower().replace(
            "ſ", "s"
        )  # the one letter that is an "s" to an expression and no "S" lowered
        return text.encode("utf-8", "surrogatepass"), lowered.encode("utf-8", "surrogatepass")


def _is_likely(written: bytes, lower: bytes) -> bool:
    if _AS_WRITTEN.search(written) or any(letters.search(lower) for letters in _LOWERED):
        return True
    if any(hint in lower for hint in _HINTS):
        return True
    return any(sign in lower and any(hint in lower for hint in hints) for sign, hints in _BY_SIGN)


def _shape(found: re.Match[str] | re.Match[bytes]) -> Shape:
    kind = found.lastgroup
    assert kind is not None, "each shape has its group"
    return Shape(_CALLED.get(kind, kind), *found.span(kind))


def without_shapes(text: str, note: Callable[[str], object] = lambda _: None) -> str:
    """The text with `REMOVED` in place of each. note: hears of each its kind."""
    found = shapes_in(text)
    if not found:
        return text
    pieces, place = [], 0
    for one in found:
        note(one.kind)
        pieces += [text[place : one.start], REMOVED]
        place = one.end
    return "".join([*pieces, text[place:]])
