"""What can be said without the database: disk, master key, model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fleetprompt.composition import data_dir, load_master_key, model_boundary
from fleetprompt.credentials import KEY_FILE
from fleetprompt.doctor.finding import Finding, fail, ok, warn
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.settings import Settings

SCARCE_BYTES: Final = 1_000_000_000
TOO_LITTLE_BYTES: Final = 200_000_000  # Postgres keeps 16 MB segments of its log, several at a time


def check_machine(settings: Settings) -> Iterator[Finding]:
    """In the order in which a person would look."""
    if settings.database_url is None:
        yield check_disk(data_dir(settings))
    yield _check_key(settings)
    yield _check_model(settings)


def check_disk(directory: Path, *, scarce: int = SCARCE_BYTES, too_little: int = TOO_LITTLE_BYTES) -> Finding:
    """Room where the embedded database lies, or will lie."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(there).free
    detail = f"{free / 1e9:.1f} GB free in {directory}"
    if free < too_little:
        return fail("disk", detail, "Make room: a database without room stops accepting messages.")
    if free < scarce:
        return warn("disk", detail, "Make room soon.")
    return ok("disk", detail)


def key_is_missing(settings: Settings) -> bool:
    """Beside an embedded database: a start would make one, a look must not."""
    is_kept = settings.master_key is None and settings.database_url is None
    return is_kept and not (data_dir(settings) / KEY_FILE).exists()


def _check_key(settings: Settings) -> Finding:
    if key_is_missing(settings):
        return warn("master key", f"there is none in {data_dir(settings)}", "The first start makes one.")
    try:
        key = load_master_key(settings)
    except FleetPromptError as error:
        return fail("master key", error.what, error.advice)
    return ok("master key", f"{key.fingerprint} from {key.origin}")


def _check_model(settings: Settings) -> Finding:
    try:
        model_boundary(settings)
    except FleetPromptError as error:
        return fail("model", error.what, error.advice)
    fallback = f", then {settings.fallback_model}" if settings.fallback_model else ""
    return ok("model", f"{settings.model}{fallback}")
