"""Signals: immutable facts, deduplicated, fanned out durably, replayable."""

from fleetprompt.runtime.signals.emit import Actor, Emitted, NewSignal, emit, emit_many

__all__ = ["Actor", "Emitted", "NewSignal", "emit", "emit_many"]
