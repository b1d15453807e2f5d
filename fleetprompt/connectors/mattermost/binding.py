"""Mattermost's words: how an adapter is built, what an answer becomes, what of a message is the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from adapters.contract import Adapter, Observer
from adapters.mattermost import MattermostAdapter, MattermostSettings, defuse, split
from adapters.mattermost.settings import ServerAddress
from fleetprompt.connectors.binding import Account, Binding
from fleetprompt.connectors.mattermost.settings import MattermostConfig
from fleetprompt.kernel import clock
from fleetprompt.kernel.secret import Secret

TOKEN: Final = "bot_token"  # noqa: S105 (the secret's name)
SLASH_TOKEN: Final = "slash_token"  # noqa: S105 (the secret's name)
POST: Final = "mattermost.post.create"
UPDATE: Final = "mattermost.post.update"
DIRECT: Final = "mattermost.direct.create"


def build(account: Account, observer: Observer | None = None) -> Adapter:
    """An adapter for one bot account; a missing token is an empty one, which the server refuses."""
    config = MattermostConfig.model_validate(dict(account.config))
    token = account.secrets.get(TOKEN, Secret(""))
    settings = MattermostSettings(
        server_url=config.server_url,
        token=token.reveal(),
        team=config.team,
        start_at_ms=account.start_at_ms,
        allow_user_account=config.allow_user_account,
        ca_file=config.ca_file,
    )
    return MattermostAdapter(settings, observer, clock.now_ms)


def parts(text: str, max_runes: int) -> list[str]:
    """Harmless first, because that makes it longer; then cut at the server's limit."""
    return split(defuse(text), max_runes)


def request(account_name: str, text: str) -> str:
    """`@fleet: where is 1042?` -> `where is 1042?`. A mention elsewhere stays: it is part of the sentence."""
    leading = re.compile(rf"\s*@{re.escape(account_name)}[.:_-]*(?=[\s,;!?]|$)[\s,;!?]*", re.IGNORECASE)
    found = leading.match(text)
    return text[found.end() if found else 0 :].strip()


def server_key(config: Mapping[str, Any]) -> str:
    """The same for every spelling of a server's address, with http or https."""
    address = ServerAddress.parse(str(config["server_url"]))
    return f"{address.authority}{address.path}"


MATTERMOST: Final = Binding(
    package="mattermost",
    config=MattermostConfig,
    secrets=(TOKEN,),
    optional_secrets=(SLASH_TOKEN,),
    build=build,
    parts=parts,
    request=request,
    directive=POST,
    update=UPDATE,
    private=DIRECT,
    pressed_at="/webhooks/mattermost/{installation}/action",
    called_at=("/webhooks/mattermost/{installation}/command",),
    server_key=server_key,
    sent_to=("server_url", "ca_file"),
)
