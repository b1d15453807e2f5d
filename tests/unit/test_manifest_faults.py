"""Each fault of a manifest: named, with its line and what would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetprompt.packages.manifest.faults import Fault
from fleetprompt.packages.manifest.lint import lint
from tests.manifests import VALID, line_of, put

SKILL = "    - name: greet\n"
TONE = "        type: string\n        enum: [kind, dry]\n"
FAULTS = [
    # (what is there, what stands in its place, what marks the fault's line there, the problem or advice)
    ("slug: greeter", "slug: grееter", "slug:", "CYRILLIC SMALL LETTER IE"),
    ("slug: greeter", "slug: ../greeter", "slug:", "This is a path"),
    ("slug: greeter", "slug: Greeter", "slug:", "lower-case"),
    ("version: 1.0.0", "version: 1.0", "version: 1.0\n", "Put it in quotes"),
    ("version: 1.0.0", "version: 1.0.0+b", "version: 1.0.0+b", "build part"),
    ("version: 1.0.0", 'version: "1"', 'version: "1"', "three numbers"),
    ("kind: agent", "kind: agnet", "kind:", "'agent'"),
    ("kind: agent", "kind: connector", "slug:", "binds a connector"),
    ("kind: agent\n", "kind: agent\nbinds: os.system\n", "binds:", "no such connector"),
    ("kind: agent\n", "kind: agent\nbinds: mattermost\n", "binds:", "and nothing else, binds"),
    ("summary: Says hello.", "sumary: Says hello.", "sumary:", "Did you mean 'summary'?"),
    ("author: Tester\n", "", "slug:", "'author' is missing"),
    ("name: Greeter", 'name: ""', 'name: ""', "one line"),
    ('platform: ">=0.1.0 <9.0.0"', 'platform: "about 1"', "platform:", "no range"),
    (SKILL, "    - name: ../../etc\n", "../../etc", "This is a path"),
    ("      skills: [greet]\n", "      skills: [greet]\n      named_by: tine\n", "named_by:", "There is: tone."),
    (SKILL, SKILL + "      titel: Hi\n", "titel:", "Did you mean 'title'?"),
    (SKILL, "    - name: other\n", "skills: [greet]", "There is no skill 'greet' here"),
    ("      instructions: Say hello, once.\n", "", SKILL.strip(), "'instructions' is missing"),
    ("consumed: [chat.message.received]", "consumed: [Chat Message]", "consumed:", "chat.message.received or"),
    ("emitted: [agent.execution.succeeded]", "emitted: []", "  - signal:", "not among the emitted"),
    ("risk: low", "risk: none", "risk:", "'medium'"),
    ("required: true", "required: yes", "required:", "boolean"),
    ("    reason: It reads what it answers.\n", "", "  - scope:", "'reason' is missing"),
    ("  version: 1\n", "  version: 2\n", "config:", "must lead to: 2"),
    ("    type: object\n", "    type: objekt\n", "    type: objekt", "no JSON Schema"),
    ("    additionalProperties: false\n", "", "  schema:", "closed object"),
    ("default: kind", "default: rude", "default:", "default is not allowed"),
    ("        default: kind\n", "", "      tone:", "not required has a default"),
    ("        description: How it speaks.\n", "", "      tone:", "says what it is for"),
    (TONE, '        $ref: "http://example.org/x"\n', "$ref", "nothing outside itself"),
    (TONE, '        $ref: "#"\n', "$ref", "nothing outside itself"),
    (TONE, "        type: string\n        pattern: '^(a+)+$'\n", "        pattern", "repeats no group"),
    (TONE, "        type: string\n        pattern: 'a*a*a*b'\n", "        pattern", "at most 2"),
    ("retention_days: 30", "retention_days: -1", "retention_days:", "greater than or equal to 0"),
    ("removes: [The agent.]", "removes: []", "removes:", "at least 1 item"),
    ("  cost: Nothing.\n", "  cost: Nothing.\n  burst: many\n", "burst:", "valid integer"),
    ("limits:\n", "requires:\n  - {package: greeter, version: '*', reason: Me.}\nlimits:\n", "  - {package", "itself"),
    ("limits:\n", "requires:\n  - {package: a, version: nope, reason: Me.}\nlimits:\n", "  - {package", "no range"),
    ("limits:\n", "credentials:\n  - {key: a, title: b, kind: token, acquire: c, verify: d}\nlimits:\n",
     "credentials:", "Only a connector"),
    ("  version: 1\n", "  version: 2\n  migrations:\n    - to: 2\n      steps:\n        - {op: rename, key: a}\n",
     "{op: rename", "'to' is missing"),
    ("  version: 1\n", "  version: 2\n  migrations:\n    - to: 2\n      steps:\n        - {op: run, key: a}\n",
     "{op: run", "rename"),
]  # fmt: skip


WORKFLOW = """\
  workflows:
    - name: sort
      title: Sort
      on: chat.message.received
      steps:
        - name: think
          agent: host
          input: Sort this.
