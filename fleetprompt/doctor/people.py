"""The people: each organization has somebody who may everything in it."""

from __future__ import annotations

from sqlalchemy import text

from fleetprompt.composition import House
from fleetprompt.doctor.finding import Finding, ok, warn
from fleetprompt.kernel.ids import TenantSlug

_OWNERS = text("""
select count(*) as members, count(*) filter (where m.role = 'owner' and m.status = 'active') as owners,
    count(*) filter (where m.role = 'owner' and m.status = 'active' and u.password_hash is not null) as claimed
from public.memberships m join public.users u on u.id = m.user_id
join public.organizations o on o.id = m.organization_id
where o.slug = :org and m.status <> 'removed'
""")


async def check_people(house: House, org: TenantSlug) -> list[Finding]:
    """It has an owner, who can log in. One in which nobody is yet is the operator's own."""
    async with house.database.connection() as connection:
        members, owners, claimed = (await connection.execute(_OWNERS, {"org": org})).one()
    bootstrap = f"fleetprompt bootstrap --org {org} --owner EMAIL"
    if not members:
        return [ok("people", f"nobody yet; the first: {bootstrap}", org)]
    if not owners:
        remedy = f"Make one: fleetprompt member role EMAIL owner --org {org}, or: {bootstrap}"
        return [warn("people", "no active owner: nobody in it can change who may what", remedy, org)]
    if not claimed:
        return [ok("people", f"no owner has a password yet: {bootstrap}", org)]
    return [ok("people", f"{members} members, {owners} of them owners" if members > 1 else "its owner", org)]
