"""Whether a definition fits this house: its signal, its directives and its templates are looked at before it is kept."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.runtime.directives import DirectiveType
from fleetprompt.runtime.registry import Registry
from fleetprompt.runtime.workflows.definition import Definition, Step, place_of
from fleetprompt.runtime.workflows.match import fits
from fleetprompt.runtime.workflows.templates import parse_path, parse_text, paths_in

MEND = "Mend it there; nothing was changed."


def check(registry: Registry, definition: Definition) -> None:
    """Raises InvalidInput, which says where the fault is."""
    _check_signal(registry, definition.on)
    for path in definition.when:
        _check_paths([path], f"when.{path}", ())
    earlier: list[str] = []
    for number, step in enumerate(definition.steps):
        place = f"steps[{number}]"
        for path in step.when:
            _check_paths([path], f"{place}.when.{path}", earlier)
        for inner, text in _texts(step):
            _check_text(text, f"{place}.{inner}", earlier)
        if step.directive is not None:
            _check_directive(registry, step, place)
        earlier.append(step.name)


def _check_signal(registry: Registry, pattern: str) -> None:
    """One that nobody emits would wait for ever."""
    if registry.signal_type(pattern) is not None:
        return
    if not any(fits(pattern, name) for name in registry.signals):
        advice = nearest(pattern, [name for name in registry.signals if not name.endswith("*")])
        raise InvalidInput(f"on: there is no signal {pattern!r}.", advice)


def _texts(step: Step) -> Iterator[tuple[str, str]]:
    """(place, text) of each text that may hold templates."""
    if step.agent is not None:
        yield "input", step.input
    for name in ("params", "payload"):
        yield from _texts_in(getattr(step, name), name)


def _texts_in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts_in(item, f"{place}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts_in(item, f"{place}[{number}]")


def _check_text(text: str, place: str, earlier: Collection[str]) -> None:
    try:
        parts = parse_text(text)
    except InvalidInput as error:
        raise InvalidInput(f"{place}: {error.what}", error.advice) from error
    _check_paths([part.text for part in parts if not isinstance(part, str)], place, earlier)


def _check_paths(paths: Collection[str], place: str, earlier: Collection[str]) -> None:
    for text in paths:
        try:
            path = parse_path(text)
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {error.what}", error.advice) from error
        if path.step is not None and path.step not in earlier:
            raise InvalidInput(
                f"{place}: no step before this one is called {path.step!r}.", nearest(path.step, earlier)
            )


def _check_directive(registry: Registry, step: Step, place: str) -> None:
    """Names first; the values too, where no template stands in for them."""
    assert step.directive is not None
    kind = registry.directives.get(step.directive)
    if kind is None:
        advice = nearest(step.directive, registry.directives)
        raise InvalidInput(f"{place}.directive: there is no directive {step.directive!r}.", advice)
    fields = kind.arguments.model_fields
    unknown = next((name for name in step.params if name not in fields), None)
    if unknown is not None:
        raise InvalidInput(
            f"{place}.params.{unknown}: {kind.name} takes no {unknown!r}.", nearest(unknown, fields)
        )
    missing = [name for name, field in fields.items() if field.is_required() and name not in step.params]
    if missing:
        raise InvalidInput(f"{place}.params: {kind.name} needs {', '.join(missing)}.", MEND)
    _check_values(kind, step, place)


def _check_values(kind: DirectiveType, step: Step, place: str) -> None:
    """A fault in a field that holds a template may not be one when the template is filled in."""
    try:
        kind.arguments.model_validate(step.params)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            field = fault["loc"][0] if fault["loc"] else None
            if field is None or not any(paths_in(step.params.get(str(field)))):
                inner = place_of(("params", *fault["loc"]))
                raise InvalidInput(f"{place}.{inner}: {fault['msg']}.", MEND) from error


def nearest(word: str, known: Collection[str]) -> str:
    """Advice for a misspelt name."""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    listed = ", ".join(close or sorted(known)[:20])
    return f"Did you mean: {listed}?" if close else f"There is: {listed or 'none'}."
