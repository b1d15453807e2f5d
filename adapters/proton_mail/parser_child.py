"""The parser's process: reads frames from its input, writes one answer for each, ends with its input.

A frame is two lengths (4 bytes for the options, 8 for the mail, big-endian), the options as JSON, the mail. An answer is
a length of 8 bytes and JSON. The process may use so much memory and no more; it has no environment but its path.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any, BinaryIO, Final

from pydantic_core import to_json

from adapters.proton_mail.mail import Mail
from adapters.proton_mail.parse import parse
from adapters.proton_mail.parse_limits import keep_bell
from adapters.proton_mail.settings import MailLimits

FRAME: Final = struct.Struct(">IQ")
ANSWER: Final = struct.Struct(">Q")
BIG_BYTES: Final = 1024 * 1024
BEHIND: Final = 5  # in turns: mails are read ahead, and whoever waits for the loop or for Postgres waits now


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Until the input ends."""
    while len(head := source.read(FRAME.size)) == FRAME.size:
        options_bytes, mail_bytes = FRAME.unpack(head)
        options = _options(source.read(options_bytes))
        answer = _spelt(answered(source.read(mail_bytes), options))
        sink.write(ANSWER.pack(len(answer)) + answer)
        sink.flush()
        if mail_bytes > BIG_BYTES:
            gc.collect()


@lru_cache(maxsize=32)
def _options(spelt: bytes) -> dict[str, Any]:
    """The same for all mails of an account."""
    told: dict[str, Any] = json.loads(spelt)
    return told


def _spelt(answer: dict[str, Any]) -> bytes:
    """As JSON, five times as soon as the standard library; what no UTF-8 can say is escaped."""
    try:
        return to_json(answer)
    except ValueError:
        return json.dumps(answer).encode()


def answered(raw: bytes, options: dict[str, Any]) -> dict[str, Any]:
    """{"mail": ...} or {"quarantine": [reason, detail]}."""
    found = parse(raw, options["own"], MailLimits(**options["limits"]))
    if isinstance(found, Mail):
        return {"mail": found.as_json()}
    return {"quarantine": [found.reason, found.detail]}


def main() -> None:
    """Serve standard input."""
    most_bytes = int(sys.argv[1])
    if sys.platform == "linux":  # elsewhere the limit cannot be kept
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold somebody's mail
    keep_bell()
    with suppress(OSError):  # where a sandbox forbids it
        os.nice(BEHIND)
    gc.freeze()  # what stands now stands to the end, and a mail leaves little behind: a tenth of reading one
    gc.set_threshold(10_000, 20, 50)
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
