"""One `Settings`, read once from `FLEETPROMPT_*` in a composition root and passed on as a value.

What cannot be is refused here, by a sentence that names the variable. A value is quoted only where it cannot be secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fleetprompt.kernel.errors import InvalidInput

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS: Final = ("console", "json")
BROKER_SCHEMES: Final = ("nats", "tls", "amqp", "amqps", "redis", "rediss")
WEB_SCHEMES: Final = ("http", "https")
EVERYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104 (recognised, not listened on)
BEATS_IN_A_LEASE: Final = 2  # one beat may be lost without the job being given to another

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every setting of the service. Unset means the embedded, key-less default."""

    model_config = SettingsConfigDict(env_prefix="FLEETPROMPT_", extra="ignore", frozen=True)

    database_url: SecretStr | None = None
    """A server of your own, `postgresql://user:password@host/name`, version 16 or newer. Unset = embedded."""
    data_dir: Path | None = None
    """Where the embedded database and the master key lie. Unset = the user's data directory."""
    postgres_bin_dir: Path | None = None
    """Server binaries to use instead of the bundled ones."""
    broker_url: SecretStr | None = None
    """`nats://`, `amqp://` or `redis://` (with TLS: `tls://`, `amqps://`, `rediss://`). Unset = Postgres carries jobs."""
    master_key: SecretStr | None = None
    """32 bytes, base64. Required with a database of your own; generated beside an embedded one."""
    secret_dirs: str | None = None
    """Directories that secrets may be read from (`--secret NAME=file:PATH`), separated as in PATH. Unset = /run/secrets,
    systemd's $CREDENTIALS_DIRECTORY, and `secrets` in the data directory."""
    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    public_url: str | None = None
    """Under which people reach the pages, `https://fleet.example.com`. Unset = `http://HOST:PORT`."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Where `worker` and `listener`, as processes of their own, answer /healthz, /readyz, /metrics; 0 = any free port,
    which the start says. Unset = nowhere."""

    model: str = "builtin"
    model_base_url: str | None = None
    model_api_key: SecretStr | None = None
    fallback_model: str | None = None
    fallback_base_url: str | None = None
    fallback_api_key: SecretStr | None = None

    order_desk_url: str | None = None
    """Base URL of the sample order system that the `orders.*` tools talk to. Unset = those tools are absent."""

    worker_slots: int = Field(default=16, ge=1, le=1000)
    """Jobs that one worker runs at a time."""
    lease_s: Seconds = 5.0
    """A job whose worker has not said a word for so long is given to another. All processes have to agree on it."""
    heartbeat_s: Seconds = 1.5
    reap_every_s: Seconds = 1.0
    poll_every_s: Seconds = 1.0
    """How often an idle worker looks without having been woken."""
    shutdown_grace_s: float = Field(default=2.0, ge=0, le=3600, allow_inf_nan=False)
    signal_retention_days: int = Field(default=30, ge=1, le=36_500)
    log_level: str = "INFO"
    log_format: str | None = None
    """`json` or `console`; unset = console on a terminal, JSON lines elsewhere."""

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_address(value.get_secret_value(), BROKER_SCHEMES):
            raise InvalidInput(
                "FLEETPROMPT_BROKER_URL names no broker that could carry jobs.",
                "Write it as nats://host:4222, amqp://user:password@host/vhost or redis://:password@host:6379/0; "
                "or unset it: Postgres carries the jobs.",
            )
        return value

    @field_validator("model_base_url", "fallback_base_url", "order_desk_url")
    @classmethod
    def _is_an_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not _is_address(value, WEB_SCHEMES):
            raise InvalidInput(
                f"FLEETPROMPT_{str(info.field_name).upper()} is no web address.",
                "Write it as http://host:port/path or https://host/path.",
            )
        return value

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _is_address(value, WEB_SCHEMES) or urlsplit(value).path.strip("/") or set(value) & set("?#@"):
            raise InvalidInput(
                "FLEETPROMPT_PUBLIC_URL is no address of pages.",
                "Write it as https://fleet.example.com: without a path, a query or a password.",
            )
        return value.rstrip("/")

    @field_validator("log_level")
    @classmethod
    def _is_a_level(cls, value: str) -> str:
        return _one_of("FLEETPROMPT_LOG_LEVEL", value.upper(), LOG_LEVELS)

    @field_validator("log_format")
    @classmethod
    def _is_a_format(cls, value: str | None) -> str | None:
        return None if value is None else _one_of("FLEETPROMPT_LOG_FORMAT", value.lower(), LOG_FORMATS)

    @property
    def public_address(self) -> str:
        """Where the pages are, without a slash at the end."""
        if self.public_url is not None:
            return self.public_url
        host = "127.0.0.1" if self.host in EVERYWHERE else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @model_validator(mode="after")
    def _beats_often_enough(self) -> Self:
        if self.heartbeat_s * BEATS_IN_A_LEASE > self.lease_s:
            raise InvalidInput(
                f"FLEETPROMPT_HEARTBEAT_S is {self.heartbeat_s:g}, and a lease ends after {self.lease_s:g} seconds: "
                "running jobs would be taken away.",
                f"Set it to at most {self.lease_s / BEATS_IN_A_LEASE:g}, or raise FLEETPROMPT_LEASE_S.",
            )
        return self


def _one_of(variable: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidInput(f"{variable} cannot be {value[:60]!r}.", f"One of: {', '.join(known)}.")
    return value


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False
