"""Secrets of every kind go through every door in one scene; afterwards none stands anywhere, sealed bytes aside.

Searched: every column of every table of every schema, all log lines, every HTTP answer, every prompt, all that the bot
posted, every error, and what the command line says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from fleetprompt.accounts import Role, claims, identities
from fleetprompt.accounts.api_keys import create_key
from fleetprompt.credentials import Secret
from fleetprompt.packages import lifecycle, secret_links
from fleetprompt.packages.inline import run_now
from fleetprompt.runtime.people import fact_teller
from tests.canary_scene import Scene, canary_scene
from tests.command_line import CommandLine
from tests.connected import until
from tests.house import ACME
from tests.mail_stage import FLEET, mail
from tests.members import OPERATOR, address, joins


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with canary_scene() as made:
        yield made


async def test_no_canary_is_found_anywhere(scene: Scene) -> None:
    user_id = await people(scene)
    installation_id = await pages(scene, user_id)
    await chat(scene, user_id, installation_id)
    await slash(scene, installation_id)
    await programs(scene, user_id)
    await mails(scene)
    await command_line(scene)
    await quiet(scene)
    assert len(scene.model.requests) >= 1
    for request in scene.model.requests:
        scene.canaries.hear("prompt", request.json)
    for post in scene.chat.posts():
        if (
            post.user_id == scene.chat.user("fleet").id
            and post.channel_id == scene.chat.channel("support").id
        ):
            scene.canaries.hear("post", post.message)
    assert await scene.canaries.in_tables(scene.base) == []
    await scene.rows("update mail_chunks set body = $1", scene.canaries.values["session"].encode())
    assert await scene.canaries.in_tables(scene.base) == [
        ("session", "org_acme.mail_chunks")
    ]  # it can be found


async def people(scene: Scene) -> UUID:
    """Ada claims her account, mistypes her password, and logs in."""
    canaries, browser = scene.canaries, scene.browser
    ada = await joins(scene.base, "Ada", Role.OWNER)
    tell = fact_teller(scene.composed.registry, OPERATOR)
    async with scene.base.tenancy.session(ACME) as session:
        issued = await claims.issue_claim(session, tell, ada.user_id)
    code = canaries.put("claim code", issued.code.reveal())
    password = canaries.put("password", "canary four words nobody knows")
    await browser.see("/claim")
    await browser.send("/claim", code=code, password=password, again=password + "x")
    await browser.see("/claim")
    await browser.send("/claim", code=code, password=password, again=password)
    await browser.see("/")
    await browser.send("/logout")
    for typed in (canaries.put("mistyped password", "canary five words nobody knows"), password):
        await browser.see("/login")
        await browser.send("/login", email=address("Ada"), password=typed)
    session_cookie = next(value for name, value in browser.http.cookies.items() if name.endswith("session"))
    canaries.put("session", session_cookie)
    assert "<h1>acme</h1>" in browser.page.text
    return ada.user_id


async def pages(scene: Scene, user_id: UUID) -> UUID:
    """The chat is installed; its token comes by a link, after a wrong one."""
    canaries, chat = scene.canaries, scene.chat
    bot = chat.create_user("fleet", is_bot=True)
    chat.add_to_channel(bot, chat.create_channel(chat.create_team("engineering"), "support"))
    config = {"server_url": chat.url, "team": "engineering"}
    given: dict[str, Any] = {"secrets": {}, "actor": OPERATOR}
    with scene.refused("a password in an address"):
        address = f"http://user:{canaries.put('password in an address', 'canary-of-an-address')}@127.0.0.1:1"
        await lifecycle.install(
            scene.packages, ACME, "mattermost", config={**config, "server_url": address}, **given
        )
    asked = await lifecycle.install(scene.packages, ACME, "mattermost", config=config, **given)
    async with scene.base.tenancy.session(ACME) as session:
        token = await secret_links.issue(
            session, user_id=user_id, installation_id=asked.installation_id, credential="bot_token"
        )
    canaries.put("secret link", token)
    path = f"/secret/{token}"
    await scene.browser.see(path)
    await scene.browser.send(path, secret=canaries.put("wrong bot token", "k9" * 13))
    assert "refused" in scene.browser.page.text
    await scene.browser.send(path, secret=canaries.put("bot token", bot.token))
    assert "It works" in scene.browser.page.text
    connected = "select 1 from installation_health where state = 'connected'"
    await until(lambda: scene.rows(connected), 30)
    return asked.installation_id


async def chat(scene: Scene, user_id: UUID, installation_id: UUID) -> None:
    """Ada pastes a token, edits another one in, and writes a passphrase where a secret is awaited."""
    canaries, server = scene.canaries, scene.chat
    ada, support = server.create_user("ada"), server.channel("support")
    server.add_to_channel(ada, support)
    await link(scene, user_id, ada.id)
    github = canaries.put("token in a chat", f"ghp_{'cA7' * 12}")
    pasted = server.post(ada, support, f"@fleet please use {github} for order 1042")
    await scene.model.received(1)
    pem = canaries.put(
        "private key", f"-----BEGIN PRIVATE KEY-----\n{'MIIcanary' * 6}\n-----END PRIVATE KEY-----"
    )
    canaries.put("within the private key", "MIIcanary" * 6)
    server.edit(pasted, f"@fleet and this one\n{pem}")
    root = server.post(ada, support, "@fleet secret mattermost")
    await until(lambda: scene.rows("select 1 from secret_links where asked_subject = $1", ada.id), 30)
    direct = server.direct_channel(scene.chat.user("fleet"), ada)
    server.post(ada, support, canaries.put("awaited in a thread", "canary correct horse"), root_id=root.id)
    removed = server.post(ada, direct, canaries.put("awaited alone", "canary battery staple"))
    told = "select 1 from signals where name = 'secret.redacted' having count(*) >= 4"
    await until(lambda: scene.rows(told), 30)
    server.delete(removed)
    await until(lambda: scene.rows("select 1 from signals where name = 'chat.message.deleted'"), 30)


async def link(scene: Scene, user_id: UUID, subject: str) -> None:
    """Ada's chat account is hers."""
    async with scene.base.tenancy.session(ACME) as session:
        issued = await identities.issue_link(session, user_id)
    code = scene.canaries.put("link code", issued.code.reveal())
    spell = scene.composed.registry.channels["mattermost"].server_key
    assert spell is not None
    [row] = await scene.rows("select config ->> 'server_url' as url from installations")
    account = {"connector": "mattermost", "server_key": spell({"server_url": row["url"]}), "subject": subject}
    async with scene.base.tenancy.session(ACME) as session:
        tell = fact_teller(scene.composed.registry, OPERATOR)
        await identities.redeem_link(session, tell, code, **account, name="ada")


