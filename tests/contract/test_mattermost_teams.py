"""A bot in several teams hears the team of its installation alone, whether live or by catch-up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.contract import ConnectionState, EventKind
from adapters.mattermost import MattermostAdapter, MattermostSettings
from fleetprompt.sandbox.mattermost import Channel, SandboxMattermost
from tests.adapter_stages import QUICK, MattermostStage
from tests.listening import Ear, States, listening


class TwoTeams(MattermostStage):
    """fleet and dana are in acme and in beta."""

    def __init__(self, server: SandboxMattermost) -> None:
        super().__init__(server, server)
        self.beta = server.create_team("beta")
        self.elsewhere_in_beta = self.joined("lounge")

    def joined(self, name: str) -> Channel:
        channel = self.server.create_channel(self.beta, name)
        for user in (self.bot, self.dana):
            self.server.add_to_channel(user, channel)
        return channel

    def of_team(self, team: str, observer: States) -> MattermostAdapter:
        settings = MattermostSettings(self.server.url, self.bot.token, team, start_at_ms=1, pace=QUICK)
        return MattermostAdapter(settings, observer)

    def happens_in_beta(self, word: str) -> None:
        """A mention, its edit, a deletion; and the bot comes into a channel and is taken out of it."""
        mention = self.server.post(self.dana, self.elsewhere_in_beta, f"@fleet {word}")
        self.server.edit(mention, f"@fleet {word} edited")
        self.server.delete(self.server.post(self.dana, self.elsewhere_in_beta, f"@fleet {word} gone"))
        self.server.remove_from_channel(self.bot, self.joined(word))

    def happens_in_acme(self, word: str) -> None:
        """What must be heard: a mention in the channel and a direct message."""
        self.says(f"@fleet {word}")
        self.says(f"psst {word}", direct=True)


@pytest.fixture
async def stage() -> AsyncIterator[TwoTeams]:
    async with SandboxMattermost() as server:
        yield TwoTeams(server)


async def hears_both_ways(stage: TwoTeams, team: str) -> Ear:
    observer = States()
    adapter = stage.of_team(team, observer)
    stage.happens_in_beta("missed-beta")
    stage.happens_in_acme("missed")
    async with listening(adapter) as ear:
        await ear.hears("@fleet missed", "psst missed")
        await observer.reach(ConnectionState.CONNECTED)
        stage.happens_in_beta("live-beta")
        stage.happens_in_acme("live")
        await ear.hears("@fleet live", "psst live")
    await adapter.close()
    return ear


async def test_another_teams_events_are_told_neither_live_nor_by_catch_up(stage: TwoTeams) -> None:
    ear = await hears_both_ways(stage, "acme")
    beta = [event for event in ear.heard if event.place.team_id == stage.beta.id or "beta" in event.text]
    assert [(event.kind, event.text, event.caught_up) for event in beta] == []


async def test_without_a_named_team_all_of_them_are_heard(stage: TwoTeams) -> None:
    ear = await hears_both_ways(stage, "")
    kinds = [e.kind for e in ear.heard if e.place.team_id == stage.beta.id and not e.caught_up]
    assert {EventKind.MESSAGE, EventKind.EDITED, EventKind.DELETED, EventKind.ADDED, EventKind.REMOVED} == {
        *kinds
    }
