"""Users, memberships, roles."""
