"""The commands that stay: they serve, and stop when told, within five seconds."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from fleetprompt.cli.processes import AT_ONCE
from fleetprompt.credentials import KEY_FILE
from tests.command_line import CommandLine, line, staying, stopped
from tests.database import reachable_directory
from tests.house import GLOBEX, House, fresh_house
from tests.visiting import Browser


async def test_up_on_an_empty_directory_serves_answers_readyz_and_stops_on_ctrl_c() -> None:
    with reachable_directory() as directory:
        data_dir = directory / "data"
        run = CommandLine({"FLEETPROMPT_DATA_DIR": str(data_dir), "FLEETPROMPT_PORT": "0"})
        async with staying(run, "up") as up:
            base = (await line(up, r"serves on (http://\S+)"))[1]
            async with httpx2.AsyncClient(base_url=base) as client:
                ready = await client.get("/readyz")
                assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
            await line(up, r"database +embedded, in " + re.escape(str(data_dir)))
            made = await run.ok("org", "create", "acme")  # a second process shares the server
            assert "acme is active" in made.out
            await _lets_its_owner_in(run, base)
            assert await stopped(up) == 0
        assert (data_dir / KEY_FILE).stat().st_mode & 0o077 == 0
        await _server_is_gone(data_dir)


async def _lets_its_owner_in(run: CommandLine, base: str) -> None:
    owner, password = "ada@acme.example", "a bridge of paper boats"
    told = (await run.ok("bootstrap", "--org", "acme", "--owner", owner)).out
    [code] = re.findall(r"Claim code: (\S+)", told)
    async with httpx2.AsyncClient(base_url=base) as client:
        browser = Browser(client)
        await browser.see("/claim")
        await browser.send("/claim", code=code, password=password, again=password)
        assert "owner here" in browser.page.text
        assert "max-age" in (await client.get("/style.css")).headers["cache-control"]


async def _server_is_gone(data_dir: Path) -> None:
    async with asyncio.timeout(10):
        while (data_dir / "postgres" / "cluster" / "postmaster.pid").exists():
            await asyncio.sleep(0.05)


async def test_up_says_what_there_is_and_what_to_do_next() -> None:
    async with (
        fresh_house() as house,
        staying(CommandLine.on(house.url, FLEETPROMPT_PORT="0"), "up") as up,
    ):
        await line(up, r"model +builtin")
        await line(up, r"organization +acme: no connections yet")
        await line(up, r"organization +globex")
        assert "agent create" in (await line(up, r"Next: (.*)"))[1]
        assert await stopped(up, signal.SIGTERM) == 0


async def test_web_worker_and_listener_run_apart_and_the_scrape_tells_what_waits() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url, FLEETPROMPT_PORT="0")
        dead = "insert into public.job (id, tenant, kind, args, state) values (gen_random_uuid(), $1, 'x', '{}', $2)"
        await house.rows(dead, GLOBEX, "dead")
        await house.rows(dead, GLOBEX, "available")  # of a kind that no worker knows
        async with (
            staying(run, "web") as web,
            staying(run, "worker") as worker,
            staying(run, "listener") as listener,
        ):
            base = (await line(web, r"listens on (http://\S+)"))[1]
            await asyncio.gather(line(worker, "worker runs"), line(listener, "listener runs"))
            async with httpx2.AsyncClient(base_url=base) as client:
                families = text_string_to_metric_families((await client.get("/metrics")).text)
            samples = {(s.name, s.labels.get("state")): s.value for f in families for s in f.samples}
            assert samples["fleetprompt_jobs_queued", "dead"] == 1
            assert samples["fleetprompt_jobs_queued", "available"] >= 1
            assert samples["fleetprompt_job_oldest_seconds", None] > 0
            async with asyncio.timeout(10):
                while not await house.value("select count(*) from public.worker"):
                    await asyncio.sleep(0.05)
            assert await asyncio.gather(*(stopped(one, within_s=10) for one in (web, worker, listener))) == [
                0,
                0,
                0,
            ]
        assert await house.value("select count(*) from public.worker") == 0


async def test_worker_and_listener_tell_their_health_where_they_are_asked_to() -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url, FLEETPROMPT_METRICS_PORT="0")
        async with staying(run, "worker") as worker, staying(run, "listener") as listener:
            for process in (worker, listener):
                base = (await line(process, r"metrics are on (http://\S+)"))[1]
                async with httpx2.AsyncClient(base_url=base) as client:
                    answers = [await client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
                assert [answer.status_code for answer in answers] == [200, 200, 200]
                assert "fleetprompt_jobs_queued" in answers[2].text
            codes = await asyncio.gather(stopped(worker, within_s=10), stopped(listener, within_s=10))
            assert list(codes) == [0, 0]


async def test_readyz_says_why_it_cannot_work_and_recovers() -> None:
    async with (
        fresh_house() as house,
        staying(CommandLine.on(house.url, FLEETPROMPT_PORT="0"), "web") as web,
    ):
        base = (await line(web, r"listens on (http://\S+)"))[1]
        was = await house.value("select version_num from public.alembic_version")
        async with httpx2.AsyncClient(base_url=base) as client:
            for behind in (
                "update public.alembic_version set version_num = 'public_0001'",
                "delete from public.alembic_version",
                "drop table public.alembic_version",
            ):
                await house.rows(behind)
                away = await client.get("/readyz")
                assert (away.status_code, "fleetprompt migrate" in away.json()["reason"]) == (503, True)
            await house.rows(
                "create table public.alembic_version as select $1::varchar(32) as version_num", was
            )
            assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert await stopped(web) == 0


async def test_a_second_ctrl_c_ends_it_at_once_while_the_first_still_winds_up() -> None:
    async with (
        fresh_house() as house,
        staying(CommandLine.on(house.url, FLEETPROMPT_PORT="0"), "web") as web,
        table_locked(house),
    ):
        port = int((await line(web, r"listens on http://\S+:(\d+)"))[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
        )  # looks at the locked table: an orderly stop waits
        await asyncio.sleep(0.3)
        web.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        web.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert await asyncio.wait_for(web.wait(), 10) == AT_ONCE
        assert time.monotonic() - began < 1.0
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def table_locked(house: House) -> AsyncIterator[None]:
    """Nobody can look at the jobs."""
    connection = await house.database.connect_raw()
    try:
        async with connection.transaction():
            await connection.execute("lock table public.job in access exclusive mode")
            yield
    finally:
        await connection.close()


async def test_a_port_in_use_ends_the_start_with_advice() -> None:
    async with fresh_house() as house:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            run = CommandLine.on(house.url, FLEETPROMPT_PORT=str(taken.getsockname()[1]))
            said = await run("up")
        assert (said.code, "FLEETPROMPT_PORT" in said.err.splitlines()[-1]) == (1, True)


async def test_a_setting_that_cannot_be_ends_the_start_and_not_a_job() -> None:
    async with fresh_house() as house:
        said = await CommandLine.on(house.url)("worker", FLEETPROMPT_MODEL="openai:gpt-5")
        assert said.code == 1
        assert "FLEETPROMPT_MODEL_API_KEY" in said.err
