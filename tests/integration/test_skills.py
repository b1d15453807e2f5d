"""Skills taught by hand: as directives, signed, for admins alone, and gone with their package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fleetprompt.accounts import Role
from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound
from fleetprompt.packages import attaching, lifecycle
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.packages.publishing import publish
from fleetprompt.runtime.agents.manage import create_agent
from fleetprompt.runtime.people import as_actor
from fleetprompt.runtime.signals import Actor
from tests.connected import OPERATOR, Stage
from tests.house import ACME
from tests.manifests import release
from tests.members import changed, joins
from tests.provided import HOST, SKILL
from tests.versions import versions_stage

OWN = {key: value for key, value in HOST.items() if key not in ("tools", "named_by")}
GREETS: dict[str, Any] = {"skills": [SKILL], "agents": [OWN]}


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with versions_stage(monkeypatch) as opened:
        await publish(opened.base.database, release("greeter", "1.0.0", provides=GREETS))
        skill = {**SKILL, "instructions": "Say hello thrice."}
        await publish(
            opened.base.database, release("greeter", "1.1.0", provides={**GREETS, "skills": [skill]})
        )
        async with opened.house.tenancy.session(ACME) as session:
            await create_agent(session, opened.house.registry, "fleet", OPERATOR)
        yield opened


async def change(stage: Stage, verb: Callable[..., Any], skill: str, by: Actor = OPERATOR) -> Ended:
    id_ = await verb(stage.house, ACME, skill, "fleet", actor=by)
    return await run_now(stage.house, ACME, id_, 20)


async def lead(stage: Stage, verb: Any, package: str = "greeter", **more: Any) -> Ended:
    asked = await verb(stage.house, ACME, package, actor=OPERATOR, **more)
    return await run_now(stage.house, ACME, asked.directive_id, 20)


async def taught(stage: Stage) -> list[tuple[str, str, bool]]:
    """(name, what to do, whether an installation is behind it) of each skill of `fleet`."""
    rows = await stage.base.tenant_rows(
        ACME,
        "select s->>'name', s->>'instructions', s->>'installation_id' is not null"
        " from agents, jsonb_array_elements(skills) s where agents.name = 'fleet'",
    )
    return [tuple(row) for row in rows]


async def test_a_skill_is_taught_and_forgotten_by_a_directive(stage: Stage) -> None:
    assert (await change(stage, attaching.attach, "greeter/greet")).succeeded
    assert await taught(stage) == [("greet", "Say hello thrice.", False)]
    with pytest.raises(Conflict, match="already"):
        await change(stage, attaching.attach, "greet")
    assert (await change(stage, attaching.detach, "greet")).succeeded
    assert await taught(stage) == []
    assert (await change(stage, attaching.attach, "greet")).succeeded
    names = await stage.base.tenant_rows(
        ACME, "select name, state from directives where name like 'skill.%' order by id"
    )
    assert [tuple(row) for row in names] == [
        ("skill.attach", "succeeded"),
        ("skill.detach", "succeeded"),
        ("skill.attach", "succeeded"),
    ]
    told = await stage.base.tenant_rows(ACME, "select 1 from signals where name = 'agent.configured'")
    assert len(told) == 3
    for verb, skill in ((attaching.attach, "greeet"), (attaching.detach, "draft-reply")):
        with pytest.raises(NotFound, match="greet"):
            await change(stage, verb, skill)


async def test_it_follows_its_package_and_goes_with_it(stage: Stage) -> None:
    assert (await lead(stage, lifecycle.install, "greeter@1.0.0", config={}, secrets={})).succeeded
    with pytest.raises(InvalidInput, match="from its own package"):
        await attaching.detach(stage.house, ACME, "greet", "host", actor=OPERATOR)
    await lead(stage, lifecycle.upgrade, "greeter@1.1.0")
    await change(stage, attaching.attach, "greet")
    assert await taught(stage) == [("greet", "Say hello thrice.", True)]
    assert (await lead(stage, lifecycle.rollback)).succeeded
    assert await taught(stage) == [("greet", SKILL["instructions"], True)]
    assert (await lead(stage, lifecycle.uninstall)).succeeded
    assert await taught(stage) == []


async def test_only_admins_teach_and_are_still_admins_when_it_is_done(stage: Stage) -> None:
    member = await joins(stage.base, "milo", Role.MEMBER)
    with pytest.raises(FleetPromptError):
        await change(stage, attaching.attach, "greet", as_actor(member))
    with pytest.raises(FleetPromptError):
        await change(stage, attaching.attach, "greet", Actor("agent", "x", "fleet"))
    admin = await joins(stage.base, "ada", Role.ADMIN)
    id_ = await attaching.attach(stage.house, ACME, "greet", "fleet", actor=as_actor(admin))
    await changed(stage.base, "member", admin.user_id)
    ended = await run_now(stage.house, ACME, id_, 20)
    assert not ended.succeeded
    assert await taught(stage) == []
