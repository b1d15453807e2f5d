"""What is taken for a secret, and what is not; and that no text makes the search slow."""

from __future__ import annotations

import time

import pytest

from fleetprompt.kernel.secret_shapes import REMOVED, shapes_in, without_shapes

TOKEN = "a1" * 13
PEM = "-----BEGIN {0}PRIVATE KEY-----\nMIIB\nab==\n-----END {0}PRIVATE KEY-----"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{'s' * 43}"

SECRETS = [
    ("my key: {} thanks", f"sk-proj-{'a1' * 12}", "model_key"),
    ("{}", f"sk-ant-api03-{'Zz9_' * 8}", "model_key"),
    ("use {}", f"sk_live_{'a1' * 12}", "payment_key"),
    ("token {} please", f"ghp_{'aB3' * 12}", "github_token"),
    ("{}", f"github_pat_{'aB3' * 12}", "github_token"),
    ("({})", f"glpat-{'a-1' * 8}", "gitlab_token"),
    ("{}", "xoxb-" + "1234567890-abcdef", "slack_token"),
    ("{}", "AKIA" + "IOSFODNN7EXAMPLE", "aws_key"),
    ("{}", "AIza" + "a" * 35, "google_key"),
    ("{}", "fpk_" + "a" * 43, "fleetprompt_key"),
    ("http://h:8420/secret/{}", "a" * 43, "secret_link"),
    ("https://chat.example/hooks/{}", TOKEN, "webhook"),
    ("{}", "whsec_" + "a1" * 12, "webhook_secret"),
    ("postgres://user:{}@host/db", "pa55", "url_password"),
    ("Authorization: Bearer {}", "a1" * 16, "bearer"),
    ("the token is `{}`", TOKEN, "token"),
    ('"token": "{}"', TOKEN, "token"),
    ("token\n{}", TOKEN, "token"),
    ("bot token: {}", TOKEN, "password"),
    ("Password: {}", "hunter2!", "password"),
    ("my password is {} ok?", "hunter22", "password"),
    ("Mein Passwort lautet {}.", "geheim99", "password"),
    ("PASSWORD={}", "correcthorse", "password"),
    ("api_key = '{}'", "whatever", "password"),
    ("install proton-mail bridge_password={}", "hunter22", "password"),
    ("configure mattermost slash_token={}", TOKEN, "token"),
    ('configure mattermost slash_token="{}" buttons=true', TOKEN, "token"),
    ("OPENAI_API_KEY={}", "abc123def456", "password"),
    ("my_password: {}", "hunter22", "password"),
    ("see: {} !", PEM.format(""), "private_key"),
    ("{}", PEM.format("OPENSSH "), "private_key"),
    ("{}", "-----BEGIN RSA PRIVATE KEY-----\nMIIB cut off", "private_key"),
    ("jwt {}", JWT, "jwt"),
]
HARMLESS = [
    "Where is order 1042? See https://shop.example/orders/1042?token=1",
    "password: please reset it",
    "The password is required, and the token is invalid.",
    "Reset your password: https://x.example/reset?u=1",
    "channel " + TOKEN,
    "the risk-assessment-of-the-year-2024 is done",
    "sk-learn-is-a-library-with-a-long-name",
    "secret sauce: tomatoes",
    "http://host:8080/path@x",
    "@fleet secret proton-mail password",
    "@fleet confirm P-7F3K",
    "ghp_short",
    "the api key: see the wiki (page 2)",
    "Unser Kennwort: Freundschaft",
]


@pytest.mark.parametrize(("around", "secret", "kind"), SECRETS)
def test_a_secret_is_taken_out_and_all_around_it_stays(around: str, secret: str, kind: str) -> None:
    kinds: list[str] = []
    text = around.format(secret)
    assert without_shapes(text, kinds.append) == around.format(REMOVED)
    assert kinds == [kind]
    in_bytes = shapes_in(text.encode())
    assert [text.encode()[one.start : one.end] for one in in_bytes] == [secret.encode()]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert without_shapes(text) == text
    assert shapes_in(text.encode()) == []


def test_several_in_one_text_are_all_found() -> None:
    one, two = "ghp_" + "a1" * 15, "xoxb-" + "12345678901"
    assert without_shapes(f"{one} and {two}, {one}") == f"{REMOVED} and {REMOVED}, {REMOVED}"


HOSTILE = [
    "password:",
    "password: x",
    "sk-",
    "eyJ-",
    "eyJaaaaaaaaa.",
    "-----BEGIN ",
    "://a:",
    "token ",
    "pwd=.",
    "ghp_",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_makes_the_search_slow(piece: str) -> None:
    """Thirty times the text takes some thirty times as long, not nine hundred times."""
    short, long = (_seconds(piece * count) for count in (500, 15_000))
    assert long < max(short, 0.0005) * 200


def _seconds(text: str) -> float:
    """Of this process alone, whatever else the machine does; the best of a few."""
    best = 1e9
    for _ in range(3):
        begun = time.process_time()
        shapes_in(text)
        best = min(best, time.process_time() - begun)
    return best


def test_a_letter_that_reads_as_another_hides_nothing() -> None:
    assert without_shapes('paſſword = "hunter22"') == f'paſſword = "{REMOVED}"'
