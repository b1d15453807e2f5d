"""What remembers and decides: signals, directives, executions, jobs, agents and the model boundary.

No vendor's name and no HTTP status in here. Connectors fill the registry at start, so no arrow points back at them.
"""
