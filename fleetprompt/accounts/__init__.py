"""Users, memberships, roles. A user is one person for the whole service; a membership is what they are in one tenant."""

from fleetprompt.accounts.address import parse_email
from fleetprompt.accounts.members import Member, find_member, find_user, members
from fleetprompt.accounts.rights import NotAllowed, require_member, require_member_here
from fleetprompt.accounts.roles import MembershipStatus, Role

__all__ = [
    "Member",
    "MembershipStatus",
    "NotAllowed",
    "Role",
    "find_member",
    "find_user",
    "members",
    "parse_email",
    "require_member",
    "require_member_here",
]
