"""What happened, on the command line: signals, executions, directives, jobs, and the trace of anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from tests import killing, serving
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME
from tests.town import Town, town

REQUEST = "please hold order 1042 because the customer moved"
NODE = {"kind", "id", "name", "state", "began_at", "ended_at", "duration_ms", "children"}


def command_line(play: Town) -> CommandLine:
    return CommandLine.on(play.house.url, FLEETPROMPT_ORDER_DESK_URL=play.desk.url)


async def played(play: Town) -> str:
    """One mention, answered and done; the post's id."""
    with killing.running(serving.serve, play.house.url, play.desk.url):
        post = play.ask(f"@fleet {REQUEST}")
        await play.answered(post)
        await play.settled()
    return post


def nodes_of(roots: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in roots:
        yield node
        yield from nodes_of(node["children"])


async def test_lists_name_what_happened_and_show_alone_says_what_was_written() -> None:
    async with town() as play:
        await played(play)
        run = command_line(play)
        signals, executions, directives, jobs = await asyncio.gather(
            run.ok("signals", "list", "--org", "acme", "--json", "--name", "chat.*"),
            run.ok("executions", "list", "--org", "acme", "--json", "--agent", "FLEET"),
            run.ok("directives", "list", "--org", "acme", "--json", "--state", "succeeded"),
            run.ok("jobs", "list", "--org", "acme", "--json"),
        )
        assert {row["name"] for row in signals.rows} == {"chat.message.received", "chat.message.sent"}
        assert executions.row["state"] == "succeeded"
        assert {"orders.hold", "mattermost.post.create"} <= {row["name"] for row in directives.rows}
        assert all(row["kind"].endswith(".expire") for row in jobs.rows)
        for listing in (signals, executions, directives):
            assert "customer moved" not in listing.out
        shown = await asyncio.gather(
            run.ok("signals", "show", signals.rows[0]["id"], "--org", "acme"),
            run.ok("executions", "show", executions.row["id"], "--org", "acme", "--json"),
        )
        assert all("customer moved" in said.out for said in shown)
        hold = next(call for call in shown[1].row["tool_call_records"] if call["tool"] == "orders.hold")
        assert (hold["state"], hold["side_effect"] != "none") == ("done", True)
        await _globex_sees_nothing(run, signals.rows[0]["id"], executions.row["id"], directives.rows[0]["id"])


async def _globex_sees_nothing(run: CommandLine, signal: str, execution: str, directive: str) -> None:
    refused = await asyncio.gather(
        run("signals", "show", signal, "--org", "globex"),
        run("executions", "show", execution, "--org", "globex"),
        run("executions", "cancel", execution, "--org", "globex"),
        run("directives", "show", directive, "--org", "globex"),
        run("directives", "retry", directive, "--org", "globex"),
        run("trace", signal, "--org", "globex"),
    )
    assert [said.code for said in refused] == [1] * 6
    assert all(is_one_line(said.err) for said in refused)
    listed = await asyncio.gather(
        *(
            run.ok(noun, "list", "--org", "globex", "--json")
            for noun in ("signals", "executions", "directives")
        )
    )
    assert [said.rows for said in listed] == [[], [], []]


async def test_any_id_leads_to_the_same_trace_from_mention_to_reply() -> None:
    async with town() as play:
        post = await played(play)
        run = command_line(play)
        tree = (await run.ok("trace", post, "--org", "acme", "--json")).row
        [root] = tree["roots"]
        assert root["name"] == "chat.message.received"
        nodes = list(nodes_of(tree["roots"]))
        assert all(set(node) >= NODE for node in nodes)
        execution = next(node for node in root["children"] if node["kind"] == "execution")
        hold = next(
            node
            for node in execution["children"]
            if node["kind"] == "tool_call" and node["name"] == "orders.hold"
        )
        [directive] = [node for node in hold["children"] if node["kind"] == "directive"]
        assert directive["children"][0]["kind"] == "effect"
        assert "directive.succeeded" in {node["name"] for node in directive["children"]}
        replies = [node for node in execution["children"] if node["name"] == "mattermost.post.create"]
        assert replies[-1]["state"] == "succeeded"
        assert (tree["cost_usd"], tree["jobs"], tree["duration_ms"] > 0) == ("0", [], True)
        effect = next(node for node in replies[-1]["children"] if node["kind"] == "effect")
        ids = [root["id"], execution["id"], directive["id"], effect["id"], effect["name"], hold["id"]]
        ids += [effect["receipt"]["external_id"], tree["correlation_id"]]
        found = await asyncio.gather(*(run.ok("trace", one, "--org", "acme", "--json") for one in ids))
        assert {said.row["correlation_id"] for said in found} == {tree["correlation_id"]}
        text = (await run.ok("trace", post, "--org", "acme")).out
        assert "customer moved" not in text
        assert "mattermost.post.create" in text
        assert text.splitlines()[-1].startswith("in all ")


async def test_a_replay_repeats_no_effect_and_is_itself_on_record() -> None:
    async with town() as play:
        post = await played(play)
        run = command_line(play)
        posted = len(play.chat.ledger)
        again = await run.ok(
            "signals", "replay", "--org", "acme", "--name", "chat.message.received", "--json"
        )
        assert again.row["signals"] == 1
        assert again.row["jobs"] >= 1
        with killing.running(serving.serve, play.house.url, play.desk.url):
            await play.settled()
        assert len(play.chat.ledger) == posted
        assert len(play.answers(post)) == 1
        recorded = await run.ok(
            "signals", "list", "--org", "acme", "--name", "signals.replayed", "--since", "1h", "--json"
        )
        assert recorded.row["actor_id"].startswith("cli:")
        nothing = await run("signals", "replay", "--org", "acme")
        assert nothing.code == 2


async def test_a_person_approves_one_directive_and_rejects_another() -> None:
    async with town() as play:
        run = command_line(play)
        await run.ok("agent", "set", "fleet", "--org", "acme", "--policy", 'approval={"orders.hold": "ask"}')
        with killing.running(serving.serve, play.house.url, play.desk.url):
            first, second = (
                play.ask(f"@fleet {REQUEST}"),
                play.ask("@fleet please hold order 1043 because of Dana"),
            )
            await play.answered(first, second)
            waiting = await run.ok(
                "directives", "list", "--org", "acme", "--state", "awaiting_approval", "--json"
            )
            held, other = sorted(waiting.rows, key=lambda row: str(row["id"]))
            assert not play.desk.ledger
            await run.ok("directives", "approve", held["id"], "--org", "acme")
            await run.ok("directives", "reject", other["id"], "--org", "acme", "--reason", "not today")
            twice = await run("directives", "approve", other["id"], "--org", "acme")
            assert (twice.code, "canceled" in twice.err) == (1, True)
            await play.settled()
        assert len(play.desk.ledger) == 1
        shown = await run.ok("directives", "show", held["id"], "--org", "acme", "--json")
        assert shown.row["approved_by"].startswith("human:cli:")
        assert [effect["state"] for effect in shown.row["effects"]] == ["sent"]
        rows = await play.house.tenant_rows(ACME, "select state from executions")
        assert {row["state"] for row in rows} == {"succeeded"}
