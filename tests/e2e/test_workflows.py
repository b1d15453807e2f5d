"""A post in Mattermost runs a workflow that posts back; and workflows on the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests import killing, serving
from tests.command_line import CommandLine, is_one_line
from tests.house import ACME, GLOBEX, fresh_house
from tests.town import Town, town

LATE: dict[str, Any] = {
    "name": "late-orders",
    "on": "chat.message.received",
    "when": {"signal.payload.text": {"contains": "late"}, "signal.payload.author.kind": "person"},
    "steps": [
        {"name": "hold", "directive": "orders.hold", "params": {"number": "1042", "reason": "late"}},
        {"name": "post", "directive": "mattermost.post.create", "params": {
            "channel_id": "{{signal.payload.place.channel_id}}", "thread_id": "{{signal.payload.external_id}}",
            "text": "{{signal.payload.author.name}}: {{steps.hold.result.summary}} You wrote: {{signal.payload.text}}"}},
        {"name": "tell", "emit": "tenant.order.late", "payload": {"post": "{{steps.post.result.external_id}}"}},
    ],
}  # fmt: skip
HOSTILE = "it is late {{steps.hold.result.hold_id}}"
POINTS = [
    "workflow_run.queued>running",
    "workflow_step.running>waiting!",
    "workflow_step.waiting>succeeded!:2",
    "workflow_run.running>succeeded",
    "effect.performed:2",
]


def written(folder: Path, definition: dict[str, Any], name: str = "late-orders.json") -> str:
    (folder / name).write_text(json.dumps(definition), encoding="utf-8")
    return str(folder / name)


async def ended(play: Town, count: int, timeout_s: float = 60) -> None:
    """Wait until so many runs have succeeded."""
    async with asyncio.timeout(timeout_s):
        done = "select 1 from workflow_runs where state = 'succeeded'"
        while len(await play.house.tenant_rows(ACME, done)) < count:
            await asyncio.sleep(0.1)


def command_line(play: Town) -> CommandLine:
    return CommandLine.on(play.house.url, FLEETPROMPT_ORDER_DESK_URL=play.desk.url)


@pytest.mark.parametrize("point", ["", *POINTS])
async def test_a_post_runs_a_workflow_that_posts_into_its_thread_once(point: str, tmp_path: Path) -> None:
    async with town() as play:
        run = command_line(play)
        await run.ok("workflow", "add", "--org", "acme", written(tmp_path, LATE))
        with killing.running(serving.serve, play.house.url, play.desk.url, fault=point) as process:
            root = play.ask(HOSTILE)
            play.ask("nothing of the kind")
            if point:
                assert await killing.ended(process) == -9, f"it never reached {point}"
            else:
                await ended(play, 1)
                await play.settled()
        if point:
            with killing.running(serving.serve, play.house.url, play.desk.url):
                await ended(play, 1)
                await play.settled()
        [answer] = play.answers(root)
        assert answer.startswith("dana: Order 1042 is on hold now")
        assert answer.endswith(f"You wrote: {HOSTILE}")
        assert play.doubled() == []
        assert [hold.number for hold in play.desk.ledger] == ["1042"]
        told = await play.house.tenant_rows(ACME, "select 1 from signals where name = 'tenant.order.late'")
        assert len(told) == 1
        assert await play.house.tenant_rows(GLOBEX, "select 1 from workflow_runs") == []
        if not point:
            await is_shown(run, root)


async def is_shown(run: CommandLine, root: str) -> None:
    """The run on the command line, by its list, by its id and in the trace of the post."""
    [listed] = (await run.ok("workflow", "runs", "--org", "acme", "--json")).rows
    assert (listed["workflow"], listed["state"], listed["version"]) == ("late-orders", "succeeded", 1)
    shown, traced, text = await asyncio.gather(
        run.ok("workflow", "run-show", listed["id"], "--org", "acme", "--json"),
        run.ok("trace", root, "--org", "acme", "--json"),
        run.ok("trace", listed["id"], "--org", "acme"),
    )
    assert [(step["name"], step["state"]) for step in shown.row["steps"]] == [
        ("hold", "succeeded"), ("post", "succeeded"), ("tell", "succeeded"),
    ]  # fmt: skip
    assert shown.row["signal"]["payload"]["text"] == HOSTILE
    [signal] = traced.row["roots"]
    [node] = [child for child in signal["children"] if child["kind"] == "workflow_run"]
    steps = [child["name"] for child in node["children"] if child["kind"] == "workflow_step"]
    assert steps == ["hold", "post", "tell"]
    assert "workflow late-orders  succeeded" in text.out
    assert "step post  succeeded" in text.out


async def test_a_workflow_is_added_changed_listed_paused_and_retired(tmp_path: Path) -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        rest = {"name": "rest", "on": "tenant.*", "steps": [{"name": "rest", "wait": 1}]}
        path = written(tmp_path, rest)
        first = await run.ok("workflow", "add", path, "--org", "acme", "--json")
        assert (first.row["version"], first.row["on"], first.row["state"]) == (1, "tenant.*", "active")
        again = await run.ok("workflow", "add", path, "--org", "acme")
        assert "is that already: version 1" in again.out
        path = written(tmp_path, {**rest, "steps": [{"name": "rest", "wait": 2}]})
        second = await run.ok("workflow", "add", path, "--org", "acme")
        assert "has a new version: version 2" in second.out
        await run.ok("workflow", "pause", "REST", "--org", "acme")
        listed, shown, others, none = await asyncio.gather(
            run.ok("workflow", "list", "--org", "acme", "--json"),
            run.ok("workflow", "show", "rest", "--org", "acme", "--json"),
            run.ok("workflow", "list", "--org", "globex", "--json"),
            run.ok("workflow", "runs", "--org", "acme"),
        )
        assert (listed.row["state"], listed.row["version"], others.rows) == ("paused", 2, [])
        assert shown.row["definition"]["steps"] == [{"name": "rest", "wait": 2}]
        assert none.out == "No such runs.\n"
        await run.ok("workflow", "resume", "rest", "--org", "acme")
        await run.ok("workflow", "archive", "rest", "--org", "acme")
        assert (await run.ok("workflow", "list", "--org", "acme", "--json")).rows == []
        names = await house.tenant_rows(ACME, "select name, actor_id from signals order by id")
        assert [name for name, _ in names] == [
            "workflow.added", "workflow.changed", "workflow.paused", "workflow.resumed", "workflow.archived",
        ]  # fmt: skip
        assert all(actor.startswith("cli:") for _, actor in names)


REFUSED: list[tuple[Any, str]] = [
    ({"name": "x", "on": "chat.*", "steps": []}, "steps: "),
    ({"name": "x", "on": "chat.mesage.received", "steps": [{"name": "a", "wait": 1}]}, "chat.message.received"),
    ({"name": "x", "on": "chat.*", "steps": [{"name": "a", "wait": -1}]}, "steps[0].wait: "),
    ({"name": "x", "on": "chat.*", "steps": [{"name": "a", "agent": "flet", "input": "x"}]}, "steps[0].agent: There is no agent 'flet'"),
    ({"name": "x", "on": "chat.*", "steps": [{"name": "a", "directive": "mattermost.post", "params": {}}]}, "mattermost.post.create"),
    ({"name": "x", "on": "chat.*", "steps": [{"name": "a", "directive": "mattermost.post.create", "params": {"text": "x"}}]}, "steps[0].params: mattermost.post.create needs channel_id"),
    ({"name": "x", "on": "chat.*", "steps": [{"name": "a", "emit": "tenant.x", "payload": {"t": "{{import os}}"}}]}, "steps[0].payload.t: "),
]  # fmt: skip


async def test_what_cannot_be_is_refused_with_its_place_and_nothing_is_kept(tmp_path: Path) -> None:
    async with fresh_house() as house:
        run = CommandLine.on(house.url)
        paths = [written(tmp_path, each, f"{number}.json") for number, (each, _) in enumerate(REFUSED)]
        (tmp_path / "no.json").write_bytes(b'{"name": ')
        paths.append(str(tmp_path / "no.json"))
        said = await asyncio.gather(*(run("workflow", "add", path, "--org", "acme") for path in paths))
        for one, advice in zip(said, [*(advice for _, advice in REFUSED), "line 1, column 10"], strict=True):
            assert one.code == 1, one
            assert is_one_line(one.err), one
            assert advice in one.err, one
        assert await house.tenant_rows(ACME, "select 1 from workflows") == []
        strange = await asyncio.gather(
            run("workflow", "show", "x", "--org", "acme"),
            run("workflow", "cancel", "x", "--org", "acme"),
            run("workflow", "cancel", "01a1fec0-0000-7000-8000-000000000000", "--org", "acme"),
            run("workflow", "run-show", "01a1fec0-0000-7000-8000-000000000000", "--org", "acme"),
            run("workflow", "retry", "01a1fec0-0000-7000-8000-000000000000", "--org", "acme"),
        )
        assert [(one.code, is_one_line(one.err)) for one in strange] == [(1, True)] * 5
