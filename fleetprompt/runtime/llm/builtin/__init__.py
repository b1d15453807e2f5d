"""The `builtin` planner."""

from __future__ import annotations

from .planner import plan

__all__ = ["plan"]
