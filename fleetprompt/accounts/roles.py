"""What a person is in an organization, and whether it counts at present."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Ordered by rank, not by spelling: member < admin < owner. Whoever has a role has the rights of the lower ones."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """0 for the lowest."""
        return _RANKS[self.value]

    def __lt__(self, other: str) -> bool:
        return self.rank < Role(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Role(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Role(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Role(other).rank


_RANKS = {role.value: rank for rank, role in enumerate(Role)}


class MembershipStatus(StrEnum):
    """Only an active membership gives rights. A removed one is kept, so that what refers to it still can."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"
