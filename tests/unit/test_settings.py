"""Settings that cannot be are refused by a sentence that names the variable and says what would do."""

from __future__ import annotations

import pytest

from fleetprompt.cli.running import read_settings
from fleetprompt.kernel.errors import InvalidInput

SECRET = "hunter2secret"
REFUSED = [
    ({"LEASE_S": "1", "HEARTBEAT_S": "5"}, "FLEETPROMPT_HEARTBEAT_S", "at most 0.5"),
    ({"LEASE_S": "2"}, "FLEETPROMPT_HEARTBEAT_S", "FLEETPROMPT_LEASE_S"),
    ({"LEASE_S": "inf"}, "FLEETPROMPT_LEASE_S", "finite"),
    ({"LEASE_S": "nan"}, "FLEETPROMPT_LEASE_S", "unset it"),
    ({"POLL_EVERY_S": "1e300"}, "FLEETPROMPT_POLL_EVERY_S", "3600"),
    ({"REAP_EVERY_S": "0"}, "FLEETPROMPT_REAP_EVERY_S", "greater than 0"),
    ({"SHUTDOWN_GRACE_S": "-1"}, "FLEETPROMPT_SHUTDOWN_GRACE_S", "0"),
    ({"WORKER_SLOTS": "0"}, "FLEETPROMPT_WORKER_SLOTS", "1"),
    ({"SIGNAL_RETENTION_DAYS": "99999999999"}, "FLEETPROMPT_SIGNAL_RETENTION_DAYS", "36500"),
    ({"PORT": "65536"}, "FLEETPROMPT_PORT", "65535"),
    ({"LOG_LEVEL": "loud"}, "FLEETPROMPT_LOG_LEVEL", "WARNING"),
    ({"LOG_FORMAT": "xml"}, "FLEETPROMPT_LOG_FORMAT", "json"),
    ({"BROKER_URL": f"kafka://me:{SECRET}@x"}, "FLEETPROMPT_BROKER_URL", "unset it"),
    ({"BROKER_URL": f"redis://me:{SECRET}@x:port"}, "FLEETPROMPT_BROKER_URL", "redis://"),
    ({"BROKER_URL": f"amqp:{SECRET}"}, "FLEETPROMPT_BROKER_URL", "amqp://"),
    ({"METRICS_PORT": "70000"}, "FLEETPROMPT_METRICS_PORT", "65535"),
    ({"MODEL_BASE_URL": f"me:{SECRET}@x/v1"}, "FLEETPROMPT_MODEL_BASE_URL", "https://"),
    ({"FALLBACK_BASE_URL": f"ftp://me:{SECRET}@x"}, "FLEETPROMPT_FALLBACK_BASE_URL", "https://"),
    ({"PUBLIC_URL": "fleet.example.com"}, "FLEETPROMPT_PUBLIC_URL", "https://"),
    ({"PUBLIC_URL": f"https://me:{SECRET}@fleet.example.com"}, "FLEETPROMPT_PUBLIC_URL", "https://"),
    ({"PUBLIC_URL": f"https://fleet.example.com/?a={SECRET}"}, "FLEETPROMPT_PUBLIC_URL", "without a path"),
    ({"ORDER_DESK_URL": f"http://me:{SECRET}@x:port"}, "FLEETPROMPT_ORDER_DESK_URL", "https://"),
]


@pytest.mark.parametrize(("given", "variable", "advice"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_a_setting_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], variable: str, advice: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"FLEETPROMPT_{name}", value)
    with pytest.raises(InvalidInput) as refusal:
        read_settings()
    said = str(refusal.value)
    assert variable in said
    assert advice in said
    assert SECRET not in said


def test_levels_and_formats_are_read_whatever_their_case_and_an_empty_variable_is_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"LOG_LEVEL": "warning", "LOG_FORMAT": "JSON", "BROKER_URL": "", "MODEL_BASE_URL": ""}
    for name, value in given.items():
        monkeypatch.setenv(f"FLEETPROMPT_{name}", value)
    settings = read_settings()
    assert (settings.log_level, settings.log_format) == ("WARNING", "json")
    assert (settings.broker_url, settings.model_base_url) == (None, None)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "http://127.0.0.1:8420"),
        ({"HOST": "0.0.0.0", "PORT": "80"}, "http://127.0.0.1:80"),
        ({"HOST": "::1"}, "http://[::1]:8420"),
        ({"HOST": "fleet.internal"}, "http://fleet.internal:8420"),
        ({"HOST": "0.0.0.0", "PUBLIC_URL": "https://fleet.example.com/"}, "https://fleet.example.com"),
    ],
)
def test_pages_have_an_address(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], address: str) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"FLEETPROMPT_{name}", value)
    assert read_settings().public_address == address
