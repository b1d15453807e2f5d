"""Who decides about a directive: an admin or owner of its tenant, when they decide and still when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetprompt.accounts import Member, NotAllowed, Role
from fleetprompt.kernel.ids import DirectiveId
from fleetprompt.runtime.directives import decide
from fleetprompt.runtime.people import as_actor
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.signals import Actor
from tests.directives import FarSide, ask, registry_for, run_once, run_out, signals, the_directive
from tests.house import ACME, GLOBEX, House
from tests.members import changed, joins

NAMES = [
    "approve", "reject", "cancel", "retry", "resolve",
]  # fmt: skip
VALUES: dict[str, dict[str, Any]] = {"reject": {"reason": "no"}, "resolve": {"sent": True}}


@pytest.fixture
def far(tmp_path: Path) -> FarSide:
    return FarSide(tmp_path / "ledger")


@pytest.fixture
def registry(far: FarSide) -> Registry:
    made = registry_for(far)
    for name in ("added", "role_changed", "suspended", "restored", "removed"):
        made.add_signal(f"membership.{name}", "A test's.")
    return made


async def decided(house: House, registry: Registry, what: str, directive_id: DirectiveId, by: Member) -> None:
    async with house.tenancy.session(ACME) as session:
        await getattr(decide, what)(session, registry, directive_id, as_actor(by), **VALUES.get(what, {}))


async def approved_by(house: House, registry: Registry, by: Member) -> None:
    asked = await ask(house, registry, approval_reason="It costs money.")
    await decided(house, registry, "approve", asked.id, by)


async def ended(house: House) -> tuple[str, str]:
    row = await the_directive(house)
    return row["state"], row["error_code"]


async def facts(house: House) -> list[str]:
    return [name for name in await signals(house) if not name.startswith("membership.")]


async def test_an_admin_approves_and_it_is_done_in_their_name(
    house: House, far: FarSide, registry: Registry
) -> None:
    ada = await joins(house, "Ada", Role.ADMIN)
    await approved_by(house, registry, ada)
    await run_out(house, registry)
    row = await the_directive(house)
    assert (row["state"], row["approved_by"]) == ("succeeded", f"human:user:{ada.user_id}")
    assert len(far.done()) == 1
    [signal] = await house.tenant_rows(
        ACME, "select actor_id, actor_name from signals where name = 'directive.approved'"
    )
    assert tuple(signal) == (f"user:{ada.user_id}", "Ada")


@pytest.mark.parametrize("what", NAMES)
async def test_a_member_decides_nothing_and_is_told_who_may(
    house: House, far: FarSide, registry: Registry, what: str
) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = await joins(house, "Ada")
    asked = await ask(house, registry, approval_reason="It costs money.")
    with pytest.raises(
        NotAllowed, match=r"Ada is member of acme, and this takes an admin or owner\. Ask Eve\."
    ):
        await decided(house, registry, what, asked.id, ada)
    assert ((await ended(house))[0], await facts(house)) == ("awaiting_approval", ["approval_requested"])
    assert await run_out(house, registry) == []


@pytest.mark.parametrize("what", NAMES)
async def test_an_owner_of_another_organization_decides_nothing_here(
    house: House, registry: Registry, what: str
) -> None:
    ada = await joins(house, "Ada", Role.OWNER, GLOBEX)
    asked = await ask(house, registry, approval_reason="It costs money.")
    with pytest.raises(NotAllowed, match="no member of acme"):
        await decided(house, registry, what, asked.id, ada)
    assert (await ended(house))[0] == "awaiting_approval"


@pytest.mark.parametrize("what", NAMES)
@pytest.mark.parametrize(
    ("program", "why"),
    [
        (Actor("agent", "a1", "Fleet"), "for a person to decide"),
        (Actor("integration", "hook"), "for a person to decide"),
        (Actor("human", "user:ada"), "something that is no id"),
    ],
)
async def test_no_program_decides_and_nobody_who_only_says_so(
    house: House, registry: Registry, what: str, program: Actor, why: str
) -> None:
    asked = await ask(house, registry, approval_reason="It costs money.")
    with pytest.raises(NotAllowed, match=why):
        async with house.tenancy.session(ACME) as session:
            await getattr(decide, what)(session, registry, asked.id, program, **VALUES.get(what, {}))
    assert (await ended(house))[0] == "awaiting_approval"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("suspend", "Ada is suspended in acme."),
        ("remove", "no member of acme"),
        ("member", "Ada is member of acme, and this takes an admin"),
    ],
)
async def test_an_approval_is_void_when_the_approver_lost_the_right_before_it_runs(
    house: House, far: FarSide, registry: Registry, change: str, why: str
) -> None:
    await joins(house, "Eve", Role.OWNER)
    ada = await joins(house, "Ada", Role.ADMIN)
    await approved_by(house, registry, ada)
    await changed(house, change, ada.user_id)
    assert await run_out(house, registry) == ["finished"]
    assert (await ended(house), far.tries()) == (("failed", "approval_void"), 0)
    error = (await the_directive(house))["error"]
    assert error.startswith("The approval counts no longer. ")
    assert why in error
    assert await facts(house) == ["approval_requested", "approved", "failed"]
    assert await house.value("select count(*) from public.job") == 0


async def test_what_the_approver_is_elsewhere_does_not_matter(
    house: House, far: FarSide, registry: Registry
) -> None:
    ada = await joins(house, "Ada", Role.ADMIN)
    await joins(house, "Ada", tenant=GLOBEX)
    await approved_by(house, registry, ada)
    await changed(house, "suspend", ada.user_id, GLOBEX)
    await run_out(house, registry)
    assert (await the_directive(house))["state"] == "succeeded"


async def test_it_can_be_given_another_round_when_the_approver_is_back(
    house: House, far: FarSide, registry: Registry
) -> None:
    eve, ada = await joins(house, "Eve", Role.OWNER), await joins(house, "Ada", Role.ADMIN)
    await approved_by(house, registry, ada)
    await changed(house, "suspend", ada.user_id)
    await run_out(house, registry)
    directive_id = DirectiveId((await the_directive(house))["id"])
    await decided(house, registry, "retry", directive_id, eve)
    await run_out(house, registry)
    assert await ended(house) == ("failed", "approval_void")
    await changed(house, "restore", ada.user_id)
    await decided(house, registry, "retry", directive_id, eve)
    await run_out(house, registry)
    assert ((await the_directive(house))["state"], len(far.done())) == ("succeeded", 1)


async def test_one_that_has_begun_is_finished_whatever_becomes_of_the_approver(
    house: House, far: FarSide, registry: Registry
) -> None:
    """Its first try may have reached the far side; to stop now would hide that."""
    await joins(house, "Eve", Role.OWNER)
    far.acts = ("lost", "ok")
    ada = await joins(house, "Ada", Role.ADMIN)
    await approved_by(house, registry, ada)
    assert await run_once(house, registry) == "postponed"
    await changed(house, "suspend", ada.user_id)
    await run_out(house, registry)
    assert ((await the_directive(house))["state"], len(far.done())) == ("succeeded", 1)
