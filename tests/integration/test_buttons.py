"""Buttons over real HTTP: they say what they stand for as whoever presses them, and prove that they are ours."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx2

from adapters.contract import Place
from fleetprompt.connectors.buttons import Context, signed
from fleetprompt.connectors.conversations import find_conversations
from fleetprompt.kernel import clock
from fleetprompt.model import Conversation
from fleetprompt.runtime.directives import NewDirective, request
from fleetprompt.runtime.executions.end import say
from fleetprompt.runtime.registry import Offer, Speech
from fleetprompt.sandbox.mattermost import Post, SandboxUser
from tests.connected import OPERATOR, listening, until, working
from tests.doors import SEEN_WITHIN_S, Doors, open_doors
from tests.house import ACME, GLOBEX


async def wants_buttons(doors: Doors) -> None:
    """The installation as if it had been configured so."""
    rows = "update installations set config = config || '{\"buttons\": true}'"
    await doors.office.stage.base.tenant_rows(ACME, rows)


async def asks(doors: Doors, *, subject: str = "", lasts_s: float = 600) -> tuple[UUID, Post]:
    """Something waits for approval, and a post in a thread asks for it, with two buttons."""
    stage, installation = doors.office.stage, doors.office.installation
    root = stage.server.post(doors.office.olga, stage.support, "Something is to be decided.")
    place = Place(stage.support.id, "public", root.id)
    arguments = {"channel_id": stage.support.id, "channel_kind": "public", "text": "Approved words."}
    new = NewDirective(
        "mattermost.post.create", f"held:{root.id}", arguments, "A test posts.", OPERATOR,
        installation_id=installation.id, approval_reason="Because.",
    )  # fmt: skip
    async with stage.house.tenancy.session(ACME) as session:
        waiting = (await request(session, stage.house.registry, new)).id
        offers = [
            Offer(word.capitalize(), f"{word} {waiting}", "primary", lasts_s, subject)
            for word in ("approve", "reject")
        ]
        [found] = (
            await find_conversations(session, installation.id, {(place.channel_id, place.thread_id): place})
        ).values()
        conversation = await session.get(Conversation, found)
        assert conversation is not None
        asked = await say(
            session, stage.house.registry, conversation, "May I?", key=f"asks:{waiting}", actor=OPERATOR,
            summary="A test asks.", speech=Speech.APPROVAL, offers=offers,
        )  # fmt: skip
    assert asked is not None
    await stage.directive(asked)
    rows = await stage.base.tenant_rows(
        ACME, "select external_id from messages where directive_id = $1", asked
    )
    return waiting, stage.server.find_post(rows[0]["external_id"])


async def presses(doors: Doors, user: SandboxUser, post: Post, button: str) -> str:
    """Press it in the chat; returns what whoever pressed it alone is shown."""
    server = doors.office.stage.server
    await server.press(user, post, button)
    return server.shown_privately(user)[-1].message


def pressed(doors: Doors, post: Post, by: SandboxUser, **changed: Any) -> dict[str, Any]:
    """A press of the first button as the server sends it."""
    body = {
        "user_id": by.id,
        "user_name": by.username,
        "channel_id": post.channel_id,
        "channel_name": "support",
        "team_id": doors.office.stage.team.id,
        "team_domain": "engineering",
        "post_id": post.id,
        "trigger_id": f"press:{post.id}",
        "type": "button",
        "data_source": "",
        "context": post.integrations["b1"]["context"],
    }
    return body | changed


async def send(doors: Doors, body: dict[str, Any]) -> httpx2.Response:
    """Send it as it is."""
    return await doors.client.post(doors.address("action"), json=body)


async def test_a_waiting_directive_is_approved_by_whoever_has_the_right_and_nobody_else() -> None:
    async with open_doors(shown_within_s=SEEN_WITHIN_S) as doors, working(doors.office.stage.house):
        await wants_buttons(doors)
        office = doors.office
        waiting, post = await asks(doors)
        shown = post.props["attachments"][0]["actions"]
        assert [button["name"] for button in shown] == ["Approve", "Reject"]
        assert "integration" not in str(post.props)
        assert "have to know who you are" in await presses(doors, office.sam, post, "b1")
        assert "admin" in await presses(doors, office.mia, post, "b1")
        assert (await office.stage.directive(waiting, "awaiting_approval"))["approved_by"] is None
        assert "Approved" in await presses(doors, office.olga, post, "b1")
        done = await office.stage.directive(waiting)
        assert done["approved_by"] == f"human:user:{office.users['olga']}"
        assert "This directive is" in await presses(doors, office.olga, post, "b2")
        assert doors.office.said.count("Approved words.") == 1
        assert len(await doors.signals("directive.approved")) == 1


async def test_a_press_that_is_sent_again_or_was_changed_on_the_way_does_nothing() -> None:
    async with open_doors(shown_within_s=SEEN_WITHIN_S) as doors, working(doors.office.stage.house):
        await wants_buttons(doors)
        olga = doors.office.olga
        waiting, post = await asks(doors)
        _, other = await asks(doors)
        context = post.integrations["b1"]["context"]
        theirs = await doors.office.stage.house.vault.key_of(GLOBEX)
        forged = [
            {**context, "mac": "0" * 64},
            {**context, "mac": ""},
            {key: value for key, value in context.items() if key != "mac"},
            {**context, "says": f"reject {waiting}"},
            {**context, "until_ms": context["until_ms"] + 1},
            {**context, "subject": olga.id},
            {**context, "more": 1},
            signed(theirs, Context.model_validate(context)),
            {},
        ]
        refused = [await send(doors, pressed(doors, post, olga, context=one)) for one in forged]
        refused.append(await send(doors, pressed(doors, post, olga, channel_id="z" * 26)))
        refused.append(await send(doors, pressed(doors, other, olga, context=context)))
        assert {answer.status_code for answer in refused} == {401}
        assert await doors.signals("chat.action.received") == []
        answers = [await send(doors, pressed(doors, post, olga)) for _ in range(3)]
        assert "Approved" in answers[0].json()["ephemeral_text"]
        assert {answer.status_code for answer in answers} == {200}
        await doors.office.stage.directive(waiting)
        assert len(await doors.signals("chat.action.received")) == 1
        assert len(await doors.signals("directive.approved")) == 1
        assert await doors.signals("chat.action.received", GLOBEX) == []


async def test_a_button_counts_for_its_person_and_in_its_time() -> None:
    async with open_doors(shown_within_s=SEEN_WITHIN_S) as doors, working(doors.office.stage.house):
        await wants_buttons(doors)
        office = doors.office
        _, post = await asks(doors, subject=office.olga.id)
        assert "somebody else's" in await presses(doors, office.mia, post, "b1")
        key = await office.stage.house.vault.key_of(ACME)
        context = Context.model_validate(post.integrations["b1"]["context"])
        old = signed(key, context.model_copy(update={"until_ms": clock.now_ms() - 1}))
        answer = await send(doors, pressed(doors, post, office.olga, context=old))
        assert "too old" in answer.json()["ephemeral_text"]
        unknown = await send(doors, pressed(doors, post, office.olga, post_id="z" * 26))
        assert "not known yet" in unknown.json()["ephemeral_text"]
        assert await doors.signals("chat.action.received") == []


async def test_without_the_setting_a_post_has_no_buttons() -> None:
    async with open_doors() as doors, working(doors.office.stage.house):
        _, post = await asks(doors)
        assert "attachments" not in post.props
        assert post.integrations == {}


async def test_a_plan_is_confirmed_by_a_button_of_whoever_asked_for_it() -> None:
    async with (
        open_doors(shown_within_s=SEEN_WITHIN_S) as doors,
        working(doors.office.stage.house),
        listening(doors.office.stage),
    ):
        await wants_buttons(doors)
        office, server = doors.office, doors.office.stage.server
        server.post(office.olga, office.stage.support, "@fleet configure mattermost follow_threads=true")
        plan = await office.answered("confirm P-")
        [post] = [one for one in server.posts(office.stage.support.id) if one.message == plan]
        assert "somebody else's" in await presses(doors, office.mia, post, "b1")
        await presses(doors, office.olga, post, "b1")
        await until(lambda: doors.signals("package.plan.confirmed"))
