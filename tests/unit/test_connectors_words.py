"""What of a message is the request, what of an answer is posted, and how fast."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pydantic import ValidationError

from fleetprompt.connectors.bucket import TokenBuckets
from fleetprompt.connectors.deliver import PostArguments
from fleetprompt.connectors.mattermost.binding import parts, request
from fleetprompt.connectors.mattermost.settings import MattermostConfig
from fleetprompt.kernel.ids import TenantSlug

ACME = TenantSlug("acme")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@fleet: where is 1042?", "where is 1042?"),
        ("@Fleet where is it", "where is it"),
        ("  @fleet.\nwhere is it", "where is it"),
        ("@fleet, hello", "hello"),
        ("@fleet_ hello", "hello"),
        ("@fleet -5", "-5"),
        ("@fleet", ""),
        ("@fleet-two hello", "@fleet-two hello"),
        ("@fleet2 hello", "@fleet2 hello"),
        ("ask @fleet about it", "ask @fleet about it"),
        (" plain ", "plain"),
    ],
)
def test_only_the_mention_that_leads_is_taken_off(text: str, expected: str) -> None:
    assert request("fleet", text) == expected


def test_an_account_name_is_no_pattern() -> None:
    assert request("a.b", "@aXb hello") == "@aXb hello"
    assert request("a.b", "@a.b hello") == "hello"


def test_an_answer_is_made_harmless_before_it_is_cut() -> None:
    found = parts("@all " + "x" * 200, 100)
    assert all(len(part) <= 100 for part in found)
    assert found[0].startswith("@\u200ball")


def test_settings_of_a_command_line_are_read_as_lists_and_pairs() -> None:
    config = MattermostConfig.model_validate(
        {
            "server_url": " https://chat.example.org ",
            "allowed_bots": "a, b,",
            "channel_agents": "support=Helper, ops = Watch",
            "follow_threads": "false",
        }
    )
    assert config.server_url == "https://chat.example.org"
    assert config.allowed_bots == ["a", "b"]
    assert config.channel_agents == {"support": "Helper", "ops": "Watch"}
    assert config.follow_threads is False


@pytest.mark.parametrize("url", ["chat.example.org", "ftp://x", "https://user:pw@x", "https://", ""])
def test_what_is_no_address_is_refused_with_advice(url: str) -> None:
    with pytest.raises(ValidationError, match=r"https://chat\.example\.org"):
        MattermostConfig(server_url=url)


def test_nothing_to_post_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(ValidationError, match="nothing to post"):
        PostArguments(channel_id="c", text=" \n\t")
    assert PostArguments(channel_id="c", text="a\x00b\ud800").text == "a\ufffdb\ufffd"


def test_a_bucket_lets_a_burst_through_and_then_keeps_the_pace() -> None:
    now_s = 0.0
    buckets = TokenBuckets(lambda: now_s)
    key = (ACME, uuid4(), "post")
    assert [buckets.wait_s(key, 10.0, 3) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.wait_s(key, 10.0, 3) == pytest.approx(0.1)
    now_s = 0.1
    assert buckets.wait_s(key, 10.0, 3) == 0.0
    assert buckets.wait_s(key, 10.0, 3) > 0


def test_buckets_are_apart_by_tenant_installation_and_endpoint() -> None:
    buckets = TokenBuckets(lambda: 0.0)
    installation = uuid4()
    keys = [
        (ACME, installation, "post"),
        (ACME, installation, "look_up"),
        (ACME, uuid4(), "post"),
        (TenantSlug("globex"), installation, "post"),
    ]
    assert [buckets.wait_s(key, 1.0, 1) for key in keys] == [0.0] * 4
    assert all(buckets.wait_s(key, 1.0, 1) > 0 for key in keys)
