"""Tools: what an agent may do, declared once, judged by one gate."""

from fleetprompt.runtime.tools.tool import SideEffect, Tool, ToolContext, ToolFailure

__all__ = ["SideEffect", "Tool", "ToolContext", "ToolFailure"]
