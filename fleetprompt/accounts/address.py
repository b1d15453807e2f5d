"""E-mail addresses: the one spelling under which a person is known."""

from __future__ import annotations

import re
from typing import Final, NewType

from fleetprompt.kernel.errors import InvalidInput

Email = NewType("Email", str)
"""Lower case, the domain in its ASCII form."""

MAX_ADDRESS: Final = 254  # RFC 5321, 4.5.3.1.3: a path of 256 with its brackets
MAX_LOCAL: Final = 64  # RFC 5321, 4.5.3.1.1
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5322 dot-atom
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+")


def parse_email(text: str) -> Email:
    """Normalise an address. Raises InvalidInput for one that is none, or not written in ASCII before the @.

    The part before the @ is folded to lower case too: no provider of today tells Ada@ from ada@, and two accounts
    for one person would each have half of their rights. Other alphabets there are refused: they hold look-alikes.
    """
    local, at, domain = text.strip().rpartition("@")
    is_plain = local.isascii()  # the sign of kelvin becomes a k in lower case
    local, domain = local.lower(), _ascii(domain)
    fits = is_plain and len(local) <= MAX_LOCAL and len(local) + 1 + len(domain) <= MAX_ADDRESS
    if not (at and fits and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)):
        raise InvalidInput(f"{text[:60]!r} is no e-mail address.", "Write it as ada@acme.example.")
    return Email(f"{local}@{domain}")


def _ascii(domain: str) -> str:
    """bücher.example -> xn--bcher-kva.example; empty for what cannot be a domain."""
    try:
        return domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
