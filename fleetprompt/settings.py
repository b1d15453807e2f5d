"""One `Settings`, read once from `FLEETPROMPT_*` in a composition root and passed on as a value."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of the service. Unset means the embedded, key-less default."""

    model_config = SettingsConfigDict(env_prefix="FLEETPROMPT_", extra="ignore", frozen=True)

    database_url: SecretStr | None = None
    """A server of your own, `postgresql://user:password@host/name`, version 16 or newer. Unset = embedded."""
    data_dir: Path | None = None
    """Where the embedded database and the master key lie. Unset = the user's data directory."""
    postgres_bin_dir: Path | None = None
    """Server binaries to use instead of the bundled ones."""
    broker_url: str | None = None
    """Unset = Postgres carries the jobs."""
    master_key: SecretStr | None = None
    """32 bytes, base64. Required with a database of your own; generated beside an embedded one."""
    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    public_url: str | None = None

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
    lease_s: float = Field(default=6.0, gt=0)
    """A job whose worker has not said a word for so long is given to another."""
    heartbeat_s: float = Field(default=2.0, gt=0)
    reap_every_s: float = Field(default=2.0, gt=0)
    poll_every_s: float = Field(default=1.0, gt=0)
    """How often an idle worker looks without having been woken."""
    shutdown_grace_s: float = Field(default=3.0, ge=0)
    signal_retention_days: int = Field(default=30, ge=1)
    log_level: str = "INFO"
    log_format: str | None = None
    """`json` or `console`; unset = console on a terminal, JSON lines elsewhere."""
