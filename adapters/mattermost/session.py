"""Who we are on this server: what `open` finds out and everything else relies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.contract import Connected
from adapters.errors import AdapterError, FarSideFailed, Misconfigured
from adapters.mattermost.client import Api
from adapters.mattermost.settings import MattermostSettings

DEFAULT_MAX_RUNES = 16383  # seen on 5.37; 4000 on old databases, which say so


@dataclass(frozen=True, slots=True)
class Session:
    """The account, the server's limits, and the teams to listen in; none = all of them, also those joined later."""

    user_id: str
    username: str
    max_text_runes: int
    server_version: str
    team_ids: frozenset[str] = frozenset()

    def listens_in(self, team_id: str) -> bool:
        """Whether a channel of this team is ours to hear. Direct and group messages have no team ("")."""
        return not team_id or not self.team_ids or team_id in self.team_ids

    def connected(self, api: Api) -> Connected:
        """As the contract tells it."""
        client = api.client
        return Connected(
            account_id=self.user_id,
            account_name=self.username,
            account_key=client.address.account_key(self.user_id),
            server_version=self.server_version,
            max_text_runes=self.max_text_runes,
            server_now_ms=client.server_now_ms(),
        )


async def open_session(api: Api, settings: MattermostSettings) -> Session:
    """Read account and limits. Raises the tree of `adapters.errors`."""
    account = await read_account(api, settings)
    # A wrong team shows at once, not in the run loop.
    team_ids = choose_teams(await api.teams.get_user_teams("me"), settings)
    return Session(
        user_id=account["id"],
        username=account["username"],
        max_text_runes=await read_max_runes(api),
        server_version=api.client.server_version,
        team_ids=frozenset(team_ids if settings.team.strip() else ()),
    )


async def read_account(api: Api, settings: MattermostSettings) -> dict[str, str]:
    """The token's account, which must be a bot unless the settings permit a person's."""
    account = await api.users.get_user("me")
    if not isinstance(account, dict) or not account.get("id") or not account.get("username"):
        raise Misconfigured(
            "this address does not answer as a Mattermost server",
            advice="Check server_url; leave /api/v4 out.",
        )
    if account.get("is_bot") is not True and not settings.allow_user_account:
        raise Misconfigured(
            "the token is not a bot account's",
            advice="Make a bot account (Integrations > Bot Accounts) and use its token, or set allow_user_account.",
        )
    return {"id": str(account["id"]), "username": str(account["username"])}


def choose_teams(teams: Any, settings: MattermostSettings) -> list[str]:
    """The ids of the teams to listen in. Raises Misconfigured when the named one is not among the account's."""
    if not isinstance(teams, list):
        raise FarSideFailed("the list of teams makes no sense")
    known = [team for team in teams if isinstance(team, dict) and team.get("id")]
    wanted = settings.team.strip().lower()
    chosen = [str(team["id"]) for team in known if not wanted or str(team.get("name", "")).lower() == wanted]
    if not chosen:
        raise Misconfigured(
            f"the bot is not in the team {wanted!r}" if wanted else "the bot is in no team",
            advice="Add the bot to the team (team menu > Invite people), and give the team's name as in its address.",
        )
    return chosen


async def read_max_runes(api: Api) -> int:
    """The longest message in runes, from the client configuration when it is offered."""
    try:
        config = await api.system.get_client_configuration(params={"format": "old"})
        offered = int(config.get("MaxPostSize", "")) if isinstance(config, dict) else 0
    except (AdapterError, ValueError, TypeError):
        return DEFAULT_MAX_RUNES
    return offered if offered > 0 else DEFAULT_MAX_RUNES
