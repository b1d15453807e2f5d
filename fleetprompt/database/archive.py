"""The file that exports are written to: a zip of one member a table, and a manifest with the digest of each.

It appears under its name when it is whole, readable by its owner alone; a death before leaves only `NAME.part`, which
the next try replaces. Both directions stream, so memory does not grow with the data.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from fleetprompt.kernel.errors import Conflict, InvalidInput, Unavailable

MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20
MAX_MANIFEST_BYTES = 64 << 20
"""A hundred tables of some thousand organizations; the file may be a stranger's, and a zip unfolds to anything."""
MAX_LINE_BYTES = 1 << 30
"""Postgres writes no longer text."""
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a zip raises that is none, is cut off, or was changed; an encrypted one among them."""
COMPRESSION = 1  # the fastest; text shrinks to a fifth already


@dataclass(frozen=True, slots=True)
class Part:
    """One member. sha256: of its bytes before compression."""

    file: str
    table: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


class Member:
    """One member while it is written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append."""
        self._digest.update(data)
        self._stream.write(data)

    async def pour(self, data: bytes) -> None:
        """As `write`, for those who await what they call."""
        self.write(data)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()


class ArchiveWriter:
    """Writes one archive. Leaving its block without `finish` leaves nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: list[Part] = []
        self._draft = path.with_name(path.name + ".part")

    def __enter__(self) -> Self:
        if self.path.exists():
            raise Conflict(f"{self.path} exists already.", "Name another file, or move that one away.")
        try:
            self._draft.unlink(missing_ok=True)  # a death's, or somebody's link to another file
            handle = os.open(self._draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except OSError as error:
            raise Unavailable(
                f"{self.path} cannot be written: {error.strerror}.", "Name another place."
            ) from error
        self._file = os.fdopen(handle, "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        self._file.close()
        self._draft.unlink(missing_ok=True)

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[Member]:
        """Write one member; the next begins when this one is closed."""
        with self._zip.open(name, "w", force_zip64=True) as stream:
            yield Member(stream)

    def add(self, file: str, table: str, columns: tuple[str, ...], rows: int, member: Member) -> None:
        """Put a member that was written into the manifest."""
        self.parts.append(Part(file, table, columns, rows, member.sha256))

    def finish(self, about: dict[str, Any]) -> None:
        """Write the manifest, last, and give the file its name once it is on the disk."""
        manifest = {**about, "tables": [asdict(part) for part in self.parts]}
        self._zip.writestr(MANIFEST, json.dumps(manifest, indent=1, default=str) + "\n")
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._draft, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class ArchiveReader:
    """Reads one archive. Raises InvalidInput for a file that is none, or is damaged."""

    def __init__(self, path: Path, kind: str, version: int) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise InvalidInput(f"There is no file {path}.", "Mend the name.") from error
        except DAMAGE as error:
            raise _no_export(path) from error
        try:
            self.about, self.parts = _manifest(self._zip)
            self._require(kind, version)
        except (*DAMAGE, TypeError, AttributeError) as error:
            self.close()
            raise _no_export(path) from error
        except InvalidInput:
            self.close()
            raise

    def _require(self, kind: str, version: int) -> None:
        if self.about.get("format") != kind or self.about.get("version") != version:
            is_of = str(self.about.get("format"))[:60]
            raise InvalidInput(f"{self.path} is no {kind} of version {version}.", f"It is a {is_of!r}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def chunks(self, part: Part) -> Generator[bytes]:
        """The bytes of a member. Raises InvalidInput at the end if they are not those that were written."""
        digest = hashlib.sha256()
        try:
            with self._zip.open(part.file) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    yield chunk
        except DAMAGE as error:
            raise _damaged(self.path, part) from error
        if digest.hexdigest() != part.sha256:
            raise _damaged(self.path, part)

    def lines(self, part: Part) -> Generator[bytes]:
        """The same, line by line. Raises InvalidInput for a line that no export has."""
        pieces: list[bytes] = []
        size = 0
        for chunk in self.chunks(part):
            first, *others = chunk.split(b"\n")
            size += len(first)
            pieces.append(first)
            if size > MAX_LINE_BYTES:
                raise _damaged(self.path, part)
            if others:
                yield b"".join(pieces)
                yield from others[:-1]
                pieces, size = [others[-1]], len(others[-1])
        if size:
            yield b"".join(pieces)


def _manifest(archive: zipfile.ZipFile) -> tuple[dict[str, Any], list[Part]]:
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise ValueError("longer than any manifest")
    about: dict[str, Any] = json.loads(archive.read(MANIFEST))
    return about, [_part(one) for one in about["tables"]]


def _part(one: dict[str, Any]) -> Part:
    """Raises TypeError for what is none."""
    columns = tuple(one["columns"])
    words = (one["file"], one["table"], one["sha256"], *columns)
    if not all(isinstance(word, str) for word in words) or not isinstance(one["rows"], int):
        raise TypeError("no part")
    return Part(one["file"], one["table"], columns, one["rows"], one["sha256"])


def _no_export(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} is no export of FleetPrompt, or is damaged.", "Export anew.")


def _damaged(path: Path, part: Part) -> InvalidInput:
    return InvalidInput(
        f"{part.file} in {path} is damaged.", "Take another copy of the file, or export anew."
    )
