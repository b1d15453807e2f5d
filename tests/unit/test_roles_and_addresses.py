"""Roles in their order, and addresses in their one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetprompt.accounts import Role, parse_email
from fleetprompt.kernel.errors import InvalidInput


def test_roles_are_ordered_by_rank_and_not_by_spelling() -> None:
    assert sorted(["owner", "member", "admin"], key=Role) == ["member", "admin", "owner"]
    assert Role.MEMBER < Role.ADMIN < Role.OWNER
    assert Role.OWNER > Role.ADMIN > Role.MEMBER
    assert Role.MEMBER <= Role.MEMBER >= Role.MEMBER
    assert not Role.ADMIN < Role.ADMIN
    assert max(Role) == Role.OWNER


def test_a_role_is_the_text_that_is_stored() -> None:
    assert [f"{role}" for role in Role] == ["member", "admin", "owner"]


@pytest.mark.parametrize(
    ("written", "known_as"),
    [
        ("ada@acme.example", "ada@acme.example"),
        ("  Ada@ACME.Example\n", "ada@acme.example"),
        ("ada.l+fleet@mail.acme.example", "ada.l+fleet@mail.acme.example"),
        ("o'neill@acme.example", "o'neill@acme.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
        ("a" * 64 + "@acme.example", "a" * 64 + "@acme.example"),
    ],
)
def test_an_address_has_one_spelling(written: str, known_as: str) -> None:
    assert parse_email(written) == known_as


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "ada", "ada@", "@acme.example", "ada@acme", "ada@@acme.example", "ada acme@acme.example",
        "ada@acme..example", ".ada@acme.example", "ada.@acme.example", "a..da@acme.example", "ada@-acme.example",
        "ada@acme-.example", "ada@acme.example.", "ada@[127.0.0.1]", '"ada"@acme.example', "Ada <ada@acme.example>",
        "ada@acme.example,eve@acme.example", "ada\x00@acme.example", "ada\n@acme.example", "\u0430da@acme.example", "\u212aate@acme.example",
        "ada\u202e@acme.example", "ada\udce9@acme.example", "ada@\udce9.example", "a" * 65 + "@acme.example",
        "ada@" + "a" * 64 + ".example", "ada@" + "abcd." * 50 + "example", "mailto:ada@acme.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no e-mail address") as refused:
        parse_email(text)
    assert str(refused.value).isprintable()


@given(st.emails() | st.text())
def test_a_spelling_that_was_taken_is_taken_as_it_is(text: str) -> None:
    try:
        address = parse_email(text)
    except InvalidInput:
        return
    assert parse_email(address) == address
    assert address.isascii()
    assert address == address.lower()
