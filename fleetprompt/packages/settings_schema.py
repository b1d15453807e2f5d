"""Settings against a manifest's JSON Schema. The connector's own model reads and completes them first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from pydantic import BaseModel, ConfigDict, Field, create_model

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.manifest import Manifest

TYPES: Final[Mapping[str, Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}


def settings_model(manifest: Manifest) -> type[BaseModel]:
    """Reads settings as the command line gives them (`--set n=3`) and completes them; `check_settings` judges them."""
    schema = manifest.config.settings
    fields: dict[str, Any] = {
        name: (TYPES.get(setting.get("type", ""), Any), _field(name, setting, schema.get("required", ())))
        for name, setting in schema.get("properties", {}).items()
    }
    return create_model("Settings", __config__=ConfigDict(extra="forbid"), **fields)


def _field(name: str, setting: Mapping[str, Any], required: Collection[str]) -> Any:
    about = setting.get("description")
    return Field(description=about) if name in required else Field(setting.get("default"), description=about)


def check_settings(manifest: Manifest, settings: Mapping[str, Any]) -> None:
    """Raises InvalidInput, which names the setting, what is wrong with it, and what it is for."""
    schema = manifest.config.settings
    properties: dict[str, Any] = schema.get("properties", {})
    for name in settings:
        if name not in properties:
            raise InvalidInput(f"{manifest.slug} has no setting {name!r}.", nearest(name, properties))
    missing = [name for name in schema.get("required", ()) if name not in settings]
    if missing:
        advice = " ".join(f"--set {name}=..." for name in missing)
        raise InvalidInput(f"{manifest.slug} needs the setting {', '.join(missing)}.", advice)
    fault = best_match(Draft202012Validator(schema).iter_errors(dict(settings)))
    if fault is not None:
        raise _refused(manifest, properties, fault)


def _refused(manifest: Manifest, properties: Mapping[str, Any], fault: ValidationError) -> InvalidInput:
    """A value may be long, or somebody's secret in the wrong place: it is not quoted."""
    if not fault.absolute_path:
        return InvalidInput(f"The settings of {manifest.slug} do not go together.", "See its package info.")
    name, *inner = fault.absolute_path
    place = "".join(f"[{part!r}]" for part in inner)
    rule = _rule(str(fault.validator), fault.validator_value)
    about = str(properties.get(str(name), {}).get("description", ""))
    return InvalidInput(f"The setting '{name}'{place} cannot be used: {rule}.", about)


def _rule(kind: str, value: Any) -> str:
    words = {
        "type": "it must be of the type {}",
        "minimum": "it must be at least {}",
        "exclusiveMinimum": "it must be more than {}",
        "maximum": "it must be at most {}",
        "exclusiveMaximum": "it must be less than {}",
        "minLength": "it must have at least {} characters",
        "maxLength": "it must have at most {} characters",
        "minItems": "it must have at least {} entries",
        "maxItems": "it must have at most {} entries",
        "pattern": "it must match {}",
        "enum": "it must be one of {}",
    }
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return words[kind].format(shown) if kind in words else f"it breaks the rule {kind!r}"
