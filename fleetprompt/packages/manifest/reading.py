"""YAML of strangers as plain data, with the line of each value.

Only what JSON can say is understood, from the parser's events: no tags, no anchors or aliases (a few lines of them
unfold to gigabytes), no merge keys, no dates, no `yes` that means true (YAML 1.2's core schema), no key twice.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from fleetprompt.packages.manifest.faults import Fault, ManifestRefused

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 24
MAX_VALUES: Final = 20_000
INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
NUMBER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None, "~": None, "": None}
LARGEST_INTEGER: Final = 2**53 - 1  # RFC 8785: beyond it numbers lose digits on their way through JSON

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One file. lines: where each value (for a value in a mapping: its key) begins, by its path."""

    file: str
    data: Any
    lines: dict[Path_, int] = field(repr=False)

    def line_of(self, path: Path_) -> int:
        """Of the value, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_manifest_file(path: Path) -> Document:
    """Raises ManifestRefused, also for a file that is too large or cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestRefused(
            [Fault(str(path), 1, "", f"The file cannot be read: {error.strerror}.")]
        ) from error
    return read_manifest(content, str(path))


def read_manifest(content: bytes, file: str) -> Document:
    """Raises ManifestRefused with the first fault that keeps the rest from being read."""
    text = _decoded(content, file)
    builder = _Builder(file)
    try:
        data = builder.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = f"This is no YAML: {getattr(error, 'problem', None) or 'it holds what no text holds'}."
        raise ManifestRefused([Fault(file, mark.line + 1 if mark else 1, "", said)]) from error
    return Document(file, data, builder.lines)


def _decoded(content: bytes, file: str) -> str:
    def refused(offset: int, problem: str, advice: str = "") -> ManifestRefused:
        return ManifestRefused([Fault(file, content[:offset].count(b"\n") + 1, "", problem, advice)])

    if len(content) > MAX_BYTES:
        raise refused(0, f"The file is larger than {MAX_BYTES // 1024} KB.", "A manifest is a description.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(error.start, "These bytes are not UTF-8.", "Save the file as UTF-8.") from error
    for offset, letter in enumerate(text):
        if is_deceptive(letter):
            name = unicodedata.name(letter, f"U+{ord(letter):04X}")
            before = len(text[:offset].encode())
            raise refused(before, f"There is an invisible character here ({name}).", "Remove it.")
    return text


def is_deceptive(letter: str) -> bool:
    """Controls, and what hides or reorders text (Unicode's format characters, such as the bidirectional ones)."""
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co") and letter not in "\n\r\t"


class _Builder:
    """Builds data from the parser's events; recursion is bounded by MAX_DEPTH."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path_, int] = {}
        self._values = 0

    def document(self, events: Iterator[yaml.Event]) -> Any:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            raise ManifestRefused([Fault(self.file, 1, "", "The file is empty.")])
        data = self._value(next(events), events, ())
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._refused(event, (), "A second document begins here.", "One manifest, one file.")
        return data

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path_) -> Any:
        self._check(event, path)
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event, path)

    def _check(self, event: yaml.Event, path: Path_) -> None:
        self._values += 1
        if any(map(is_deceptive, getattr(event, "value", None) or "")):
            raise self._refused(event, path, "An escape stands for an invisible character.", "Remove it.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refused(event, path, "Anchors and aliases are not allowed.", "Write the value out.")
        if tag := getattr(event, "tag", None):
            raise self._refused(event, path, f"The tag {tag!r} is not allowed.", "A manifest is plain.")
        if len(path) > MAX_DEPTH:
            raise self._refused(event, path[:3], f"This is nested deeper than {MAX_DEPTH}.")
        if self._values > MAX_VALUES:
            raise self._refused(event, path, f"There are more than {MAX_VALUES} values.")

    def _mapping(self, events: Iterator[yaml.Event], path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, path)
            if key in found:
                first = self.lines[(*path, key)]
                raise self._refused(event, path, f"{key!r} is here twice.", f"The first is on line {first}.")
            self.lines[(*path, key)] = _line(event)
            found[key] = self._value(next(events), events, (*path, key))
        return found

    def _key(self, event: yaml.Event, path: Path_) -> str:
        self._check(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refused(event, path, "A key must be a word.")
        if event.value == "<<":
            raise self._refused(event, path, "Merge keys are not allowed.", "Write the values out.")
        return str(event.value)

    def _sequence(self, events: Iterator[yaml.Event], path: Path_) -> list[Any]:
        found: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, events, (*path, len(found))))
        return found

    def _scalar(self, event: yaml.ScalarEvent, path: Path_) -> Any:
        text = str(event.value)
        if event.style is not None:
            return text
        if text in WORDS:
            return WORDS[text]
        if INTEGER.fullmatch(text):
            if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
                raise self._refused(event, path, "This number is too large.", "Put it in quotes.")
            return int(text)
        if NUMBER.fullmatch(text) and not math.isinf(float(text)):
            return float(text)
        return text

    def _refused(self, event: yaml.Event, path: Path_, problem: str, advice: str = "") -> ManifestRefused:
        return ManifestRefused([Fault(self.file, _line(event), dotted(path), problem, advice)])


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def dotted(path: Path_) -> str:
    """`permissions[0].scope`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")
