"""A Dovecot 2.3 on loopback with one account, where the system has one: another server than our own sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.proton_mail import ProtonMailSettings
from fleetprompt.sandbox.mailbox import certificate
from tests.mail_stage import FLEET, QUICK

CONFIG = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{base}/cert.pem
ssl_key = <{base}/key.pem
disable_plaintext_auth = yes
mail_location = maildir:{base}/mail
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
passdb {{
  driver = static
  args = password=sandboxsecret-of-bridge
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running server. base: its files; mail stands in base/mail."""

    base: Path
    port: int

    def settings(self, **changes: object) -> ProtonMailSettings:
        """Of its one account; there is no SMTP here."""
        values: dict[str, object] = {
            "username": FLEET,
            "password": "sandboxsecret-of-bridge",
            "certificate_pem": certificate.own().pem,
            "imap_port": self.port,
            "start_at_ms": 1,
            "pace": QUICK,
        }
        return ProtonMailSettings(**(values | changes))  # type: ignore[arg-type]

    def deliver(self, raw: bytes, name: str, folder: str = "") -> None:
        """As a delivery agent does: written aside, then renamed."""
        place = self.base / "mail" / (f".{folder}" if folder else "")
        for part in ("tmp", "new", "cur"):
            (place / part).mkdir(parents=True, exist_ok=True)
            _give(self.base)
        written = place / "tmp" / name
        written.write_bytes(raw)
        _give(self.base)
        written.rename(place / "new" / name)


def _give(base: Path) -> None:
    """To the user that the server runs as."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in [base, *base.rglob("*")]:
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _config(base: Path, port: int) -> str:
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    names = {"user": user.pw_name, "group": grp.getgrgid(user.pw_gid).gr_name}
    return CONFIG.format(base=base, port=port, uid=user.pw_uid, gid=user.pw_gid, **names)


def _program() -> str:
    program = shutil.which("dovecot")
    if program is None:
        pytest.skip("no dovecot on PATH")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    if not version.startswith("2.3"):
        pytest.skip(f"the configuration is for Dovecot 2.3, here is {version.strip()}")
    return program


@contextlib.asynccontextmanager
async def dovecot(base: Path) -> AsyncIterator[Dovecot]:
    """Skips the test without a Dovecot 2.3, or when this system does not let it run."""
    program = _program()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    for name, text in (("cert.pem", certificate.own().pem), ("key.pem", certificate.own().private_pem)):
        (base / name).write_text(text)
    (base / "dovecot.conf").write_text(_config(base, port))
    server = Dovecot(base, port)
    server.deliver(b"Subject: first\r\n\r\nhello\r\n", "0")
    process = await asyncio.create_subprocess_exec(program, "-F", "-c", str(base / "dovecot.conf"))
    try:
        await _until_it_listens(server)
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_it_listens(server: Dovecot) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        await writer.wait_closed()
        return
    log = server.base / "log"
    pytest.skip("dovecot does not run here: " + (log.read_text()[-500:] if log.exists() else "no log"))
