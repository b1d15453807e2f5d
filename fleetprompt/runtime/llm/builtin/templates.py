"""How each tool may be asked for: its examples, and its own name as the plainest one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

from fleetprompt.runtime.llm.types import Example, ToolSpec

from .similarity import Index
from .slots import Holds, Slot, slots_of
from .words import Kind, readable, tokens

Piece: TypeAlias = str | Slot

# Words that say nothing about what is wanted; left out on both sides.
FILLERS: Final = frozenset({"the", "a", "an", "my", "our", "please", "pls"})
# Words between a label and its entity: "order number 1042".
NUMBER_WORDS: Final = frozenset({"number", "nr", "id"})
LINKS: Final = FILLERS | NUMBER_WORDS | {"is", "with", "called", "named"}
ID_SIGN: Final = "1"  # stands for any entity in the text that similarity sees
TEXT_SIGN: Final = "…"


@dataclass(frozen=True)
class Template:
    """One way to ask for one tool."""

    tool: ToolSpec
    slots: tuple[Slot, ...]  # all of the tool's, not only those that are named here
    pieces: tuple[Piece, ...]
    constants: dict[str, Any]
    says: str
    is_from_name: bool = False

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(piece for piece in self.pieces if isinstance(piece, str) and piece not in FILLERS)

    @cached_property
    def normal(self) -> str:
        """The text that similarity compares."""
        return " ".join(piece if isinstance(piece, str) else sign(piece) for piece in self.pieces)

    def slot(self, name: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.name == name), None)


def sign(slot: Slot) -> str:
    """What a filled slot looks like to the similarity."""
    return ID_SIGN if slot.is_entity else TEXT_SIGN


class Repertoire:
    """All templates of all tools, with what is known about their words."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self.templates = [template for tool in tools for template in _templates(tool)]
        self.index = Index([template.normal for template in self.templates])
        self._tools_with = Counter(word for tool in tools for word in self._vocabulary(tool.name))
        self._tool_count = len(tools)

    def vocabulary(self, template: Template) -> frozenset[str]:
        """Every word that asks for the same thing: the same tool with the same constants."""
        return frozenset(word for t in self.alike(template) for word in t.words)

    def alike(self, template: Template) -> list[Template]:
        """The other ways to ask for the same thing, and this one."""
        return [t for t in self.templates if t.tool is template.tool and t.constants == template.constants]

    def _vocabulary(self, tool_name: str) -> frozenset[str]:
        return frozenset(word for t in self.templates if t.tool.name == tool_name for word in t.words)

    def best_known(self, template: Template) -> Template:
        """The template itself, or an example of the same thing where it was made from the tool's name."""
        ways = [template] if not template.is_from_name else self.alike(template)
        return next((way for way in ways if not way.is_from_name), template)

    def weight(self, word: str) -> float:
        """How much a word tells the tools apart: 1 if one tool knows it, near 0 if all do."""
        return max(0.1, 1.0 - (self._tools_with[word] - 1) / max(1, self._tool_count))

    def knows(self, word: str) -> bool:
        """Whether any tool is asked for with this word."""
        return any(word in template.words for template in self.templates)

    def labels(self, slot: Slot, tool_name: str) -> tuple[str, ...]:
        """The words that stand before a slot, the usual one first: "order" for {number} in "where is order {number}"."""
        ways = [t for t in self.templates if t.tool.name == tool_name and slot in t.pieces]
        spoken_ways = [t for t in ways if not t.is_from_name] or ways
        found = Counter(label for t in spoken_ways if (label := _label(t.pieces, slot)))
        return tuple(label for label, _ in found.most_common())


def _templates(tool: ToolSpec) -> Iterable[Template]:
    slots = slots_of(tool)
    for example in tool.examples:
        yield _from_example(tool, slots, example)
    words = tuple(word for word in re.split(r"[\W_]+", tool.name.casefold()) if word)
    # A change with free text needs an example: "close {text}" made from a name would take any sentence.
    left_out = {Holds.REASON, Holds.OTHER} | ({Holds.TEXT} if tool.side_effect else set())
    needed = tuple(slot for slot in slots if slot.required and slot.holds not in left_out)
    says = " ".join([*words, *(f"{{{slot.name}}}" for slot in needed)])
    yield Template(tool, slots, (*words, *needed), {}, says, is_from_name=True)


def _from_example(tool: ToolSpec, slots: tuple[Slot, ...], example: Example) -> Template:
    by_name = {slot.name: slot for slot in slots}
    says = _with_slots(example)
    pieces = tuple(_pieces(says, by_name))
    named = {piece.name for piece in pieces if isinstance(piece, Slot)}
    constants = {name: value for name, value in example.arguments.items() if name not in named}
    return Template(tool, slots, _without_because(pieces), constants, says)


def _without_because(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """Drop "because {reason}": the reason is cut from a message in the same way, before it is compared."""
    if pieces and isinstance(pieces[-1], Slot) and pieces[-1].holds is Holds.REASON:
        for phrase in (("because",), ("due", "to"), ("because", "of")):
            if pieces[-1 - len(phrase) : -1] == phrase:
                return pieces[: -1 - len(phrase)]
    return pieces


def _with_slots(example: Example) -> str:
    """ "where is order 1042" with number = "1042" means "where is order {number}"."""
    says = example.says
    for name, value in example.arguments.items():
        if f"{{{name}}}" not in says and isinstance(value, str | int) and len(str(value)) > 1:
            says = re.sub(rf"(?<!\w){re.escape(str(value))}(?!\w)", f"{{{name}}}", says, count=1)
    return says


def _pieces(says: str, slots: dict[str, Slot]) -> Iterable[Piece]:
    for part in re.split(r"(\{\w+\})", readable(says)):
        slot = slots.get(part[1:-1]) if part.startswith("{") else None
        if slot is not None:
            yield slot
        else:
            yield from (token.value.casefold() for token in tokens(part) if token.kind is not Kind.MARK)


def _label(pieces: tuple[Piece, ...], slot: Slot) -> str | None:
    if slot not in pieces:
        return None
    before = pieces[: pieces.index(slot)]
    return next((word for word in reversed(before) if isinstance(word, str) and word not in LINKS), None)


def spoken(template: Template, arguments: dict[str, Any]) -> str:
    """The template as a person would type it; `<reason>` stands for what is not given."""
    by_name = {slot.name: slot for slot in template.slots}
    given = {name: _written(by_name[name], value) for name, value in arguments.items() if name in by_name}
    return re.sub(r"\{(\w+)\}", lambda m: given.get(m[1], f"<{m[1].replace('_', ' ')}>"), template.says)


def example_of(template: Template) -> str:
    """The template with its example's own values."""
    examples = (example for example in template.tool.examples if _with_slots(example) == template.says)
    return spoken(template, next((example.arguments for example in examples), {}))


def _written(slot: Slot, value: Any) -> str:
    """A value with the sign by which a message's is recognised."""
    signs = {Holds.CHANNEL: "#", Holds.PERSON: "@"}
    return signs.get(slot.holds, "") + str(value).replace("_", " " if slot.holds is Holds.CHOICE else "_")
