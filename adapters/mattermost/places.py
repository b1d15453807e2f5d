"""Channels by the name that people see: who sets one up rarely knows its id."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from adapters.contract import Outbound
from adapters.errors import PlaceGone
from adapters.mattermost.client import Api
from adapters.mattermost.session import choose_teams
from adapters.mattermost.settings import MattermostSettings

_ID = re.compile(r"[a-z0-9]{26}")  # as the server makes them


async def placed(api: Api, settings: MattermostSettings, message: Outbound) -> Outbound:
    """With its channel's id. Raises PlaceGone when the account is in no channel of that name, or in several."""
    wanted = message.place.channel_id
    if not wanted or _ID.fullmatch(wanted):
        return message
    channels = await _channels(api, settings)
    by_name = {str(one.get("id")) for one in channels if one.get("name") == wanted}
    named = by_name or {str(one.get("id")) for one in channels if one.get("display_name") == wanted}
    if len(named) != 1:
        raise PlaceGone(
            f"the account is in {len(named) or 'no'} channels of that name",
            advice="Invite it to the channel, or give the channel's id (View Info shows it).",
        )
    return replace(message, place=replace(message.place, channel_id=named.pop()))


async def _channels(api: Api, settings: MattermostSettings) -> list[dict[str, Any]]:
    """Those that it is in; a name is that of no direct message."""
    found: list[dict[str, Any]] = []
    for team_id in choose_teams(await api.teams.get_user_teams("me"), settings):
        answer: Any = await api.channels.get_channels_for_user("me", team_id)
        found += [one for one in answer if isinstance(one, dict) and one.get("type") in ("O", "P")]
    return found