async def slash(scene: Scene, installation_id: UUID) -> None:
    """By the slash command: its own token, a wrong one, and a secret among its words."""
    known = scene.canaries.put("slash token", "s7" * 13)
    asked = await lifecycle.provide_secret(
        scene.packages, ACME, installation_id, "slash_token", Secret(known), OPERATOR
    )
    assert (await run_now(scene.packages, ACME, asked.directive_id, 20)).succeeded
    words = scene.canaries.put("secret in a slash command", f"glpat-{'cA7' * 8}")
    form = {
        "channel_id": scene.chat.channel("support").id,
        "channel_name": "support",
        "command": "/fleet",
        "response_url": f"{scene.chat.url}/hooks/commands/{scene.canaries.put('late answers', 'r4' * 13)}",
        "team_domain": "engineering",
        "team_id": scene.chat.channel("support").team_id,
        "text": f"secret mattermost {words}",
        "user_id": scene.chat.user("ada").id,
        "user_name": "ada",
    }
    path = f"/webhooks/mattermost/{installation_id}/command"
    for number, token in enumerate((known, scene.canaries.put("wrong slash token", "w7" * 13))):
        answer = await scene.browser.http.post(
            path, data={**form, "token": token, "trigger_id": f"canary{number}"}
        )
        assert answer.status_code == (200, 401)[number], answer.text


async def programs(scene: Scene, user_id: UUID) -> None:
    """By a key for programs, and by one that is none."""
    tell = fact_teller(scene.composed.registry, OPERATOR)
    async with scene.base.tenancy.session(ACME) as session:
        made = await create_key(session, tell, user_id, name="ci", scopes=["members:read"], days=1)
    key = scene.canaries.put("API key", made.token.reveal())
    for token in (key, scene.canaries.put("wrong API key", f"fpk_{'cA7' * 14}c")):
        await scene.browser.http.get("/api/v1/members", headers={"Authorization": f"Bearer {token}"})


async def mails(scene: Scene) -> None:
    """A mailbox with its password; a customer mails a secret."""
    account = scene.mailbox.create_account(FLEET, password=scene.canaries.put("mailbox", "canary-of-bridge"))
    config = {
        "username": FLEET,
        "imap_port": scene.mailbox.imap.port,
        "smtp_port": scene.mailbox.smtp.port,
        "certificate": scene.mailbox.certificate_pem,
        "since": "2020-01-01",
        "poll_s": 0.3,
    }
    asked = await lifecycle.install(
        scene.packages,
        ACME,
        "proton-mail",
        config=config,
        secrets={"bridge_password": Secret(scene.canaries.values["mailbox"])},
        actor=OPERATOR,
    )
    assert (await run_now(scene.packages, ACME, asked.directive_id, 30)).succeeded, account
    token = scene.canaries.put("token in a mail", f"xoxb-{'1234567890' * 2}-canary")
    scene.mailbox.deliver(FLEET, mail(f"Our token is {token}, please look", subject=f"Use {token}"))
    await until(lambda: scene.rows("select 1 from mail_chunks"), 30)


async def command_line(scene: Scene) -> None:
    """Wrong ones by standard input and by variable; one as an argument, where none belongs."""
    run = CommandLine.on(scene.base.url, FLEETPROMPT_MASTER_KEY=scene.canaries.values["master key"])
    wrong, plain = (scene.canaries.put(f"typed {name}", f"{name}-c{'7' * 20}") for name in ("wrong", "plain"))
    words = ("package", "secret", "mattermost", "bot_token", "--org", "acme")
    said = await asyncio.gather(run(*words, "--stdin", stdin=wrong), run(*words, "--from", plain))
    assert [one.code for one in said] == [1, 2], said
    for one in said:
        scene.canaries.hear("command line", one.out + one.err)


async def quiet(scene: Scene) -> None:
    """No job is left that is due."""

    async def over() -> bool:
        query = "select count(*) from public.job where kind not like '%.%ire' and scheduled_at <= now()"
        return not await scene.base.value(query)

    await until(over, 30)
