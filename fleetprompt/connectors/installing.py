"""The installer of a chat connector: the very adapter that will run is the one that is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.errors import AdapterError
from fleetprompt.connectors.binding import Account, Binding
from fleetprompt.connectors.faults import probe_failed
from fleetprompt.kernel.secret import Secret
from fleetprompt.packages.installers import Installer, Line, Probe


def installer_of(binding: Binding, version: str, about: str) -> Installer:
    """Its entry in the registry of installers."""

    async def probe(config: Mapping[str, Any], secrets: Mapping[str, Secret]) -> Probe:
        adapter = binding.build(Account(config, secrets), None)
        try:
            found = await adapter.open()
        except AdapterError as error:
            raise probe_failed(error) from error
        finally:
            await adapter.close()
        account = {
            "id": found.account_id,
            "name": found.account_name,
            "key": found.account_key,
            "server_version": found.server_version,
            "max_text_runes": found.max_text_runes,
        }
        return Probe(account, found.account_key, found.server_now_ms)

    def since_ms(config: Mapping[str, Any]) -> int | None:
        return binding.start_at_ms(config) if binding.start_at_ms is not None else None

    async def check(config: Mapping[str, Any], secrets: Mapping[str, Secret]) -> Sequence[Line]:
        adapter = binding.build(Account(config, secrets), None)
        try:
            return [Line(line.name, line.ok, line.detail, line.remedy) for line in await adapter.check()]
        finally:
            await adapter.close()

    return Installer(
        binding.package,
        version,
        about,
        binding.config,
        binding.secrets,
        probe,
        check,
        optional_secrets=binding.optional_secrets,
        called_at=binding.called_at,
        sent_to=binding.sent_to,
        since_ms=since_ms,
    )
