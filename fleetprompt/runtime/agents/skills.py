"""Skills as a model is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

INTRODUCTION: Final = "Your skills. When a request is for one of them, go about it as the skill says."


def taught(skills: Iterable[Mapping[str, Any]]) -> str:
    """The part of the instructions that the skills make; "" without any."""
    told = [_one(skill) for skill in skills]
    return "\n\n".join([INTRODUCTION, *told]) if told else ""


def _one(skill: Mapping[str, Any]) -> str:
    parts = [f"Skill {skill['name']} ({skill['title']}): {_line(skill['description'])}"]
    parts.append(str(skill["instructions"]).strip())
    for example in skill.get("examples") or ():
        answer = example.get("answer")
        parts.append(f"Example: {example['ask']}" + (f"\n{answer.strip()}" if answer else ""))
    return "\n".join(parts)


def _line(text: object) -> str:
    return " ".join(str(text).split())
