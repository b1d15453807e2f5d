"""The floor of reading a mailbox: aioimaplib as it is, in a process of its own, which fetches all there is and keeps nothing.

`python -m bench.fetch_loop PORT USER PASSWORD FIRST_UID AT_ONCE`: prints {"mails": ..., "bytes": ..., "seconds": ...,
"cpu_s": ...}. AT_ONCE: mails a command.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Final

from aioimaplib import IMAP4_SSL  # type: ignore[import-untyped]

MOST_AT_ONCE: Final = 500  # UIDs a command: the library recurses over about a thousand
TIMEOUT_S: Final = 300.0


async def fetch_all(port: int, user: str, password: str, first_uid: int, at_once: int) -> dict[str, float]:
    """Log in, then take the time of enumerating and fetching what stands in INBOX from this UID on."""
    client = IMAP4_SSL("127.0.0.1", port, timeout=TIMEOUT_S, ssl_context=_trusting())
    await client.wait_hello_from_server()
    await client.login(user, password)
    await client.select("INBOX")
    began, spent = time.perf_counter(), time.process_time()
    found = await client.uid_search(f"UID {first_uid}:*", charset=None)
    uids = found.lines[0].split()
    mails = size = 0
    for start in range(0, len(uids), at_once):
        chosen = uids[start : start + at_once]
        span = f"{chosen[0].decode()}:{chosen[-1].decode()}"
        answer = await client.uid("fetch", span, "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        bodies = [line for line in answer.lines if isinstance(line, bytearray)]
        mails, size = mails + len(bodies), size + sum(map(len, bodies))
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - spent
    await client.logout()
    return {"mails": mails, "bytes": size, "seconds": seconds, "cpu_s": cpu_s}


def _trusting() -> ssl.SSLContext:
    """It is loopback, and the floor's; the service pins the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    port, user, password, first_uid, at_once = sys.argv[1:]
    print(json.dumps(asyncio.run(fetch_all(int(port), user, password, int(first_uid), int(at_once)))))
