"""Who gets an answer, however many a mail names."""

from __future__ import annotations

from typing import Any

import pytest

from fleetprompt.connectors.proton_mail.compose import SendArguments
from fleetprompt.connectors.proton_mail.recipients import Recipients, allowed, recipients_of
from tests.mail_stage import DANA, FLEET

OWN = {FLEET}


def named(field: str, count: int, domain: str = "customer.example") -> dict[str, Any]:
    addresses = [{"address": f"p{number}@{domain}", "name": ""} for number in range(count)]
    return {"author": {"id": DANA}, field: addresses}


@pytest.mark.parametrize("field", ["to", "cc", "reply_to"])
@pytest.mark.parametrize("policy", ["sender", "all"])
def test_an_answer_can_be_asked_for_however_many_are_named(field: str, policy: str) -> None:
    """Otherwise a stranger could stop a run by naming more than a mail takes."""
    mail = named(field, 150)
    found = recipients_of(mail, policy, OWN)
    asked = SendArguments.model_validate(
        {
            "answers": "01890000-0000-7000-8000-000000000000",
            "to": found.to,
            "cc": found.cc,
            "subject": "x",
            "text": "x",
        }
    )
    assert len({*asked.to, *asked.cc}) <= 100
    assert {*asked.to, *asked.cc} <= allowed(mail, OWN)


def test_a_copy_goes_to_nobody_unless_the_policy_says_so() -> None:
    mail = {
        **named("cc", 2),
        "to": [{"address": FLEET, "name": ""}, {"address": "eve@elsewhere.example", "name": ""}],
    }
    assert recipients_of(mail, "sender", OWN) == Recipients((DANA,))
    assert recipients_of(mail, "all", OWN).cc == (
        "eve@elsewhere.example",
        "p0@customer.example",
        "p1@customer.example",
    )


def test_one_mail_does_not_have_us_write_to_a_whole_domain() -> None:
    assert len(recipients_of(named("reply_to", 150), "sender", OWN).to) == 10
    assert recipients_of(named("reply_to", 3, "victim.example"), "sender", OWN).to == (DANA,)
