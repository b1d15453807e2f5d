"""kill -9 at the fault points of a plan, its steps, its post and its link: said again, it ends as if nothing happened."""

from __future__ import annotations

from collections import Counter

from fleetprompt.model.states import fault_point
from fleetprompt.packages import secret_links
from fleetprompt.packages.commands.obey import obey
from fleetprompt.runtime.jobs import claim
from tests import command_programs
from tests.commanding import LINK, Office, code_in, drain, office
from tests.house import ACME
from tests.killing import dies

KEY = bytes(range(32))
PROPOSED = ["plan.proposed"]
CONFIRMED = [
    "plan.confirmed",
    "plan.step_asked",
    fault_point("installation", "requested", "needs_config", committed=True),
    "job.finished",
    "effect.performed",
    "effect.performed:2",
    "effect.performed:3",
]


async def test_whatever_dies_there_is_one_plan_one_installation_one_post_and_a_link_that_works() -> None:
    async with office(KEY) as desk:
        for number, fault in enumerate([*PROPOSED, *CONFIRMED]):
            await _cut_off(desk, f"n{number}", fault)
        await desk.nothing_of_globex()


async def _cut_off(desk: Office, name: str, fault: str) -> None:
    url, house = desk.stage.base.url, desk.stage.house
    plan = desk.asked(f"install mattermost/{name} server_url={desk.stage.server.url}", key=f"plan:{name}")
    if fault in PROPOSED:
        await dies(command_programs.command, url, KEY, plan, fault=fault)
    text = await obey(house, plan)
    assert text == await obey(house, plan)
    confirm = desk.asked(f"confirm {code_in(text)}", key=f"confirm:{name}")
    if fault in CONFIRMED:
        await dies(command_programs.command, url, KEY, confirm, fault=fault)
    await _give_up_leases(desk)
    assert await obey(house, confirm) == ""
    await drain(house)
    await _ended_well(desk, name)


async def _give_up_leases(desk: Office) -> None:
    base = desk.stage.base
    await base.rows("update public.job set lease_until = now() - interval '1 s' where state = 'running'")
    await claim.reap(base.database)
    await base.rows("update public.job set scheduled_at = now() where state = 'available'")


async def _ended_well(desk: Office, name: str) -> None:
    rows = await desk.stage.base.tenant_rows(
        ACME, "select p.*, i.state, i.name from plans p join installations i on i.id = p.installation_id"
        " where i.name = $1", name,
    )  # fmt: skip
    assert [(row["state"], row["error"], row["finished_at"]) for row in rows] == [
        ("needs_config", None, None)
    ]
    channel = desk.stage.server.direct_channel(desk.stage.bot, desk.olga)
    posts = [post.message for post in desk.stage.server.posts(channel.id)]
    assert len([text for text in posts if f"`mattermost/{name}`" in text and "sent you a link" in text]) == 1
    assert (
        max(Counter(e.props["fleetprompt_directive"] for e in desk.stage.server.ledger if e.props).values())
        == 1
    )
    async with desk.stage.house.tenancy.session(ACME) as session:
        newest = LINK.findall("\n".join(posts))[-1]
        opened = await secret_links.look(session, newest, user_id=desk.users["olga"])
    assert (opened.name, opened.credential) == (name, "bot_token")
