"""From a parsed command to an open house and back."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.kernel.ids import TenantSlug
    from fleetprompt.runtime.signals import Actor
    from fleetprompt.settings import Settings
    from fleetprompt.tenancy import TenantSession

T = TypeVar("T")


def in_house(act: Callable[[House], Awaitable[T]], *, migrate: bool = True) -> T:
    """Open the house, do one thing, close it."""
    from fleetprompt.composition import COMMAND, open_house

    async def run() -> T:
        async with open_house(read_settings(), role=COMMAND, migrate=migrate) as house:
            return await act(house)

    return asyncio.run(run())


def in_tenant(org: str, act: Callable[[House, TenantSession], Awaitable[T]]) -> T:
    """The same, in one transaction of one organization."""

    async def run(house: House) -> T:
        async with tenant_session(house, org) as session:
            return await act(house, session)

    return in_house(run)


@asynccontextmanager
async def tenant_session(house: House, org: str) -> AsyncIterator[TenantSession]:
    """Raises NotFound for an organization that is not there, InvalidInput for what cannot be one."""
    async with house.tenancy.session(await require_org(house, org)) as session:
        yield session


async def require_org(house: House, org: str) -> TenantSlug:
    """The slug of an organization that is there."""
    from fleetprompt.tenancy import parse_slug
    from fleetprompt.tenancy.organizations import find_organization

    slug = parse_slug(org)
    await find_organization(house.database, slug)
    return slug


def read_settings() -> Settings:
    """From the environment. Raises InvalidInput, which names the variable and never its value."""
    from pydantic import ValidationError

    from fleetprompt.kernel.errors import InvalidInput
    from fleetprompt.settings import Settings

    try:
        return Settings(_env_ignore_empty=True)  # `NAME=` in an environment file means unset
    except ValidationError as error:
        fault = error.errors()[0]
        name = "FLEETPROMPT_" + "_".join(str(part) for part in fault["loc"]).upper()
        raise InvalidInput(f"{name} cannot be used: {fault['msg']}.", "Mend it, or unset it.") from None


def operator() -> Actor:
    """Who acts here: the person logged in at this machine."""
    from fleetprompt.runtime.signals import Actor

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return Actor("human", f"cli:{user}", user)


def parse_id(text: str, noun: str) -> UUID:
    """Raises InvalidInput for what is no id."""
    from fleetprompt.kernel.errors import InvalidInput

    try:
        return UUID(text)
    except ValueError:
        listing = f"fleetprompt {noun}s list --org ..."
        raise InvalidInput(f"{text[:60]!r} is no id of a {noun}.", f"Take it from: {listing}") from None
