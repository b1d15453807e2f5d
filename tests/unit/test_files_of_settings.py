"""Files that a setting names: whoever may set it by chat must not hold the process up with it, nor read more by it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.errors import Misconfigured
from adapters.mattermost.client import tls_context
from adapters.mattermost.settings import MattermostSettings
from fleetprompt.connectors.proton_mail.settings import ProtonMailConfig

MAIL = {"username": "desk@acme.example"}
KEY = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", ["pipe", "folder", "nothing", "nul\0", "key"])
def test_what_is_no_certificate_is_refused_at_once_in_the_same_words(tmp_path: Path, what: str) -> None:
    path = tmp_path / what
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "key":
        path.write_text(KEY)
    with pytest.raises(Misconfigured):
        tls_context(MattermostSettings("https://chat.example", "token", ca_file=str(path)))
    with pytest.raises(ValidationError, match="certificate_file is no certificate"):
        ProtonMailConfig.model_validate({**MAIL, "certificate_file": str(path)})


def test_a_private_key_beside_the_certificate_is_not_taken_into_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_text(f"-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n{KEY}")
    with pytest.raises(ValidationError, match="private key") as refused:
        ProtonMailConfig.model_validate({**MAIL, "certificate_file": str(path)})
    assert "MIIB" not in str(refused.value)
