"""What the README says, done: connect a Mattermost, look after it, back it up, lose everything, restore it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fleetprompt.credentials import KEY_FILE
from fleetprompt.database.embedded import EmbeddedPostgres, binaries
from fleetprompt.sandbox.mattermost import SandboxMattermost, SandboxUser
from tests.command_line import CommandLine, line, staying, stopped
from tests.database import reachable_directory
from tests.embedded import started
from tests.readme import Shell, blocks, spans
from tests.serving import MASTER_KEY

CONNECT = "Connect a real Mattermost"
SLASH = "The slash command"
KEEP = "Where the data lies"
ARCHIVE = "fleetprompt-backup.tgz"
LIMIT_S = 600  # a dozen starts of the whole program, on a machine that has other things to do


@dataclass
class Office:
    """Somebody's server with a team, a terminal for each who types there, and the folders of this test."""

    folder: Path
    chat: SandboxMattermost
    dana: SandboxUser
    bot: SandboxUser
    support: str

    def shell(self, name: str, settings: Mapping[str, str] | None = None) -> Shell:
        """A terminal of its own."""
        folder = self.folder / name
        folder.mkdir()
        instead = {
            "https://chat.example.com": self.chat.url,
            "MATTERMOST_TOKEN=...": f"MATTERMOST_TOKEN={self.bot.token}",
            "/var/lib/fleetprompt": str(self.folder / "data"),
            "/srv/fleetprompt": str(self.folder / "restored"),
        }
        return Shell.opened(folder, CommandLine({"FLEETPROMPT_PORT": "0", **(settings or {})}), instead)

    async def answered(self, root_id: str, times: int = 1) -> None:
        """Wait until the bot has written so often in this thread."""
        async with asyncio.timeout(60):
            while len(self.answers(root_id)) < times:
                await asyncio.sleep(0.05)

    def answers(self, root_id: str) -> list[str]:
        posts = self.chat.posts(self.support)
        return [post.message for post in posts if post.root_id == root_id and post.user_id == self.bot.id]

    def ask(self, text: str, root_id: str = "") -> str:
        return self.chat.post(self.dana, self.support, text, root_id=root_id).id

    async def commands(self, shell: Shell, url: str) -> None:
        """The slash command, made where the README says, works when its block was typed."""
        said = await shell.run.ok("package", "status", "mattermost", "--org", "acme", "--json")
        [address] = json.loads(said.out)["addresses"]
        command = self.chat.create_command(self.dana, "acme", "fleet", url + urlsplit(address).path)
        [tell] = blocks(SLASH)
        await shell.ok(tell.replace("SLASH_TOKEN=...", f"SLASH_TOKEN={command.token}"))
        answer = await self.chat.run_command(self.dana, self.support, "/fleet whoami")
        assert answer["response_type"] == "ephemeral"
        assert answer["text"]


@contextlib.asynccontextmanager
async def office() -> AsyncIterator[Office]:
    async with SandboxMattermost() as chat:
        dana, bot = chat.create_user("dana"), chat.create_user("fleet", is_bot=True)
        team = chat.create_team("acme")
        support = chat.create_channel(team, "support")
        for user in (dana, bot):
            chat.add_to_channel(user, support)
        with reachable_directory() as folder:
            yield Office(folder, chat, dana, bot, support.id)


