"""FleetPrompt: messages become signals, executions, directives and replies, exactly once."""
