"""Who somebody is, by password.

Guesses are counted per account and network, and per network. A stranger who guesses from everywhere at once fills the
account's own count: then each network has one try left, and no longer five. A browser from which its person has logged
in before is counted for itself. So nobody is locked out by what others try elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select, update

from fleetprompt.accounts import claims, sessions, throttle
from fleetprompt.accounts.address import parse_email
from fleetprompt.accounts.passwords import Passwords, check_password
from fleetprompt.accounts.sessions import Opened
from fleetprompt.accounts.throttle import Bucket
from fleetprompt.database.engine import Database
from fleetprompt.kernel.errors import FleetPromptError, InvalidInput
from fleetprompt.kernel.secret import Secret
from fleetprompt.model import User

PER_BROWSER: Final = 10
PER_ACCOUNT_AND_NETWORK: Final = 5
PER_NETWORK: Final = 60
PER_ACCOUNT: Final = 100
CODES_PER_NETWORK: Final = 10


class WrongPassword(FleetPromptError):
    """Says the same of an address that nobody has, and takes as long."""

    code = "wrong_password"


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from. browser: the cookie of an earlier login, if it brings one."""

    address: str
    browser: Secret | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who it is, and what their browser is given."""

    user_id: UUID
    opened: Opened


async def log_in(
    database: Database, passwords: Passwords, email: str, password: Secret, caller: Caller
) -> LoggedIn:
    """Raises WrongPassword, TooManyAttempts (before the password is looked at), Unavailable."""
    try:
        address: str = parse_email(email)
    except InvalidInput:
        address = ""  # nobody's; counted like any other
    user = await _find(database, address)
    buckets = await _buckets(database, user, address, caller)
    await throttle.count(database, *buckets)
    stored = user.password_hash if user is not None else None
    if not await passwords.matches(stored, password) or user is None or stored is None:
        raise _refused()
    await throttle.forgive(database, buckets[0])  # the others would be emptied by whoever has an account here
    if passwords.is_outdated(stored):
        stored = await _store_anew(database, passwords, user, stored, password)
    opened = await sessions.open_session(database, user.id, stored, caller.browser)
    if opened is None:
        raise _refused()
    return LoggedIn(user.id, opened)


async def change_password(
    database: Database, passwords: Passwords, user_id: UUID, current: Secret, new: Secret, caller: Caller
) -> Opened:
    """Ends every session of the person, and opens one for this browser. Raises WrongPassword, TooManyAttempts, InvalidInput."""
    bucket = Bucket("change", (str(user_id),), PER_BROWSER)
    async with database.session() as session:
        user = (await session.scalars(select(User).where(User.id == user_id))).one()
    check_password(new, email=user.email)
    await throttle.count(database, bucket)
    if not await passwords.matches(user.password_hash, current):
        raise WrongPassword("This is not your present password.", "Nothing was changed.")
    hashed = await passwords.hashed(new)
    async with database.session() as session:
        same = select(User.id).where(User.id == user_id, User.password_hash == user.password_hash)
        if (
            await session.scalar(same.with_for_update()) is None
        ):  # whoever lost the account must not get it back
            raise WrongPassword("The password was changed in this very moment.", "Log in with the newer one.")
        await claims.set_password(session, user_id, hashed)
    await throttle.forgive(database, bucket)
    opened = await sessions.open_session(database, user_id, hashed, caller.browser)
    if opened is None:
        raise _refused()
    return opened


async def count_code(database: Database, caller: Caller) -> None:
    """One try of a claim code. Raises TooManyAttempts."""
    await throttle.count(database, Bucket("claim", (throttle.network_of(caller.address),), CODES_PER_NETWORK))


async def _buckets(database: Database, user: User | None, address: str, caller: Caller) -> list[Bucket]:
    browser = caller.browser
    if user is not None and browser is not None and await sessions.is_known(database, user.id, browser):
        return [Bucket("browser", (address, browser.reveal()), PER_BROWSER)]
    network = throttle.network_of(caller.address)
    is_attacked = await throttle.overflow_s(database, Bucket("account", (address,), PER_ACCOUNT)) is not None
    most = 1 if is_attacked else PER_ACCOUNT_AND_NETWORK
    return [Bucket("login", (address, network), most), Bucket("network", (network,), PER_NETWORK)]


async def _find(database: Database, address: str) -> User | None:
    async with database.session() as session:
        return (await session.scalars(select(User).where(User.email == address))).one_or_none()


async def _store_anew(
    database: Database, passwords: Passwords, user: User, stored: str, password: Secret
) -> str:
    """With today's parameters, unless the password was changed meanwhile. Returns the hash."""
    hashed = await passwords.hashed(password)
    async with database.session() as session:
        same = update(User).where(User.id == user.id, User.password_hash == stored)
        await session.execute(same.values(password_hash=hashed))
    return hashed


def _refused() -> WrongPassword:
    return WrongPassword(
        "Address and password do not belong together.",
        "A lost password is replaced by a claim code, which the operator makes.",
    )