@contextlib.asynccontextmanager
async def up(run: CommandLine) -> AsyncIterator[str]:
    """`make up`, and Ctrl-C; the address that it serves."""
    async with staying(run, "up") as process:
        yield (await line(process, r"serves on (http://[^ ]+)"))[1]
        assert await stopped(process) == 0


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
async def test_connected_backed_up_lost_and_restored_as_the_readme_says() -> None:
    async with office() as here:
        data, new = here.folder / "data", here.folder / "restored"
        shell = here.shell("first", {"FLEETPROMPT_DATA_DIR": str(data)})
        async with up(shell.run) as url:
            [connect] = blocks(CONNECT)
            said = await shell.ok(connect)
            assert "fail" not in said.out
            thread = here.ask("@fleet help")
            await here.answered(thread)
            await here.commands(shell, url)
            back_up, restore, *_ = blocks(KEEP)
            assert (await shell.type(back_up)).code != 0  # the database runs
            assert not (shell.folder / ARCHIVE).exists()
        await shell.ok(back_up)
        assert (shell.folder / ARCHIVE).stat().st_mode & 0o077 == 0
        shutil.rmtree(data)
        elsewhere = here.shell("second")
        shutil.move(shell.folder / ARCHIVE, elsewhere.folder)
        said = await elsewhere.ok(restore)
        assert "fail" not in said.out
        restored = here.shell("third", {"FLEETPROMPT_DATA_DIR": str(new)})
        await without_its_key(restored.run, new)
        while_down = here.ask("@fleet help")
        async with up(restored.run):
            await here.answered(while_down)
            here.ask("@fleet help", thread)
            await here.answered(thread, 2)
            await restored.run.ok("package", "test", "mattermost", "--org", "acme")
        assert not data.exists()


async def without_its_key(run: CommandLine, data_dir: Path) -> None:
    """The doctor says that it is missing, and makes no other in its place."""
    key = (data_dir / KEY_FILE).rename(data_dir / "elsewhere")
    said = await run("doctor")
    assert said.code == 1
    assert f"Restore {KEY_FILE} from your backup" in said.out
    assert not (data_dir / KEY_FILE).exists()
    key.rename(data_dir / KEY_FILE)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
async def test_each_command_within_a_line_works_and_a_server_of_ones_own_is_restored() -> None:
    async with office() as here, started(here.folder / "server") as server:
        shell = here.shell("first", own_server(server))
        async with up(shell.run):
            await shell.ok(blocks(CONNECT)[0])
            thread = here.ask("@fleet help")
            await here.answered(thread)
            await inline(shell.run, thread)
            await shell.run.ok("agent", "set", "fleet", "--org", "acme", "--model", "")
        dump, restore = blocks(KEEP)[2:]
        await shell.ok(dump)
        await server.stop()
        async with started(here.folder / "new") as new:
            another = here.shell("second", own_server(new))
            for name in ("fleetprompt-roles.sql", "fleetprompt.dump"):
                shutil.move(shell.folder / name, another.folder)
            said = await another.ok("dropdb -U postgres fleetprompt\n" + restore)
            assert "fail" not in said.out
            async with up(another.run):
                here.ask("@fleet help", thread)
                await here.answered(thread, 2)
                await another.run.ok("package", "test", "mattermost", "--org", "acme")


def own_server(server: EmbeddedPostgres) -> dict[str, str]:
    """An embedded server in the part of somebody's own, with the programs that belong to it."""
    socket_dir = str(server.layout.socket_dir())
    url = f"postgresql://fleetprompt@/fleetprompt?host={socket_dir}&port=5432"
    return {
        "FLEETPROMPT_DATABASE_URL": url,
        "FLEETPROMPT_MASTER_KEY": MASTER_KEY,
        "PGHOST": socket_dir,
        "PATH": f"{binaries.find(None, None).bin_dir}:{os.environ['PATH']}",
    }


NOT_RUN = {"demo", "up", "web", "worker", "listener"}
"""Those stay, and have tests of their own."""
DECIDING = {"resolve", "retry", "discard"}
"""Those need an ID of a kind that is not there."""


async def inline(run: CommandLine, post: str) -> None:
    """The commands that stand within lines, without a shell, which they need not; `...` stands for what differs."""
    for command in dict.fromkeys(spans()):
        words = [post if word == "ID" else word for word in shlex.split(command)[1:]]
        if words[0] in NOT_RUN or "..." in words:
            continue
        model = {"FLEETPROMPT_MODEL": "openai:gpt-5", "FLEETPROMPT_MODEL_API_KEY": "x"}
        said = await run(*words, **(model if "--model" in words else {}))
        expected = (1, True) if DECIDING & {*words} else (0, False)
        assert (said.code, "is no id of" in said.err) == expected, (command, said)
