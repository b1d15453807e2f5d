"""What becomes of an account on its own server is noted here, from that server's record alone."""

from __future__ import annotations

from fleetprompt.connectors.mattermost.binding import server_key
from fleetprompt.runtime.jobs import NewJob, enqueue
from tests.connected import Stage, connected_house, until, working
from tests.house import ACME
from tests.members import joins
from tests.people import behind, link_code, links

ELSEWHERE = "elsewhere.example"


async def checked(stage: Stage) -> None:
    """The hourly job, now."""
    async with stage.base.tenancy.session(ACME) as session:
        await enqueue(session, NewJob("accounts.check", {}))
    count = "select count(*) from public.job where kind = 'accounts.check'"
    await until(lambda: _is_zero(stage, count))


async def _is_zero(stage: Stage, query: str) -> bool:
    return bool(await stage.base.value(query) == 0)


async def test_a_renamed_account_keeps_its_rights_and_a_deactivated_one_loses_them() -> None:
    async with connected_house() as stage, working(stage.house):
        installation = await stage.adopt()
        here, dana = server_key(installation.config), stage.dana
        ada = await joins(stage.base, "Ada")
        for key in (here, ELSEWHERE):
            code = (await link_code(stage.base, ada)).code.reveal()
            await links(stage.base, code, dana.id, server_key=key, name="dana")
        dana.username = "dana.new"
        await checked(stage)
        names = "select name from public.identities order by server_key = $1"
        assert [row[0] for row in await stage.base.rows(names, here)] == ["dana", "dana.new"]
        assert await behind(stage.base, dana.id, server_key=here) == ada
        for delete_at, who in ((1, None), (1, None), (0, ada)):
            dana.delete_at = delete_at
            await checked(stage)
            assert await behind(stage.base, dana.id, server_key=here) == who
            assert await behind(stage.base, dana.id, server_key=ELSEWHERE) == ada
        told = await stage.base.tenant_rows(
            ACME, "select name, actor_kind from signals where name like 'identity.%' order by id"
        )
        assert [tuple(row) for row in told[2:]] == [
            (f"identity.{what}", "integration") for what in ("renamed", "deactivated", "reactivated")
        ]


async def test_a_server_that_cannot_be_asked_changes_nothing() -> None:
    async with connected_house() as stage, working(stage.house):
        installation = await stage.adopt()
        here = server_key(installation.config)
        ada = await joins(stage.base, "Ada")
        await links(
            stage.base, (await link_code(stage.base, ada)).code.reveal(), stage.dana.id, server_key=here
        )
        stage.bot.revoked = True
        await checked(stage)
        assert await behind(stage.base, stage.dana.id, server_key=here) == ada
