"""Another master key, while everything runs.

    announce   the registry holds the new key, sealed by the former one: whoever has either opens everything
    rewrap     tenant after tenant, its key is wrapped by the new one
    (the operator gives the new key to each process, one after the other)
    finish     the former key opens nothing any more

Each step may be repeated: after a death the same command goes on. Tenants' own keys stay, and so does all that they seal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from fleetprompt.credentials.keyring import HOLD_ALONE
from fleetprompt.credentials.master_key import FINGERPRINT_BYTES, MasterKey, put_in_force
from fleetprompt.database.engine import Database
from fleetprompt.kernel import clock, faults
from fleetprompt.kernel.errors import Conflict
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Organization, ReplacedMasterKey, Worker

faults.declare(["master_key.announced", "master_key.rewrapped", "master_key.in_force"])

FINISH: Final = "fleetprompt key rotate-master --finish"
ALIVE: Final = text("interval '15 seconds'")


async def rotate(database: Database, former: MasterKey, new: MasterKey) -> int:
    """Announce and rewrap; returns how many tenants' keys were wrapped anew. Raises Conflict while another is under way."""
    await _require_finished(database, former)
    await _announce(database, former, new)
    faults.reach("master_key.announced")
    count = 0
    for slug in await _wrapped_by(database, former):
        count += await _rewrap(database, slug, former, new)
        faults.reach("master_key.rewrapped")
    return count


async def rotate_file(database: Database, data_dir: Path, former: MasterKey) -> tuple[MasterKey, int]:
    """The same with the key that lies in `data_dir`: a new one is made, and takes its place at the end."""
    await _require_finished(database, former)
    new = MasterKey.next_to(data_dir, await _successor(database, former))
    count = await rotate(database, former, new)
    put_in_force(data_dir, former)
    faults.reach("master_key.in_force")
    return new, count


async def finish(database: Database, current: MasterKey) -> int:
    """Forget how the former keys lead to this one; returns how many they were.

    Raises Conflict if this is no successor, if a worker still runs that began before, or a tenant's key is left behind.
    """
    async with database.session() as session:
        await session.execute(HOLD_ALONE)
        if await session.get(ReplacedMasterKey, current.fingerprint) is not None:
            raise Conflict(
                f"The master key {current.fingerprint} is the former one.", "Run this with the new one."
            )
        rows = list(await session.scalars(_former_of(current)))
        for row in rows:
            await _require_left(session, row)
            row.sealed, row.retired_at = None, clock.now()
        return len(rows)


async def former_keys(database: Database) -> list[str]:
    """Fingerprints of those that still lead to their successors: a rotation waits for its end."""
    query = select(ReplacedMasterKey.fingerprint).where(ReplacedMasterKey.sealed.is_not(None))
    async with database.session() as session:
        return list(await session.scalars(query))


async def _require_left(session: AsyncSession, row: ReplacedMasterKey) -> None:
    """Nothing and nobody needs the former key any more. Raises Conflict."""
    behind = await session.scalar(
        select(func.count()).select_from(Organization).where(_is_by(row.fingerprint))
    )
    if behind:
        raise Conflict(f"{behind} organizations are left behind.", "Rotate again, with the former key.")
    began_before = (Worker.started_at < row.created_at, Worker.seen_at > func.now() - ALIVE)
    workers = await session.scalar(select(func.count()).select_from(Worker).where(*began_before))
    if workers:
        raise Conflict(
            f"{workers} workers still run that began before.", "Start every process anew, then finish."
        )


def _former_of(current: MasterKey) -> Select[ReplacedMasterKey]:
    """Those that still lead to it."""
    leads = (ReplacedMasterKey.successor == current.fingerprint, ReplacedMasterKey.sealed.is_not(None))
    return select(ReplacedMasterKey).where(*leads)


def _is_by(fingerprint: str) -> ColumnElement[bool]:
    return func.substring(Organization.wrapped_key, 1, FINGERPRINT_BYTES) == bytes.fromhex(fingerprint)


async def _announce(database: Database, former: MasterKey, new: MasterKey) -> None:
    async with database.session() as session:
        await session.execute(HOLD_ALONE)
        row = await session.get(ReplacedMasterKey, former.fingerprint)
        was_one = await session.get(ReplacedMasterKey, new.fingerprint) is not None
        if was_one or new.fingerprint == former.fingerprint:
            raise Conflict("The new master key is or was in use.", "Make another: openssl rand -base64 32")
        if row is None:
            session.add(
                ReplacedMasterKey(
                    fingerprint=former.fingerprint,
                    successor=new.fingerprint,
                    sealed=former.seal_successor(new),
                )
            )
        elif row.sealed is None or row.successor != new.fingerprint:
            raise Conflict(
                f"The master key {former.fingerprint} was replaced by {row.successor} already.",
                "Go on with that one.",
            )


async def _require_finished(database: Database, current: MasterKey) -> None:
    """One at a time."""
    async with database.session() as session:
        if await session.scalar(_former_of(current)) is not None:
            raise Conflict(
                f"The master key {current.fingerprint} is in force, and its former one still leads to it.",
                f"Start every process anew, then: {FINISH}",
            )


async def _successor(database: Database, former: MasterKey) -> MasterKey | None:
    async with database.session() as session:
        row = await session.get(ReplacedMasterKey, former.fingerprint)
    if row is None or row.sealed is None:
        return None
    return former.open_successor(row.successor, row.sealed)


async def _wrapped_by(database: Database, key: MasterKey) -> list[TenantSlug]:
    query = select(Organization.slug).where(_is_by(key.fingerprint)).order_by(Organization.slug)
    async with database.session() as session:
        return [TenantSlug(slug) for slug in await session.scalars(query)]


async def _rewrap(database: Database, slug: TenantSlug, former: MasterKey, new: MasterKey) -> int:
    """0 if somebody else did, or the organization went."""
    async with database.session() as session:
        query = select(Organization).where(Organization.slug == slug).with_for_update()
        organization = await session.scalar(query)
        wrapped = None if organization is None else organization.wrapped_key
        if (
            organization is None
            or wrapped is None
            or not wrapped.startswith(bytes.fromhex(former.fingerprint))
        ):
            return 0
        organization.wrapped_key = new.wrap(former.unwrap(slug, wrapped))
        return 1
