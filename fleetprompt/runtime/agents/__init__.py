"""Agents: who they are, which one is meant, and what wakes them."""
