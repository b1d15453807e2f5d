"""Secrets in memory."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from fleetprompt.kernel.secret import HIDDEN, Secret, without_living_secrets


def test_no_way_of_printing_shows_the_value() -> None:
    secret = Secret("correct horse")
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>20}",
        "{}".format(secret),  # noqa: UP032
        f"{[secret]}",
        json.dumps({"a": secret}, default=str),
    ]
    assert not any("correct" in text for text in shown)
    assert secret.reveal() == "correct horse"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_refuses_to_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Secret("correct horse"), protocol)


def test_it_refuses_to_be_copied_silently() -> None:
    with pytest.raises(TypeError):
        copy.deepcopy({"secret": Secret("correct horse")})


def test_it_has_no_attributes_to_dump() -> None:
    with pytest.raises(TypeError):
        vars(Secret("correct horse"))


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


def test_texts_lose_the_values_of_living_secrets() -> None:
    secret = Secret("q8w7e6r5t4z3")
    assert without_living_secrets(f"login with {secret.reveal()} failed") == f"login with {HIDDEN} failed"


def test_a_short_secret_does_not_blot_out_words() -> None:
    secret = Secret("team")
    assert without_living_secrets("the team") == "the team"
    del secret


def test_a_secret_that_is_gone_is_forgotten() -> None:
    secret = Secret("forgotten-value")
    del secret
    assert without_living_secrets("forgotten-value") == "forgotten-value"
