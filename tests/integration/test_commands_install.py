"""Installing by chat: plan, consent, a link for the secret, one post that is edited; with another tenant beside."""

from __future__ import annotations

from fleetprompt.kernel.secret import Secret
from fleetprompt.packages import lifecycle, secret_links
from fleetprompt.runtime.signals import Actor
from tests.commanding import code_in, open_office
from tests.connected import until
from tests.house import ACME


async def test_an_owner_installs_a_package_in_the_thread_and_hands_its_secret_over_alone() -> None:
    async with open_office() as office:
        server, stage = office.stage.server, office.stage
        second = server.create_user("helper", is_bot=True)
        server.add_to_channel(second, stage.support)
        root = server.post(
            office.olga,
            stage.support,
            f"@fleet install mattermost/second server_url={server.url} team=engineering",
        )
        plan = await office.answered("confirm P-")
        assert "mattermost.posts:write" in plan
        assert "bot_token" in plan
        server.post(office.olga, stage.support, f"confirm {code_in(plan)}", root_id=root.id)
        token = await office.link_for(office.olga)
        waiting = await office.answered("sent you a link")
        rows = await stage.base.tenant_rows(ACME, "select * from installations where name = 'second'")
        assert rows[0]["state"] == "needs_config"
        actor = Actor("human", f"user:{office.users['olga']}", "Olga")
        async with stage.house.tenancy.session(ACME) as session:
            opened = await secret_links.look(session, token, user_id=office.users["olga"])
        await lifecycle.provide_secret(
            stage.house, ACME, opened.installation_id, opened.credential, Secret(second.token), actor
        )
        done = await office.answered("second` 1.0.0 is installed")
        posts = [one for one in server.posts(stage.support.id) if one.message == done]
        assert len(posts) == 1
        assert posts[0].root_id == root.id
        assert posts[0].edit_at
        assert waiting not in office.said
        assert office.said.count(done) == 1
        finished = "select 1 from plans where finished_at is not null and error is null"
        assert await until(lambda: stage.base.tenant_rows(ACME, finished))
        echo = "select 1 from messages m join conversations c on c.id = m.conversation_id where c.channel_kind = 'direct'"
        assert await until(lambda: stage.base.tenant_rows(ACME, echo))
        assert await office.tables_with(token) == []
        await office.nothing_of_globex()
