"""Whatever is sent to a door: a clear answer of the 4xx kind, nothing stored, and never our fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doors import Doors, open_doors
from webhooks.mattermost import FORM, JSON, MAX_BYTES

ID: Final = "a" * 26
PRESS: Final[dict[str, Any]] = {
    "user_id": ID,
    "channel_id": ID,
    "post_id": ID,
    "trigger_id": "t",
    "context": {},
}


@dataclass(slots=True)
class Open:
    """Doors that stay open for a whole module. loop: in which they are open."""

    loop: asyncio.AbstractEventLoop
    doors: Doors

    def post(self, what: str, body: bytes, **headers: str) -> httpx2.Response:
        """Send bytes; the answer, whose form is checked."""
        answer = self.loop.run_until_complete(self._post(what, body, headers))
        assert answer.headers["content-type"] == JSON
        assert 400 <= answer.status_code < 500, answer.text
        error = answer.json()["error"]
        assert set(error) == {"code", "message"}
        assert error["message"]
        return answer

    async def _post(self, what: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.doors.client.post(self.doors.address(what), content=body, headers=named)

    def form(self, **changed: str) -> dict[str, str]:
        """A slash command that would be taken."""
        return self.doors.form("whoami") | changed


@pytest.fixture(scope="module")
def at() -> Iterator[Open]:
    """Afterwards nothing was stored of all that."""
    with asyncio.Runner() as runner:
        opening = open_doors()
        doors = runner.run(opening.__aenter__())
        try:
            yield Open(runner.get_loop(), doors)
            assert runner.run(doors.signals("chat.command.received")) == []
            assert runner.run(doors.signals("chat.action.received")) == []
        finally:
            runner.run(opening.__aexit__(None, None, None))


BAD_FORMS: Final = {
    "nothing": b"",
    "no form": b"\x00\xff\xfe",
    "no utf-8": b"token=%ff%fe&text=x",
    "half a pair": b"text=%ED%A0%80&token=x",
    "json": b'{"token": "x"}',
    "many fields": b"&".join(b"f%d=1" % number for number in range(500)),
    "twice": b"token=a&token=b",
}


@pytest.mark.parametrize("body", BAD_FORMS.values(), ids=BAD_FORMS)
def test_a_form_that_is_none_is_refused(at: Open, body: bytes) -> None:
    assert at.post("command", body, content_type=FORM).status_code == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", "a\x00b"),
        ("text", "x" * 20_001),
        ("user_name", "\x00"),
        ("user_id", ""),
        ("user_id", "../../etc/passwd"),
        ("channel_id", ID + "\n"),
        ("channel_id", "A" * 26),
        ("token", ""),
        ("token", "t" * 201),
        ("trigger_id", "x" * 2001),
        ("command", ""),
    ],
)
def test_a_field_that_cannot_be_is_named_and_not_quoted(at: Open, field: str, value: str) -> None:
    answer = at.post("command", urlencode(at.form(**{field: value})).encode(), content_type=FORM)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["message"]
    assert len(value) < 20 or value not in answer.text


@pytest.mark.parametrize("field", ["token", "user_id", "channel_id", "command"])
def test_a_field_that_is_missing_is_named(at: Open, field: str) -> None:
    form = {name: value for name, value in at.form().items() if name != field}
    answer = at.post("command", urlencode(form).encode(), content_type=FORM)
    assert (answer.status_code, field in answer.json()["error"]["message"]) == (400, True)


def test_a_body_of_another_type_or_size_is_refused(at: Open) -> None:
    good = urlencode(at.form()).encode()
    for kind in ("", "text/plain", JSON, "multipart/form-data; boundary=x", ";"):
        assert at.post("command", good, content_type=kind).status_code == 415
    assert at.post("action", json.dumps(PRESS).encode(), content_type=FORM).status_code == 415
    assert at.post("command", b"text=" + b"x" * MAX_BYTES, content_type=FORM).status_code == 413
    assert at.post("action", b"[" + b"1," * MAX_BYTES + b"1]", content_type=JSON).status_code == 413


BAD_JSON: Final = {
    "nothing": b"",
    "no json": b"{",
    "no object": b"[1]",
    "null": b"null",
    "no utf-8": b'{"user_id": "\xff"}',
    "deep": b'{"context":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"context":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "no number": json.dumps(PRESS | {"context": {"until_ms": float("nan")}}).encode(),
    "huge number": b'{"context": {"until_ms": 1' + b"0" * 10_000 + b"}}",
    "nul": json.dumps(PRESS | {"trigger_id": "\x00"}).encode(),
    "half a pair": json.dumps(PRESS | {"trigger_id": "\ud800"}).encode(),
    "number for text": json.dumps(PRESS | {"user_id": 7}).encode(),
    "list for object": json.dumps(PRESS | {"context": []}).encode(),
    "no context": json.dumps({k: v for k, v in PRESS.items() if k != "context"}).encode(),
    "wide context": json.dumps(PRESS | {"context": {str(n): n for n in range(21)}}).encode(),
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_a_press_that_is_none_is_refused(at: Open, body: bytes) -> None:
    assert at.post("action", body, content_type=JSON).status_code == 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from([*PRESS, "user_name", "team_id", "extra"])
CONTEXTS = st.dictionaries(
    st.sampled_from(["v", "says", "installation", "directive", "channel", "subject", "until_ms", "mac"]),
    ANYTHING | st.just("\ud800"),
)
AT_RANDOM = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@AT_RANDOM
@given(changed=st.dictionaries(FIELDS, ANYTHING, max_size=3), context=CONTEXTS)
def test_any_json_is_refused_and_never_our_fault(
    at: Open, changed: dict[str, Any], context: dict[str, Any]
) -> None:
    body = json.dumps({**PRESS, "context": context, **changed}).encode("utf-8", "surrogatepass")
    assert at.post("action", body, content_type=JSON).status_code in (400, 401)


@AT_RANDOM
@given(
    field=st.sampled_from(["token", "text", "user_id", "trigger_id", "more"]), value=st.text() | st.binary()
)
def test_any_form_without_the_token_is_refused_and_never_our_fault(
    at: Open, field: str, value: str | bytes
) -> None:
    form = at.form(token="nobodys") | {field: ""}
    pairs = [f"{name}={quote_plus(text)}" for name, text in form.items() if name != field]
    odd = quote_plus(value, errors="surrogatepass") if isinstance(value, str) else quote_plus(value)
    body = "&".join([*pairs, f"{field}={odd}"]).encode()
    assert at.post("command", body, content_type=FORM).status_code in (400, 401)


@AT_RANDOM
@given(body=st.binary(max_size=300))
def test_any_bytes_are_refused(at: Open, body: bytes) -> None:
    assert at.post("command", body, content_type=FORM).status_code == 400
    assert at.post("action", body, content_type=JSON).status_code == 400
