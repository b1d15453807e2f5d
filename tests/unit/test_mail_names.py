"""By which name a mail finds its conversation, where its names contradict each other."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from adapters.proton_mail import Address, Mail
from fleetprompt.connectors.proton_mail import names
from fleetprompt.connectors.proton_mail.threads import Threads
from tests.mail_stage import DANA

OURS, THEIRS, INTERNAL = "<ours@acme.example>", "<theirs@customer.example>", "abc=="
IN_SUBJECT, IN_ADDRESS = "a" * 16, "b" * 16
MAIL = Mail(
    senders=(Address(DANA),),
    in_reply_to=(THEIRS,),
    references=(f"<{INTERNAL}@protonmail.internalid>", OURS),
    subject=f"Re: it [#{IN_SUBJECT}]",
    to=(Address(f"fleet+{IN_ADDRESS}@acme.example"),),
)
IN_ORDER = (
    ("own_message_id", names.of_message(OURS)),
    ("message_id", names.of_message(THEIRS)),
    ("internal_id", names.of_internal(INTERNAL)),
    ("token", names.of_token(IN_SUBJECT)),
    ("token", names.of_token(IN_ADDRESS)),
)


def known(there: tuple[tuple[str, str], ...], *strange: str) -> tuple[Threads, dict[str, UUID]]:
    """Each name stands for another conversation; DANA takes part in all but the strange ones."""
    ids = {name: uuid4() for _, name in there}
    threads = Threads(named=dict(ids), ours={names.of_message(OURS)})
    threads.participants = {one: {DANA} for name, one in ids.items() if name not in strange}
    return threads, ids


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_of_names_that_contradict_each_other_the_one_that_is_hardest_to_forge_holds(first: int) -> None:
    threads, ids = known(IN_ORDER[first:])
    found = threads.find(MAIL)
    assert found is not None
    assert (found.by, found.conversation_id) == (IN_ORDER[first][0], ids[IN_ORDER[first][1]])


@pytest.mark.parametrize("strange", range(len(IN_ORDER)))
def test_a_conversation_in_which_the_sender_takes_no_part_is_passed_over(strange: int) -> None:
    threads, ids = known(IN_ORDER[strange:], IN_ORDER[strange][1])
    found = threads.find(MAIL)
    if strange == len(IN_ORDER) - 1:
        assert found is None
    else:
        assert found is not None
        assert found.conversation_id == ids[IN_ORDER[strange + 1][1]]
