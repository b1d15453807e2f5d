"""Addresses in one spelling, tokens in no output."""

from __future__ import annotations

import pytest

from adapters.mattermost import MattermostAdapter, MattermostSettings
from adapters.mattermost.settings import ServerAddress

USER = "atf3fda4xpya7bshs8amaa3mbh"


@pytest.mark.parametrize(
    "url",
    [
        "https://chat.example.org",
        "https://chat.example.org/",
        "HTTPS://Chat.Example.ORG:443",
        " https://chat.example.org// ",
        "http://chat.example.org:80/",
    ],
)
def test_every_spelling_is_the_same_server(url: str) -> None:
    expected = ServerAddress.parse("https://chat.example.org").account_key(USER)
    assert ServerAddress.parse(url).account_key(USER) == expected


@pytest.mark.parametrize(
    "url",
    ["https://chat.example.org:8065", "https://chat2.example.org", "https://chat.example.org/team-chat"],
)
def test_another_port_name_or_path_is_another_server(url: str) -> None:
    first = ServerAddress.parse("https://chat.example.org")
    assert ServerAddress.parse(url).account_key(USER) != first.account_key(USER)
    assert first.account_key(USER) != first.account_key(USER[::-1])


@pytest.mark.parametrize(
    ("url", "api", "websocket"),
    [
        ("https://h", "https://h/api/v4", "wss://h/api/v4/websocket"),
        ("http://h:8065/chat/", "http://h:8065/chat/api/v4", "ws://h:8065/chat/api/v4/websocket"),
        ("http://[::1]:8065", "http://[::1]:8065/api/v4", "ws://[::1]:8065/api/v4/websocket"),
    ],
)
def test_the_addresses_of_rest_and_websocket(url: str, api: str, websocket: str) -> None:
    address = ServerAddress.parse(url)
    assert (address.api_url, address.websocket_url) == (api, websocket)


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("http://127.0.0.1", True),
        ("http://localhost:1", True),
        ("http://[::1]", True),
        ("http://10.0.0.1", False),
    ],
)
def test_only_loopback_goes_past_a_proxy(url: str, is_loopback: bool) -> None:
    assert ServerAddress.parse(url).is_loopback is is_loopback


def test_the_token_is_in_no_output() -> None:
    settings = MattermostSettings("https://chat.example.org", "s3cr3t-token")
    assert "s3cr3t" not in repr(settings) + str(settings) + repr(MattermostAdapter(settings))
