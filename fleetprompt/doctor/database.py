"""The database: version, migrations, tenants' schemas, tenants' keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleetprompt.composition import House
from fleetprompt.credentials import KEY_FILE, Keyring, rotation
from fleetprompt.database import scripts
from fleetprompt.database.migrate import current_revision
from fleetprompt.doctor.finding import Finding, counted, fail, ok, warn
from fleetprompt.doctor.machine import key_is_missing
from fleetprompt.kernel.errors import FleetPromptError
from fleetprompt.kernel.ids import TenantSlug
from fleetprompt.model import Organization
from fleetprompt.model.states import OrganizationState
from fleetprompt.tenancy import orphans

MIGRATE = "fleetprompt migrate"
UPGRADE = "Restart every process with the new program, and ask that one's doctor."
FINISH = f"Start every process anew, then: {rotation.FINISH}"
SEALED = "its secrets are sealed, and the master key is not there"
_SUSPENDED = OrganizationState.SUSPENDED
RESTORE_KEY = f"Restore {KEY_FILE} from your backup before you start anything."


async def check_server(house: House) -> Finding:
    """It answers, and is new enough. Raises what keeps it from answering."""
    number = await house.database.require_supported_version()
    place = "embedded" if house.postgres is not None else "your own"
    return ok("database", f"Postgres {number // 10000}.{number % 10000}, {place}")


async def check_registry(house: House) -> Finding:
    """The registry is there, at our version."""
    connection = await house.database.connect_raw()
    try:
        revision = await current_revision(connection, "public")
        is_half = await connection.fetchval("select to_regclass('public.move_in') is not null")
    finally:
        await connection.close()
    if is_half:
        return fail("registry", "an import was interrupted", "Repeat: fleetprompt database import FILE")
    if revision == scripts.head("public"):
        return ok("registry", f"at {revision}")
    if scripts.is_newer("public", revision):
        return warn("registry", f"at {revision}, newer than this program: an upgrade is under way", UPGRADE)
    return fail("registry", f"at {revision or 'nothing'}, not {scripts.head('public')}", f"Run: {MIGRATE}")


def check_tenants(organizations: Sequence[Organization]) -> list[Finding]:
    """Each organization's schema is at our version."""
    head = scripts.head("tenant")
    behind = [
        one
        for one in organizations
        if one.state in (OrganizationState.ACTIVE, _SUSPENDED) and one.schema_revision != head
    ]
    findings = [_not_at_head(one, head) for one in behind]
    at_head = [ok("migrations", f"{counted(len(organizations), 'organization')} at {head}")]
    return (findings or at_head) + [_resting(one) for one in organizations if one.state == _SUSPENDED]


def _not_at_head(one: Organization, head: str) -> Finding:
    if scripts.is_newer("tenant", one.schema_revision):
        words = f"at {one.schema_revision}, newer than this program: an upgrade is under way"
        return warn("migrations", words, UPGRADE, one.slug)
    why = f": {one.schema_error}" if one.schema_error else ""
    return fail("migrations", f"at {one.schema_revision}, not {head}{why}", f"Run: {MIGRATE}", one.slug)


def _resting(one: Organization) -> Finding:
    words = "suspended: messages are recorded, nothing is answered"
    return warn("organization", words, f"Run: fleetprompt org resume {one.slug}", one.slug)


async def check_orphans(house: House, slugs: Collection[TenantSlug] | None, *, mend: bool) -> list[Finding]:
    """Rows, schemas and roles belong together; mend: make them so. slugs: of these tenants alone, None = all."""
    if mend:
        mended = [
            one for one in await orphans.mend(house.database) if slugs is None or one.finding.slug in slugs
        ]
        repaired = [_mended(one) for one in mended]
    else:
        repaired = []
    left = [one for one in await orphans.find_orphans(house.database) if slugs is None or one.slug in slugs]
    findings = [fail("schemas", finding.sentence, finding.remedy, finding.slug) for finding in left]
    return repaired + findings or [ok("schemas", "rows, schemas and roles belong together")]


def _mended(one: orphans.Mended) -> Finding:
    if one.error is None:
        return ok("mended", one.finding.sentence, one.finding.slug)
    return warn(
        "mended",
        f"{one.finding.sentence} It could not be mended: {one.error}",
        one.finding.remedy,
        one.finding.slug,
    )


async def check_keys(house: House, organizations: Sequence[Organization]) -> list[Finding]:
    """The master key opens each tenant's key."""
    sealed = [one for one in organizations if one.wrapped_key is not None]
    if key_is_missing(house.settings):
        return [fail("tenant key", SEALED, RESTORE_KEY, one.slug) for one in sealed]
    try:
        keyring = Keyring(house.master_key)
    except FleetPromptError:
        return []  # said already
    async with house.database.session() as session:
        await keyring.learn(session)
    findings = []
    for one in sealed:
        try:
            keyring.opened(TenantSlug(one.slug), one.wrapped_key or b"")
        except FleetPromptError as error:
            findings.append(fail("tenant key", error.what, error.advice, one.slug))
    former = await rotation.former_keys(house.database)
    findings += [
        warn("master key", f"the former one, {one}, still opens everything", FINISH) for one in former
    ]
    return findings or [ok("tenant keys", f"the master key opens all {len(sealed)}")]
