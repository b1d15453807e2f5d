"""What pages work with; built once in the composition root, and found through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from litestar import Request

from fleetprompt.accounts.passwords import Passwords
from fleetprompt.database.engine import Database
from fleetprompt.packages.house import House as Packages
from fleetprompt.runtime.registry import Registry
from fleetprompt.tenancy import Tenancy

PageRequest: TypeAlias = Request[Any, Any, Any]
KEY = "front"
"""Of the options that each page's route carries."""


@dataclass(frozen=True, slots=True)
class Front:
    """public_url: under which people reach the pages, without a slash at its end."""

    packages: Packages
    passwords: Passwords
    public_url: str

    def __deepcopy__(self, _: object) -> Front:
        """Routes copy their options; what they lead to is one thing."""
        return self

    @property
    def tenancy(self) -> Tenancy:
        """Opens tenant sessions."""
        return self.packages.tenancy

    @property
    def database(self) -> Database:
        """The registry."""
        return self.packages.tenancy.database

    @property
    def registry(self) -> Registry:
        """The catalogue, for signals."""
        return self.packages.registry

    @property
    def is_secure(self) -> bool:
        """Whether cookies may travel encrypted only."""
        return self.public_url.startswith("https://")


def front_of(request: PageRequest) -> Front:
    """Of the pages that this one is of."""
    found = request.route_handler.opt[KEY]
    assert isinstance(found, Front)
    return found
