"""YAML of strangers: what is read, what is refused, and on which line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.packages.manifest import ManifestRefused
from fleetprompt.packages.manifest.faults import Fault
from fleetprompt.packages.manifest.reading import MAX_BYTES, read_manifest, read_manifest_file

LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
REFUSED = [
    ("aliases", LAUGHS, 1, "Anchors and aliases"),
    ("an alias alone", "a: 1\nb: *a\n", 2, "Anchors and aliases"),
    ("a key twice", "a: 1\nb: 2\na: 3\n", 3, "'a' is here twice"),
    ("a key twice, deep", "a:\n  - b: 1\n    b: 2\n", 3, "'b' is here twice"),
    ("a tag", "a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tag"),
    ("a merge key", "a: 1\nb:\n  <<: {c: 1}\n", 3, "Merge keys"),
    ("a list as a key", "a: 1\n? [b]\n: 1\n", 2, "A key must be a word"),
    ("two documents", "a: 1\n---\nb: 2\n", 2, "second document"),
    ("depth", "a:\n  " + "[" * 30 + "]" * 30, 2, "nested deeper"),
    ("many values", "a: [" + "1," * 20_001 + "]", 1, "more than 20000 values"),
    ("bidi", "a: 1\nb: x\u202ey\n", 2, "RIGHT-TO-LEFT OVERRIDE"),
    ("bidi by an escape", 'a: 1\nb: "x\\u202ey"\n', 2, "invisible"),
    ("a zero by an escape", 'a: 1\nb: "x\\0y"\n', 2, "invisible"),
    ("a surrogate by an escape", 'a: 1\nb: "\\ud800"\n', 2, "invisible"),
    ("a byte order mark", "\ufeffa: 1\n", 1, "ZERO WIDTH NO-BREAK SPACE"),
    ("a huge number", "a: 1\nb: 99999999999999999999\n", 2, "too large"),
    ("an open bracket", "a: 1\nb: [1, 2\n", 3, "no YAML"),
    ("a tab", "a: 1\n\tb: 2\n", 2, "no YAML"),
    ("nothing", "", 1, "empty"),
    ("a comment alone", "# nothing\n", 1, "empty"),
    ("a non-character", "a: 1\nb: \ufffe\n", 1, "no YAML"),
]


@pytest.mark.parametrize(
    ("text", "line", "said"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_is_not_plain_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    fault = refusal(text.encode())
    assert (fault.file, fault.line) == ("it.yaml", line)
    assert said in fault.problem


def refusal(content: bytes) -> Fault:
    with pytest.raises(ManifestRefused) as refused:
        read_manifest(content, "it.yaml")
    [fault] = refused.value.faults
    return fault


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    fault = refusal(b"a: 1\nb: \xff\n")
    assert (fault.line, "not UTF-8" in fault.problem) == (2, True)


def test_ten_megabytes_are_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: " + b"x" * 10_000_000)
    with pytest.raises(ManifestRefused, match="larger than 256 KB"):
        read_manifest_file(path)
    at_most = b"a: " + b"x" * (MAX_BYTES - 3)
    assert len(read_manifest(at_most, "it.yaml").data["a"]) == MAX_BYTES - 3


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ManifestRefused, match="cannot be read"):
        read_manifest_file(tmp_path / "none.yaml")


def test_words_mean_what_json_can_say_and_nothing_else() -> None:
    text = "[yes, on, 2026-11-21, 0x10, 010, 1_000, .inf, 1e999, true, null, ~, 12, -3, 1.50, '7', 1:30]"
    found = read_manifest(text.encode(), "it.yaml").data
    assert found == [
        "yes", "on", "2026-11-21", "0x10", "010", "1_000", ".inf", "1e999", True, None, None, 12, -3, 1.5, "7", "1:30",
    ]  # fmt: skip


def test_each_value_knows_its_line() -> None:
    document = read_manifest(b"a: 1\nb:\n  - c: 2\n  - d:\n      e: 3\n", "it.yaml")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 0, "c"): 3,
        ("b", 1): 4,
        ("b", 1, "d"): 4,
        ("b", 1, "d", "e"): 5,
    }
    assert document.line_of(("b", 1, "missing")) == 4


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn"), include_characters="\n")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdefgh_", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_what_a_dumper_writes_is_read_as_it_was(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True, explicit_start=True, default_style='"')
    assert read_manifest(_untagged(text).encode(), "it.yaml").data == _as_text(value)


def _untagged(text: str) -> str:
    """With every scalar in quotes the dumper must tag those that are no text."""
    return re.sub(r'!!(?:int|float|bool|null) "([^"]*)"', r'"\1"', text)


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_style='"').split('"')[1]


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_is_read_or_refused_and_nothing_else_happens(content: bytes) -> None:
    try:
        read_manifest(content, "it.yaml")
    except ManifestRefused as error:
        lines = [fault.line for fault in error.faults]
    else:
        lines = [1]
    assert all(1 <= line <= content.count(b"\n") + content.count(b"\r") + 2 for line in lines)
