"""What a person does beyond posting, for tests and the demo: run a slash command, press a button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fleetprompt.sandbox.mattermost import integrations
from fleetprompt.sandbox.mattermost.ids import new_id, new_secret
from fleetprompt.sandbox.mattermost.integration_records import SlashCommand
from fleetprompt.sandbox.mattermost.integrations import Written
from fleetprompt.sandbox.mattermost.records import Channel, Post, SandboxUser, Team
from fleetprompt.sandbox.mattermost.site import Site


class Doing:
    """Part of `SandboxMattermost`, which resolves the references."""

    site: Site
    user: Callable[[SandboxUser | str], SandboxUser]
    team: Callable[[Team | str], Team]
    channel: Callable[[Channel | str], Channel]
    find_post: Callable[[Post | str], Post]

    def create_command(
        self, owner: SandboxUser | str, team: Team | str, trigger: str, url: str, *, token: str = ""
    ) -> SlashCommand:
        """A slash command of a team, called with POST; the existing one, with this address, when the word is taken."""
        found = self.team(team)
        known = [
            c for c in self.site.world.commands.values() if (c.team_id, c.trigger) == (found.id, trigger)
        ]
        command = (
            known[0]
            if known
            else SlashCommand(
                new_id(),
                token or new_secret(),
                self.user(owner).id,
                found.id,
                trigger,
                url,
                self.site.world.now_ms(),
            )
        )
        command.url = url
        self.site.world.save(command)
        return command

    async def run_command(
        self,
        user: SandboxUser | str,
        channel: Channel | str,
        text: str,
        *,
        team: Team | str = "",
        root_id: str = "",
    ) -> dict[str, Any]:
        """Write `/fleet help`; returns what the client gets. team: needed in a direct message. Raises ApiError."""
        found = self.channel(channel)
        team_id = found.team_id or self.team(team).id
        return await integrations.execute(self.site, Written(self.user(user), found, text, team_id, root_id))

    async def press(
        self, user: SandboxUser | str, post: Post | str, button: str, *, option: str = ""
    ) -> dict[str, Any]:
        """Press a button by its id; returns what the client gets. Raises ApiError."""
        short = await integrations.press(self.site, self.user(user), self.find_post(post), button, option)
        return {"status": "OK", "trigger_id": short}

    def shown_privately(self, user: SandboxUser | str = "") -> list[Post]:
        """The ephemeral posts so far; those of one account."""
        user_id = self.user(user).id if user else ""
        return [post for post in self.site.shown_privately if user_id in ("", post.user_id)]
