"""Row 87: whatever goes wrong has its kind, and each kind says what to do."""

from __future__ import annotations

import pytest

from fleetprompt.kernel.errors import Conflict, FleetPromptError, InvalidInput, NotFound, Unavailable
from fleetprompt.packages.failures import REMEDIES, kind_of, remedy, words
from fleetprompt.packages.installers import FAILURES, ProbeFailed
from fleetprompt.packages.missing import remedy_of, secrets_among, spoken
from fleetprompt.packages.signing import SignatureRefused


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *((ProbeFailed(kind, "No.", ""), kind) for kind in FAILURES),
        (Conflict("No."), "conflict"),
        (InvalidInput("No."), "config"),
        (NotFound("No."), "config"),
        (Unavailable("No."), "network"),
        (SignatureRefused("No."), "platform"),
        (FleetPromptError("No."), "platform"),
    ],
)
def test_each_error_has_a_kind_and_says_what_to_do(error: FleetPromptError, kind: str) -> None:
    assert kind_of(error) == kind
    assert words(error, "mattermost") == f"No. {REMEDIES[kind].format(package='mattermost')}"


def test_an_error_that_knows_better_says_it_itself() -> None:
    assert words(Conflict("No.", "Wait."), "mattermost") == "No. Wait."


def test_an_unknown_kind_is_our_own_fault() -> None:
    assert remedy("job_died", "x") == remedy(None, "x") == REMEDIES["platform"]


def test_what_is_missing_is_spoken_and_answered_by_a_command() -> None:
    missing = ["setting:server_url", "setting:team", "secret:bot_token"]
    assert spoken(missing) == "the setting server_url, the setting team and the secret bot_token"
    assert spoken(missing[:1]) == "the setting server_url"
    assert secrets_among(missing) == ["bot_token"]
    assert remedy_of("mattermost", missing) == (
        "fleetprompt package configure mattermost --org ... --set server_url=... --set team=..."
        " --secret bot_token=env:NAME"
    )
