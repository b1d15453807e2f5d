"""Many answers in one burst: as from SEARCH or FETCH over a big mailbox, or from somebody who wants us to break."""

from __future__ import annotations

import asyncio

import pytest

from adapters.proton_mail.protocol import BridgeCommand, BridgeProtocol

LINES = 50_000
BURST = b"".join(
    b"* %d FETCH (UID %d RFC822.SIZE 7)\r\n" % (number, number) for number in range(1, LINES + 1)
)


class _Wire:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        self.is_aborted = True


async def connected() -> tuple[BridgeProtocol, _Wire]:
    protocol, wire = BridgeProtocol(asyncio.get_running_loop(), 1024), _Wire()
    protocol.transport = wire
    protocol.data_received(b"* OK ready\r\n")
    return protocol, wire


@pytest.mark.parametrize("packet_bytes", [len(BURST) + 100, 4099])
async def test_a_burst_of_answers_is_taken_whole(packet_bytes: int) -> None:
    """4099 bytes: a packet ends in the middle of a line, and now and then between CR and LF."""
    protocol, wire = await connected()
    command = BridgeCommand("FETCH", protocol.new_tag(), "1:*", "(UID RFC822.SIZE)", prefix="UID")
    waiting = asyncio.create_task(protocol.execute(command))
    await asyncio.sleep(0)
    said = BURST + f"{command.tag} OK done\r\n".encode()
    for start in range(0, len(said), packet_bytes):
        protocol.data_received(said[start : start + packet_bytes])
    assert (await waiting).result == "OK"
    assert (protocol.failure, wire.is_aborted) == (None, False)
    numbers = [int(bytes(answer[0]).partition(b" ")[0]) for answer in command.answers]
    assert numbers == list(range(1, LINES + 1))


async def test_a_burst_that_nobody_asked_for_leaves_the_connection_usable() -> None:
    protocol, wire = await connected()
    protocol.data_received(BURST)
    command = BridgeCommand("NOOP", protocol.new_tag())
    waiting = asyncio.create_task(protocol.execute(command))
    await asyncio.sleep(0)
    protocol.data_received(f"{command.tag} OK done\r\n".encode())
    assert (await waiting).result == "OK"
    assert (command.answers, wire.is_aborted) == ([], False)
