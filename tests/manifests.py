"""Manifests for tests: a small valid one as text, changed by a replacement, signed with the test's own key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from fleetprompt.packages.manifest import Manifest
from fleetprompt.packages.publishing import Release
from fleetprompt.packages.signing import encoded, key_id_of, sign

KEY = Ed25519PrivateKey.generate()
KEYS = {key_id_of(KEY.public_key()): encoded(KEY.public_key())}

VALID = """\
slug: greeter
version: 1.0.0
name: Greeter
author: Tester
category: productivity
kind: agent
summary: Says hello.
description: Greets whoever comes.
platform: ">=0.1.0 <9.0.0"
provides:
  skills:
    - name: greet
      title: Greet
      description: Says hello.
      instructions: Say hello, once.
  agents:
    - name: host
      purpose: Greets.
      instructions: Be kind.
      skills: [greet]
signals:
  consumed: [chat.message.received]
  emitted: [agent.execution.succeeded]
permissions:
  - scope: conversations.messages
    access: read
    required: true
    reason: It reads what it answers.
    risk: low
    data: message-content
    approval: never
config:
  version: 1
  schema:
    type: object
    additionalProperties: false
    properties:
      tone:
        type: string
        enum: [kind, dry]
        default: kind
        description: How it speaks.
limits:
  cost: Nothing.
health:
  probe: It is there.
uninstall:
  removes: [The agent.]
  retention_days: 30
value:
  - signal: agent.execution.succeeded
    title: Somebody was greeted.
"""


def line_of(text: str, part: str) -> int:
    """The line, counted from 1, of the only place with this text."""
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1


def put(folder: Path, text: str = VALID, slug: str = "greeter", version: str = "1.0.0") -> Path:
    """The file where its slug and version say that it lies."""
    path = folder / slug / f"{version}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def manifest(slug: str = "greeter", version: str = "1.0.0", **more: Any) -> Manifest:
    """A valid one with some parts of its own. needs: slug -> range."""
    return Manifest.model_validate_json(canonical(slug, version, **more))


def canonical(
    slug: str = "greeter", version: str = "1.0.0", needs: Mapping[str, str] | None = None, **more: Any
) -> bytes:
    """Its canonical JSON."""
    values = {**yaml.safe_load(VALID), "slug": slug, "version": version, **more}
    values["requires"] = [
        {"package": package, "version": text, "reason": "Because."} for package, text in (needs or {}).items()
    ]
    return rfc8785.dumps(values)


def release(slug: str = "greeter", version: str = "1.0.0", **more: Any) -> Release:
    """Signed with the test's key."""
    content = canonical(slug, version, **more)
    return Release(Manifest.model_validate_json(content), content, sign(content, KEY))


def key_file(folder: Path, key: Any = KEY) -> Path:
    """The private key in PEM."""
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """What a manifest's `config.schema` has to say of a connector's settings: the model is the truth."""
    theirs = model.model_json_schema()
    return {
        "type": "object",
        "additionalProperties": False,
        "required": theirs.get("required", []),
        "properties": {
            name: {**_plain(theirs["properties"][name]), **_default(field)}
            for name, field in model.model_fields.items()
        },
    }


def _plain(setting: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in setting.items() if key not in ("title", "default")}


def _default(field: FieldInfo) -> dict[str, Any]:
    if field.is_required():
        return {}
    value = field.get_default(call_default_factory=True)
    return {"default": TypeAdapter(Any).dump_python(value, mode="json")}
