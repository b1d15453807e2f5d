"""Workflows: what shall follow a signal, as data; one durable run for each workflow and signal."""
