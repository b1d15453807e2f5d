"""Which names a person may give to things."""

from __future__ import annotations

import pytest

from fleetprompt.kernel.errors import InvalidInput
from fleetprompt.kernel.names import MAX_CHARACTERS, checked_name


@pytest.mark.parametrize(
    "name",
    ["fleet", "On Call 2", "Zoë", "助手", "می\u200cخواهم", "👩\u200d💻", "🛠\ufe0f", "n" * MAX_CHARACTERS],
)
def test_a_name_in_any_script_stays_as_it_is(name: str) -> None:
    assert checked_name(name, "A name") == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "\u200d", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x1b[2J", "a\x85b", "\ud800", "a\u202eb", "\u2028",
     " a", "a ", "\ufeffa", "n" * (MAX_CHARACTERS + 1)],
)  # fmt: skip
def test_what_nobody_could_read_or_type_again_is_no_name(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^A name has 1 to 60 visible characters") as refusal:
        checked_name(name, "A name")
    str(refusal.value).encode()
