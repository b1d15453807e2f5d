"""What a fresh look at people, codes, commands and secrets found broken; each of these has failed once."""

from __future__ import annotations

import re

import pytest

from fleetprompt.accounts import Role, api_keys, claims, login
from fleetprompt.accounts.api_keys import InvalidKey
from fleetprompt.accounts.login import Caller, WrongPassword
from fleetprompt.kernel.ids import new_id
from fleetprompt.kernel.secret import Secret
from fleetprompt.runtime.signals.replay import Chosen, replay
from tests.commanding import Office, employ, office
from tests.connected import OPERATOR, listening, working
from tests.doors import open_doors
from tests.house import ACME, House
from tests.members import changed, joins
from tests.people import PASSWORD, TELL, joins_with_password, quick_passwords

CODE = re.compile("P-[0-9A-Z]{4}")


async def test_two_plans_of_one_person_for_one_installation_are_both_carried_out_or_say_so() -> None:
    async with office() as desk:
        codes = [
            await desk.code(f"configure mattermost {one}")
            for one in ("post_burst=7", "max_posts_per_answer=3")
        ]
        for code in codes:
            await desk.says(f"confirm {code}")
        await desk.drain()
        config = (await desk.one("select config from installations"))["config"]
        plans = await desk.stage.base.tenant_rows(ACME, "select error from plans order by created_at")
        assert '"post_burst": 7' in config
        assert plans[0]["error"] is None
        assert '"max_posts_per_answer": 3' in config or plans[1]["error"] is not None


async def test_a_slash_command_that_is_replayed_is_not_obeyed_again() -> None:
    async with open_doors() as doors:
        desk = doors.office
        await doors.send(doors.form("unlink", desk.mia))
        await desk.drain()
        await _links_again(desk)
        async with desk.stage.house.tenancy.session(ACME) as session:
            await replay(session, desk.stage.house.registry, Chosen(name="chat.command.received"), OPERATOR)
        await desk.drain()
        assert "mia" in (await desk.says("whoami", desk.mia)).lower()


async def _links_again(desk: Office) -> None:
    assert "nobody" in await desk.says("whoami", desk.mia)
    await employ(desk, desk.mia, Role.MEMBER)


async def test_a_key_that_was_rotated_can_be_revoked_while_it_still_works(house: House) -> None:
    ada = await joins(house, "Ada")
    async with house.tenancy.session(ACME) as session:
        old = await api_keys.create_key(session, TELL, ada.user_id, name="ci", scopes=[], days=30)
    async with house.tenancy.session(ACME) as session:
        await api_keys.rotate_key(session, TELL, old.key.id, overlap_hours=24)
    assert (await api_keys.authenticate(house.database, old.token.reveal())).user_id == ada.user_id
    async with house.tenancy.session(ACME) as session:
        await api_keys.revoke_key(session, TELL, old.key.id)
    with pytest.raises(InvalidKey):
        await api_keys.authenticate(house.database, old.token.reveal())


async def test_whoever_is_added_again_has_no_key_of_before_not_even_a_rotated_one(house: House) -> None:
    ada = await joins(house, "Ada")
    async with house.tenancy.session(ACME) as session:
        old = await api_keys.create_key(session, TELL, ada.user_id, name="ci", scopes=[], days=30)
    async with house.tenancy.session(ACME) as session:
        await api_keys.rotate_key(session, TELL, old.key.id, overlap_hours=24)
    await changed(house, "remove", ada.user_id)
    await joins(house, "Ada")
    with pytest.raises(InvalidKey):
        await api_keys.authenticate(house.database, old.token.reveal())


async def test_codes_are_not_guessed_in_a_chat_without_end() -> None:
    async with office() as desk:
        tries = [await desk.says(f"link {n:04}-AAAA-BBBB", desk.sam, direct=True) for n in range(12)]
        assert all("opens nothing" in one for one in tries[:10])
        assert all("too often" in one for one in tries[10:])
        assert "too often" not in await desk.says("link 0000-AAAA-BBBB", desk.mia, direct=True)


async def test_a_password_that_was_replaced_meanwhile_replaces_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await joins_with_password(house, "Ada")
    passwords, newer = quick_passwords(), await quick_passwords().hashed(Secret("ada has it back now"))
    hashed = passwords.hashed

    async def overtaken(password: Secret) -> str:
        async with house.database.session() as session:
            await claims.set_password(session, ada.user_id, newer)
        return await hashed(password)

    monkeypatch.setattr(passwords, "hashed", overtaken)
    mine = Secret("the thief knows this one")
    with pytest.raises(WrongPassword):
        await login.change_password(
            house.database, passwords, ada.user_id, Secret(PASSWORD), mine, Caller("192.0.2.1")
        )
    assert await house.value("select password_hash from public.users") == newer


async def test_what_was_rewritten_while_nobody_listened_is_not_obeyed_as_its_authors() -> None:
    async with office() as desk:
        server = desk.stage.server
        post = server.post(desk.olga, desk.stage.support, "@fleet help")
        server.edit(post, "@fleet unlink")
        server.post(desk.olga, desk.stage.support, "@fleet whoami")
        async with working(desk.stage.house), listening(desk.stage):
            assert "You are Olga" in await desk.answered("You are")
            assert "Say it again" in await desk.answered("edited before I read it")
        assert "You are Olga" in await desk.says("whoami")


async def test_a_plan_for_rest_is_shown_also_after_a_death_before_its_answer() -> None:
    async with office() as desk:
        shown = [await desk.says("disable mattermost", key="the same request") for _ in range(2)]
        assert "confirm P-" in shown[0]
        assert shown[1] == shown[0]


async def test_what_one_of_us_says_with_a_persons_token_is_no_command_of_that_person() -> None:
    async with office() as desk:
        server, props = desk.stage.server, {"fleetprompt_directive": f"{new_id()}.0"}
        server.post(desk.olga, desk.stage.support, "@fleet unlink", props=props)
        server.post(desk.olga, desk.stage.support, "@fleet whoami")
        async with working(desk.stage.house), listening(desk.stage):
            assert "You are Olga" in await desk.answered("You are")
        await desk.drain()
        assert "You are Olga" in await desk.says("whoami")


async def test_a_stored_secret_is_not_sent_to_a_server_that_somebody_in_the_chat_names() -> None:
    async with office() as desk:
        said = await desk.says("configure mattermost server_url=http://127.0.0.1:9")
        if "P-" in said:
            await desk.says(f"confirm {CODE.search(said)[0]}")  # type: ignore[index]
            await desk.drain()
        directives = await desk.stage.base.tenant_rows(
            ACME, "select id from directives where name = 'package.configure'"
        )
        config = (await desk.one("select config from installations"))["config"]
    assert directives == []
    assert '127.0.0.1:9"' not in config
