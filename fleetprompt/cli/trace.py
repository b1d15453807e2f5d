"""`fleetprompt trace ID`: what led to it, what came of it, how long it took and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from fleetprompt.cli import options, output
from fleetprompt.cli.running import in_house, require_org

if TYPE_CHECKING:
    from fleetprompt.composition import House
    from fleetprompt.runtime.trace import Trace

FIELDS = (
    "org", "correlation_id", "duration_ms", "cost_usd", "input_tokens", "output_tokens", "jobs", "roots",
)  # fmt: skip
NODE = ("kind", "id", "name", "state", "began_at", "ended_at", "duration_ms", "children")


@click.command(
    help=f"""The chain that an ID belongs to: signal, execution, model and tool calls, workflow, directives, effects.

ID is that of a signal, an execution, a workflow's run, a directive, an effect (or its key), a job, a correlation, or of a post in the
channel.

{options.fields(FIELDS)} Each node has: {", ".join(NODE)}, and the facts of its kind."""
)
@click.argument("wanted", metavar="ID")
@options.org
@options.as_json
def trace(wanted: str, org: str, as_json: bool) -> None:
    async def act(house: House) -> Trace:
        from fleetprompt.runtime.trace import find_trace

        return await find_trace(house.tenancy, await require_org(house, org), wanted)

    found = in_house(act)
    if as_json:
        from fleetprompt.runtime.trace import as_json as tree

        output.show_json([tree(found)])
        return
    from fleetprompt.runtime.trace_text import trace_lines

    for line in trace_lines(found):
        output.say(output.harmless(line))
