"""People prove who they are: passwords, sessions, claim and link codes, identities in chats, API keys.

Revision ID: public_0007
Revises: public_0006
"""

revision = "public_0007"
down_revision = "public_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only: there is no downgrade."""