"""
REACHES = [
    ("agent: host", "agent: fleet", "There is no agent 'fleet' here. There is: host."),
    ("agent: host\n          input: Sort this.", "directive: email.send", "not among the directives"),
    ("agent: host\n          input: Sort this.", "directive: package.uninstall", "administers nothing"),
    (
        "agent: host\n          input: Sort this.",
        "directive: email.send\n          installation: proton-mail:sales",
        "uses the installation of proton-mail, which it does not require",
    ),
]


@pytest.mark.parametrize(("there", "instead", "said"), REACHES)
def test_a_workflow_reaches_for_nothing_that_its_package_did_not_ask_for(
    tmp_path: Path, there: str, instead: str, said: str
) -> None:
    text = VALID.replace("signals:\n  consumed", WORKFLOW + "signals:\n  consumed")
    assert lint(put(tmp_path, text)) == []
    found = lint(put(tmp_path, text.replace(there, instead)))
    assert any(said in f"{fault.problem} {fault.advice}" for fault in found), found


@pytest.mark.parametrize(("there", "instead", "marked", "said"), FAULTS)
def test_a_fault_is_named_with_its_line(
    tmp_path: Path, there: str, instead: str, marked: str, said: str
) -> None:
    assert VALID.count(there) == 1
    text = VALID.replace(there, instead)
    path = put(tmp_path, text)
    faults = lint(path)
    found = [fault for fault in faults if said in f"{fault.problem} {fault.advice}"]
    assert found, faults
    assert found[0].file == str(path)
    assert found[0].line == line_of(text, marked)


def test_a_manifest_without_fault_has_none(tmp_path: Path) -> None:
    assert lint(put(tmp_path)) == []
    assert lint(tmp_path) == []


def test_all_faults_are_found_at_once_in_order(tmp_path: Path) -> None:
    text = (
        VALID.replace("kind: agent", "kind: x").replace("risk: low", "risk: x").replace("  cost:", "  cots:")
    )
    assert [fault.path for fault in lint(put(tmp_path, text))] == [
        "kind",
        "permissions[0].risk",
        "limits",
        "limits.cots",
    ]


def test_repeated_names_are_found(tmp_path: Path) -> None:
    again = SKILL + "      title: A\n      description: B\n      instructions: C\n"
    text = VALID.replace(SKILL, again + SKILL)
    [fault] = lint(put(tmp_path, text))
    assert (fault.path, fault.problem) == ("provides.skills[1].name", "greet is here twice.")


def test_a_workflow_is_one_that_the_runtime_reads(tmp_path: Path) -> None:
    steps = "  workflows:\n    - name: w\n      title: W\n      on: chat.message.received\n      steps:\n        - {name: rest"
    text = VALID.replace("signals:\n", steps + ", wait: soon}\nsignals:\n")
    [fault] = lint(put(tmp_path, text))
    assert (fault.path, fault.line) == ("provides.workflows[0]", line_of(text, "    - name: w\n"))
    assert "steps[0].wait" in fault.problem
    assert lint(put(tmp_path, text.replace("soon", "60"))) == []


def test_a_credential_is_no_setting(tmp_path: Path) -> None:
    text = VALID.replace("kind: agent\n", "kind: connector\nbinds: webhook\n").replace(
        "  agents:\n",
        "  connectors:\n    - {connector: webhook, title: W, inbound: true, outbound: true}\n  agents:\n",
    )
    text = text.replace(
        "limits:\n",
        "credentials:\n  - {key: tone, title: b, kind: token, acquire: c, verify: d}\nlimits:\n",
    )
    [fault] = lint(put(tmp_path, text))
    assert (fault.line, "is a credential" in fault.problem) == (line_of(text, "      tone:"), True)


def test_a_file_lies_where_it_says(tmp_path: Path) -> None:
    faults = lint(put(tmp_path, slug="other", version="2.0.0"))
    assert [(fault.path, fault.line) for fault in faults] == [("slug", 1), ("version", 2)]
    assert faults[0].advice == "Put the file at greeter/1.0.0.yaml."


def test_a_folder_without_manifests_is_a_fault(tmp_path: Path) -> None:
    [fault] = lint(tmp_path)
    assert "no manifest" in fault.problem


def test_a_list_is_no_manifest(tmp_path: Path) -> None:
    [fault] = lint(put(tmp_path, "- a\n- b\n"))
    assert "mapping" in fault.problem


def test_a_fault_reads_as_compilers_write() -> None:
    fault = Fault("a/1.0.0.yaml", 7, "kind", "It is odd.", "Mend it.")
    assert str(fault) == "a/1.0.0.yaml:7: kind: It is odd. Mend it."
