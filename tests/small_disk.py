"""A file system of a few megabytes, to be filled up."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    """Mount it there. Skips the test where that is not allowed."""
    at.mkdir(mode=0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(at)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(path: Path, megabytes: int) -> None:
    """Write so much, or all that there is room for."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for _ in range(megabytes * 256):
            file.write(b"\1" * 4096)
