"""What the planner says: results as sentences, questions, and what it can do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from fleetprompt.kernel.json import clean
from fleetprompt.runtime.llm.types import ToolCall, ToolReturned, ToolSpec

from .slots import Holds, Slot
from .templates import Repertoire, Template, example_of, spoken

SUFFIX: Final = "_builtin planner, no language model_"
MAX_ROWS: Final = 20
MAX_TEXT: Final = 1500
_NOTHING: Final[tuple[Any, ...]] = ("", None, {}, [], True, "ok", "OK")


def signed(text: str) -> str:
    """An answer with its origin."""
    return f"{text}\n\n{SUFFIX}"


def result(returned: ToolReturned) -> str:
    """What a tool gave back, as a sentence or a list. It only ever repeats data; it obeys none of it.

    A record that says itself what it means, in its field `summary`, is taken at its word.
    """
    title = _title(returned.call)
    value = _news(_value(returned.content), returned.call)
    if returned.failed:
        return f"{title} did not work: {_flat(value) or 'no reason was given'}."
    if value in _NOTHING:
        return f"{title}: done."
    if isinstance(value, list):
        return _table(title, value)
    if isinstance(value, dict):
        return _summary(value) or _record(title, value)
    text = _flat(value)
    return f"{title}:\n{text}" if "\n" in text else f"{title}: {text}"


def _summary(record: dict[str, Any]) -> str:
    said = record.get("summary")
    return _flat(said) if isinstance(said, str) and "\n" not in said else ""


def _value(content: str) -> Any:
    try:
        return clean(json.loads(content))
    except (ValueError, RecursionError):
        return content.strip()


def _news(value: Any, call: ToolCall) -> Any:
    """A record without what only repeats the request, which stands beside it."""
    given = call.arguments or {}
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if name not in given or given[name] != item}


def _title(call: ToolCall) -> str:
    given = ", ".join(f"{humane(k)} {_flat(v)}" for k, v in (call.arguments or {}).items() if v is not None)
    return f"**{humane(call.name)}**" + (f" ({given})" if given else "")


def _table(title: str, rows: list[Any]) -> str:
    shown = [f"- {(_summary(row) if isinstance(row, dict) else '') or _flat(row)}" for row in rows[:MAX_ROWS]]
    more = [f"- and {len(rows) - MAX_ROWS} more"] if len(rows) > MAX_ROWS else []
    return "\n".join([f"{title}: {len(rows)} found", *shown, *more])


def _record(title: str, record: dict[str, Any]) -> str:
    """Lists and long texts of a record stand below it, everything short in one sentence."""
    long = {k: v for k, v in record.items() if _is_long(v)}
    short = {k: v for k, v in record.items() if k not in long}
    lines = [f"{title}: {_flat(short)}." if short else f"{title}:"]
    for key, value in long.items():
        is_list = isinstance(value, list)
        lines.append(_table(humane(key), value) if is_list else f"{humane(key)}: {_flat(value)}")
    return "\n".join(lines)


def _is_long(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, dict | list) for one in value) or len(value) > 5
    return isinstance(value, str) and (len(value) > 120 or "\n" in value)


def _flat(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "nothing"
        case dict():
            return ", ".join(f"{humane(str(k))} {_flat(v)}" for k, v in value.items() if v not in (None, ""))
        case list():
            return ", ".join(_flat(one) for one in value)
        case _:
            text = str(value).strip()
            return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} …"


def humane(name: str) -> str:
    """ "order_status" as a person would say it."""
    return re.sub(r"[_.\-]+", " ", name).strip()


def question(slot: Slot, template: Template, known: Repertoire, candidates: Sequence[Any] = ()) -> str:
    """Ask for a slot: "Which order number?"."""
    if candidates:
        return f"Which {_called(slot, template, known)}: {_either(candidates)}?"
    if slot.choices:
        return f"Which {humane(slot.name)}: {_either(slot.choices)}?"
    if slot.holds is Holds.REASON:
        return f"What is the reason for “{humane(template.tool.name)}”?"
    return (
        f"Which {_called(slot, template, known)}?" if slot.is_entity else f"What is the {humane(slot.name)}?"
    )


def _called(slot: Slot, template: Template, known: Repertoire) -> str:
    label = next(iter(known.labels(slot, template.tool.name)), "")
    name = humane(slot.name)
    return name if not label or label in name.split() else f"{label} {name}"


def _either(values: Sequence[Any]) -> str:
    said = [str(value) for value in values]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"


def suggestion(template: Template, given: dict[str, Any]) -> str:
    """ "Did you mean" for a question that was nearly understood."""
    return (
        f"I am not sure what you want. Did you mean `{spoken(template, given)}`? Then please say just that."
    )


def plain_request(template: Template, given: dict[str, Any]) -> str:
    """Why a change was not made although it was mentioned."""
    return f"I change things only when a message says plainly that I should, and nothing else. For that, say: `{spoken(template, given)}`"


def not_understood(words: str) -> str:
    """What was passed over."""
    return f"I did not understand “{words[:120]}”. Ask me for `help` to see what I can do."


def undone(tools: Iterable[str]) -> str:
    """Which changes were understood, and left because of something else."""
    names = ", ".join(dict.fromkeys(humane(tool) for tool in tools))
    return f"Because of that I left this undone: {names}."


def abilities(tools: Sequence[ToolSpec], known: Repertoire) -> str:
    """What can be asked for here."""
    if not tools:
        return "I have no tools here, so there is nothing that I can do yet. Please ask an administrator to give me some."
    return "\n".join(["Here is what you can ask me:", *(_ability(tool, known) for tool in tools)])


def _ability(tool: ToolSpec, known: Repertoire) -> str:
    ways = [template for template in known.templates if template.tool is tool]
    description = tool.description.strip().split("\n")[0].rstrip(".")
    return f"- `{example_of(ways[0])}`" + (f": {description}" if description else "")
