"""The demo's processes: what fails is said, and nothing outlives the demo."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from fleetprompt.sandbox.demo.faults import DemoFailed
from fleetprompt.sandbox.demo.service import Service, command, own_environment
from fleetprompt.sandbox.demo.town import Desk


def unusable(data_dir: Path) -> dict[str, str]:
    """An environment in which FleetPrompt refuses to start."""
    return own_environment(data_dir, "http://127.0.0.1:1") | {"FLEETPROMPT_PORT": "none"}


def test_settings_of_the_persons_own_fleetprompt_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPROMPT_DATABASE_URL", "postgresql://own")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")
    environment = own_environment(Path("/data"), "http://desk")
    assert "FLEETPROMPT_DATABASE_URL" not in environment
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in environment
    assert environment["FLEETPROMPT_DATA_DIR"] == "/data"


async def test_failing_command_is_named_with_its_complaint(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match=r"`fleetprompt org list` failed: .*FLEETPROMPT_PORT"):
        await command(unusable(tmp_path), "org", "list")


async def test_service_that_ends_by_itself_fails_the_demo_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "fleetprompt.log"
    service = Service(unusable(tmp_path), log)
    await service.start()
    with pytest.raises(DemoFailed, match="ended by itself") as failure:
        await service.during(asyncio.sleep(60))
    assert str(log) in failure.value.advice
    assert "FLEETPROMPT_PORT" in failure.value.advice
    await service.stop()


async def test_service_that_does_not_do_its_part_fails_the_demo_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    async def in_vain() -> None:
        raise DemoFailed("Waited in vain.")

    log = tmp_path / "fleetprompt.log"
    service = Service(unusable(tmp_path), log)
    await service.start()
    with pytest.raises(DemoFailed, match="Waited in vain") as failure:
        await service.during(in_vain())
    assert str(log) in failure.value.advice
    await service.stop()


async def test_stopped_service_is_gone(tmp_path: Path) -> None:
    service = Service(unusable(tmp_path), tmp_path / "log")
    await service.start()
    await service.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(service.pid, 0)


async def test_desk_places_a_hold_and_keeps_silent_about_it_once() -> None:
    async with Desk() as desk:
        desk.silent_about = "1042"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_hold(desk, "first"), 0.3)
        assert desk.kept_silent.is_set()
        assert [hold.number for hold in desk.ledger] == ["1042"]
        assert b"repeated" in await _hold(desk, "first")
        assert len(desk.ledger) == 1


async def _hold(desk: Desk, key: str) -> bytes:
    """The desk's answer to a hold of order 1042."""
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.http.port)
    head = f"POST /orders/1042/hold HTTP/1.1\r\nHost: desk\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n{{}}".encode())
    try:
        return await reader.read()
    finally:
        writer.close()
