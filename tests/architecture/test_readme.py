"""The README's promises that can be compared with the code: fields, settings, commands, rooms."""

from __future__ import annotations

import re
from collections.abc import Iterator

import rich_click as click

from fleetprompt.cli import agents, directives, executions, package_audit, packages, trace, workflows
from fleetprompt.cli.root import cli
from fleetprompt.settings import Settings
from tests.readme import README, ROOT, section, spans

ROW = re.compile(r"^\| (?P<commands>`[^|]+) \| (?P<fields>[^|]+) \|$", re.MULTILINE)
NESTED = re.compile(r"(\w+) \(each: ([^)]+)\)")


def commands(group: click.Group = cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Each command by what is typed after `fleetprompt`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def documented() -> dict[str, str]:
    """The table of --json fields: what is said for each command."""
    table = section("The command line").split("`--json` prints")[1]
    return {
        command: row["fields"]
        for row in ROW.finditer(table)
        for command in re.findall(r"`([^`]+)`", row["commands"])
    }


def fields_of(said: str) -> list[str]:
    """`as `org list`, then id` in full; without what is told of nested objects."""
    said = NESTED.sub(r"\1", said).removesuffix(" and the facts of its kind")
    if based := re.fullmatch(r"as `([^`]+)`, then (.+)", said):
        return fields_of(documented()[based[1]]) + fields_of(based[2])
    return said.split(", ")


def test_the_json_fields_of_each_command_are_those_of_the_readme() -> None:
    helps = {
        path: re.search(r"JSON fields: ([\w, ]+)\.", command.help or "")
        for path, command in commands()
        if any(option.name == "as_json" for option in command.params)
    }
    real = {path: sorted(found[1].split(", ")) if found else [] for path, found in helps.items()}
    assert {path: sorted(fields_of(said)) for path, said in documented().items()} == real


def test_the_fields_of_nested_objects_are_those_of_the_readme() -> None:
    nested = {
        (command, name): tuple(each.split(", "))
        for command, said in documented().items()
        for name, each in NESTED.findall(said)
    }
    assert nested == {
        ("agent create", "skills"): agents.SKILL,
        ("agent set", "skills"): agents.SKILL,
        ("agent show", "skills"): agents.SKILL,
        ("directives show", "effects"): directives.EFFECT,
        ("executions show", "model_calls"): executions.MODEL_CALL,
        ("executions show", "tool_call_records"): executions.TOOL_CALL,
        ("package audit", "steps"): package_audit.STEP,
        ("package list", "settings"): packages.SETTING,
        ("package status", "value"): packages.VALUE,
        ("trace", "roots"): trace.NODE,
        ("workflow run-show", "steps"): workflows.STEP,
    }


def test_each_setting_that_is_named_exists() -> None:
    places = [README, *(path.read_text(encoding="utf-8") for path in (ROOT / "config").rglob("*.*"))]
    named = {name for text in places for name in re.findall(r"FLEETPROMPT_([A-Z_]+)", text)}
    assert named <= {name.upper() for name in Settings.model_fields}


def test_each_command_that_is_named_exists() -> None:
    known = {words for path, _ in commands() for words in (path, " ".join(path.split()[:2]))}
    named = [span.split()[1:3] for span in spans() if not span.startswith("fleetprompt --")]
    assert [words for words in named if not known & {words[0], " ".join(words)}] == []


def test_the_map_shows_each_room_and_none_that_is_not_there() -> None:
    drawn = section("The map of the house").split("```")[1]
    [inside] = re.findall(r"^fleetprompt/\n((?:  .*\n)+)", drawn, re.MULTILINE)
    columns = [re.split(r" {2,}", row.strip())[0] for row in inside.splitlines()]
    shown = [name.rstrip("/") for column in columns for name in column.split()]
    there = [path.name for path in (ROOT / "fleetprompt").iterdir() if not path.name.startswith("__")]
    assert sorted(shown) == sorted(there)
    others = re.findall(r"^([a-z]+)/", drawn, re.MULTILINE)
    assert [name for name in others if not (ROOT / name).is_dir()] == []
