"""Executions: an agent's run, step by step, each persisted before it is acted on."""
