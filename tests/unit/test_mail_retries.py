"""When a refused mail is tried again, and what a mailbox sends at most unless it is set otherwise."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from fleetprompt.connectors.proton_mail.deliver import JITTER, MAX_FAILURES, MOST_DELAY_S, _delay_s
from fleetprompt.connectors.proton_mail.settings import ProtonMailConfig
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Installation
from fleetprompt.runtime.directives import EffectTry
from fleetprompt.sandbox.mailbox import certificate
from tests.mail_stage import FLEET


def delays(failures: int, **config: Any) -> list[float]:
    """Of a hundred mails that were refused so often."""
    effect = EffectTry(TenantSlug("acme"), uuid4(), uuid4(), 0, "k", {}, 1, 0, failures)
    return [_delay_s(effect, Installation(config=config)) for _ in range(100)]


def test_each_refusal_is_followed_by_a_longer_wait_up_to_an_hour() -> None:
    waits = [delays(failures) for failures in range(MAX_FAILURES + 2)]
    assert all(max(shorter) < min(longer) for shorter, longer in pairwise(waits[:4]))
    assert min(waits[0]) >= 30
    assert max(waits[0]) <= 30 * JITTER
    assert max(waits[-1]) <= MOST_DELAY_S * JITTER
    assert min(delays(0, retry_delay_s=7)) >= 7


@pytest.mark.parametrize("failures", [0, 3, 5])
def test_mails_that_were_refused_together_do_not_come_back_together(failures: int) -> None:
    assert len(set(delays(failures))) > 90


def test_a_mailbox_stays_below_protons_free_plan_unless_it_is_set_otherwise() -> None:
    config = ProtonMailConfig(username=FLEET, certificate=certificate.own().pem)
    assert (config.mails_per_hour, config.mails_per_day) == (40, 140)
    assert (config.mails_per_hour < 50, config.mails_per_day < 150) == (True, True)
    assert (config.answers_per_sender_per_hour, config.max_answers_per_thread) == (6, 6)
