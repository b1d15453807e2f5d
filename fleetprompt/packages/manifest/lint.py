"""From a file to a manifest, or to everything that is wrong with it, each with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import BaseModel, ValidationError

from fleetprompt.packages.manifest.checks import find_conflicts
from fleetprompt.packages.manifest.faults import Fault, ManifestRefused
from fleetprompt.packages.manifest.model import Manifest
from fleetprompt.packages.manifest.reading import Document, Path_, dotted, read_manifest_file

SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest as its author wrote it. canonical: RFC 8785 of what is in the file, without our defaults."""

    path: Path
    manifest: Manifest
    canonical: bytes


def manifest_files(path: Path) -> list[Path]:
    """The file itself, or every manifest below a folder. Raises ManifestRefused if there is none."""
    if path.is_file():
        return [path]
    found = sorted(one for one in path.rglob("*") if one.suffix in (SUFFIX, ".yml") and one.is_file())
    if not found:
        advice = f"A manifest is a file SLUG/VERSION{SUFFIX}."
        raise ManifestRefused([Fault(str(path), 1, "", "There is no manifest here.", advice)])
    return found


def lint(path: Path) -> list[Fault]:
    """All faults of a file, or of each manifest below a folder, by file and line; none if they can be published."""
    try:
        files = manifest_files(path)
    except ManifestRefused as refused:
        return list(refused.faults)
    faults = list[Fault]()
    for file in files:
        try:
            read_written(file)
        except ManifestRefused as refused:
            faults += refused.faults
    return faults


def read_written(path: Path) -> Written:
    """One manifest, checked in full. Raises ManifestRefused with every fault."""
    document = read_manifest_file(path)
    manifest, canonical = parse(document)
    faults = [
        Fault(document.file, document.line_of(place), dotted(place), problem, advice)
        for place, problem, advice in (*find_conflicts(manifest), *_misplaced(manifest, path))
    ]
    if faults:
        raise ManifestRefused(faults)
    return Written(path, manifest, canonical)


def parse(document: Document) -> tuple[Manifest, bytes]:
    """The manifest and its canonical JSON. Raises ManifestRefused."""
    if not isinstance(document.data, dict):
        raise ManifestRefused([Fault(document.file, 1, "", "A manifest is a mapping of names to values.")])
    canonical = rfc8785.dumps(document.data)
    try:
        return Manifest.model_validate_json(canonical), canonical
    except ValidationError as error:
        faults = [_fault(document, fault) for fault in error.errors(include_url=False)]
        raise ManifestRefused(faults) from error


def _misplaced(manifest: Manifest, path: Path) -> Iterator[tuple[Path_, str, str]]:
    if path.parent.name != manifest.slug:
        place = f"{manifest.slug}/{manifest.version}{SUFFIX}"
        yield ("slug",), f"The folder is called {path.parent.name!r}.", f"Put the file at {place}."
    if path.stem != manifest.version:
        yield ("version",), f"The file is called {path.name!r}.", f"Call it {manifest.version}{SUFFIX}."


def _fault(document: Document, error: Any) -> Fault:
    path = _known(document, error["loc"])
    kind, said = str(error["type"]), str(error["msg"])
    line = document.line_of(path)
    if kind == "missing":
        name = str(error["loc"][-1])
        return Fault(document.file, line, dotted(path), f"{name!r} is missing.", "Add it.")
    if kind == "extra_forbidden":
        name, names = str(error["loc"][-1]), _names_at(error["loc"][:-1])
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        advice = f"Did you mean {near[0]!r}?" if near else f"There is: {', '.join(names)}." if names else ""
        return Fault(document.file, line, dotted(path), f"There is no {name!r} here.", advice)
    said = said.removeprefix("Value error, ").rstrip(".")
    shown = f" (it is {_shown(error['input'])})" if not isinstance(error["input"], dict | list) else ""
    advice = "Put it in quotes." if kind == "string_type" and isinstance(error["input"], float | int) else ""
    return Fault(document.file, line, dotted(path), f"{said[:1].upper()}{said[1:]}{shown}.", advice)


def _shown(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}..."


def _known(document: Document, location: Sequence[str | int]) -> Path_:
    """An error's place without what the file does not have, such as the kind of a union's member."""
    path: Path_ = ()
    for part in location:
        if (*path, part) in document.lines:
            path = (*path, part)
    return path


def _names_at(location: Sequence[str | int]) -> list[str]:
    """The fields of the model at a place; empty where it cannot be told."""
    model: Any = Manifest
    for part in location:
        if isinstance(part, str):
            field = getattr(model, "model_fields", {}).get(part)
            model = None if field is None else _model_in(field.annotation)
    return sorted(field.alias or name for name, field in getattr(model, "model_fields", {}).items())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)
