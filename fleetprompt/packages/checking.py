"""Is what a person gave an installation usable? Every refusal names the setting and what would do."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.json import canonical
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.installers import Installer, nearest
from fleetprompt.runtime.agents.manage import list_agents
from fleetprompt.runtime.people import user_id_of
from fleetprompt.runtime.signals import Actor
from fleetprompt.tenancy import TenantSession


def checked_config(installer: Installer, config: Mapping[str, Any]) -> dict[str, Any]:
    """Validated and complete. Raises InvalidInput."""
    _require_known(installer, config)
    try:
        return _validated(installer, config)
    except ValidationError as error:
        raise InvalidInput(*_words(installer, error)) from None  # the original quotes what was given


def accepted_config(installer: Installer, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings as far as they go, and the required ones that are still missing; complete if none is.

    Raises InvalidInput for one that is unknown or cannot be used.
    """
    _require_known(installer, config)
    try:
        return _validated(installer, config), []
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        if any(fault["type"] != "missing" for fault in faults):
            raise InvalidInput(*_words(installer, error)) from None
        return dict(config), [str(fault["loc"][0]) for fault in faults]


def _require_known(installer: Installer, config: Mapping[str, Any]) -> None:
    for name in config:
        if name not in installer.config.model_fields:
            advice = nearest(name, installer.config.model_fields)
            raise InvalidInput(f"{installer.package} has no setting {name!r}.", advice)


def _validated(installer: Installer, config: Mapping[str, Any]) -> dict[str, Any]:
    model: type[BaseModel] = installer.config
    return model.model_validate(dict(config)).model_dump(mode="json")


def _words(installer: Installer, error: ValidationError) -> tuple[str, str]:
    faults = error.errors(include_input=False, include_url=False)
    wrong = [fault for fault in faults if fault["type"] != "missing"]
    if not wrong:
        missing = [str(fault["loc"][0]) for fault in faults]
        what = f"{installer.package} needs the setting{'s' if len(missing) > 1 else ''} {', '.join(missing)}."
        return what, " ".join(f"--set {name}=..." for name in missing)
    fault = wrong[0]
    said = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    if not fault["loc"]:
        return f"The settings of {installer.package} do not go together: {said}.", "See its package info."
    about = installer.config.model_fields[str(fault["loc"][0])].description or ""
    return f"The setting {fault['loc'][0]!r} cannot be used: {said}.", about


def check_secrets(installer: Installer, given: Mapping[str, Secret], *, known: Collection[str] = ()) -> None:
    """known: secrets that are there already. Raises InvalidInput for one unknown, empty or missing."""
    check_given_secrets(installer, given)
    missing = missing_secrets(installer, {*given, *known})
    if missing:
        raise InvalidInput(
            f"{installer.package} needs the secret {', '.join(missing)}.",
            " ".join(f"--secret {name}=env:NAME" for name in missing),
        )


def check_given_secrets(installer: Installer, given: Mapping[str, Secret]) -> None:
    """Raises InvalidInput for one unknown or empty."""
    takes = (*installer.secrets, *installer.optional_secrets)
    for name, secret in given.items():
        if name not in takes:
            raise InvalidInput(f"{installer.package} has no secret {name!r}.", nearest(name, takes))
        if not secret.reveal().strip():
            raise InvalidInput(
                f"The secret {name!r} is empty.", f"Is its variable set? --secret {name}=env:NAME"
            )


def missing_secrets(installer: Installer, there: Collection[str]) -> list[str]:
    """The required ones that are not among these."""
    return [name for name in installer.secrets if name not in there]


def require_secrets_anew(
    installer: Installer, old: Mapping[str, Any], new: Mapping[str, Any], given: Collection[str], actor: Actor
) -> None:
    """A stored secret is not sent to another server because a person in a chat wishes so: they might own that server.

    given: the secrets that come along. Raises InvalidInput. The operator of the machine may: they have the secrets.
    """
    elsewhere = [name for name in installer.sent_to if old.get(name) != new.get(name)]
    kept = missing_secrets(installer, given)
    if elsewhere and kept and user_id_of(actor.id) is not None:
        raise InvalidInput(
            f"With another {elsewhere[0]} the stored {kept[0]} would be sent elsewhere.",
            "Uninstall it and install it anew, or let the operator do it: fleetprompt package configure"
            f" {installer.package} --org ... --set {elsewhere[0]}=...",
        )


async def check_agents(session: TenantSession, config: Mapping[str, Any]) -> None:
    """The agents that a configuration names must be there, unless there are none at all. Raises InvalidInput."""
    names = [agent.name for agent in await list_agents(session)]
    folded = {name.casefold() for name in names}
    wished = [config.get("agent") or "", *dict(config.get("channel_agents") or {}).values()]
    for name in filter(None, wished):
        if names and name.casefold() not in folded:
            raise InvalidInput(f"There is no agent {name!r}.", nearest(name, names))


def digest(config: Mapping[str, Any]) -> str:
    """Names a configuration in an idempotency key."""
    return hashlib.sha256(canonical(dict(config)).encode()).hexdigest()[:16]
