"""What a command refuses, and what it says instead; nothing but the plan is written before somebody consents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fleetprompt.accounts import Role
from fleetprompt.accounts.change import set_role
from fleetprompt.packages import withdrawing
from fleetprompt.packages.commands.obey import MOST_A_MINUTE, obey
from fleetprompt.packages.commands.verbs import VERBS
from fleetprompt.runtime.people import membership_teller
from tests.commanding import Office, code_in, employ, office
from tests.connected import OPERATOR
from tests.house import ACME, GLOBEX

NOBODYS_ID = "0198a2b4-0000-7000-8000-000000000000"


@pytest.fixture
async def desk() -> AsyncIterator[Office]:
    async with office() as made:
        yield made


async def test_rights_come_from_the_link_alone_and_whoever_may_is_named(desk: Office) -> None:
    for said in ("help", "whoami", "search", "info mattermost", "help install"):
        assert "know who you are" not in await desk.says(said, desk.sam), said
    assert "/link" in await desk.says("whoami", desk.sam)
    for verb in (verb.name for verb in VERBS.values() if verb.role is not None and verb.name != "unlink"):
        text = {"confirm": "confirm P-2222"}.get(verb, f"{verb} mattermost")
        text = verb if verb in ("pause-all", "audit") else text
        text = f"{verb} {NOBODYS_ID}" if verb in ("approve", "reject") else text
        assert "/link" in await desk.says(text, desk.sam), verb
        said = await desk.says(text, desk.mia)
        if VERBS[verb].role == Role.ADMIN:
            assert "Ask Olga." in said, verb
    assert "Mia, member of `acme`" in await desk.says("whoami", desk.mia)
    assert await desk.stage.base.tenant_rows(ACME, "select 1 from plans") == []


async def test_whoever_says_more_than_a_person_can_is_told_so_once_a_minute(desk: Office) -> None:
    for _ in range(MOST_A_MINUTE):
        assert "Wait" not in await desk.says("whoami", desk.sam)
    assert "Wait" in await desk.says("whoami", desk.sam, certain=False)
    assert await desk.says("whoami", desk.sam, certain=False) == ""
    alone = replace(desk.asked("whoami", desk.sam), is_alone=True)
    assert "Wait" in await obey(desk.stage.house, alone)
    assert "Olga" in await desk.says("whoami")


async def test_the_same_account_of_another_server_or_organization_is_nobody(desk: Office) -> None:
    elsewhere = desk.asked("status", tenant=GLOBEX)
    assert "know who you are" in await obey(desk.stage.house, elsewhere)
    assert "installed" in await desk.says("status")


async def test_what_is_unknown_is_told_the_nearest(desk: Office) -> None:
    cases = {
        "instal proton-mail": "install proton-mail",
        "install protn-mail": "proton-mail",
        "install proton-mail@9.0.0": "1.0.0",
        "install proton-mail user=x": "username",
        "install proton-mail tls=startls": "starttls",
        "install proton-mail imap_port=many": "imap_port",
        "install proton-mail +mail.messages:raed": "mail.messages:read",
        "install proton-mail agent=nobody": "proton-mail",
        "install webhook": "not installable yet",
        "install mattermost": "here already",
        "configure mattermost teem=x": "team",
        "configure proton-mail policy=ask": "not installed",
        "secret mattermost bot_tokn": "bot_token",
        "upgrade mattermost": "nothing to upgrade",
        "rollback mattermost": "no former version",
        "enable proton-mail": "not installed",
        "uninstall matermost": "not installed",
        f"approve {NOBODYS_ID}": "no directive",
        f"audit {NOBODYS_ID}": "Nothing in",
    }
    for said, expected in cases.items():
        answer = await desk.says(said)
        assert expected in answer, (said, answer)
        assert "--org" not in answer, (said, answer)
        assert "fleetprompt package" not in answer, (said, answer)


async def test_a_secret_in_a_command_is_refused_and_kept_nowhere(desk: Office) -> None:
    for said in (
        "install proton-mail bridge_password=hunter2hunter2",
        "configure mattermost bot_token=hunter2hunter2",
    ):
        answer = await desk.says(said)
        assert "secret" in answer
        assert "hunter2" not in answer
    rows = await desk.stage.base.tenant_rows(ACME, "select to_jsonb(p)::text as row from plans p")
    assert not any("hunter2" in row["row"] for row in rows)


async def test_a_plan_is_confirmed_once_in_time_and_by_whoever_asked(desk: Office) -> None:
    rita = desk.stage.server.create_user("rita")
    await employ(desk, rita, Role.ADMIN)
    code = await desk.code("install proton-mail")
    assert "somebody else's" in await desk.says(f"confirm {code}", rita)
    assert "install proton-mail" in await desk.says(f"confirm {code}", rita)
    assert "There is no plan" in await desk.says("confirm P-2222")
    assert code in await desk.says(f"confirm {code[:-1]}{'2' if code[-1] != '2' else '3'}")
    assert await desk.says(f"confirm {code}") == ""
    assert "confirmed already" in await desk.says(f"confirm {code}")
    old = await desk.code("configure mattermost follow_threads=true")
    await desk.stage.base.tenant_rows(ACME, "update plans set expires_at = now() where code = $1", old)
    said = await desk.says(f"confirm {old}")
    assert "ten minutes" in said
    assert "configure mattermost follow_threads=true" in said


async def test_a_plan_is_void_when_the_registry_or_the_installation_changed(desk: Office) -> None:
    database = desk.stage.house.tenancy.database
    first = await desk.code("configure mattermost follow_threads=true")
    await desk.stage.base.tenant_rows(ACME, "update installations set generation = generation + 1")
    answer = await desk.says(f"confirm {first}")
    assert "has changed" in answer
    assert code_in(answer) != first
    assert "is void" in await desk.says(f"confirm {first}")
    second = await desk.code("install proton-mail")
    await withdrawing.yank(database, "proton-mail", "1.0.0", "It is being looked into.")
    answer = await desk.says(f"confirm {second}")
    assert f"Plan {second} is void" in answer
    assert "looked into" in answer
    assert (
        await desk.stage.base.tenant_rows(ACME, "select 1 from directives where name like 'package.%'") == []
    )


async def test_two_admins_who_confirm_at_once_install_once(desk: Office) -> None:
    rita = desk.stage.server.create_user("rita")
    await employ(desk, rita, Role.ADMIN)
    said = "install proton-mail"
    codes = [(desk.olga, await desk.code(said, desk.olga)), (rita, await desk.code(said, rita))]
    assert await asyncio.gather(*(desk.says(f"confirm {code}", who) for who, code in codes)) == ["", ""]
    await asyncio.gather(desk.drain(), desk.drain())
    await desk.drain()
    rows = await desk.stage.base.tenant_rows(
        ACME, "select state from installations where package = 'proton-mail'"
    )
    assert [row["state"] for row in rows] == ["needs_config"]


async def test_the_right_is_asked_for_again_when_it_is_carried_out(desk: Office) -> None:
    rita = desk.stage.server.create_user("rita")
    user_id = await employ(desk, rita, Role.ADMIN)
    code = await desk.code("configure mattermost follow_threads=true", rita)
    assert await desk.says(f"confirm {code}", rita) == ""
    async with desk.stage.house.tenancy.session(ACME) as session:
        tell = membership_teller(desk.stage.house.registry, OPERATOR)
        await set_role(session, tell, user_id, Role.MEMBER)
    await desk.drain()
    plan = await desk.one("select * from plans where confirmed_at is not null")
    assert "Ask Olga." in plan["error"]
    row = await desk.one("select config->>'follow_threads' as on from installations")
    assert row["on"] == "false"


async def test_a_missing_dependency_is_part_of_the_plan(desk: Office) -> None:
    await employ(desk, desk.olga, Role.OWNER, GLOBEX)
    answer = await obey(desk.stage.house, desk.asked("install starter-agent", tenant=GLOBEX))
    assert "needs Mattermost 1.0.0, which is installed first" in answer
    assert "mattermost.posts:write" in answer
    plan = await desk.one("select * from plans", GLOBEX)
    assert plan["steps"].index('"mattermost"') < plan["steps"].index('"starter-agent"')
    assert await desk.stage.base.tenant_rows(ACME, "select 1 from plans") == []
