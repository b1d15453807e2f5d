"""The grammar of commands: what is one, what nearly is, and what has to reach the agent."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.packages.commands.drafts import spoken, wish_of
from fleetprompt.packages.commands.grammar import Command, Unclear, is_confirmation, may_be, parse
from fleetprompt.packages.commands.plans import normal
from fleetprompt.packages.commands.verbs import ALPHABET, VERBS

KNOWN = ("mattermost", "proton-mail", "starter-agent", "webhook")
CHAT = UUID(int=1)
ID = "0198a2b4-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    "request_",
    [
        "status of order 7?",
        "status orders",
        "help me",
        "help us with order 1042, please",
        "search open orders",
        "info please",
        "test it once more",
        "confirm the order",
        "confirm",
        "install",
        "hello",
        "where is order 1042?",
        "link the orders 7 and 8",
        "link mattermost",
        "enable notifications",
        "upgrade plan",
        "approve 7",
        "reject order 1042",
        "secret santa",
        "pause all agents",
        "whoami is what?",
        "install proton-mail\npause-all",
        "please install proton-mail",
        "unlinked",
        "",
    ],
)
def test_an_ordinary_request_is_no_command(request_: str) -> None:
    assert not isinstance(parse(request_, KNOWN), Command)


@pytest.mark.parametrize(
    "request_", ["status of order 7?", "help me", "enable notifications", "approve 7", "hello"]
)
def test_an_ordinary_request_reaches_the_agent(request_: str) -> None:
    assert parse(request_, KNOWN) is None


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("help?", Command("help")),
        ("Help install", Command("help", word="install")),
        ("who am I?", Command("whoami")),
        ("pause all", Command("pause-all")),
        ("pause-all off", Command("pause-all", word="off")),
        ("status", Command("status")),
        ("status Proton-Mail", Command("status", "proton-mail")),
        ("search mail", Command("search", rest="mail")),
        ("info mattermost@1.0.0", Command("info", "mattermost", "1.0.0")),
        ("install zzz", Command("install", "zzz")),
        (
            'install proton-mail@1.0.0/sales username=a@b.example from_name="The desk" +mail.x:read',
            Command(
                "install", "proton-mail", "1.0.0", "sales",
                settings={"username": "a@b.example", "from_name": "The desk"}, scopes=("mail.x:read",),
            ),
        ),
        ("`confirm P-7F3K`", Command("confirm", word="P-7F3K")),
        ("configure mattermost +a.b:read -c.d:write", Command("configure", "mattermost", scopes=("a.b:read",), revoked=("c.d:write",))),
        ("secret mattermost bot_token", Command("secret", "mattermost", word="bot_token")),
        (f"reject {ID} too early", Command("reject", word=ID, rest="too early")),
        ("link ABCDE-23456-FGHJK", Command("link", word="ABCDE-23456-FGHJK")),
        ("/fleet".removesuffix("fleet") + "status", Command("status")),
    ],
)  # fmt: skip
def test_a_command_is_read(said: str, command: Command) -> None:
    assert parse(said, KNOWN) == command


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("instal proton-mail", "`install proton-mail`"),
        ("isntall mattermost", "`install mattermost`"),
        ("statsu", "`status`"),
        ("confrim P-7F3K", "`confirm P-7F3K`"),
        ("uninstal webhook", "`uninstall webhook`"),
        ("upgrade", "`upgrade PACKAGE"),
        ("install proton-mail please", "`install PACKAGE"),
    ],
)
def test_what_nearly_is_one_is_told_the_nearest(said: str, meant: str) -> None:
    found = parse(said, KNOWN)
    assert isinstance(found, Unclear)
    assert meant in found.said


def test_at_a_door_for_commands_alone_everything_is_answered() -> None:
    for said in ("", "hello", "status of order 7?", "x" * 3000, "instal"):
        assert parse(said, KNOWN, certain=True) is not None
    assert parse("info nothing-like-it", KNOWN, certain=True) == Command("info", "nothing-like-it")


def test_a_code_is_read_however_it_is_typed_and_holds_no_look_alikes() -> None:
    assert [normal(code) for code in ("p-7f3k", "P7F3K", "P-7F3K")] == ["P-7F3K"] * 3
    assert not set("01ILOU") & set(ALPHABET)
    assert is_confirmation("confirm p-7f3k") == "p-7f3k"
    assert is_confirmation("please confirm P-7F3K") is None
    assert is_confirmation("install mattermost") is None


@given(st.text(max_size=200))
def test_no_text_breaks_it_and_what_is_no_candidate_is_none(said: str) -> None:
    found = parse(said, KNOWN)
    if not may_be(said):
        assert found is None
    if isinstance(found, Command):
        assert found.verb in VERBS
    assert parse(said, KNOWN, certain=True) is not None


WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.:/-", min_size=1, max_size=12)
SLUGS = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)


@given(
    SLUGS,
    st.dictionaries(
        st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), WORDS | st.just("two words"), max_size=3
    ),
    st.lists(st.from_regex(r"[a-z]{1,5}\.[a-z]{1,5}:read", fullmatch=True), max_size=2),
)
def test_a_wish_that_is_spoken_again_is_the_same_wish(
    package: str, settings: dict[str, str], scopes: list[str]
) -> None:
    wish = wish_of(Command("install", package, settings=settings, scopes=tuple(scopes)), CHAT)
    again = parse(spoken(wish), certain=True)
    assert isinstance(again, Command)
    assert wish_of(again, CHAT) == wish
