"""The registry of packages and the catalogue of skills, in schema `public`. What is published never changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from fleetprompt.model.base import PublicBase


class Package(PublicBase):
    """A package as its highest version describes it; for browsing. What is installed comes from a version."""

    __tablename__ = "packages"

    slug: Mapped[str] = mapped_column(primary_key=True)
    latest: Mapped[str]
    name: Mapped[str]
    author: Mapped[str]
    category: Mapped[str]
    kind: Mapped[str]
    summary: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PackageVersion(PublicBase):
    """One published version: its manifest as canonical JSON, and who signed it.

    Immutable but for its withdrawal: yanked = chosen no more, except by an exact pin; revoked = not installed at all.
    """

    __tablename__ = "package_versions"

    package: Mapped[str] = mapped_column(ForeignKey(Package.slug), primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    manifest: Mapped[str]
    digest: Mapped[str]
    key_id: Mapped[str]
    signature: Mapped[str]
    published_at: Mapped[datetime] = mapped_column(server_default=func.now())
    yanked_at: Mapped[datetime | None]
    yanked_reason: Mapped[str | None]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]


class Skill(PublicBase):
    """A skill of a published version, for browsing; what an agent is given comes from the signed manifest."""

    __tablename__ = "skills"
    __table_args__ = (
        ForeignKeyConstraint(
            ["package", "version"], ["public.package_versions.package", "public.package_versions.version"]
        ),
    )

    package: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str]
    instructions: Mapped[str]
    tools: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    examples: Mapped[list[dict[str, Any]]] = mapped_column(JSONB())
