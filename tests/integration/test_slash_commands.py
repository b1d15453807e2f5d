"""Slash commands over real HTTP: the sandbox Mattermost sends them, a worker carries them out, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import httpx2
import pytest

from fleetprompt.kernel.clock import monotonic_s
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.runtime.signals.replay import Chosen, replay
from fleetprompt.sandbox.demo.screen import Screen
from fleetprompt.sandbox.demo.tail import Tail
from fleetprompt.sandbox.demo.town import AGENT, CHANNEL, YOU, Town
from fleetprompt.sandbox.demo.transcript import Threads
from tests import killing
from tests.commanding import drain
from tests.connected import OPERATOR, until, working
from tests.doors import SEEN_WITHIN_S, Doors, free_port, open_doors, serve_doors, with_slash_token, work_off
from tests.house import ACME, GLOBEX
from webhooks.mattermost import ON_IT

REFUSED = {
    "error": {"code": "unauthorized", "message": "This is not for us. Check the address and the token."}
}


async def test_a_command_does_the_same_as_a_mention_and_only_its_writer_sees_the_answer() -> None:
    async with open_doors(shown_within_s=SEEN_WITHIN_S) as doors, working(doors.office.stage.house):
        server, office = doors.office.stage.server, doors.office
        assert "olga" in (await doors.runs("whoami")).lower()
        assert "have to know who you are" in await doors.runs("install proton-mail", office.sam)
        assert "mia" in (await doors.runs("whoami", office.mia)).lower()
        plan = await doors.runs("configure mattermost follow_threads=true")
        assert "confirm P-" in plan
        shown = [post.message for post in server.shown_privately(office.olga)]
        assert plan in shown
        assert [post for post in server.posts("support") if not post.type] == []
        told = await doors.signals("chat.request.told")
        assert all('"how":"shown"' in one["payload"].replace(" ", "") for one in told)
        assert len(told) == 4


async def test_an_ordinary_request_reaches_the_agent_who_answers_its_writer_alone() -> None:
    async with open_doors() as doors, working(doors.office.stage.house):
        stage = doors.office.stage
        async with stage.house.tenancy.session(ACME) as session:
            await create_agent(session, stage.house.registry, "helper", OPERATOR)
        assert await doors.runs("what can you do for me today", doors.office.sam) == ON_IT
        await until(lambda: _list(doors.told(doors.office.sam)))
        assert [post for post in stage.server.posts("support") if not post.type] == []
        [command] = await doors.signals("chat.command.received")
        [message] = await doors.signals("chat.message.received")
        assert message["correlation_id"] == command["correlation_id"]
        assert message["causation_id"] == command["id"]


async def _list(found: list[str]) -> list[str]:
    return found


async def test_the_door_answers_at_once_and_the_answer_comes_when_there_is_one() -> None:
    """Whoever works is not there yet; the same command sent again changes nothing, then or later."""
    async with open_doors() as doors:
        form = doors.form("whoami")
        began_s = monotonic_s()
        answers = await asyncio.gather(*(doors.send(form) for _ in range(3)))
        assert monotonic_s() - began_s < 5
        assert {answer.json()["text"] for answer in answers} == {ON_IT}
        async with working(doors.office.stage.house):
            await doors.tells(doors.office.olga, "olga")
            assert (await doors.send(form)).json() == {"response_type": "ephemeral", "text": ON_IT}
            async with doors.office.stage.house.tenancy.session(ACME) as session:
                chosen = Chosen(name="chat.*")
                await replay(session, doors.office.stage.house.registry, chosen, OPERATOR)
            await drain(doors.office.stage.house)
        assert len(await doors.signals("chat.command.received")) == 1
        assert len(doors.told(doors.office.olga)) == 1


async def test_what_is_not_ours_is_refused_in_the_same_words() -> None:
    async with open_doors() as doors:
        stage, office = doors.office.stage, doors.office
        form = doors.form("whoami")
        helper = stage.server.create_user("helper", is_bot=True)
        stage.server.add_to_channel(helper, stage.support)
        theirs = await stage.adopt(GLOBEX, bot=helper)
        await with_slash_token(office, theirs, "globexglobexglobexglobexgl", GLOBEX)
        nowhere = doors.address().replace(str(office.installation.id), str(uuid4()))
        tries = [
            await doors.send(form | {"token": "x" * 26}),
            await doors.send(form | {"token": "é" * 26}),
            await doors.send(form, theirs),
            await doors.client.post(nowhere, data=form),
            await doors.client.post(nowhere.replace("-", "!"), data=form),
        ]
        at_theirs = await doors.send(form | {"token": "globexglobexglobexglobexgl"}, theirs)
        assert at_theirs.status_code == 200
        await stage.base.rows("update connections set enabled = false where tenant = 'acme'")
        tries.append(await doors.send(form))
        await stage.base.rows("update connections set enabled = true where tenant = 'acme'")
        await stage.base.tenant_rows(ACME, "delete from credentials where name = 'slash_token'")
        tries.append(await doors.send(form))
        tries.append(await doors.send(form | {"token": "-"}))
        assert {(one.status_code, str(one.json())) for one in tries} == {(401, str(REFUSED))}
        assert await doors.signals("chat.command.received") == []
        assert len(await doors.signals("chat.command.received", GLOBEX)) == 1


async def test_neither_the_token_nor_a_pasted_secret_is_stored() -> None:
    async with open_doors() as doors:
        secret = "ghp_" + "a1B2" * 9
        answer = await doors.send(doors.form(f"use {secret} for it"))
        assert "looks like a secret" in answer.json()["text"]
        rows = await doors.office.stage.base.tenant_rows(
            ACME, "select s::text || coalesce(encode(r.body, 'escape'), '') as said from signals s"
            " left join signal_raw r on r.signal_id = s.id"
        )  # fmt: skip
        stored = " ".join(row["said"] for row in rows)
        assert "secret.redacted" in stored
        assert not any(word in stored for word in (secret, doors.command.token, "hooks/commands"))


@pytest.mark.parametrize("fault", ["door.before_commit", "door.committed"])
async def test_a_door_that_dies_loses_nothing_that_it_stored_and_doubles_nothing(fault: str) -> None:
    key = os.urandom(32)
    async with open_doors(key) as doors:
        stage, port, form = doors.office.stage, free_port(), doors.form("whoami")
        with killing.running(serve_doors, stage.base.url, key, port, fault=fault) as process:
            await _dropped(doors, port, form)
            assert await killing.ended(process) == -9
        stored = len(await doors.signals("chat.command.received"))
        assert stored == (1 if fault == "door.committed" else 0)
        async with working(stage.house):
            at_once = "" if stored else (await doors.send(form)).json()["text"]
            if stored or at_once == ON_IT:  # it takes a second at most to say so
                await doors.tells(doors.office.olga, "olga")
            else:
                assert "olga" in at_once.lower()
            assert (await doors.send(form)).json()["text"] == ON_IT  # its writer tries again
        assert len(await doors.signals("chat.command.received")) == 1
        assert len(await doors.signals("chat.request.told")) == 1


async def _dropped(doors: Doors, port: int, form: dict[str, str]) -> None:
    """Send it to the process that dies of it, once it listens."""
    address = doors.address().replace(doors.url, f"http://127.0.0.1:{port}")

    async def is_dropped() -> bool:
        with contextlib.suppress(httpx2.ConnectError):
            try:
                await doors.client.post(address, data=form)
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                return True
        return False

    await until(is_dropped, 30)


async def test_a_worker_that_dies_after_it_obeyed_has_obeyed_once() -> None:
    """Whoever goes on finds what was made, and its code is said once."""
    key = os.urandom(32)
    async with open_doors(key) as doors:
        assert (await doors.send(doors.form("configure mattermost follow_threads=true"))).json()[
            "text"
        ] == ON_IT
        await killing.dies(work_off, doors.office.stage.base.url, key, fault="request.obeyed")
        assert await doors.signals("chat.request.answered") == []
        [made] = await doors.office.stage.base.tenant_rows(ACME, "select code from plans")
        async with working(doors.office.stage.house):
            await doors.tells(doors.office.olga, f"confirm {made['code']}".lower())
        assert len(await doors.office.stage.base.tenant_rows(ACME, "select code from plans")) == 1
        assert len(doors.told(doors.office.olga)) == 1


async def test_whoever_types_in_the_demo_can_write_a_slash_command() -> None:
    async with open_doors(shown_within_s=SEEN_WITHIN_S) as doors, working(doors.office.stage.house):
        server, out = doors.office.stage.server, io.StringIO()
        server.add_to_channel(server.create_user(YOU), CHANNEL)
        town = cast(Town, SimpleNamespace(mattermost=server))
        tail = Tail(town, Screen(out), Threads())
        await tail._take(f"/{AGENT} whoami")
        await tail._take("/nothing of ours")
        assert "only you see" in out.getvalue()
        assert "link" in out.getvalue()
        assert [post for post in server.posts(CHANNEL) if not post.type] == []
