"""What goes wrong on command. A fault counts down over the requests that it fits."""

from __future__ import annotations

from dataclasses import dataclass

from fleetprompt.sandbox.messages import Request


@dataclass(slots=True)
class Fault:
    """One armed fault. only: "POST /api/v4/posts" fits by method and beginning of the path; "" fits every request."""

    kind: str
    left: int
    only: str = ""
    value: float = 0

    def fits(self, request: Request) -> bool:
        """It has to do with this request."""
        return self.left > 0 and f"{request.method} {request.path}".startswith(self.only)


class Faults:
    """The armed faults, oldest first."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Add a fault behind the others."""
        self._armed.append(fault)

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def take(self, request: Request, *kinds: str) -> Fault | None:
        """Use up one count of the first fault that fits."""
        for fault in self._armed:
            if fault.kind in kinds and fault.fits(request):
                fault.left -= 1
                if not fault.left:
                    self._armed.remove(fault)
                return fault
        return None
