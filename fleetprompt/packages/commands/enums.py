"""A setting that takes one of some words, and got another: the nearest are named, and so are those of an unknown key."""

from __future__ import annotations

from collections.abc import Mapping

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.packages.installers import nearest
from fleetprompt.packages.manifest import Manifest


def check_enums(manifest: Manifest, settings: Mapping[str, str]) -> None:
    """Raises InvalidInput for an unknown key or word. All else is checked by the connector itself."""
    properties = manifest.config.settings.get("properties", {})
    for key, value in settings.items():
        if key not in properties:
            raise InvalidInput(f"{manifest.slug} has no setting `{key}`.", nearest(key, properties))
        words = properties[key].get("enum")
        if words is not None and value not in words:
            known = [str(word) for word in words]
            raise InvalidInput(f"The setting `{key}` cannot be {value[:40]!r}.", nearest(value[:40], known))
