"""The place of an answer is gone, or the account may no longer go there: a clear state, and back at work at once."""

from __future__ import annotations

from typing import Any

import pytest

from fleetprompt.composition import open_house
from fleetprompt.doctor import Finding, examine
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.inline import Ended, run_now
from fleetprompt.packages.lifecycle import configure
from fleetprompt.sandbox.mattermost import SandboxMattermost
from tests import weather
from tests.house import ACME
from tests.openai_stub import OpenAIStub, Reply, last_text
from tests.stage import OPERATOR
from tests.town import Town
from tests.weather import said, stormy_town


def think(stub: OpenAIStub, seconds: float) -> None:
    """Let the model take its time."""
    stub.rule(lambda request: Reply.says(last_text(request), delay_s=seconds))


async def posts_of(play: Town) -> list[Any]:
    """The directives that post, oldest first."""
    return await play.house.tenant_rows(
        ACME, "select * from directives where name = 'mattermost.post.create' order by id"
    )


async def doctor(play: Town, check: str = "mattermost") -> Finding:
    """What the doctor says of the installation."""
    found = [finding async for finding in examine(play.settings)]
    return next(finding for finding in found if finding.check == check and finding.org in (ACME, None))


async def _asked_and_thinking(play: Town, stub: OpenAIStub, text: str) -> str:
    before = len(stub.requests)
    asked = play.ask(text)
    await weather.until(lambda: len(stub.requests) > before)
    return asked


@pytest.mark.parametrize("misfortune", ["removed from the channel", "root deleted", "channel archived"])
async def test_the_place_goes_while_the_answer_is_thought_about(misfortune: str) -> None:
    async with stormy_town() as (play, stub):
        with weather.running(play):
            await weather.connected(play)
            think(stub, 0.6)
            asked = await _asked_and_thinking(play, stub, "@fleet n0")
            _strike(play, misfortune, asked)
            await play.settled()
            post = (await posts_of(play))[-1]
            assert post["state"] == "failed"
            assert post["error_code"] in ("not_allowed", "place_gone")
            assert "fleet n0" not in post["error"]
            finding = await doctor(play)
            assert (finding.level, "directives" in finding.remedy) == ("warn", True)
            await _works_elsewhere_and_here_again(play, misfortune)


def _strike(play: Town, misfortune: str, asked: str) -> None:
    match misfortune:
        case "removed from the channel":
            play.chat.remove_from_channel(play.bot, play.support, remover=play.dana)
        case "root deleted":
            play.chat.delete(asked)
        case _:
            play.chat.archive_channel(play.support)


async def _works_elsewhere_and_here_again(play: Town, misfortune: str) -> None:
    sales = play.chat.create_channel("acme", "sales")
    for user in (play.dana, play.bot):
        play.chat.add_to_channel(user, sales)
    play.chat.post(play.dana, sales, "@fleet n1")
    await weather.until(lambda: "n1" in str(said(play, "sales")))
    if misfortune != "channel archived":
        play.chat.add_to_channel(play.bot, play.support, adder=play.dana)
        await play.answered(play.ask("@fleet n2"))
    await play.settled()


async def test_mentions_while_the_bot_is_away_from_the_channel_do_no_harm() -> None:
    async with stormy_town() as (play, _):
        with weather.running(play):
            await weather.connected(play)
            play.chat.remove_from_channel(play.bot, play.support, remover=play.dana)
            play.ask("@fleet n0")
            play.chat.drop_connections()
            play.chat.add_to_channel(play.bot, play.support, adder=play.dana)
            await weather.connected(play)
            await play.answered(play.ask("@fleet n1"))
            await play.settled()
        told = await play.house.tenant_rows(ACME, "select name from signals where name like 'chat.channel.%'")
        assert {row["name"] for row in told} <= {"chat.channel.left", "chat.channel.joined"}


async def test_a_revoked_token_is_said_and_once_mended_everything_is_answered() -> None:
    async with stormy_town() as (play, stub):
        with weather.running(play):
            await weather.connected(play)
            think(stub, 0.4)
            open_question = await _asked_and_thinking(play, stub, "@fleet n0")
            play.chat.revoke(play.bot)
            missed = play.ask("@fleet n1")
            finding = await weather.until(lambda: _needs_a_person(play), 25)
            assert "token" in finding.detail
            assert "bot_token" in finding.remedy
            assert "package configure" in finding.remedy
            await weather.until(lambda: _refused(play))
            assert (await _mended(play, play.chat)).succeeded
            await play.answered(open_question, missed, timeout_s=20)
            await play.settled()
            assert (await doctor(play)).level == "ok"
        assert play.doubled() == []
        assert [len(play.answers(root)) for root in (open_question, missed)] == [1, 1]


async def _needs_a_person(play: Town) -> Finding | None:
    rows = await play.house.tenant_rows(ACME, "select state from installation_health")
    return await doctor(play) if rows[0]["state"] == "error" else None


async def _refused(play: Town) -> bool:
    return [post["error_code"] for post in await posts_of(play)] == ["credential_refused"]


async def _mended(play: Town, chat: SandboxMattermost, **config: str) -> Ended:
    """A new token for the same account, as `package configure` stores it."""
    user = chat.user(play.bot)
    user.revoked, user.token = False, user.token[::-1]
    chat.site.world.save(user)
    async with open_house(play.settings, role="cli", migrate=False) as house:
        packages = house.services.packages
        secrets = {"bot_token": Secret(user.token)}
        asked = await configure(packages, ACME, "mattermost", config=config, secrets=secrets, actor=OPERATOR)
        return await run_now(packages, ACME, asked.directive_id, 20)


async def test_a_wrong_address_at_the_installation_is_said_and_mended() -> None:
    async with stormy_town(install_it=False) as (play, _):
        with weather.running(play):
            with pytest.raises(AssertionError, match="server_url"):
                await play.install(server_url="http://127.0.0.1:9")
            assert (await doctor(play)).level == "fail"
            assert "package configure mattermost --org acme" in (await doctor(play)).remedy
            assert (await _mended(play, play.chat, server_url=play.chat.url)).succeeded
            await play.answered(play.ask("@fleet n0"))
            await play.settled()
