"""Ids, clock, JSON, the base error, fault points. Imports nothing of ours."""
