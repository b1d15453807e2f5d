"""What is left for the engineer who has to find the cause: the timeline, the verdict, and on failure logs and traces."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.judge import Asked, Verdict
from tests.chaos.plan import Attack, Round

REPORTS = Path(__file__).parent.parent.parent / ".chaos"
MOST_TRACES = 20
BUSY = 1.5


class Report:
    """A directory of one round, below `.chaos/`."""

    def __init__(self, chaos: Round, name: str = "") -> None:
        self.directory = REPORTS / (name or f"{chaos.transport}-{chaos.layout}-{chaos.seed}")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True)
        self.timeline: list[str] = []
        self._chaos = chaos

    def tell(self, at_s: float, text: str) -> None:
        """A line of the timeline."""
        self.timeline.append(f"{at_s:8.2f}  {text}")

    def write(self, verdict: Verdict, plan: Sequence[Attack], asked: Sequence[Asked]) -> None:
        """Everything but logs and traces, which only a failure is worth."""
        (self.directory / "timeline.txt").write_text("\n".join(self.timeline) + "\n")
        whole: dict[str, Any] = {
            "round": asdict(self._chaos),
            "verdict": verdict.as_json(),
            "plan": [asdict(attack) for attack in plan],
            "asked": [asdict(item) for item in asked],
        }
        (self.directory / "report.json").write_text(json.dumps(whole, indent=1, default=str))
        if verdict.holds:
            shutil.rmtree(self.logs, ignore_errors=True)

    async def trace(self, verdict: Verdict, asked: Sequence[Asked], environment: Mapping[str, str]) -> None:
        """The trace of each message that something is wrong with, while the database is still there."""
        numbers = {wrong.number for wrong in verdict.wrong if wrong.number is not None}
        folder = self.directory / "traces"
        for item in [item for item in asked if item.mention.number in numbers][:MOST_TRACES]:
            folder.mkdir(exist_ok=True)
            text = await _traced(item, environment)
            (folder / f"m{item.mention.number}.txt").write_bytes(text)


async def _traced(item: Asked, environment: Mapping[str, str]) -> bytes:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FLEETPROMPT_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetprompt", "trace", item.post_id, "--org", item.mention.tenant),
        env={**kept, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return out


def told(chaos: Round, verdict: Verdict, report: Report) -> str:
    """The verdict as a person reads it."""
    lines = [f"{'HOLDS' if verdict.holds else 'FAILS'}: {chaos.transport}, {chaos.layout}, seed {chaos.seed}"]
    if verdict.machine_factor > BUSY:
        lines.append(f"  busy machine: a second of work took {verdict.machine_factor} s, so times say little")
    lines.append("  " + ", ".join(f"{name} {count}" for name, count in verdict.counts.items()))
    for name, times in verdict.seconds.items():
        bound = "" if times["bound"] == float("inf") else f" (bound {times['bound']} s)"
        lines.append(f"  {name}: p50 {times['p50']} s, p99 {times['p99']} s, most {times['most']} s{bound}")
    lines += [
        f"  WRONG: {wrong.what}{'' if wrong.number is None else f', mention {wrong.number}'} {wrong.detail}".rstrip()
        for wrong in verdict.wrong[:40]
    ]
    return "\n".join([*lines, f"  report: {os.path.relpath(report.directory)}"])
