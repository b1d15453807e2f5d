"""A package's settings: their JSON Schema, its version, and how settings of older versions are brought forward."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fleetprompt.packages.manifest.names import Key, Part


class Rename(Part):
    """The setting is called otherwise now."""

    op: Literal["rename"]
    key: Key
    to: Key


class Default(Part):
    """A setting that was not there has this value."""

    op: Literal["default"]
    key: Key
    value: Any


class Drop(Part):
    """The setting is no more."""

    op: Literal["drop"]
    key: Key


class Map(Part):
    """Some values of a setting are called otherwise now; others stay."""

    op: Literal["map"]
    key: Key
    values: dict[str, Any]


class ConfigMigration(Part):
    """From the version before to `to`."""

    to: Annotated[int, Field(ge=2)]
    steps: tuple[Annotated[Rename | Default | Drop | Map, Field(discriminator="op")], ...]


class Config(Part):
    """schema: draft 2020-12, an object of settings; a secret is never one of them."""

    version: Annotated[int, Field(ge=1)]
    settings: Annotated[dict[str, Any], Field(alias="schema")]
    migrations: tuple[ConfigMigration, ...] = ()


def migrated(config: Config, settings: dict[str, Any], version: int) -> dict[str, Any]:
    """Settings of an older config version in the words of this one; the given ones stay as they are."""
    found = dict(settings)
    for migration in sorted(config.migrations, key=lambda one: one.to):
        if migration.to > version:
            for step in migration.steps:
                _apply(step, found)
    return found


def _apply(step: Rename | Default | Drop | Map, found: dict[str, Any]) -> None:
    match step:
        case Rename():
            if step.key in found:
                found[step.to] = found.pop(step.key)
        case Default():
            found.setdefault(step.key, step.value)
        case Drop():
            found.pop(step.key, None)
        case Map():
            value = found.get(step.key)
            found.update(
                {step.key: step.values[value]} if isinstance(value, str) and value in step.values else {}
            )
