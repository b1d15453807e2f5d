"""Other versions by chat, and plans of several steps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fleetprompt.accounts import Role
from fleetprompt.accounts.change import set_role
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages import lifecycle
from fleetprompt.packages.commands import carry
from fleetprompt.packages.commands.obey import obey
from fleetprompt.packages.signing import TRUSTED
from fleetprompt.runtime.people import membership_teller
from tests.commanding import Office, code_in, employ, office
from tests.connected import OPERATOR
from tests.house import ACME, GLOBEX
from tests.manifests import KEYS
from tests.versions import MORE, VALUES, put


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    for name, key in KEYS.items():
        monkeypatch.setitem(TRUSTED, name, key)
    async with office() as made:
        yield made


async def test_an_upgrade_shows_what_is_wider_and_confirming_consents(desk: Office) -> None:
    await put(desk.stage, "1.1.0", permissions=[*VALUES["permissions"], MORE])
    first = await desk.says("upgrade mattermost")
    assert "It may do more" in first
    assert "mattermost.files:read" in first
    await put(desk.stage, "1.2.0", permissions=[*VALUES["permissions"], MORE])
    again = await desk.says(f"confirm {code_in(first)}")
    assert "has changed" in again
    assert "1.2.0" in again
    assert "1.2.0" in await desk.says("upgrade mattermost@1.3.0")
    assert await desk.says(f"confirm {code_in(again)}") == ""
    await desk.drain()
    row = await desk.one("select version, state from installations")
    assert tuple(row) == ("1.2.0", "installed")
    granted = await desk.stage.base.tenant_rows(ACME, "select scope from grants")
    assert "mattermost.files:read" in [one["scope"] for one in granted]
    back = await desk.says("rollback mattermost")
    assert "no longer: `mattermost.files:read`" in back
    await desk.says(f"confirm {code_in(back)}")
    await desk.drain()
    assert (await desk.one("select version from installations"))["version"] == "1.0.0"
    errors = await desk.stage.base.tenant_rows(ACME, "select error from plans where finished_at is not null")
    assert [row["error"] for row in errors] == [None, None]


async def test_what_is_missing_is_installed_first_and_the_plan_goes_on_by_itself(desk: Office) -> None:
    """The chat is acme's: globex has none yet, so its plan brings one along."""
    user_id = await employ(desk, desk.olga, Role.OWNER, GLOBEX)
    house, server = desk.stage.house, desk.stage.server
    helper = server.create_user("helper", is_bot=True)
    server.add_to_team(helper, desk.stage.team)
    plan = await obey(house, desk.asked("install starter-agent", tenant=GLOBEX))
    assert await obey(house, desk.asked(f"confirm {code_in(plan)}", tenant=GLOBEX)) == ""
    await desk.drain()
    waiting = await desk.one("select * from plans", GLOBEX)
    assert "configure mattermost server_url=..." in waiting["shown"]
    settings = {"server_url": server.url, "team": "engineering"}
    given = {"config": settings, "secrets": {"bot_token": Secret(helper.token)}, "actor": OPERATOR}
    await lifecycle.configure(house, GLOBEX, "mattermost", **given)  # type: ignore[arg-type]
    await desk.drain()
    done = await desk.one("select * from plans", GLOBEX)
    assert (done["error"], done["step"], done["finished_at"] is not None) == (None, 1, True)
    assert "`mattermost` 1.0.0 is installed." in done["shown"]
    assert "`starter-agent` 1.0.0 is installed." in done["shown"]
    agents = await desk.stage.base.tenant_rows(GLOBEX, "select name from agents")
    assert "starter" in [row["name"] for row in agents]
    asked = await desk.stage.base.tenant_rows(
        GLOBEX, "select actor_id from directives where name = 'package.install' order by id"
    )
    assert asked[-1]["actor_id"] == f"user:{user_id}"


async def test_no_link_is_sent_to_somebody_who_lost_the_right_meanwhile(desk: Office) -> None:
    rita = desk.stage.server.create_user("rita")
    user_id = await employ(desk, rita, Role.ADMIN)
    assert "direct message" in await desk.says("secret mattermost", rita)
    async with desk.stage.house.tenancy.session(ACME) as session:
        tell = membership_teller(desk.stage.house.registry, OPERATOR)
        await set_role(session, tell, user_id, Role.MEMBER)
    await desk.drain()
    row = await desk.one("select state, error from directives where name = 'package.secret_link.send'")
    assert row["state"] == "failed"
    assert "Ask Olga." in row["error"]
    assert desk.said == []
    assert await desk.stage.base.tenant_rows(ACME, "select 1 from secret_links") == []


async def test_a_plan_whose_job_dies_says_so(desk: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(carry, "_by_lifecycle", breaks)
    code = await desk.code("configure mattermost post_burst=7")
    assert await desk.says(f"confirm {code}") == ""
    await desk.stage.base.rows("update public.job set max_attempts = 1 where kind = 'plan.carry'")
    await desk.drain()
    plan = await desk.one("select error, finished_at, shown from plans")
    assert "RuntimeError" in plan["error"]
    assert plan["finished_at"] is not None
    assert "❌" in plan["shown"]
