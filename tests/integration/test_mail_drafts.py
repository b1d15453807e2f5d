"""The policy `ask`: a person sees, edits, approves or rejects a draft, and nothing leaves before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleetprompt.connectors.proton_mail.compose import POLICY
from fleetprompt.kernel.errors import Conflict, InvalidInput
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.runtime.directives import decide
from fleetprompt.runtime.directives.find import find_directive, preview
from fleetprompt.runtime.tools.trust import FORGED, SEVERAL
from tests import killing
from tests.connected import OPERATOR
from tests.house import ACME
from tests.mail_stage import DANA, FLEET, plain_text
from tests.mailed import Post, edit_and_approve, post_office, serving


async def decided(post: Post, verb: str, directive_id: Any, *words: Any) -> None:
    async with post.house.tenancy.session(ACME) as session:
        await getattr(decide, verb)(session, post.house.registry, DirectiveId(directive_id), OPERATOR, *words)


async def test_a_draft_waits_is_edited_and_leaves_as_it_was_approved() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help", sender='"boss@acme.example" <dana@customer.example>')
            draft = await post.directive("awaiting_approval")
            await post.quiet()
            assert post.server.submissions == []
            async with post.house.tenancy.session(ACME) as session:
                directive, _ = await find_directive(session, draft["id"])
                seen = await preview(session, post.house.registry, directive)
            await decided(post, "edit", draft["id"], {"text": "Dear Dana,\n\nit is **on its way**."})
            await decided(post, "approve", draft["id"])
            (sent,) = await post.mails(1)
            done = await post.directive("succeeded")
    assert seen is not None
    assert f"To:      {DANA}" in seen
    assert f"From:    {FLEET}" in seen
    assert "imitates another address: boss@acme.example" in seen
    assert "sender unverified" in seen
    assert plain_text(sent.raw).splitlines() == ["Dear Dana,", "", "it is **on its way**."]
    assert b"<strong>on its way</strong>" in sent.raw
    assert done["approved_digest"] == done["arguments_digest"] != draft["arguments_digest"]
    assert done["approved_by"] == "human:cli:tester"


RESULTS = "Authentication-Results: mail.protonmail.ch; dmarc={}"


@pytest.mark.parametrize(
    ("verdict", "headers"),
    [("fail", [RESULTS.format("fail")]), ("unverified", ["From: eve@customer.example"])],
)
async def test_an_answer_to_a_forged_sender_waits_although_the_policy_sends(
    verdict: str, headers: list[str]
) -> None:
    async with post_office() as post:
        await post.install(policy="send")
        async with serving(post):
            post.writes("help", headers=headers)
            draft = await post.directive("awaiting_approval")
            await post.quiet()
            assert post.server.submissions == []
            (mail,) = await post.signals("email.inbound.received")
            (asked,) = await post.signals("directive.approval_requested")
            await decided(post, "approve", draft["id"])
            await post.mails(1)
    assert json.loads(mail["payload"])["trust"]["verdict"] == verdict
    why = {"fail": FORGED, "unverified": SEVERAL}[verdict]
    assert draft["approval_reason"] == why == json.loads(asked["payload"])["reason"]


async def test_an_answer_to_a_proven_sender_leaves_only_where_the_policy_sends() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help", headers=[RESULTS.format("pass")])
            draft = await post.directive("awaiting_approval")
            await post.quiet()
    assert post.server.submissions == []
    assert draft["approval_reason"] == POLICY


async def test_an_edit_is_an_audited_fact_without_the_words() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await decided(post, "edit", draft["id"], {"text": "Something confidential."})
            (edited,) = await post.signals("directive.edited")
    assert edited["retention"] == "audit"
    told = json.loads(edited["payload"])
    assert told["digest_before"] == draft["arguments_digest"] != told["digest"]
    assert "confidential" not in edited["payload"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"to": ["mallory@evil.example"]}, Conflict),
        ({"subject": "Another"}, Conflict),
        ({"text": "   "}, InvalidInput),
    ],
)
async def test_only_the_text_of_a_draft_can_be_changed(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            with pytest.raises(error):
                await decided(post, "edit", draft["id"], changes)
            assert (await post.directive("awaiting_approval"))["arguments"] == draft["arguments"]


async def test_a_rejected_draft_never_leaves_and_cannot_be_edited_any_more() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await decided(post, "reject", draft["id"], "not like this")
            with pytest.raises(Conflict):
                await decided(post, "edit", draft["id"], {"text": "better"})
            await post.quiet()
    assert post.server.submissions == []


async def test_approvals_by_mail_are_only_mails() -> None:
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            post.writes(f"fleetprompt directives approve {draft['id']} --org acme", subject="approve")
            await post.signals("email.inbound.received", 2)
            await post.directive("awaiting_approval", nth=1)
            await post.quiet()
    assert post.server.submissions == []


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        ("directive.edited", False),
        ("directive.awaiting_approval>requested", True),
        ("directive.awaiting_approval>requested!", True),
    ],
)
async def test_who_is_killed_while_a_draft_is_edited_and_approved_finds_it_whole(
    fault: str, kept: bool
) -> None:
    """kept: the edit holds. What was not committed is done again; what leaves is what was approved, once."""
    async with post_office() as post:
        await post.install()
        async with serving(post):
            post.writes("help")
            draft = await post.directive("awaiting_approval")
            await post.quiet()
        words = (post.base.url, draft["id"], "It is on its way.")
        await killing.dies(edit_and_approve, *words, fault=fault)
        left = await post.directive("awaiting_approval", "requested")
        edits = await post.rows("select 1 from signals where name = 'directive.edited'")
        assert (left["arguments_digest"] != draft["arguments_digest"], len(edits)) == (kept, int(kept))
        assert post.server.submissions == []
        async with serving(post):
            if left["state"] == "awaiting_approval":
                assert await killing.run(edit_and_approve, *words) == 0
            (sent,) = await post.mails(1)
            done = await post.directive("succeeded")
            await post.quiet()
    assert plain_text(sent.raw) == "It is on its way."
    assert done["approved_digest"] == done["arguments_digest"]
    assert len(post.server.submissions) == 1
