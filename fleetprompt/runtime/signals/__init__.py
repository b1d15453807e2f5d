"""Signals: immutable facts, deduplicated, fanned out durably, replayable."""

from fleetprompt.runtime.signals.emit import Actor, Emitted, NewSignal, emit

__all__ = ["Actor", "Emitted", "NewSignal", "emit"]
